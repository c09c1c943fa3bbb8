//! The clips that a command is given: files, folders of clips, and `-`, a clip from standard input.

use std::io::{Cursor, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::Args;
use orthoformer::{Error, Result};
use orthoformer_video::{Clip, Damage, clips_of, is_camera};
use tempfile::TempDir;

use super::interrupt;
use super::network::CLIPS;
use super::terminal::complain;

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
    /// First bytes of a clip in standard input that is read as it comes.
    head: Option<Vec<u8>>,
}

impl Clips {
    /// The clips of arguments. Folders of clips become their clips.
    ///
    /// # Errors
    /// Those of [`clips_of`]; [`Error::Argument`] for standard input that is a terminal or asked for twice.
    pub fn of(given: &[PathBuf]) -> Result<Self> {
        Self::with(given, || spool(&[]).map(Input::Spooled))
    }

    /// The same for clips that are gone through once, as [`Clips::opener`] opens them: y4m in standard input is left there.
    ///
    /// # Errors
    /// Those of [`Clips::of`].
    pub fn streamed(given: &[PathBuf]) -> Result<Self> {
        Self::with(given, || {
            let mut head = Vec::new();
            std::io::stdin().take(16).read_to_end(&mut head).map_err(Error::file("read", "standard input"))?;
            if Clip::is_y4m(&head) {
                return Ok(Input::Streamed(head));
            }
            complain("note: standard input is not y4m, and is copied to disk before its first window: ffmpeg makes y4m of it");
            spool(&head).map(Input::Spooled)
        })
    }

    fn with(given: &[PathBuf], take_input: impl FnOnce() -> Result<Input>) -> Result<Self> {
        let is_input = |path: &PathBuf| path.as_os_str() == STANDARD_INPUT;
        let wrong = |given: &str, expected: &str| {
            Err(Error::Argument { what: "CLIP", given: given.to_owned(), expected: expected.to_owned() })
        };
        let (mut given, mut spooled, mut head) = (given.to_vec(), None, None);
        match given.iter().filter(|path| is_input(path)).count() {
            0 => {}
            1 if std::io::stdin().is_terminal() => {
                return wrong(STANDARD_INPUT, "a clip in standard input, which is a terminal: pipe one into it");
            }
            1 => match take_input()? {
                Input::Spooled((folder, file)) => {
                    given.iter_mut().filter(|path| is_input(path)).for_each(|path| path.clone_from(&file));
                    spooled = Some(folder);
                }
                Input::Streamed(bytes) => head = Some(bytes),
            },
            _ => return wrong("- twice", "standard input once"),
        }
        Ok(Self { paths: clips_of(&given)?, spooled, head })
    }

    /// Whether some of them may not end, or come no faster than they are made.
    pub fn have_streams(&self) -> bool {
        self.head.is_some() || self.paths.iter().any(|path| is_camera(path))
    }

    /// Opens each of them once.
    pub fn opener(&mut self, damage: Damage) -> impl FnMut(&Path) -> Result<Clip> + Send + use<> {
        let mut head = self.head.take();
        move |path: &Path| match head.take_if(|_| path.as_os_str() == STANDARD_INPUT) {
            Some(head) => Clip::read_y4m(Path::new("standard input"), Cursor::new(head).chain(std::io::stdin()), damage),
            None => Clip::open_endless(path, damage),
        }
    }

    /// The clip of an argument that is one clip.
    ///
    /// # Errors
    /// Those of [`Clips::of`].
    pub fn one(given: &Path) -> Result<(PathBuf, Self)> {
        // A folder is a clip here, or an error of its own.
        let is_input = given.as_os_str() == STANDARD_INPUT;
        let clips = if is_input {
            Self::of(&[given.to_owned()])?
        } else {
            Self { paths: vec![given.to_owned()], spooled: None, head: None }
        };
        Ok((clips.paths.first().cloned().unwrap_or_default(), clips))
    }

    /// A clip's path as people know it.
    pub fn shown(&self, path: &Path) -> String {
        match &self.spooled {
            Some(folder) if path.starts_with(folder.path()) => STANDARD_INPUT.to_owned(),
            _ => path.display().to_string(),
        }
    }
}

/// Where standard input was copied to, for messages.
static SPOOLED: OnceLock<PathBuf> = OnceLock::new();

/// A message, in which standard input has its name.
pub(super) fn told(message: &str) -> String {
    SPOOLED.get().map_or_else(|| message.to_owned(), |path| message.replace(&path.display().to_string(), "standard input"))
}

/// Where a clip in standard input is.
enum Input {
    /// In a file of a folder.
    Spooled((TempDir, PathBuf)),
    /// There still, but for these first bytes.
    Streamed(Vec<u8>),
}

/// Copies standard input into a file, after the bytes that have been taken of it.
fn spool(head: &[u8]) -> Result<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir().map_err(Error::file("make a temporary folder in", std::env::temp_dir()))?;
    interrupt::remove_at_exit(folder.path().to_owned());
    let path = folder.path().join(STANDARD_INPUT_NAME);
    // There is one standard input.
    let _ = SPOOLED.set(path.clone());
    let mut file = std::fs::File::create(&path).map_err(Error::file("write", &path))?;
    std::io::copy(&mut head.chain(std::io::stdin()), &mut file).map_err(Error::file("copy standard input into", &path))?;
    Ok((folder, path))
}
