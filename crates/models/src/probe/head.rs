//! Files of heads: safetensors with what a head is made of; the metadata has its kind, the labels, and which features they are of.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orthoformer::{Error, Result};
use safetensors::Dtype;

use super::readout::{HeadKind, Readout};
use super::source::facts;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::write::{Outline, write_tensors};
use crate::features::Tokens;
use crate::labels;
use crate::model::Model;
use crate::networks::Features;

/// The metadata's key with the kind of head.
const KIND: &str = "head";
/// The metadata's key with the labels.
const LABELS: &str = "labels";

/// A head for the features of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Names of the classes.
    pub labels: Vec<String>,
    /// After which part of the network features are taken.
    pub layer: Features,
    /// Which tokens.
    pub tokens: Tokens,
    /// The map from features to logits.
    pub readout: Readout,
    /// What its file says of it beside the labels: what features depend on, and how it was trained.
    pub facts: BTreeMap<String, String>,
    /// Its file, for messages.
    path: PathBuf,
}

impl Head {
    /// A head for features of a network. `training` says how it came to be, as names and values.
    ///
    /// # Errors
    /// Those of [`Checkpoint::fingerprint`].
    pub fn new(
        model: &Model<'_>,
        (layer, tokens): (Features, Tokens),
        (labels, readout): (Vec<String>, Readout),
        training: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self> {
        let all = facts(model, layer, tokens)?.into_iter().chain(training);
        let facts = all.map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Self { labels, layer, tokens, readout, facts, path: PathBuf::new() })
    }

    /// Whether a checkpoint is a head.
    pub fn is_one(checkpoint: &Checkpoint) -> bool {
        checkpoint.metadata().contains_key(KIND) && checkpoint.metadata().contains_key(LABELS)
    }

    /// Reads a head.
    ///
    /// # Errors
    /// Those of [`Checkpoint::open`] and [`Head::of`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(&Checkpoint::open(path)?)
    }

    /// The head that a file holds.
    ///
    /// # Errors
    /// [`Error::Contents`] if it holds none, or one that cannot be used.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let wrong = |reason: String| Error::Contents { path: checkpoint.path().to_owned(), reason };
        let metadata = checkpoint.metadata();
        if !Self::is_one(checkpoint) {
            return Err(wrong("no head; `orthoformer probe train` writes one".to_owned()));
        }
        let entry = |key: &str| metadata.get(key).map(String::as_str).unwrap_or_default();
        let kind: HeadKind = entry(KIND).parse().map_err(Error::contents(checkpoint.path()))?;
        let labels: Vec<String> = serde_json::from_str(entry(LABELS)).map_err(|error| wrong(format!("labels: {error}")))?;
        labels.iter().try_for_each(|label| labels::check(label)).map_err(wrong)?;
        let layer = entry("layer").parse().map_err(Error::contents(checkpoint.path()))?;
        let tokens = Tokens::named(entry("tokens")).filter(|tokens| kind.takes(*tokens));
        let tokens = tokens.ok_or_else(|| wrong(format!("tokens are {:?}, which no {kind} head takes", entry("tokens"))))?;
        let readout = Readout::read(checkpoint, kind, labels.len()).map_err(|error| wrong(error.to_string()))?;
        let facts = metadata.iter().filter(|(key, _)| ![KIND, LABELS].contains(&key.as_str()));
        let facts = facts.map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Self { labels, layer, tokens, readout, facts, path: checkpoint.path().to_owned() })
    }

    /// Writes its file: whole, or not at all.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::WrongShape`] if it has not as many weights and biases as labels.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.readout.channels(self.labels.len())?;
        let mut metadata = self.facts.clone();
        metadata.insert(KIND.to_owned(), self.readout.kind().name().to_owned());
        metadata.insert(LABELS.to_owned(), serde_json::to_string(&self.labels).map_err(Error::contents(path))?);
        let tensors = self.readout.tensors();
        let outlines: Vec<Outline<'_>> =
            tensors.iter().map(|(name, shape, _)| Outline { name, dtype: Dtype::F32, shape }).collect();
        let bytes = |index: usize| Ok(Cow::Borrowed(bytemuck::cast_slice(tensors[index].2)));
        write_tensors(path, path, &metadata, &outlines, bytes).map(drop)
    }

    /// Whether it was trained on features such as the network's.
    ///
    /// # Errors
    /// [`Error::Contents`] if not, with the first thing that differs.
    pub fn check(&self, model: &Model<'_>) -> Result<()> {
        let wrong = |reason| Error::Contents { path: self.path.clone(), reason };
        let axes =
            model.config().network.tokens(self.layer).map_err(|error| wrong(format!("a head for another network: {error}")))?;
        for (name, here) in facts(model, self.layer, self.tokens)? {
            let there = self.facts.get(name).map_or("not said", String::as_str);
            if there != here {
                return Err(wrong(format!("a head for other features: {name} was {there} in training, and is {here} here")));
            }
        }
        let channels = self.readout.channels(self.labels.len()).map_err(|error| wrong(error.to_string()))?;
        if channels != axes.channels as usize {
            return Err(wrong(format!("a head for features of {channels} channels; there are {} here", axes.channels)));
        }
        Ok(())
    }
}
