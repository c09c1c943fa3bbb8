//! Training a head, and judging it by cross-validation.
//!
//! The strength of the penalty is chosen too, so a fold on which it was chosen says too much good of it. Hence two rounds: for each fold that is held out, the
//! strength is chosen among the other folds, each of them held out in turn beside it. A head trained without two folds serves both of them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use orthoformer::{Error, Result};

use super::fit::{Fitted, Follower, Stop};
use super::folds::Folds;
use super::kept::Kept;
use super::readout::{HeadKind, Readout};
use super::scores::{KeptScores, Pair, Score, Scores};

/// A clip's features, and the class that it is of.
#[derive(Debug)]
pub struct Example {
    /// The features: `[views, channels]`, for an attentive head those of all patches with channels along the last axis.
    pub features: Kept,
    /// The class.
    pub class: usize,
}

/// A head, and what cross-validation says of such heads.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The head of all clips.
    pub readout: Readout,
    /// Its penalty.
    pub strength: f64,
    /// Whether its minimum was found.
    pub converged: bool,
    /// Fits of the cross-validation of which the minimum was not.
    pub unconverged: usize,
    /// What each clip was taken for by a head that was trained without it.
    pub guesses: Vec<usize>,
    /// The penalty of those heads, a fold each.
    pub fold_strengths: Vec<f64>,
    /// How many of those guesses are right.
    pub right: usize,
}

/// How many fits [`train`] makes at most.
pub fn fits(kind: HeadKind, folds: &Folds) -> usize {
    let strengths = kind.strengths().len();
    strengths * (folds.count * (folds.count + 1) / 2) + kind.strengths_to(strengths - 1).len()
}

/// Trains a head for so many classes. All examples have as many views, tokens and channels. What heads without two folds say is kept in the
/// folder `keep`, and not made again where it is there. `flow` is asked at each step of a fit, by several threads, whether to go on, and told
/// how many fits are done.
///
/// # Errors
/// [`Error::Argument`] if folds are of another number of clips; those of [`Kept::read`]; [`Error::File`].
pub fn train(
    examples: &[Example],
    classes: usize,
    folds: &Folds,
    kind: HeadKind,
    keep: Option<&Path>,
    flow: impl Fn(usize) -> ControlFlow<()> + Sync,
) -> Result<ControlFlow<(), Trained>> {
    folds.check(examples.len())?;
    let kept = keep.map(|folder| KeptScores::new(folder, examples, classes, folds, kind)).transpose()?;
    match (Trials { examples, classes, folds, kind, kept, follower: Follower::new(&flow) }).train() {
        Ok(trained) => Ok(ControlFlow::Continue(trained)),
        Err(Stop::Asked) => Ok(ControlFlow::Break(())),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// The strength of the least loss; of equals the strongest.
fn best<'s>(count: usize, scores: impl Iterator<Item = &'s Scores>) -> usize {
    let mut losses = vec![0.0; count];
    scores.for_each(|scores| losses.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score.loss));
    (0..losses.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap_or(0)
}

struct Trials<'t> {
    examples: &'t [Example],
    classes: usize,
    folds: &'t Folds,
    kind: HeadKind,
    kept: Option<KeptScores<'t>>,
    follower: Follower<'t>,
}

/// Scores by two folds.
type ByFolds = BTreeMap<(usize, usize), Scores>;

impl Trials<'_> {
    fn train(&self) -> Fitted<Trained> {
        let ((scores, unconverged), strengths, count) = (self.scores()?, self.kind.strengths(), self.folds.count);
        let between = |held: usize| (0..count).filter(move |&other| other != held).map(move |other| (held, other));
        let best = |scores: &mut dyn Iterator<Item = &Scores>| best(strengths.len(), scores);
        let chosen: Vec<usize> = (0..count).map(|held| best(&mut between(held).filter_map(|key| scores.get(&key)))).collect();
        let mut guesses = vec![0; self.examples.len()];
        for (held, &strength) in chosen.iter().enumerate() {
            let own = scores.get(&(held, held)).and_then(|scores| scores.get(strength)).map(|score| score.guesses.as_slice());
            self.folds.members(held).zip(own.unwrap_or_default()).for_each(|(clip, &guess)| guesses[clip] = guess);
        }
        let right = guesses.iter().zip(self.examples).filter(|(guess, example)| **guess == example.class).count();
        let final_choice = best(&mut (0..count).filter_map(|held| scores.get(&(held, held))));
        let fits = self.fits(&self.examples.iter().collect::<Vec<_>>(), self.kind.strengths_to(final_choice))?;
        let (readout, converged) = fits.into_iter().next_back().ok_or(Error::ZeroSize { what: "strengths" })?;
        let fold_strengths = chosen.into_iter().map(|strength| strengths[strength]).collect();
        Ok(Trained { readout, converged, unconverged, strength: strengths[final_choice], fold_strengths, guesses, right })
    }

    fn fits(&self, examples: &[&Example], strengths: &[f64]) -> Fitted<Vec<(Readout, bool)>> {
        self.kind.fits(examples, self.classes, (strengths, self.folds.seed), &self.follower)
    }

    /// Scores by two folds: the first was held out beside the second, and the heads are judged on the second. The same fold twice was held
    /// out alone. And how many fits did not converge.
    fn scores(&self) -> Fitted<(ByFolds, usize)> {
        let count = self.folds.count;
        let pairs: Vec<(usize, usize)> = (0..count).flat_map(|a| (a..count).map(move |b| (a, b))).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(pairs.len());
        let by_thread: Vec<Fitted<Vec<_>>> = std::thread::scope(|scope| {
            let own = |thread: usize| pairs.iter().skip(thread).step_by(threads);
            // Whoever fails stops the others.
            let of_pair = |&pair| self.pair(pair).map(|found| (pair, found)).inspect_err(|_| self.follower.stop());
            let work = |thread| move || own(thread).map(of_pair).collect();
            let spawned: Vec<_> = (0..threads).map(|thread| scope.spawn(work(thread))).collect();
            spawned.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        let (mut scores, mut unconverged, mut asked) = (BTreeMap::new(), 0, false);
        for own in by_thread {
            match own {
                Ok(own) => {
                    for ((a, b), pair) in own {
                        unconverged += pair.unconverged;
                        scores.extend([(a, b), (b, a)].into_iter().zip(pair.scores));
                    }
                }
                Err(Stop::Asked) => asked = true,
                Err(failed) => return Err(failed),
            }
        }
        if asked { Err(Stop::Asked) } else { Ok((scores, unconverged)) }
    }

    /// What comes of holding out two folds: as it was kept, or as it is found now.
    fn pair(&self, pair: (usize, usize)) -> Fitted<Pair> {
        let Some(kept) = &self.kept else { return self.judged(pair) };
        if let Some(found) = kept.load(pair).filter(|found| self.is_whole(pair, found)) {
            self.follower.count(self.kind.strengths().len());
            return Ok(found);
        }
        let found = self.judged(pair)?;
        kept.store(pair, &found)?;
        Ok(found)
    }

    /// Whether there is a class for each clip of both folds, and each strength.
    fn is_whole(&self, (a, b): (usize, usize), pair: &Pair) -> bool {
        let is_of = |scores: &Scores, fold: usize| {
            let clips = self.folds.members(fold).count();
            let is_sound = |score: &Score| {
                score.loss.is_finite() && score.guesses.len() == clips && score.guesses.iter().all(|&guess| guess < self.classes)
            };
            scores.len() == self.kind.strengths().len() && scores.iter().all(is_sound)
        };
        let folds = if a == b { vec![b] } else { vec![b, a] };
        pair.scores.len() == folds.len() && pair.scores.iter().zip(folds).all(|(scores, fold)| is_of(scores, fold))
    }

    /// Trains heads without two folds, and judges them on both.
    fn judged(&self, (a, b): (usize, usize)) -> Fitted<Pair> {
        let fold = |clip: usize| self.folds.of_clip[clip];
        let others = (0..self.examples.len()).filter(|&clip| fold(clip) != a && fold(clip) != b);
        let others: Vec<&Example> = others.map(|clip| &self.examples[clip]).collect();
        let fits = self.fits(&others, self.kind.strengths())?;
        let judge = |held| fits.iter().map(|(readout, _)| self.score(readout, held)).collect::<Result<Scores>>();
        let mut scores = vec![judge(b)?];
        if a != b {
            scores.push(judge(a)?);
        }
        Ok(Pair { unconverged: fits.iter().filter(|(_, converged)| !converged).count(), scores })
    }

    fn score(&self, readout: &Readout, fold: usize) -> Result<Score> {
        let mut score = Score { loss: 0.0, guesses: Vec::new() };
        for clip in self.folds.members(fold) {
            let example = &self.examples[clip];
            let average = readout.average(&*example.features.read()?);
            let truth = average.probabilities().get(example.class).copied().unwrap_or_default();
            score.loss -= truth.max(f64::MIN_POSITIVE).ln();
            score.guesses.push(average.top(1).first().map_or(0, |(class, _)| *class));
        }
        Ok(score)
    }
}
