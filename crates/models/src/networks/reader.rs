//! Which network a checkpoint holds.

use orthoformer::{Error, Result};

use super::{NAMINGS, OTHERWISE, READERS, unknown};
use crate::checkpoint::Checkpoint;
use crate::config::{Config, Overrides};

/// How checkpoints of a network are told, and read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    /// What `config.json` calls these networks, and people do.
    pub kinds: &'static [(&'static str, &'static str)],
    /// Tensors by which a checkpoint is told: it has one of them.
    pub landmarks: &'static [&'static str],
    /// Whether a checkpoint's tensors are named as this network's are.
    pub recognise: fn(&Checkpoint) -> bool,
    /// The configuration of such a checkpoint.
    pub read: fn(&Checkpoint, &Overrides) -> Result<Config>,
    /// The class of transformers' processors that makes clips ready for a checkpoint's network, without what all names of classes end in.
    pub processor: fn(&Checkpoint) -> Option<&'static str>,
    /// Whether published presets are of this kind.
    pub has_presets: bool,
}

impl Reader {
    /// All there are.
    pub fn all() -> impl Iterator<Item = Self> {
        READERS.into_iter().chain([OTHERWISE])
    }

    /// The reader of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Contents`] if it holds none of the networks that there are; says what it is.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let found = Self::all().find(|reader| (reader.recognise)(checkpoint));
        let refused = || Error::Contents { path: checkpoint.path().to_owned(), reason: unknown::describe(checkpoint) };
        found.ok_or_else(refused)
    }
}

/// Tensors by which networks are told, in whosever names.
pub(crate) fn landmarks() -> impl Iterator<Item = &'static str> {
    let own = Reader::all().flat_map(|reader| reader.landmarks.iter().copied());
    own.chain(NAMINGS.iter().copied().flatten().map(|naming| naming.landmark))
}

/// Whether a checkpoint has one of these tensors.
pub(crate) fn has_any(checkpoint: &Checkpoint, names: &[&str]) -> bool {
    names.iter().any(|name| checkpoint.info(name).is_some())
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
