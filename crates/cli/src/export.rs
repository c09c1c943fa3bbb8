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
            let all = export.numbers.len();
            interrupt::check(&bar, || format!("{done} of {all} pictures in full size are drawn, and a film of them is lost"))
        });
        bar.finish_and_clear();
        paths
    }
}
