//! Folders: the frames of a clip, or clips.

use std::path::{Path, PathBuf};

use orthoformer::{Error, Result};

use super::{contents, pictures};

/// What files of clips are called; whether they are clips, opening them tells.
const CLIPS: [&str; 26] = [
    "3gp", "avi", "flv", "h264", "h265", "hevc", "ivf", "m2ts", "m4v", "mjpeg", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf",
    "nut", "obu", "ogv", "ts", "vob", "webm", "wmv", "y4m", "yuv4mpeg",
];

/// Deepest that folders are looked into: a link may lead back.
const DEEPEST: u32 = 8;

/// What a folder holds, in the natural order of names.
#[derive(Debug, Default)]
struct Folder {
    /// Pictures that do not move: frames.
    stills: Vec<PathBuf>,
    /// Files of clips, animated pictures among them.
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
                _ if is_picture && pictures::is_animation(&entry) => folder.clips.push(entry),
                _ if is_picture => folder.stills.push(entry),
                Some(extension) if CLIPS.contains(&extension.as_str()) => folder.clips.push(entry),
                _ => {}
            }
        }
        for list in [&mut folder.stills, &mut folder.clips, &mut folder.folders] {
            list.sort_by(|a, b| natord::compare(&a.to_string_lossy(), &b.to_string_lossy()));
        }
        match (folder.stills.len(), folder.clips.len()) {
            (0, _) | (_, 0) => Ok(folder),
            (stills, clips) => {
                Err(contents(path, &format!("the folder has pictures and clips ({stills} and {clips}): give the clips by name")))
            }
        }
    }
}

/// The pictures of a folder that is a clip.
pub(super) fn pictures(path: &Path) -> Result<Vec<PathBuf>> {
    let Folder { stills, clips, .. } = Folder::read(path)?;
    match clips.len() {
        _ if !stills.is_empty() => Ok(stills),
        0 => Err(contents(path, "the folder has no pictures (png, jpeg, gif, webp, bmp, pnm)")),
        clips => Err(contents(path, &format!("the folder has no pictures but clips ({clips}): give one of them"))),
    }
}

/// Clips to be shown: folders of clips become their clips, in the natural order of names, those of folders within them too. A folder of pictures is
/// a clip itself.
///
/// # Errors
/// [`Error::File`] for a folder that cannot be read, [`Error::Contents`] for one that holds nothing, or both pictures and clips.
pub fn clips_of(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        let before = found.len();
        if path.is_dir() {
            add_clips(path, DEEPEST, &mut found)?;
        } else {
            found.push(path.clone());
        }
        if found.len() == before {
            return Err(contents(path, "the folder has neither pictures nor clips, nor have folders in it"));
        }
    }
    Ok(found)
}

fn add_clips(path: &Path, depth: u32, found: &mut Vec<PathBuf>) -> Result<()> {
    let Folder { stills, clips, folders } = Folder::read(path)?;
    if !stills.is_empty() {
        found.push(path.to_owned());
    }
    found.extend(clips);
    let deeper = depth.checked_sub(1);
    folders.iter().zip(deeper.into_iter().cycle()).try_for_each(|(folder, depth)| add_clips(folder, depth, found))
}
