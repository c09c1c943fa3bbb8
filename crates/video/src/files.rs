//! Outputs that appear whole or not at all, whoever writes them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use orthoformer::{Error, Result};

/// Writes a file by way of a temporary one beside it, so that nobody ever sees half of it.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    stream_whole(path, |file| file.write_all(bytes).map_err(Error::file("write", path)))
}

/// The same for what is made piece by piece: nothing is left behind where `write` fails. Links are followed; a device or pipe is written to as it is.
pub fn stream_whole(path: &Path, write: impl FnOnce(&mut std::fs::File) -> Result<()>) -> Result<()> {
    WholeFile::open(path)?.stream(write)
}

/// A file that is opened before the work, and there once it is written whole; nothing is left behind where it is not.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// A file beside the one to be.
    Beside(tempfile::NamedTempFile),
    /// A device or pipe.
    Special(std::fs::File),
}

impl WholeFile {
    /// Opens a file to be.
    ///
    /// # Errors
    /// [`Error::File`] where nothing can be written.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            let source = std::io::Error::from(std::io::ErrorKind::IsADirectory);
            return Err(Error::File { action: "write", path: path.to_owned(), source });
        }
        if is_special(path) {
            let file = std::fs::OpenOptions::new().write(true).open(path).map_err(Error::file("write", path))?;
            return Ok(Self { path: path.to_owned(), place: Place::Special(file) });
        }
        let path = followed(path)?;
        let folder = folder_of(&path);
        let file = new_file_in(folder).map_err(Error::file("write into", folder))?;
        Ok(Self { place: Place::Beside(file), path })
    }

    /// The temporary file, which a program that ends at once has to remove.
    pub fn temporary(&self) -> Option<&Path> {
        match &self.place {
            Place::Beside(file) => Some(file.path()),
            Place::Special(_) => None,
        }
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(self, bytes: &[u8]) -> Result<()> {
        let path = self.path.clone();
        self.stream(|file| file.write_all(bytes).map_err(Error::file("write", &path)))
    }

    fn stream(self, write: impl FnOnce(&mut std::fs::File) -> Result<()>) -> Result<()> {
        let Self { path, place } = self;
        match place {
            Place::Special(mut file) => write(&mut file),
            Place::Beside(mut file) => {
                write(file.as_file_mut())?;
                file.persist(&path).map_err(|error| Error::File { action: "write", path, source: error.error }).map(drop)
            }
        }
    }
}

/// Whether there is something that is neither file nor folder: it holds nothing that could be replaced.
fn is_special(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// What a link points to; other paths as they are.
fn followed(path: &Path) -> Result<PathBuf> {
    match std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        true => std::fs::canonicalize(path).map_err(Error::file("follow the link", path)),
        false => Ok(path.to_owned()),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Tries whether a file can be written at this place: said before the work rather than after it.
pub fn make_sure_of_folder(path: &Path) -> Result<()> {
    if is_special(path) { Ok(()) } else { WholeFile::open(path).map(drop) }
}

/// Tries whether a folder for outputs is there and can be written into, or could be made: said before the work, which may fail and leaves nothing
/// behind then.
pub fn make_sure_of_place(folder: &Path) -> Result<()> {
    let mut place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    while !place.exists() && !place.as_os_str().is_empty() {
        place = folder_of(place);
        if place == Path::new(".") {
            break;
        }
    }
    if !place.is_dir() {
        let source = std::io::Error::from(std::io::ErrorKind::NotADirectory);
        return Err(Error::File { action: "write into", path: place.to_owned(), source });
    }
    new_file_in(place).map_err(Error::file("write into", place)).map(drop)
}

/// Makes a folder for outputs if need be, and tries whether it can be written into: said before the work rather than after it.
pub fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::file("make the folder", folder))?;
    new_file_in(folder).map_err(Error::file("write into", folder)).map(drop)
}

/// Makes the folder that a file is to lie in, if need be.
pub fn make_folder_of(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    std::fs::create_dir_all(folder).map_err(Error::file("make the folder", folder))
}

/// A temporary file with the permissions of any new file; by default nobody else could read it.
fn new_file_in(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn places_are_tried_and_left_as_they_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let new = folder.path().join("a/b/c");
        make_sure_of_place(&new).expect("could be made");
        make_sure_of_place(folder.path()).expect("is there");
        make_sure_of_place(Path::new("one_that_is_not_there")).expect("could be made here");
        assert_eq!(std::fs::read_dir(folder.path()).expect("reads").count(), 0);
        std::fs::write(folder.path().join("file"), "").expect("writes");
        assert!(make_sure_of_place(&folder.path().join("file/deeper")).is_err());
        assert!(make_sure_of_place(Path::new("/proc/nowhere")).is_err());
    }

    #[test]
    fn links_and_devices_stay_what_they_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "old").expect("writes");
        std::os::unix::fs::symlink(at("file"), at("link")).expect("links");
        std::os::unix::fs::symlink("/dev/null", at("nowhere")).expect("links");
        std::os::unix::fs::symlink(at("none"), at("broken")).expect("links");
        write_whole(&at("link"), b"new").expect("writes");
        assert_eq!(std::fs::read(at("file")).expect("reads"), b"new");
        write_whole(&at("nowhere"), b"new").expect("writes");
        let is_link = |name: &str| std::fs::symlink_metadata(at(name)).expect("there").is_symlink();
        assert!(is_link("link") && is_link("nowhere") && is_link("broken"));
        assert!(matches!(write_whole(&at("broken"), b"new"), Err(Error::File { action: "follow the link", .. })));
        assert_eq!(std::fs::read_dir(folder.path()).expect("reads").count(), 4, "nothing is left behind");
    }
}
