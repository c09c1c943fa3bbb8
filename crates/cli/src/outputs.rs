//! Files that commands write for somebody to keep.

use std::path::Path;

use clap::Args;
use orthoformer::{Error, Result};
use orthoformer_video::files::{WholeFile, make_sure_of_folder};

/// Whether there is something that is neither file nor folder, which takes whatever is written.
pub(super) fn is_device(path: &Path) -> bool {
    path.exists() && !path.is_file() && !path.is_dir()
}

/// Opens a file before the work, whatever was there before; Ctrl-C that ends the program at once leaves nothing of it.
///
/// # Errors
/// [`Error::File`] where nothing can be written.
pub(super) fn open(path: &Path) -> Result<WholeFile> {
    let file = WholeFile::open(path)?;
    if let Some(temporary) = file.temporary() {
        super::interrupt::remove_at_exit(temporary.to_owned());
    }
    Ok(file)
}

/// Whether an existing file may go.
#[derive(Args)]
pub(super) struct ReplaceArgs {
    /// Replace the file if there is one.
    #[arg(long, hide_short_help = true)]
    force: bool,
}

impl ReplaceArgs {
    /// Whether a file can be written at this place, asked before the work.
    ///
    /// # Errors
    /// Those of [`make_sure_of_folder`]; [`Error::File`] for a file that is there and is not to be replaced.
    pub fn check(&self, path: &Path) -> Result<()> {
        if path.is_file() && !self.force {
            let source = std::io::Error::new(std::io::ErrorKind::AlreadyExists, "it exists; --force replaces it");
            return Err(Error::File { action: "write", path: path.to_owned(), source });
        }
        make_sure_of_folder(path)
    }
}
