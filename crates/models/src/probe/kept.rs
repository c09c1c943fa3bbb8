//! Features that are in memory, or in a file.

use std::borrow::Cow;

use orthoformer::{Result, Tensor};

use crate::checkpoint::Checkpoint;

/// Name of a file's only tensor.
pub(super) const FEATURES: &str = "features";

/// Features of a clip.
#[derive(Debug)]
pub enum Kept {
    /// In memory.
    InMemory(Tensor),
    /// The tensor `features` of a file, which is read whenever it is needed: those of all patches are large.
    InFile(Checkpoint),
}

impl Kept {
    /// The features; their first axis is views.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read`].
    pub fn read(&self) -> Result<Cow<'_, Tensor>> {
        match self {
            Self::InMemory(features) => Ok(Cow::Borrowed(features)),
            Self::InFile(file) => file.read(FEATURES).map(Cow::Owned),
        }
    }
}

impl From<Tensor> for Kept {
    fn from(features: Tensor) -> Self {
        Self::InMemory(features)
    }
}
