//! Files of heads: safetensors with `weight [classes, channels]` and `bias [classes]`; the metadata has the labels, and which features they are of.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use orthoformer::{Error, Result};
use orthoformer_video::views::Views;
use safetensors::Dtype;

use super::linear::Linear;
use super::source::facts;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::write::{Outline, write_tensors};
use crate::classify::Classified;
use crate::features::{ClipFeatures, Tokens, features};
use crate::labels;
use crate::model::Model;
use crate::networks::Features;
use crate::watch::Progress;

/// The metadata's key with the kind of head.
const KIND: &str = "head";
/// The only kind there is.
const LINEAR: &str = "linear";
/// The metadata's key with the labels.
const LABELS: &str = "labels";
const WEIGHT: &str = "weight";
const BIAS: &str = "bias";

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
    pub linear: Linear,
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
        (labels, linear): (Vec<String>, Linear),
        training: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self> {
        let all = facts(model, layer, tokens)?.into_iter().chain(training);
        let facts = all.map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Self { labels, layer, tokens, linear, facts, path: PathBuf::new() })
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
        if entry(KIND) != LINEAR {
            return Err(wrong(format!("a head of the kind {:?}; {LINEAR:?} is read", entry(KIND))));
        }
        let labels: Vec<String> = serde_json::from_str(entry(LABELS)).map_err(|error| wrong(format!("labels: {error}")))?;
        labels.iter().try_for_each(|label| labels::check(label)).map_err(wrong)?;
        let layer = entry("layer").parse().map_err(Error::contents(checkpoint.path()))?;
        let tokens = Tokens::named(entry("tokens")).filter(|tokens| tokens.is_row());
        let tokens = tokens.ok_or_else(|| wrong(format!("tokens are {:?}; class or mean are needed", entry("tokens"))))?;
        let linear = linear(checkpoint, labels.len()).map_err(|error| wrong(error.to_string()))?;
        let facts = metadata.iter().filter(|(key, _)| ![KIND, LABELS].contains(&key.as_str()));
        let facts = facts.map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Self { labels, layer, tokens, linear, facts, path: checkpoint.path().to_owned() })
    }

    /// Writes its file: whole, or not at all.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::WrongShape`] if it has not as many weights and biases as labels.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut metadata = self.facts.clone();
        metadata.insert(KIND.to_owned(), LINEAR.to_owned());
        metadata.insert(LABELS.to_owned(), serde_json::to_string(&self.labels).map_err(Error::contents(path))?);
        let (classes, weights) = (self.labels.len(), self.linear.weight.len());
        if self.linear.bias.len() != classes || !weights.is_multiple_of(classes.max(1)) {
            let expected = format!("weights and a bias for each of {classes} labels");
            return Err(Error::WrongShape { name: WEIGHT.to_owned(), found: vec![self.linear.bias.len(), weights], expected });
        }
        let outline = |name, shape| Outline { name, dtype: Dtype::F32, shape };
        let (weight, bias) = ([classes, weights / classes.max(1)], [classes]);
        let values = [&self.linear.weight, &self.linear.bias];
        let bytes = |index: usize| Ok(Cow::Borrowed(bytemuck::cast_slice(values[index].as_slice())));
        write_tensors(path, path, &metadata, &[outline(WEIGHT, &weight), outline(BIAS, &bias)], bytes).map(drop)
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
        let (found, expected) = (self.linear.weight.len(), self.labels.len() * axes.channels as usize);
        if found != expected {
            return Err(wrong(format!("{found} weights; {expected} are needed, {} for each class", axes.channels)));
        }
        Ok(())
    }
}

/// The tensors of a file.
fn linear(checkpoint: &Checkpoint, classes: usize) -> Result<Linear> {
    let bias = checkpoint.read_shaped(BIAS, &[classes])?;
    let weight = checkpoint.read(WEIGHT)?;
    match *weight.shape() {
        [found, channels] if found == classes && classes > 0 && channels > 0 => {}
        _ => {
            let expected = format!("[{classes}, channels], as there are {classes} labels");
            return Err(Error::WrongShape { name: WEIGHT.to_owned(), found: weight.shape().to_vec(), expected });
        }
    }
    let weight = weight.into_data();
    match weight.iter().chain(&bias).find(|value| !value.is_finite()) {
        Some(value) => {
            let expected = "finite numbers".to_owned();
            Err(Error::WrongNumber { name: WEIGHT.to_owned(), found: value.to_string(), expected })
        }
        None => Ok(Linear { weight, bias }),
    }
}

/// Classifies clips by a head: the mean of the probabilities of all views. Breaks where `progress` does.
///
/// # Errors
/// Those of [`Head::check`] and [`features`].
pub fn classify_by(
    head: &Head,
    model: &Model<'_>,
    clips: &[PathBuf],
    (views, batch): (Views, u32),
    progress: &mut impl Progress<Classified>,
) -> Result<ControlFlow<()>> {
    head.check(model)?;
    features(model, clips, (views, batch), (head.layer, head.tokens), &mut ByHead { head, progress })
}

/// Turns features into probabilities.
struct ByHead<'h, P> {
    head: &'h Head,
    progress: &'h mut P,
}

impl<P: Progress<Classified>> Progress<ClipFeatures> for ByHead<'_, P> {
    fn view(&mut self) {
        self.progress.view();
    }

    fn clip(&mut self, clip: usize, made: ClipFeatures) -> Result<()> {
        let heads = made.features.iter().map(|features| self.head.linear.average(features)).collect();
        self.progress.clip(clip, Classified { watched: made.watched, heads })
    }

    fn flow(&mut self) -> ControlFlow<()> {
        self.progress.flow()
    }
}
