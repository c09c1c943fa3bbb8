//! A linear head: multinomial logistic regression with an L2 penalty.
//!
//! Minimised is `mean_i (log sum_k exp z_ik - z_i,y_i) + strength/2 sum W^2` with `z_i = W x_i + b`, by L-BFGS. The rows `x_i` are features of which each
//! channel was brought to a mean of 0 and a deviation of 1; mean and deviation are folded into `W` and `b` in the end.

use orthoformer::Result;

use super::Example;
use super::fit::{Fitted, Follower, Scaling, Slope, add, cross_entropy, dot, minimise, views};

/// Norm of the gradient at which a fit has converged. It is about 1 where a fit starts.
const CONVERGED: f64 = 1e-5;
/// Most iterations of a fit.
const MOST_ITERATIONS: u64 = 1000;

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
}

/// Heads of these examples for several strengths of the penalty, each fit starting from the one before, and whether each converged.
pub(super) fn fits(
    examples: &[&Example],
    classes: usize,
    strengths: &[f64],
    follower: &Follower<'_>,
) -> Fitted<Vec<(Linear, bool)>> {
    let rows = Rows::of(examples, classes)?;
    let mut start = vec![0.0; classes * (rows.width() + 1)];
    let mut found = Vec::new();
    for &strength in strengths {
        let loss = |at: &[f64]| follower.ask().map(|()| rows.loss(strength, at));
        let (parameters, converged) = minimise(loss, std::mem::take(&mut start), CONVERGED, MOST_ITERATIONS)?;
        found.push((rows.unscaled(&parameters), converged));
        start = parameters;
        follower.count(1);
    }
    Ok(found)
}

/// Standardised rows of features: a row a view.
struct Rows {
    classes: usize,
    values: Vec<f64>,
    /// The class of each row.
    truths: Vec<usize>,
    scaling: Scaling,
}

impl Rows {
    fn of(examples: &[&Example], classes: usize) -> Result<Self> {
        let scaling = Scaling::of(examples)?;
        let (mut values, mut truths) = (Vec::new(), Vec::new());
        for example in examples {
            for row in views(&*example.features.read()?) {
                let units = scaling.mean.iter().zip(&scaling.deviation);
                values.extend(row.iter().zip(units).map(|(&value, (mean, deviation))| (f64::from(value) - mean) / deviation));
                truths.push(example.class);
            }
        }
        Ok(Self { classes, values, truths, scaling })
    }

    /// Channels.
    fn width(&self) -> usize {
        self.scaling.mean.len()
    }

    /// The penalised loss of parameters, weights before biases.
    fn loss(&self, strength: f64, parameters: &[f64]) -> Slope {
        let width = self.width().max(1);
        let (weights, biases) = parameters.split_at(self.classes * self.width());
        let share = 1.0 / self.truths.len().max(1) as f64;
        let mut gradient: Vec<f64> = weights.iter().map(|weight| strength * weight).collect();
        gradient.resize(parameters.len(), 0.0);
        let (weight_slopes, bias_slopes) = gradient.split_at_mut(weights.len());
        let mut loss = 0.5 * strength * dot(weights, weights);
        let mut slopes = Vec::with_capacity(self.classes);
        for (row, &truth) in self.values.chunks_exact(width).zip(&self.truths) {
            slopes.clear();
            slopes.extend(weights.chunks_exact(width).zip(biases).map(|(weights, bias)| dot(weights, row) + bias));
            loss += share * cross_entropy(&mut slopes, truth);
            for ((slope, own), bias) in slopes.iter().zip(weight_slopes.chunks_exact_mut(width)).zip(&mut *bias_slopes) {
                add(own, share * slope, row);
                *bias += share * slope;
            }
        }
        (loss, gradient)
    }

    /// The same map of features as they are.
    fn unscaled(&self, parameters: &[f64]) -> Linear {
        let Scaling { mean, deviation } = &self.scaling;
        let (weights, biases) = parameters.split_at(self.classes * self.width());
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for (row, own) in weights.chunks_exact(self.width().max(1)).zip(biases) {
            let row: Vec<f64> = row.iter().zip(deviation).map(|(weight, deviation)| weight / deviation).collect();
            bias.push((own - dot(&row, mean)) as f32);
            weight.extend(row.into_iter().map(|value| value as f32));
        }
        Linear { weight, bias }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use orthoformer::Tensor;
    use support::numbers;

    use super::super::fit::assert_slopes;
    use super::*;

    /// Examples of random features, of classes in turn, which lie apart by `distance`.
    fn examples(count: usize, classes: usize, distance: f32) -> Vec<Example> {
        let (views, channels) = (2, 5);
        let example = |index: usize| {
            let mut features = numbers(index as u64, views * channels, 1.0);
            features.chunks_mut(channels).for_each(|view| view[index % classes] += distance);
            Example { features: Tensor::new(vec![views, channels], features).expect("views").into(), class: index % classes }
        };
        (0..count).map(example).collect()
    }

    /// The heads, and whether all converged.
    fn fits(examples: &[Example], classes: usize, strengths: &[f64]) -> (Vec<Linear>, bool) {
        let examples: Vec<&Example> = examples.iter().collect();
        let found =
            super::fits(&examples, classes, strengths, &Follower::new(&|_| ControlFlow::Continue(()))).expect("in memory");
        let converged = found.iter().all(|(_, converged)| *converged);
        (found.into_iter().map(|(linear, _)| linear).collect(), converged)
    }

    #[test]
    fn slopes_are_those_of_the_loss() {
        let examples = examples(7, 3, 0.5);
        let rows = Rows::of(&examples.iter().collect::<Vec<_>>(), 3).expect("in memory");
        let at: Vec<f64> = numbers(99, 3 * 6, 1.0).into_iter().map(f64::from).collect();
        assert_slopes(|at| rows.loss(0.3, at), &at);
    }

    #[test]
    fn what_can_be_told_apart_is() {
        let examples = examples(30, 3, 4.0);
        let (found, converged) = fits(&examples, 3, &[1e-3]);
        assert!(converged);
        for example in &examples {
            for view in views(&example.features.read().expect("in memory")) {
                let logits = found[0].logits(view);
                let best = (0..3).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
                assert_eq!(best, Some(example.class), "{logits:?}");
            }
        }
    }

    #[test]
    fn a_stronger_penalty_makes_smaller_weights() {
        let examples = examples(30, 3, 1.0);
        let (found, converged) = fits(&examples, 3, &[1.0, 0.1, 0.01]);
        let size = |linear: &Linear| linear.weight.iter().map(|weight| weight * weight).sum::<f32>();
        let sizes: Vec<f32> = found.iter().map(size).collect();
        assert!(converged && sizes.is_sorted_by(|a, b| 1.5 * a < *b), "{sizes:?}");
    }

    #[test]
    fn the_minimum_does_not_depend_on_where_a_fit_starts_nor_on_units() {
        let examples = examples(20, 2, 1.0);
        let (warm, _) = fits(&examples, 2, &[1.0, 0.1]);
        let (cold, _) = fits(&examples, 2, &[0.1]);
        let far = |a: &Linear, b: &Linear, view: &[f32]| {
            a.logits(view).into_iter().zip(b.logits(view)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        let view = [0.5, -1.0, 2.0, 0.1, 0.0];
        assert!(far(&warm[1], &cold[0], &view) < 1e-3);
        // A channel in other units, and one that is always the same.
        let changed = |view: &[f32]| {
            let mut changed = [view, &[7.0]].concat();
            changed[1] = 1000.0 * changed[1] + 3.0;
            changed
        };
        let other = |example: &Example| {
            let features = views(&example.features.read().expect("in memory")).flat_map(changed).collect();
            Example { features: Tensor::new(vec![2, 6], features).expect("views").into(), class: example.class }
        };
        let others: Vec<Example> = examples.iter().map(other).collect();
        let (in_others, _) = fits(&others, 2, &[0.1]);
        let (expected, found) = (cold[0].logits(&view), in_others[0].logits(&changed(&view)));
        assert!(expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-3), "{expected:?} {found:?}");
    }
}
