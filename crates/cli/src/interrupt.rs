//! Ctrl-C in commands that take long: the first one ends the work after the current step, the second one the program.

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use indicatif::ProgressBar;
use orthoformer::{Error, Result};

use super::terminal::complain;

/// Exit code of what Ctrl-C ended, as shells have it: 128 and the number of the signal.
const CODE: u8 = 130;

static PRESSED: AtomicBool = AtomicBool::new(false);
static LISTENING: AtomicBool = AtomicBool::new(false);
/// Files and folders that are to go when the program ends at once.
static TEMPORARY: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// From now on the first Ctrl-C is only noted.
pub(super) fn listen() {
    LISTENING.store(true, Ordering::SeqCst);
    install();
}

/// Removes a file or folder when Ctrl-C ends the program at once; otherwise its owner does.
pub(super) fn remove_at_exit(path: PathBuf) {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).push(path);
    install();
}

fn install() {
    static INSTALLED: Once = Once::new();
    // Where that fails, Ctrl-C ends the program as it does everywhere.
    INSTALLED.call_once(|| drop(ctrlc::set_handler(pressed)));
}

fn pressed() {
    if LISTENING.load(Ordering::SeqCst) && !PRESSED.swap(true, Ordering::SeqCst) {
        // A progress bar may stand in the line.
        let clear = if std::io::stderr().is_terminal() { "\r\x1b[2K" } else { "" };
        complain(&format!("{clear}stopping after the current step; Ctrl-C again ends at once"));
        return;
    }
    for path in TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        // It may be gone already.
        let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
    std::process::exit(CODE.into());
}

/// Whether to go on with the next step.
pub(super) fn flow() -> ControlFlow<()> {
    if PRESSED.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// The same for work that has nothing to show before it is done; its progress bar is cleared when it ends here.
///
/// # Errors
/// [`Error::Interrupted`] with what is lost.
pub(super) fn check(bar: &ProgressBar, lost: impl FnOnce() -> String) -> Result<()> {
    if flow().is_continue() {
        return Ok(());
    }
    let lost = lost();
    bar.finish_and_clear();
    Err(Error::Interrupted { lost })
}

/// Shows how far work is of which nothing is written before all is done, and whether to go on.
///
/// # Errors
/// [`Error::Interrupted`] if not.
pub(super) fn step(bar: &ProgressBar, done: usize) -> Result<()> {
    bar.set_position(done as u64);
    check(bar, || "nothing is written".to_owned())
}

/// The exit code after Ctrl-C.
pub(super) fn exit_code() -> ExitCode {
    ExitCode::from(CODE)
}
