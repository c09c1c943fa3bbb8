//! Features that are in memory, or in a file.

use std::borrow::Cow;

use orthoformer::{Result, Tensor};

use crate::checkpoint::Checkpoint;
use crate::digest::Digest;

/// Name of a file's only tensor.
pub(super) const FEATURES: &str = "features";

/// A clip that was looked at.
#[derive(Debug)]
pub struct KeptClip {
    /// Its features.
    pub features: Kept,
    /// What people should know about its views, in whole sentences.
    pub notes: Vec<String>,
    /// Whether an earlier run kept them.
    pub is_old: bool,
}

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

    /// Takes in what tells them from others: their values, or the name of their file, which is a digest of all that they depend on.
    pub(super) fn digest(&self, digest: &mut Digest) {
        match self {
            Self::InMemory(features) => {
                digest.add(format!("{:?}", features.shape()));
                digest.add(bytemuck::cast_slice::<f32, u8>(features.data()));
            }
            Self::InFile(file) => digest.add(file.path().file_name().unwrap_or_default().as_encoded_bytes()),
        }
    }
}

impl From<Tensor> for Kept {
    fn from(features: Tensor) -> Self {
        Self::InMemory(features)
    }
}
