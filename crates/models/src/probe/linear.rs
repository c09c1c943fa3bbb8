//! A linear head: multinomial logistic regression with an L2 penalty.
//!
//! Minimised is `mean_i (log sum_k exp z_ik - z_i,y_i) + strength/2 sum W^2` with `z_i = W x_i + b`, by L-BFGS. The rows `x_i` are features of which each
//! channel was brought to a mean of 0 and a deviation of 1; mean and deviation are folded into `W` and `b` in the end.

use std::convert::Infallible;

use basin::{CostFunction, Executor, FirstOrderState, Gradient, Lbfgs, Termination};
use orthoformer::Tensor;

use super::Example;
use crate::classify::Average;

/// Norm of the gradient at which a fit has converged. It is about 1 where a fit starts.
const CONVERGED: f64 = 1e-5;
/// Most iterations of a fit.
const MOST_ITERATIONS: u64 = 1000;
/// A channel with a smaller share of the usual deviation is rounding, and is not blown up.
const LEAST_DEVIATION: f64 = 1e-4;

/// Weights and biases: logits are `weight x + bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// Weights `[classes, channels]`.
    pub weight: Vec<f32>,
    /// Biases `[classes]`.
    pub bias: Vec<f32>,
}

impl Linear {
    /// The logits of a row of features.
    pub fn logits(&self, row: &[f32]) -> Vec<f32> {
        let product = |weights: &[f32]| weights.iter().zip(row).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>();
        let rows = self.weight.chunks_exact(row.len().max(1));
        rows.zip(&self.bias).map(|(weights, bias)| (product(weights) + f64::from(*bias)) as f32).collect()
    }

    /// The probabilities of features `[views, channels]`, averaged over views.
    pub fn average(&self, features: &Tensor) -> Average {
        let mut average = Average::default();
        rows(features).for_each(|view| average.add(&self.logits(view)));
        average
    }
}

/// The rows of a tensor: what lies along its first axis.
fn rows(features: &Tensor) -> impl Iterator<Item = &[f32]> {
    let channels: usize = features.shape().iter().skip(1).product();
    features.data().chunks_exact(channels.max(1))
}

/// A head as it was found.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    pub linear: Linear,
    /// Whether the minimum was found as closely as wanted.
    pub converged: bool,
}

/// Heads of these examples for several strengths of the penalty, each fit starting from the one before.
pub(super) fn fits(examples: &[&Example], classes: usize, strengths: &[f64]) -> Vec<Fit> {
    let rows = Rows::of(examples, classes);
    let mut start = vec![0.0; classes * (rows.width + 1)];
    let of_strength = |&strength| {
        let (parameters, converged) = rows.minimise(strength, std::mem::take(&mut start));
        let linear = rows.unscaled(&parameters);
        start = parameters;
        Fit { linear, converged }
    };
    strengths.iter().map(of_strength).collect()
}

/// Standardised rows of features: a row a view.
struct Rows {
    classes: usize,
    /// Channels.
    width: usize,
    values: Vec<f64>,
    /// The class of each row.
    truths: Vec<usize>,
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Rows {
    /// All clips have as many views.
    fn of(examples: &[&Example], classes: usize) -> Self {
        let width = examples.first().map_or(0, |example| example.features.shape().iter().skip(1).product());
        let views = examples.iter().flat_map(|example| rows(&example.features).map(|view| (view, example.class)));
        let (mut values, mut truths) = (Vec::new(), Vec::new());
        for (view, class) in views {
            values.extend(view.iter().map(|&value| f64::from(value)));
            truths.push(class);
        }
        let (mean, deviation) = moments(&values, width, truths.len());
        for row in values.chunks_exact_mut(width.max(1)) {
            row.iter_mut().zip(&mean).zip(&deviation).for_each(|((value, mean), deviation)| *value = (*value - mean) / deviation);
        }
        Self { classes, width, values, truths, mean, deviation }
    }

    /// Parameters, weights before biases, at which the penalised loss is least, and whether it converged.
    fn minimise(&self, strength: f64, start: Vec<f64>) -> (Vec<f64>, bool) {
        let solver = Lbfgs::new().unbounded().with_absolute_gradient_tolerance(CONVERGED);
        let executor = Executor::new(Objective { rows: self, strength }, solver, FirstOrderState::new(start));
        let Ok(found) = executor.max_iter(MOST_ITERATIONS).run();
        let converged = matches!(found.report.termination, Termination::Converged(_));
        (found.param().clone(), converged)
    }

    /// The same map of features as they are.
    fn unscaled(&self, parameters: &[f64]) -> Linear {
        let (weights, biases) = parameters.split_at(self.classes * self.width);
        let scaled = |(weight, deviation): (&f64, &f64)| weight / deviation;
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for (row, own) in weights.chunks_exact(self.width.max(1)).zip(biases) {
            let row: Vec<f64> = row.iter().zip(&self.deviation).map(scaled).collect();
            bias.push((own - dot(&row, &self.mean)) as f32);
            weight.extend(row.into_iter().map(|value| value as f32));
        }
        Linear { weight, bias }
    }
}

/// Mean and deviation of each channel.
fn moments(values: &[f64], width: usize, count: usize) -> (Vec<f64>, Vec<f64>) {
    let count = count.max(1) as f64;
    let mut mean = vec![0.0; width];
    let rows = || values.chunks_exact(width.max(1));
    rows().for_each(|row| mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / count));
    let mut variance = vec![0.0; width];
    for row in rows() {
        variance.iter_mut().zip(row).zip(&mean).for_each(|((sum, value), mean)| *sum += (value - mean).powi(2) / count);
    }
    let usual = (variance.iter().sum::<f64>() / width.max(1) as f64).sqrt();
    // Where nothing varies, nothing is to be learnt.
    let least = if usual > 0.0 { LEAST_DEVIATION * usual } else { 1.0 };
    (mean, variance.into_iter().map(|variance: f64| variance.sqrt().max(least)).collect())
}

/// The penalised loss.
struct Objective<'r> {
    rows: &'r Rows,
    strength: f64,
}

impl Objective<'_> {
    fn evaluate(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
        let Rows { classes, width, values, truths, .. } = self.rows;
        let (weights, biases) = parameters.split_at(classes * width);
        let share = 1.0 / truths.len().max(1) as f64;
        let mut gradient: Vec<f64> = weights.iter().map(|weight| self.strength * weight).collect();
        gradient.resize(parameters.len(), 0.0);
        let (weight_slopes, bias_slopes) = gradient.split_at_mut(classes * width);
        let mut loss = 0.5 * self.strength * dot(weights, weights);
        let mut slopes = Vec::with_capacity(*classes);
        for (row, &truth) in values.chunks_exact((*width).max(1)).zip(truths) {
            slopes.clear();
            slopes.extend(weights.chunks_exact((*width).max(1)).zip(biases).map(|(weights, bias)| dot(weights, row) + bias));
            loss += share * cross_entropy(&mut slopes, truth);
            for ((slope, own), bias) in slopes.iter().zip(weight_slopes.chunks_exact_mut((*width).max(1))).zip(&mut *bias_slopes)
            {
                own.iter_mut().zip(row).for_each(|(sum, value)| *sum += share * slope * value);
                *bias += share * slope;
            }
        }
        (loss, gradient)
    }
}

/// The loss of logits, which become its slopes: probabilities, less one for the true class.
fn cross_entropy(logits: &mut [f64], truth: usize) -> f64 {
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
fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    a.iter().zip(b).for_each(|(a, b)| sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b));
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

impl CostFunction for Objective<'_> {
    type Param = Vec<f64>;
    type Output = f64;
    type Error = Infallible;

    fn cost(&self, parameters: &Vec<f64>) -> Result<f64, Infallible> {
        Ok(self.evaluate(parameters).0)
    }
}

impl Gradient for Objective<'_> {
    type Gradient = Vec<f64>;

    fn gradient(&self, parameters: &Vec<f64>) -> Result<Vec<f64>, Infallible> {
        Ok(self.evaluate(parameters).1)
    }

    fn cost_and_gradient(&self, parameters: &Vec<f64>) -> Result<(f64, Vec<f64>), Infallible> {
        Ok(self.evaluate(parameters))
    }
}

#[cfg(test)]
mod tests {
    use support::numbers;

    use super::*;

    /// Examples of random features, of classes in turn, which lie apart by `distance`.
    fn examples(count: usize, classes: usize, distance: f32) -> Vec<Example> {
        let (views, channels) = (2, 5);
        let example = |index: usize| {
            let mut features = numbers(index as u64, views * channels, 1.0);
            features.chunks_mut(channels).for_each(|view| view[index % classes] += distance);
            Example { features: Tensor::new(vec![views, channels], features).expect("views"), class: index % classes }
        };
        (0..count).map(example).collect()
    }

    #[test]
    fn slopes_are_those_of_the_loss() {
        let examples = examples(7, 3, 0.5);
        let rows = Rows::of(&examples.iter().collect::<Vec<_>>(), 3);
        let objective = Objective { rows: &rows, strength: 0.3 };
        let at: Vec<f64> = numbers(99, 3 * 6, 1.0).into_iter().map(f64::from).collect();
        let (_, gradient) = objective.evaluate(&at);
        let step = 1e-5;
        for (index, slope) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = at.clone();
                moved[index] += by;
                objective.evaluate(&moved).0
            };
            let expected = (moved(step) - moved(-step)) / (2.0 * step);
            assert!((slope - expected).abs() < 1e-8, "parameter {index}: {slope} {expected}");
        }
    }

    #[test]
    fn what_can_be_told_apart_is() {
        let examples = examples(30, 3, 4.0);
        let all: Vec<&Example> = examples.iter().collect();
        let [fit] = fits(&all, 3, &[1e-3]).try_into().expect("one");
        assert!(fit.converged);
        for example in &examples {
            for view in rows(&example.features) {
                let logits = fit.linear.logits(view);
                let best = (0..3).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
                assert_eq!(best, Some(example.class), "{logits:?}");
            }
        }
    }

    #[test]
    fn a_stronger_penalty_makes_smaller_weights() {
        let examples = examples(30, 3, 1.0);
        let found = fits(&examples.iter().collect::<Vec<_>>(), 3, &[1.0, 0.1, 0.01]);
        let size = |fit: &Fit| fit.linear.weight.iter().map(|weight| weight * weight).sum::<f32>();
        let sizes: Vec<f32> = found.iter().map(size).collect();
        assert!(found.iter().all(|fit| fit.converged) && sizes.is_sorted_by(|a, b| 1.5 * a < *b), "{sizes:?}");
    }

    #[test]
    fn the_minimum_does_not_depend_on_where_a_fit_starts_nor_on_units() {
        let examples = examples(20, 2, 1.0);
        let all: Vec<&Example> = examples.iter().collect();
        let [_, warm] = fits(&all, 2, &[1.0, 0.1]).try_into().expect("two");
        let [cold] = fits(&all, 2, &[0.1]).try_into().expect("one");
        let far = |a: &Linear, b: &Linear, view: &[f32]| {
            a.logits(view).into_iter().zip(b.logits(view)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        let view = [0.5, -1.0, 2.0, 0.1, 0.0];
        assert!(far(&warm.linear, &cold.linear, &view) < 1e-3);
        // A channel in other units, and one that is always the same.
        let changed = |view: &[f32]| {
            let mut changed = [view, &[7.0]].concat();
            changed[1] = 1000.0 * changed[1] + 3.0;
            changed
        };
        let other = |example: &Example| {
            let features = rows(&example.features).flat_map(changed).collect();
            Example { features: Tensor::new(vec![2, 6], features).expect("views"), class: example.class }
        };
        let others: Vec<Example> = examples.iter().map(other).collect();
        let [in_others] = fits(&others.iter().collect::<Vec<_>>(), 2, &[0.1]).try_into().expect("one");
        let (expected, found) = (cold.linear.logits(&view), in_others.linear.logits(&changed(&view)));
        assert!(expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-3), "{expected:?} {found:?}");
    }
}
