//! The clips that a command is given: files, folders of clips, and `-`, a clip from standard input.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use orthoformer::{Error, Result};
use orthoformer_video::{Damage, clips_of};
use tempfile::TempDir;

use super::interrupt;
use super::network::CLIPS;

/// How a clip from standard input is written on the command line.
const STANDARD_INPUT: &str = "-";
/// What it is called in messages and in files.
const STANDARD_INPUT_NAME: &str = "standard-input";

/// What becomes of clips that are damaged; shared by the commands that look at clips.
#[derive(Args)]
pub(super) struct DamageArgs {
    /// Show what can be decoded of damaged clips.
    ///
    /// A note says what is left out. Without it a damaged clip is refused.
    #[arg(long, help_heading = CLIPS, hide_short_help = true)]
    tolerant: bool,
}

impl DamageArgs {
    pub fn damage(&self) -> Damage {
        if self.tolerant { Damage::LeftOut } else { Damage::Refused }
    }
}

/// Clips that can be opened.
pub(super) struct Clips {
    /// Their files and folders, in the order that they are shown in.
    pub paths: Vec<PathBuf>,
    /// Where a clip from standard input lies as long as it is needed: containers are read from both ends.
    spooled: Option<TempDir>,
}

impl Clips {
    /// The clips of arguments. Folders of clips become their clips.
    ///
    /// # Errors
    /// Those of [`clips_of`]; [`Error::Argument`] for standard input that is a terminal or asked for twice.
    pub fn of(given: &[PathBuf]) -> Result<Self> {
        let is_input = |path: &PathBuf| path.as_os_str() == STANDARD_INPUT;
        let wrong = |given: &str, expected: &str| {
            Err(Error::Argument { what: "CLIP", given: given.to_owned(), expected: expected.to_owned() })
        };
        let (mut given, mut spooled) = (given.to_vec(), None);
        match given.iter().filter(|path| is_input(path)).count() {
            0 => {}
            1 if std::io::stdin().is_terminal() => {
                return wrong(STANDARD_INPUT, "a clip in standard input, which is a terminal: pipe one into it");
            }
            1 => {
                let (folder, file) = spool()?;
                given.iter_mut().filter(|path| is_input(path)).for_each(|path| path.clone_from(&file));
                spooled = Some(folder);
            }
            _ => return wrong("- twice", "standard input once"),
        }
        Ok(Self { paths: clips_of(&given)?, spooled })
    }

    /// The clip of an argument that is one clip.
    ///
    /// # Errors
    /// Those of [`Clips::of`].
    pub fn one(given: &Path) -> Result<(PathBuf, Self)> {
        // A folder is a clip here, or an error of its own.
        let is_input = given.as_os_str() == STANDARD_INPUT;
        let clips = if is_input { Self::of(&[given.to_owned()])? } else { Self { paths: vec![given.to_owned()], spooled: None } };
        Ok((clips.paths.first().cloned().unwrap_or_default(), clips))
    }

    /// A clip's path as people know it.
    pub fn shown(&self, path: &Path) -> String {
        match &self.spooled {
            Some(folder) if path.starts_with(folder.path()) => STANDARD_INPUT.to_owned(),
            _ => path.display().to_string(),
        }
    }

    /// A message about clips, in which standard input has its name.
    pub fn told(&self, message: &str) -> String {
        let spooled = self.spooled.as_ref().map(|folder| folder.path().join(STANDARD_INPUT_NAME).display().to_string());
        spooled.map_or_else(|| message.to_owned(), |path| message.replace(&path, "standard input"))
    }
}

/// Copies standard input into a file.
fn spool() -> Result<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir().map_err(Error::file("make a temporary folder in", std::env::temp_dir()))?;
    interrupt::remove_at_exit(folder.path().to_owned());
    let path = folder.path().join(STANDARD_INPUT_NAME);
    let mut file = std::fs::File::create(&path).map_err(Error::file("write", &path))?;
    std::io::copy(&mut std::io::stdin().lock(), &mut file).map_err(Error::file("copy standard input into", &path))?;
    Ok((folder, path))
}
