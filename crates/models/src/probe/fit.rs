//! What the fits of all kinds of heads share: standardised channels, the loss, and its minimum by L-BFGS.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use basin::{CostFunction, Executor, FirstOrderState, Gradient, Lbfgs, Termination};
use orthoformer::{Error, Result, Tensor};

use super::Example;

/// A channel with a smaller share of the usual deviation is rounding, and is not blown up.
const LEAST_DEVIATION: f64 = 1e-4;

/// Why there is no fit.
#[derive(Debug)]
pub(super) enum Stop {
    /// Whoever waits for it asked to stop, or another fit failed.
    Asked,
    Failed(Error),
}

/// What a fallible part of a fit returns.
pub(super) type Fitted<T> = std::result::Result<T, Stop>;

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Who waits for fits: is told how many are done, and says whether to go on.
pub(super) struct Follower<'f> {
    flow: &'f (dyn Fn(usize) -> ControlFlow<()> + Sync),
    done: AtomicUsize,
    has_stopped: AtomicBool,
}

impl<'f> Follower<'f> {
    pub fn new(flow: &'f (dyn Fn(usize) -> ControlFlow<()> + Sync)) -> Self {
        Self { flow, done: AtomicUsize::new(0), has_stopped: AtomicBool::new(false) }
    }

    /// Asks whether to go on.
    pub fn ask(&self) -> Fitted<()> {
        let is_over = self.has_stopped.load(Ordering::Relaxed) || (self.flow)(self.done.load(Ordering::Relaxed)).is_break();
        if is_over { Err(Stop::Asked) } else { Ok(()) }
    }

    /// So many more fits are done.
    pub fn count(&self, fits: usize) {
        self.done.fetch_add(fits, Ordering::Relaxed);
    }

    /// Stops the fits of all threads.
    pub fn stop(&self) {
        self.has_stopped.store(true, Ordering::Relaxed);
    }
}

/// The loss at some parameters, and its gradient.
pub(super) type Slope = (f64, Vec<f64>);

/// Parameters at which a loss is least, from those that it starts at, and whether the norm of the gradient came below `tolerance`.
pub(super) fn minimise(
    loss: impl Fn(&[f64]) -> Fitted<Slope>,
    start: Vec<f64>,
    tolerance: f64,
    most_iterations: u64,
) -> Fitted<(Vec<f64>, bool)> {
    let solver = Lbfgs::new().unbounded().with_absolute_gradient_tolerance(tolerance);
    let executor = Executor::new(Loss(loss), solver, FirstOrderState::new(start));
    let found = executor.max_iter(most_iterations).run()?;
    let converged = matches!(found.report.termination, Termination::Converged(_));
    Ok((found.param().clone(), converged))
}

/// A loss as the library takes it.
struct Loss<F>(F);

impl<F: Fn(&[f64]) -> Fitted<Slope>> CostFunction for Loss<F> {
    type Param = Vec<f64>;
    type Output = f64;
    type Error = Stop;

    fn cost(&self, parameters: &Vec<f64>) -> Fitted<f64> {
        self.0(parameters).map(|(loss, _)| loss)
    }
}

impl<F: Fn(&[f64]) -> Fitted<Slope>> Gradient for Loss<F> {
    type Gradient = Vec<f64>;

    fn gradient(&self, parameters: &Vec<f64>) -> Fitted<Vec<f64>> {
        self.0(parameters).map(|(_, gradient)| gradient)
    }

    fn cost_and_gradient(&self, parameters: &Vec<f64>) -> Fitted<Slope> {
        self.0(parameters)
    }
}

/// Mean and deviation of each channel: standardised values are `(x - mean) / deviation`.
pub(super) struct Scaling {
    pub mean: Vec<f64>,
    pub deviation: Vec<f64>,
}

impl Scaling {
    /// That of all rows of some examples.
    pub fn of(examples: &[&Example]) -> Result<Self> {
        let (mut mean, mut count) = (Vec::new(), 0.0);
        for example in examples {
            for row in rows(&*example.features.read()?) {
                mean.resize(row.len(), 0.0);
                mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
                count += 1.0;
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= count);
        let mut variance = vec![0.0; mean.len()];
        for example in examples {
            for row in rows(&*example.features.read()?) {
                let squares = row.iter().zip(&mean).map(|(&value, mean)| (f64::from(value) - mean).powi(2));
                variance.iter_mut().zip(squares).for_each(|(sum, square)| *sum += square / count);
            }
        }
        let usual = (variance.iter().sum::<f64>() / variance.len().max(1) as f64).sqrt();
        // Where nothing varies, nothing is to be learnt.
        let least = if usual > 0.0 { LEAST_DEVIATION * usual } else { 1.0 };
        let deviation = variance.into_iter().map(|variance| variance.sqrt().max(least)).collect();
        Ok(Self { mean, deviation })
    }
}

/// The rows of a tensor: what lies along its last axis.
pub(super) fn rows(features: &Tensor) -> impl Iterator<Item = &[f32]> {
    let channels = features.shape().last().copied().unwrap_or(0);
    features.data().chunks_exact(channels.max(1))
}

/// The views of features: what lies along their first axis.
pub(super) fn views(features: &Tensor) -> impl Iterator<Item = &[f32]> {
    let size: usize = features.shape().iter().skip(1).product();
    features.data().chunks_exact(size.max(1))
}

/// The loss of logits, which become its slopes: probabilities, less one for the true class.
pub(super) fn cross_entropy(logits: &mut [f64], truth: usize) -> f64 {
    let peak = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let own = logits.get(truth).copied().unwrap_or(peak);
    let mut total = 0.0;
    for logit in &mut *logits {
        *logit = (*logit - peak).exp();
        total += *logit;
    }
    logits.iter_mut().enumerate().for_each(|(class, share)| *share = *share / total - f64::from(u8::from(class == truth)));
    total.ln() + peak - own
}

/// The scalar product, summed in eight lanes so that compilers can take as many at a time.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    a.iter().zip(b).for_each(|(a, b)| sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b));
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// Adds a multiple of a row to a sum.
pub(super) fn add(sum: &mut [f64], factor: f64, row: &[f64]) {
    sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += factor * value);
}

/// Compares a gradient with finite differences, parameter by parameter.
#[cfg(test)]
pub(super) fn assert_slopes(loss: impl Fn(&[f64]) -> Slope, at: &[f64]) {
    let step = 1e-5;
    let (_, gradient) = loss(at);
    assert_eq!(gradient.len(), at.len());
    for (index, slope) in gradient.iter().enumerate() {
        let moved = |by: f64| {
            let mut moved = at.to_vec();
            moved[index] += by;
            loss(&moved).0
        };
        let expected = (moved(step) - moved(-step)) / (2.0 * step);
        assert!((slope - expected).abs() < 1e-8, "parameter {index}: {slope} {expected}");
    }
}
