//! Files: errors that name them, and outputs that appear whole or not at all.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes a file by way of a temporary one beside it, so that nobody ever sees half of it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    stream_whole(path, |file| file.write_all(bytes).map_err(Error::file("write", path)))
}

/// The same for what is made piece by piece: nothing is left behind where `write` fails.
pub(crate) fn stream_whole(path: &Path, write: impl FnOnce(&mut std::fs::File) -> Result<()>) -> Result<()> {
    let folder = folder_of(path);
    let mut file = new_file_in(folder).map_err(Error::file("write into", folder))?;
    write(file.as_file_mut())?;
    file.persist(path).map_err(|error| Error::File { action: "write", path: path.to_owned(), source: error.error })?;
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Tries whether a file can be written at this place: said before the work rather than after it.
#[cfg(feature = "cli")]
pub(crate) fn make_sure_of_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        let source = std::io::Error::from(std::io::ErrorKind::IsADirectory);
        return Err(Error::File { action: "write", path: path.to_owned(), source });
    }
    let folder = folder_of(path);
    new_file_in(folder).map_err(Error::file("write into", folder)).map(drop)
}

/// Makes a folder for outputs if need be, and tries whether it can be written into: said before the work rather than after it.
#[cfg(feature = "video")]
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::file("make the folder", folder))?;
    new_file_in(folder).map_err(Error::file("write into", folder)).map(drop)
}

/// Makes the folder that a file is to lie in, if need be.
#[cfg(feature = "bench")]
pub(crate) fn make_folder_of(path: &Path) -> Result<()> {
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

impl Error {
    /// Wraps an I/O error with what was tried on which path.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
