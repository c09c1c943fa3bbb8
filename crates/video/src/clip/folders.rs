//! Folders: the frames of a clip, or clips.

use std::path::{Path, PathBuf};

use orthoformer::{Error, Result};

use super::contents;

/// What files of clips are called; whether they are clips, opening them tells.
const CLIPS: [&str; 26] = [
    "3gp", "avi", "flv", "h264", "h265", "hevc", "ivf", "m2ts", "m4v", "mjpeg", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf",
    "nut", "obu", "ogv", "ts", "vob", "webm", "wmv", "y4m", "yuv4mpeg",
];

/// What a folder holds, in the natural order of names.
#[derive(Debug, Default)]
struct Folder {
    pictures: Vec<PathBuf>,
    clips: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Folder {
    /// Files that begin with a dot are nobody's pictures: macOS leaves them beside others.
    fn read(path: &Path) -> Result<Self> {
        let mut folder = Self::default();
        for entry in std::fs::read_dir(path).map_err(Error::file("read the folder", path))? {
            let entry = entry.map_err(Error::file("read the folder", path))?.path();
            let is_hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            let extension = entry.extension().map(|extension| extension.to_string_lossy().to_lowercase());
            let is_picture = image::ImageFormat::from_path(&entry).is_ok_and(|format| format.reading_enabled());
            match extension {
                _ if is_hidden => {}
                _ if entry.is_dir() => folder.folders.push(entry),
                _ if is_picture => folder.pictures.push(entry),
                Some(extension) if CLIPS.contains(&extension.as_str()) => folder.clips.push(entry),
                _ => {}
            }
        }
        for list in [&mut folder.pictures, &mut folder.clips, &mut folder.folders] {
            list.sort_by(|a, b| natord::compare(&a.to_string_lossy(), &b.to_string_lossy()));
        }
        Ok(folder)
    }

    /// Whether its pictures are animations, each a clip of its own: GIFs or WebPs of more than one frame.
    fn has_animations(&self) -> bool {
        let is_animation = |path: &PathBuf| {
            let name = path.to_string_lossy().to_lowercase();
            (name.ends_with(".gif") || name.ends_with(".webp"))
                && super::Clip::open(path).is_ok_and(|clip| clip.take(2).count() == 2)
        };
        !self.pictures.is_empty() && self.pictures.iter().all(is_animation)
    }
}

/// The pictures of a folder that is a clip.
pub(super) fn pictures(path: &Path) -> Result<Vec<PathBuf>> {
    let folder = Folder::read(path)?;
    match folder {
        Folder { pictures, .. } if !pictures.is_empty() => Ok(pictures),
        Folder { clips, .. } if !clips.is_empty() => {
            Err(contents(path, &format!("the folder has no pictures but {} clips: give one of them", clips.len())))
        }
        _ => Err(contents(path, "the folder has no pictures (png, jpeg, gif, webp, bmp, pnm)")),
    }
}

/// Clips to be shown: those of folders that hold clips, in the natural order of their names, in place of the folders. A folder of pictures is a clip
/// itself, and so is each folder of pictures in a folder of such folders.
///
/// # Errors
/// [`Error::File`] for a folder that cannot be read, [`Error::Contents`] for one that holds nothing, or both pictures and clips.
pub fn clips_of(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let lists = paths.iter().map(|path| if path.is_dir() { clips_in(path) } else { Ok(vec![path.clone()]) });
    Ok(lists.collect::<Result<Vec<_>>>()?.concat())
}

fn clips_in(path: &Path) -> Result<Vec<PathBuf>> {
    let folder = Folder::read(path)?;
    let animations = folder.has_animations();
    let Folder { pictures, clips, folders } = folder;
    match (pictures.len(), clips.len()) {
        (0, 0) => {
            let is_clip = |path: &PathBuf| Folder::read(path).is_ok_and(|folder| !folder.pictures.is_empty());
            let clips: Vec<PathBuf> = folders.into_iter().filter(is_clip).collect();
            match clips.is_empty() {
                true => Err(contents(path, "the folder has neither pictures nor clips, nor folders of pictures")),
                false => Ok(clips),
            }
        }
        (0, _) => Ok(clips),
        (_, 0) if animations => Ok(pictures),
        (_, 0) => Ok(vec![path.to_owned()]),
        _ if animations => {
            let mut all = [pictures, clips].concat();
            all.sort_by(|a, b| natord::compare(&a.to_string_lossy(), &b.to_string_lossy()));
            Ok(all)
        }
        (pictures, clips) => {
            let reason = format!("the folder has {pictures} pictures and {clips} clips: give the clips by name");
            Err(contents(path, &reason))
        }
    }
}
