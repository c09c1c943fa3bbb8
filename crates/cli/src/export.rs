//! Flags for pictures of the clip's own size; shared by `track` and `attend`.

use std::path::{Path, PathBuf};

use clap::Args;
use orthoformer::Result;
use orthoformer_video::export::{self, Export, ExportTargets};

use super::interrupt;
use super::outputs::ReplaceArgs;
use super::terminal::progress;

/// Over the flags here.
const SLIDES: &str = "Pictures for slides";

#[derive(Args)]
pub(super) struct ExportArgs {
    /// Folder for PNGs of the clip's own size.
    ///
    /// The animation's frames: frame_00000.png and so on.
    #[arg(long, help_heading = SLIDES, value_name = "DIR")]
    frames_dir: Option<PathBuf>,
    /// The same as a film; takes the program ffmpeg.
    #[arg(long, help_heading = SLIDES, value_name = "FILE")]
    mp4: Option<PathBuf>,
    #[command(flatten)]
    replace: ReplaceArgs,
}

impl ExportArgs {
    fn targets(&self) -> ExportTargets {
        ExportTargets { frames_dir: self.frames_dir.clone(), mp4: self.mp4.clone() }
    }

    /// Makes sure that what is asked for can be written, before the work.
    pub fn check(&self, clip: &Path) -> Result<()> {
        if let Some(path) = &self.mp4 {
            self.replace.check(path)?;
        }
        self.targets().check(clip)
    }

    /// Writes what is asked for; returns where it is.
    pub fn write(&self, export: &Export<'_>) -> Result<Vec<PathBuf>> {
        let bar = progress("drawing in full size", export.numbers.len());
        let paths = export::write(export, &self.targets(), |done| {
            bar.set_position(done as u64);
            interrupt::check(&bar, || self.left_behind(done, export.numbers.len()))
        });
        bar.finish_and_clear();
        paths
    }

    /// What there is of full-size pictures once so many of so many are drawn.
    fn left_behind(&self, done: usize, all: usize) -> String {
        let pictures = self.frames_dir.as_ref().map(|folder| format!("{done} of {all} pictures are in {}", folder.display()));
        let film = self.mp4.as_ref().map(|film| format!("{} is not written", film.display()));
        pictures.into_iter().chain(film).collect::<Vec<_>>().join("; ")
    }
}
