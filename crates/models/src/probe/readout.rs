//! The kinds of heads: what each makes of features, and what its file holds.

use std::fmt;
use std::str::FromStr;

use orthoformer::{Error, Result, Tensor};

use super::Example;
use super::attentive::{self, Attentive};
use super::fit::{Fitted, Follower, views};
use super::linear::{self, Linear};
use crate::checkpoint::Checkpoint;
use crate::classify::Average;
use crate::features::Tokens;

const QUERIES: &str = "queries";
const WEIGHT: &str = "weight";
const BIAS: &str = "bias";

/// The kinds of heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadKind {
    /// A linear layer, of one row of features.
    Linear,
    /// Learned queries that attend to all patches, then a linear layer.
    Attentive,
}

impl HeadKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Linear, Self::Attentive];

    /// The kind's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Attentive => "attentive",
        }
    }

    /// Whether it takes such tokens.
    pub fn takes(self, tokens: Tokens) -> bool {
        match self {
            Self::Linear => tokens.is_row(),
            Self::Attentive => tokens == Tokens::Patches,
        }
    }

    /// Strengths of the penalty that are tried, the strongest first.
    pub fn strengths(self) -> &'static [f64] {
        match self {
            Self::Linear => &[1.0, 1e-1, 1e-2, 1e-3, 1e-4],
            // Each takes a while.
            Self::Attentive => &[1e-1, 1e-2, 1e-3],
        }
    }

    /// Strengths that are fitted on the way to one of them: the stronger ones too where a fit begins at the one before.
    pub(super) fn strengths_to(self, choice: usize) -> &'static [f64] {
        let first = if self == Self::Linear { 0 } else { choice };
        self.strengths().get(first..=choice).unwrap_or_default()
    }

    /// Heads for some strengths, and whether each is the minimum that was looked for.
    pub(super) fn fits(
        self,
        examples: &[&Example],
        classes: usize,
        (strengths, seed): (&[f64], u64),
        follower: &Follower<'_>,
    ) -> Fitted<Vec<(Readout, bool)>> {
        Ok(match self {
            Self::Linear => {
                let found = linear::fits(examples, classes, strengths, follower)?;
                found.into_iter().map(|(head, converged)| (Readout::Linear(head), converged)).collect()
            }
            Self::Attentive => {
                let found = attentive::fits(examples, classes, (strengths, seed), follower)?;
                found.into_iter().map(|(head, converged)| (Readout::Attentive(head), converged)).collect()
            }
        })
    }
}

impl fmt::Display for HeadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for HeadKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let expected = || Self::ALL.map(Self::name).join(" or ");
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| Error::Argument { what: "head", given: text.to_owned(), expected: expected() })
    }
}

/// From features to logits.
#[derive(Clone, Debug, PartialEq)]
pub enum Readout {
    /// Of a row of features.
    Linear(Linear),
    /// Of the tokens of all patches.
    Attentive(Attentive),
}

impl Readout {
    /// Its kind.
    pub fn kind(&self) -> HeadKind {
        match self {
            Self::Linear(_) => HeadKind::Linear,
            Self::Attentive(_) => HeadKind::Attentive,
        }
    }

    /// The logits of a view's features.
    pub fn logits(&self, features: &[f32]) -> Vec<f32> {
        match self {
            Self::Linear(linear) => linear.logits(features),
            Self::Attentive(attentive) => attentive.logits(features),
        }
    }

    /// The probabilities of features, whose first axis is views, averaged over those.
    pub fn average(&self, features: &Tensor) -> Average {
        let mut average = Average::default();
        views(features).for_each(|view| average.add(&self.logits(view)));
        average
    }

    /// Channels of its features.
    ///
    /// # Errors
    /// [`Error::WrongShape`] if it has not as many queries, weights and biases as so many classes need.
    pub fn channels(&self, classes: usize) -> Result<usize> {
        let (channels, queries, weight, bias) = match self {
            Self::Linear(head) => (head.weight.len() / classes.max(1), None, &head.weight, &head.bias),
            Self::Attentive(head) => (head.channels, Some(&head.queries), &head.weight, &head.bias),
        };
        let heads = queries.map_or(1, |queries| queries.len() / channels.max(1));
        let is_whole = queries.is_none_or(|queries| queries.len() == heads * channels);
        if channels > 0 && heads > 0 && is_whole && bias.len() == classes && weight.len() == classes * heads * channels {
            return Ok(channels);
        }
        let expected = format!("weights and a bias for each of {classes} labels, and whole queries");
        Err(Error::WrongShape { name: WEIGHT.to_owned(), found: vec![bias.len(), weight.len()], expected })
    }

    /// Names, shapes and values of what it is made of.
    pub(super) fn tensors(&self) -> Vec<(&'static str, Vec<usize>, &[f32])> {
        let of_bias = |bias: &'_ Vec<f32>| vec![bias.len()];
        match self {
            Self::Linear(Linear { weight, bias }) => {
                let shape = vec![bias.len(), weight.len() / bias.len().max(1)];
                vec![(WEIGHT, shape, weight), (BIAS, of_bias(bias), bias)]
            }
            Self::Attentive(Attentive { channels, queries, weight, bias }) => {
                let heads = queries.len() / (*channels).max(1);
                vec![
                    (QUERIES, vec![heads, *channels], queries),
                    (WEIGHT, vec![bias.len(), heads, *channels], weight),
                    (BIAS, of_bias(bias), bias),
                ]
            }
        }
    }

    /// Reads what [`Readout::tensors`] has, for so many classes.
    pub(super) fn read(checkpoint: &Checkpoint, kind: HeadKind, classes: usize) -> Result<Self> {
        let bias = checkpoint.read_shaped(BIAS, &[classes])?;
        let weight = checkpoint.read(WEIGHT)?;
        let wrong = |expected: &str| {
            let expected = format!("{expected}, as there are {classes} labels");
            Error::WrongShape { name: WEIGHT.to_owned(), found: weight.shape().to_vec(), expected }
        };
        let found = match (kind, weight.shape()) {
            (HeadKind::Linear, &[found, channels]) if found == classes && classes > 0 && channels > 0 => {
                Self::Linear(Linear { weight: weight.into_data(), bias })
            }
            (HeadKind::Attentive, &[found, heads, channels]) if found == classes && classes * heads * channels > 0 => {
                let queries = checkpoint.read_shaped(QUERIES, &[heads, channels])?;
                Self::Attentive(Attentive { channels, queries, weight: weight.into_data(), bias })
            }
            (HeadKind::Linear, _) => return Err(wrong(&format!("[{classes}, channels]"))),
            (HeadKind::Attentive, _) => return Err(wrong(&format!("[{classes}, heads, channels]"))),
        };
        for (name, _, values) in found.tensors() {
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                let expected = "finite numbers".to_owned();
                return Err(Error::WrongNumber { name: name.to_owned(), found: value.to_string(), expected });
            }
        }
        Ok(found)
    }
}
