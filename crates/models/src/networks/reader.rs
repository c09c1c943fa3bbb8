//! Which network a checkpoint holds.

use orthoformer::{Error, Result};

use super::{OTHERWISE, READERS, unknown};
use crate::checkpoint::Checkpoint;
use crate::config::{Config, Overrides};

/// How checkpoints of a network are told, and read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    /// Whether a checkpoint's tensors are named as this network's are.
    pub recognise: fn(&Checkpoint) -> bool,
    /// The configuration of such a checkpoint.
    pub read: fn(&Checkpoint, &Overrides) -> Result<Config>,
    /// Whether published presets are of this kind.
    pub has_presets: bool,
}

impl Reader {
    /// The reader of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Contents`] if it holds none of the networks that there are; says what it is.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let all = READERS.into_iter().chain([OTHERWISE]);
        let found = all.into_iter().find(|reader| (reader.recognise)(checkpoint));
        let refused = || Error::Contents { path: checkpoint.path().to_owned(), reason: unknown::describe(checkpoint) };
        found.ok_or_else(refused)
    }
}

/// Whether a checkpoint's tensors are named as those of a network.
pub(crate) fn is_known(checkpoint: &Checkpoint) -> bool {
    READERS.iter().any(|reader| (reader.recognise)(checkpoint))
}

/// Whether they are those of a Motionformer, whose names others share.
pub(crate) fn is_otherwise(checkpoint: &Checkpoint) -> bool {
    (OTHERWISE.recognise)(checkpoint)
}

/// A size as networks have it; too large a one as the largest there is, which their checks refuse.
pub(crate) fn size(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// The side of a square of so many patches.
pub(crate) fn square_root(patches: usize) -> Option<u32> {
    let side = patches.isqrt();
    (side * side == patches).then_some(side as u32)
}
