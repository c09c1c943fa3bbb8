//! Decoders of other crates read hostile bytes; some panic on them. Here a panic becomes an error.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use orthoformer::Result;

use super::contents;

thread_local! {
    static SHIELDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside a decoder whose panics become errors. A program's panic hook can stay silent then.
pub fn is_shielded() -> bool {
    SHIELDED.get()
}

/// Runs a decoder on the bytes of `path`. After a panic its state must not be used again.
pub(super) fn shielded<T>(path: &Path, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    let outer = SHIELDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(decode));
    SHIELDED.set(outer);
    outcome.unwrap_or_else(|_| Err(contents(path, "the file is damaged: its decoder gave up on it")))
}
