//! What a network says about clips: the probabilities of its classes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use orthoformer::tensor::missing;
use orthoformer::{Error, Result};
use orthoformer_video::views::Views;

use crate::model::Model;
use crate::networks::{NetworkOutputs, TokenAxes};
use crate::probe::Head;
use crate::watch::{Observer, Progress, Seen, Watched, watch};

/// The probabilities of a head's classes, averaged over views.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Average {
    sum: Vec<f64>,
    views: u32,
}

impl Average {
    /// Takes in the logits `[classes]` of one more view: their softmax counts.
    pub fn add(&mut self, logits: &[f32]) {
        let peak = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let shares: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - peak).exp()).collect();
        let total: f64 = shares.iter().sum();
        self.sum.resize(logits.len(), 0.0);
        self.sum.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share / total);
        self.views += 1;
    }

    /// The mean probabilities `[classes]`; empty without any view.
    pub fn probabilities(&self) -> Vec<f64> {
        self.sum.iter().map(|sum| sum / f64::from(self.views.max(1))).collect()
    }

    /// The classes with the largest probabilities, the likeliest first; of equals the first comes first, and what is not a number comes last.
    pub fn top(&self, count: usize) -> Vec<(usize, f64)> {
        let mut ranked: Vec<(usize, f64)> = self.probabilities().into_iter().enumerate().collect();
        let key = |probability: f64| if probability.is_nan() { f64::NEG_INFINITY } else { probability };
        ranked.sort_by(|a, b| key(b.1).total_cmp(&key(a.1)));
        ranked.truncate(count);
        ranked
    }
}

/// What a network says about a clip.
#[derive(Debug)]
pub struct Classified {
    /// The clip, and whether it was decoded.
    pub watched: Watched,
    /// One for each head; empty if the clip could not be decoded.
    pub heads: Vec<Average>,
}

/// Classifies clips by the network's own heads, or by one of its features: the mean of the probabilities of all views. Breaks where `progress` does.
///
/// # Errors
/// Those of [`watch`]; [`Error::Argument`] for a network without a classifier; those of [`Head::check`].
pub fn classify(
    model: &Model<'_>,
    clips: &[PathBuf],
    (views, batch): (Views, u32),
    head: Option<&Head>,
    progress: &mut impl Progress<Classified>,
) -> Result<ControlFlow<()>> {
    let heads = Heads::of(model, head)?;
    let outputs = heads.outputs();
    let mut classifier = Classifier { clips, averages: BTreeMap::new(), failures: BTreeMap::new(), heads, progress };
    watch(model, clips, views, batch, &outputs, &mut classifier)
}

/// What is wrong with a clip of which a head makes such a value.
pub(crate) fn not_finite(clip: &Path, value: f32) -> Error {
    Error::Contents { path: clip.to_owned(), reason: format!("the head makes {value} of it: damaged, or of other features") }
}

/// Who names classes.
pub(crate) enum Heads<'h> {
    /// The network's own heads: the names of their logits.
    Own(Vec<String>),
    /// One for the features of this name.
    Other { head: &'h Head, name: &'static str, axes: TokenAxes },
}

impl<'h> Heads<'h> {
    /// # Errors
    /// [`Error::Argument`] for a network without a classifier of its own, if none is given; those of [`Head::check`].
    pub fn of(model: &Model<'_>, head: Option<&'h Head>) -> Result<Self> {
        let network = &model.config().network;
        if let Some(head) = head {
            head.check(model)?;
            return Ok(Self::Other { head, name: network.features_name(), axes: network.tokens(head.layer)? });
        }
        let own: Vec<String> = network.logits().into_iter().map(|(name, _)| name).collect();
        if own.is_empty() {
            let expected =
                "one with a classifier: `features` hands out what this one makes of clips, and `probe train` makes a head for it";
            let given = network.name().to_owned();
            return Err(Error::Argument { what: "network", given, expected: expected.to_owned() });
        }
        Ok(Self::Own(own))
    }

    /// What they need of the network.
    pub fn outputs(&self) -> NetworkOutputs {
        match self {
            Self::Own(_) => NetworkOutputs::LOGITS,
            Self::Other { head, .. } => NetworkOutputs { features: Some(head.layer), ..NetworkOutputs::NOTHING },
        }
    }

    /// Takes a view into the averages of all heads. Returns a value that is not finite, if the head makes one; the network's own are checked already.
    pub fn add(&self, seen: &Seen<'_>, averages: &mut Vec<Average>) -> Result<Option<f32>> {
        let values = |name: &str| seen.values(name).ok_or_else(|| missing(name, seen.outputs));
        match self {
            Self::Own(names) => {
                averages.resize(names.len(), Average::default());
                names.iter().zip(averages).try_for_each(|(name, average)| values(name).map(|logits| average.add(logits)))?;
                Ok(None)
            }
            Self::Other { head, name, axes } => {
                averages.resize(1, Average::default());
                let logits = head.readout.logits(&head.tokens.of(values(name)?, axes));
                averages.iter_mut().for_each(|average| average.add(&logits));
                Ok(logits.into_iter().find(|logit| !logit.is_finite()))
            }
        }
    }
}

/// Averages the views of one clip after the other.
struct Classifier<'p, P> {
    clips: &'p [PathBuf],
    heads: Heads<'p>,
    /// What is wrong with clips that are not done.
    failures: BTreeMap<usize, Error>,
    /// Those of clips that are not done.
    averages: BTreeMap<usize, Vec<Average>>,
    progress: &'p mut P,
}

impl<P: Progress<Classified>> Observer for Classifier<'_, P> {
    fn seen(&mut self, seen: Seen<'_>) -> Result<()> {
        if let Some(value) = self.heads.add(&seen, self.averages.entry(seen.clip).or_default())? {
            self.failures.insert(seen.clip, not_finite(&self.clips[seen.clip], value));
        }
        self.progress.view();
        Ok(())
    }

    fn done(&mut self, clip: usize, mut watched: Watched) -> Result<()> {
        watched.failure = watched.failure.or(self.failures.remove(&clip));
        let own = self.averages.remove(&clip).filter(|_| watched.failure.is_none());
        self.progress.clip(clip, Classified { heads: own.unwrap_or_default(), watched })
    }

    fn flow(&mut self) -> ControlFlow<()> {
        self.progress.flow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_averaged_not_logits() {
        let mut average = Average::default();
        average.add(&[0.0, 1000.0]);
        average.add(&[f32::ln(3.0), 0.0]);
        assert_eq!(average.probabilities().len(), 2);
        for (found, expected) in average.probabilities().into_iter().zip([0.375, 0.625]) {
            assert!((found - expected).abs() < 1e-7, "{found} {expected}");
        }
        assert_eq!(average.top(5).iter().map(|(class, _)| *class).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(average.top(1).len(), 1);
    }

    #[test]
    fn a_masked_class_has_no_probability() {
        let mut average = Average::default();
        average.add(&[0.0, f32::NEG_INFINITY, 0.0]);
        average.add(&[f32::NEG_INFINITY, 0.0, f32::MIN]);
        assert_eq!(average.probabilities(), [0.25, 0.5, 0.25]);
    }

    #[test]
    fn what_is_not_a_number_does_not_win() {
        let mut average = Average::default();
        average.add(&[0.5, f32::NAN, 0.25]);
        assert!(average.probabilities().iter().all(|probability| probability.is_nan()), "one NaN spoils the sum");
        assert_eq!(Average::default().top(3), []);
    }
}
