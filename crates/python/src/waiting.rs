//! Waiting for work without the interpreter's lock, and with an ear for Ctrl-C.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use orthoformer::{Error, Result};
use pyo3::prelude::*;

use super::failure::Failure;

/// How often Python is asked whether Ctrl-C was pressed.
const ASKED_EVERY: Duration = Duration::from_millis(50);

/// The next message; `None` if none comes any more.
///
/// # Errors
/// What a signal's handler raises, such as `KeyboardInterrupt`.
pub fn next<T: Send>(py: Python<'_>, messages: &Mutex<Receiver<T>>) -> PyResult<Option<T>> {
    let receive = || messages.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(ASKED_EVERY);
    loop {
        match py.detach(receive) {
            Ok(message) => return Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

/// Does work in a thread of its own. After Ctrl-C nobody waits for the rest of it, which goes on unseen.
///
/// # Errors
/// Those of the work, and of [`next`].
pub fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> std::result::Result<T, Failure> {
    let (sender, receiver) = sync_channel(1);
    let started = std::thread::Builder::new().name("orthoformer".to_owned()).spawn(move || drop(sender.send(work())));
    started.map_err(Failure::no_thread)?;
    match next(py, &Mutex::new(receiver))? {
        Some(outcome) => Ok(outcome?),
        None => Err(Failure::gave_up()),
    }
}

impl Failure {
    /// The system has no thread for the work.
    pub fn no_thread(error: std::io::Error) -> Self {
        Self::Own(Error::OutOfMemory { doing: "starting a thread".to_owned(), message: error.to_string() })
    }

    /// The work ended by a panic.
    pub fn gave_up() -> Self {
        let message = "it gave up (the message above says why)".to_owned();
        Self::Own(Error::Device { doing: "working in a thread".to_owned(), message })
    }
}
