//! Which network a checkpoint holds.

use orthoformer::Result;

use super::{OTHERWISE, READERS};
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
    pub fn of(checkpoint: &Checkpoint) -> Self {
        READERS.into_iter().find(|reader| (reader.recognise)(checkpoint)).unwrap_or(OTHERWISE)
    }
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
