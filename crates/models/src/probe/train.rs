//! Training a head, and judging it by cross-validation.
//!
//! The strength of the penalty is chosen too, so a fold on which it was chosen says too much good of it. Hence two rounds: for each fold that is held out, the
//! strength is chosen among the other folds, each of them held out in turn beside it. A head trained without two folds serves both of them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use orthoformer::{Result, Tensor};

use super::folds::Folds;
use super::linear::{self, Linear};

/// Strengths of the penalty that are tried, the strongest first.
pub const STRENGTHS: [f64; 5] = [1.0, 1e-1, 1e-2, 1e-3, 1e-4];

/// A clip's features, and the class that it is of.
#[derive(Clone, Debug)]
pub struct Example {
    /// The features `[views, channels]`.
    pub features: Tensor,
    /// The class.
    pub class: usize,
}

/// A head, and what cross-validation says of such heads.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The head of all clips.
    pub linear: Linear,
    /// Its penalty.
    pub strength: f64,
    /// Whether its minimum was found.
    pub converged: bool,
    /// What each clip was taken for by a head that was trained without it.
    pub guesses: Vec<usize>,
    /// The penalty of those heads, a fold each.
    pub fold_strengths: Vec<f64>,
    /// How many of those guesses are right.
    pub right: usize,
}

/// What heads of all strengths say about the clips of a fold.
type Scores = Vec<Score>;

#[derive(Clone, Debug)]
struct Score {
    /// The sum of the losses of the mean probabilities.
    loss: f64,
    /// The likeliest class of each clip of the fold.
    guesses: Vec<usize>,
}

/// Trains a head for so many classes. All examples have as many views and channels. `flow` is asked before each fit, by several threads, whether to go on.
///
/// # Errors
/// [`orthoformer::Error::Argument`] if folds are of another number of clips.
pub fn train(
    examples: &[Example],
    classes: usize,
    folds: &Folds,
    flow: impl Fn() -> ControlFlow<()> + Sync,
) -> Result<ControlFlow<(), Trained>> {
    folds.check(examples.len())?;
    let trials = Trials { examples, classes, folds };
    let ControlFlow::Continue(scores) = trials.scores(&flow) else { return Ok(ControlFlow::Break(())) };
    let between = |held: usize| (0..folds.count).filter(move |&other| other != held).map(move |other| (held, other));
    let chosen: Vec<usize> = (0..folds.count).map(|held| best(between(held).filter_map(|key| scores.get(&key)))).collect();
    let mut guesses = vec![0; examples.len()];
    for (held, &strength) in chosen.iter().enumerate() {
        let own = scores.get(&(held, held)).and_then(|scores| scores.get(strength)).map(|score| score.guesses.as_slice());
        folds.members(held).zip(own.unwrap_or_default()).for_each(|(clip, &guess)| guesses[clip] = guess);
    }
    let right = guesses.iter().zip(examples).filter(|(guess, example)| **guess == example.class).count();
    let final_choice = best((0..folds.count).filter_map(|held| scores.get(&(held, held))));
    // All stronger ones too, as each fit begins where the one before ended.
    let fits = linear::fits(&examples.iter().collect::<Vec<_>>(), classes, &STRENGTHS[..=final_choice]);
    let Some(fit) = fits.into_iter().next_back() else { return Ok(ControlFlow::Break(())) };
    Ok(ControlFlow::Continue(Trained {
        linear: fit.linear,
        converged: fit.converged,
        strength: STRENGTHS[final_choice],
        fold_strengths: chosen.into_iter().map(|strength| STRENGTHS[strength]).collect(),
        guesses,
        right,
    }))
}

/// The strength of the least loss; of equals the strongest.
fn best<'s>(scores: impl Iterator<Item = &'s Scores>) -> usize {
    let mut losses = [0.0; STRENGTHS.len()];
    scores.for_each(|scores| losses.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score.loss));
    (0..losses.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap_or(0)
}

struct Trials<'t> {
    examples: &'t [Example],
    classes: usize,
    folds: &'t Folds,
}

impl Trials<'_> {
    /// Scores by two folds: the first was held out beside the second, and the heads are judged on the second. The same fold twice was held out alone.
    fn scores(&self, flow: &(impl Fn() -> ControlFlow<()> + Sync)) -> ControlFlow<(), BTreeMap<(usize, usize), Scores>> {
        let count = self.folds.count;
        let pairs: Vec<(usize, usize)> = (0..count).flat_map(|a| (a..count).map(move |b| (a, b))).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(pairs.len());
        let by_thread: Vec<Option<Vec<_>>> = std::thread::scope(|scope| {
            let own = |thread: usize| pairs.iter().skip(thread).step_by(threads);
            let work = |thread| move || own(thread).map(|&pair| flow().is_continue().then(|| self.pair(pair))).collect();
            let spawned: Vec<_> = (0..threads).map(|thread| scope.spawn(work(thread))).collect();
            spawned.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        let mut scores = BTreeMap::new();
        for own in by_thread {
            let Some(own) = own else { return ControlFlow::Break(()) };
            scores.extend(own.into_iter().flatten());
        }
        ControlFlow::Continue(scores)
    }

    /// Trains heads without two folds, and judges them on both.
    fn pair(&self, (a, b): (usize, usize)) -> Vec<((usize, usize), Scores)> {
        let fold = |clip: usize| self.folds.of_clip[clip];
        let others = (0..self.examples.len()).filter(|&clip| fold(clip) != a && fold(clip) != b);
        let others: Vec<&Example> = others.map(|clip| &self.examples[clip]).collect();
        let fits = linear::fits(&others, self.classes, &STRENGTHS);
        let judge = |held| fits.iter().map(|fit| self.score(&fit.linear, held)).collect();
        let mut scores = vec![((a, b), judge(b))];
        if a != b {
            scores.push(((b, a), judge(a)));
        }
        scores
    }

    fn score(&self, linear: &Linear, fold: usize) -> Score {
        let mut score = Score { loss: 0.0, guesses: Vec::new() };
        for clip in self.folds.members(fold) {
            let example = &self.examples[clip];
            let average = linear.average(&example.features);
            let truth = average.probabilities().get(example.class).copied().unwrap_or_default();
            score.loss -= truth.max(f64::MIN_POSITIVE).ln();
            score.guesses.push(average.top(1).first().map_or(0, |(class, _)| *class));
        }
        score
    }
}
