//! Pictures for slides: the frames of the overlay at the clip's own size, as PNG files and as MP4.
//!
//! The clip is decoded a second time, as nobody keeps its frames: one frame is in memory at a time.

use std::path::{Path, PathBuf};

use image::RgbImage;
use orthoformer::{Error, Result};

use super::colour_bar;
use super::draw::source_overlay;
use super::files::{make_folder, make_folder_of, make_sure_of_place, write_whole};
use super::mp4_encoder::{self, Encoder};
use super::output::{png, rate};
use super::track::Track;
use crate::{Clip, Damage};

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Export<'e> {
    /// The clip that the track is of.
    pub clip: &'e Path,
    /// What becomes of it if it is damaged: the same as when it was followed.
    pub damage: Damage,
    /// The followed patch.
    pub track: &'e Track,
    /// Numbers in the clip of the track's frames, which do not decrease.
    pub numbers: &'e [usize],
    /// Frames a second of those, where known.
    pub frame_rate: Option<f64>,
}

/// Where pictures go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportTargets {
    /// Folder for `frame_00000.png` and so on, one for each of the track's frames. Other files in it stay.
    pub frames_dir: Option<PathBuf>,
    /// MP4 file of the same pictures.
    pub mp4: Option<PathBuf>,
}

impl ExportTargets {
    /// Tries whether everything can be written: said before the work rather than after it.
    ///
    /// # Errors
    /// [`Error::File`] for a place that cannot be written to, [`Error::Contents`] for an MP4 file where ffmpeg is not installed;
    /// [`Error::Argument`] for the clip itself, which is read while pictures are written, and for a film that is not called `.mp4`.
    pub fn check(&self, clip: &Path) -> Result<()> {
        if let Some(path) = &self.mp4 {
            if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("mp4")) {
                let expected = "a name that ends in .mp4".to_owned();
                return Err(Error::Argument { what: "film", given: path.display().to_string(), expected });
            }
            mp4_encoder::check(path)?;
            make_sure_of_place(path.parent().unwrap_or(path))?;
        }
        self.frames_dir.as_deref().map_or(Ok(()), make_sure_of_place)?;
        let place = |path: &Path| std::fs::canonicalize(path).ok();
        match self
            .frames_dir
            .iter()
            .chain(&self.mp4)
            .find(|target| place(target).is_some_and(|target| Some(target) == place(clip)))
        {
            Some(same) => Err(Error::Argument {
                what: "pictures",
                given: same.display().to_string(),
                expected: "another place than the clip's, which is read while they are written".to_owned(),
            }),
            None => Ok(()),
        }
    }
}

/// Draws and writes what is asked for; returns the folder and the file. `progress` is told after each picture how many are drawn; its error
/// ends the work. Each picture appears whole or not at all, and so does the MP4 file.
///
/// # Errors
/// [`Error::ZeroSize`] if there are no frames, those of [`Clip::open_with`] and of decoding, [`Error::File`]; [`Error::Contents`] for a clip that
/// is not the track's any more, and with ffmpeg's words; those of `progress`.
pub fn write(
    export: &Export<'_>,
    targets: &ExportTargets,
    mut progress: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<PathBuf>> {
    if *targets == ExportTargets::default() {
        return Ok(Vec::new());
    }
    if export.numbers.is_empty() {
        return Err(Error::ZeroSize { what: "frames" });
    }
    targets.mp4.as_deref().map_or(Ok(()), make_folder_of)?;
    targets.frames_dir.as_deref().map_or(Ok(()), make_folder)?;
    let grid = &export.track.grid;
    let start = |path: &PathBuf| Encoder::start(path, (grid.source_width, grid.source_height), rate(export.frame_rate));
    let mut encoder = targets.mp4.as_ref().map(start).transpose()?;
    draw_each(export, |index, picture| {
        if let Some(encoder) = &mut encoder {
            encoder.push(&picture)?;
        }
        if let Some(folder) = &targets.frames_dir {
            let path = folder.join(format!("frame_{index:05}.png"));
            write_whole(&path, &png(&path, picture)?)?;
        }
        progress(index + 1)
    })?;
    encoder.map_or(Ok(()), Encoder::finish)?;
    Ok(targets.frames_dir.iter().chain(&targets.mp4).cloned().collect())
}

/// Decodes the clip, and hands on the picture of each of the track's frames as soon as it is drawn.
fn draw_each(export: &Export<'_>, mut take: impl FnMut(usize, RgbImage) -> Result<()>) -> Result<()> {
    let Export { clip: path, damage, track, numbers, .. } = *export;
    let changed = |reason: String| Error::Contents { path: path.to_owned(), reason };
    let clip = Clip::open_with(path, damage)?;
    if (clip.width, clip.height) != (track.grid.source_width, track.grid.source_height) {
        return Err(changed(format!("it has become a clip of {} x {} pixels", clip.width, clip.height)));
    }
    let mut wanted = numbers.iter().copied().enumerate().peekable();
    for (number, frame) in clip.enumerate() {
        let frame = frame?;
        while let Some((index, _)) = wanted.next_if(|&(_, wanted)| wanted == number) {
            let mut picture = source_overlay(&frame, track, index / track.grid.depth.max(1) as usize);
            colour_bar::stamp(&mut picture, track);
            take(index, picture)?;
        }
        if wanted.peek().is_none() {
            break;
        }
    }
    match wanted.next() {
        None => Ok(()),
        Some((_, number)) => Err(changed(format!("frame {number}, which was followed, does not come any more"))),
    }
}
