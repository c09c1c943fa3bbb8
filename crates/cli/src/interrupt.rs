//! Ctrl-C in commands that take long: the first one ends the work after the current step, the second one the program.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::ProgressBar;
use orthoformer::{Error, Result};

use super::terminal::complain;

/// Exit code of what Ctrl-C ended, as shells have it: 128 and the number of the signal.
const CODE: u8 = 130;

static PRESSED: AtomicBool = AtomicBool::new(false);

/// From now on the first Ctrl-C is only noted.
pub(super) fn listen() {
    let pressed = || {
        if PRESSED.swap(true, Ordering::SeqCst) {
            std::process::exit(CODE.into());
        }
        complain("stopping after the current step; Ctrl-C again ends at once");
    };
    // Where that fails, Ctrl-C ends the program as it does everywhere.
    let _ = ctrlc::set_handler(pressed);
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

/// The exit code after Ctrl-C.
pub(super) fn exit_code() -> ExitCode {
    ExitCode::from(CODE)
}
