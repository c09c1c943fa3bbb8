//! What heads say about clips that they were not trained on, and files that keep it: training goes on where it was interrupted.

use std::path::{Path, PathBuf};

use orthoformer::{Error, Result};
use orthoformer_video::files::{make_folder, write_whole};
use serde::{Deserialize, Serialize};

use super::folds::Folds;
use super::readout::HeadKind;
use super::train::Example;
use crate::digest::Digest;

/// What heads of all strengths say about the clips of a fold.
pub(super) type Scores = Vec<Score>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Score {
    /// The sum of the losses of the mean probabilities.
    #[serde(with = "bits")]
    pub loss: f64,
    /// The likeliest class of each clip of the fold.
    pub guesses: Vec<usize>,
}

/// What comes of holding out two folds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pair {
    /// Fits that ended before they had converged.
    pub unconverged: usize,
    /// On the second fold, and on the first if it is another.
    pub scores: Vec<Scores>,
}

/// A number as its bits: text would be read with an error in the last place.
mod bits {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        number.to_bits().serialize(serializer)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<f64, D::Error> {
        u64::deserialize(deserializer).map(f64::from_bits)
    }
}

/// A folder of scores, a file a pair of folds.
pub(super) struct KeptScores<'k> {
    folder: &'k Path,
    /// A digest of all that scores depend on.
    key: String,
}

impl<'k> KeptScores<'k> {
    /// # Errors
    /// [`Error::File`] for a folder that cannot be written into.
    pub fn new(folder: &'k Path, examples: &[Example], classes: usize, folds: &Folds, kind: HeadKind) -> Result<Self> {
        make_folder(folder)?;
        let mut digest = Digest::new();
        digest.add(orthoformer::VERSION);
        digest.add(format!("{kind} {:?} {classes} {} {}", kind.strengths(), folds.count, folds.seed));
        for (example, fold) in examples.iter().zip(&folds.of_clip) {
            digest.add(format!("{} {fold}", example.class));
            example.features.digest(&mut digest);
        }
        Ok(Self { folder, key: digest.hex() })
    }

    fn path(&self, (a, b): (usize, usize)) -> PathBuf {
        self.folder.join(format!("{}-{a}-{b}.json", self.key))
    }

    /// The scores of a pair; `None` where there are none, or none that can be read.
    pub fn load(&self, pair: (usize, usize)) -> Option<Pair> {
        serde_json::from_slice(&std::fs::read(self.path(pair)).ok()?).ok()
    }

    /// # Errors
    /// [`Error::File`].
    pub fn store(&self, pair: (usize, usize), scores: &Pair) -> Result<()> {
        let path = self.path(pair);
        let text = serde_json::to_vec(scores).map_err(Error::contents(&path))?;
        write_whole(&path, &text)
    }
}
