//! An attentive head: learned queries attend to all tokens of a view, and what they see is classified by a linear layer.
//!
//! ```text
//! s_hn = q_h . x_n     a_h = softmax_n s_h     p_h = sum_n a_hn x_n     z = W p + b
//! ```
//!
//! Nothing is between a query and its scores, or between what it sees and the linear layer, that is not linear. A projection to keys
//! would make another vector of `q_h`, and one to values another matrix of `W`: both are in there already.
//!
//! Minimised is `mean_i (log sum_k exp z_ik - z_i,y_i) + strength/2 (sum W^2 + sum q^2)` by L-BFGS, from small random queries and no
//! weights. Each channel of all tokens `x_n` was brought to a mean of 0 and a deviation of 1; both are folded into `q`, `W` and `b` in
//! the end. The means shift all scores of a query alike, which a softmax does not see. Tokens are read view by view, for each step of a
//! fit, so that memory does not depend on the number of clips.

use orthoformer::Result;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::Example;
use super::fit::{Fitted, Follower, Scaling, Slope, add, cross_entropy, dot, minimise, views};

/// Queries of a head that is trained.
const QUERIES: usize = 4;
/// Deviation of the scores where a fit starts: near the mean of all tokens, but not the same for all queries.
const START: f64 = 0.3;
/// Norm of the gradient at which a fit has converged. It is about 1 where a fit starts.
const CONVERGED: f64 = 1e-3;
/// Most iterations of a fit.
const MOST_ITERATIONS: u64 = 200;

/// Queries, weights and biases.
#[derive(Clone, Debug, PartialEq)]
pub struct Attentive {
    /// Channels of a token.
    pub channels: usize,
    /// Queries `[heads, channels]`.
    pub queries: Vec<f32>,
    /// Weights `[classes, heads, channels]`.
    pub weight: Vec<f32>,
    /// Biases `[classes]`.
    pub bias: Vec<f32>,
}

impl Attentive {
    /// The logits of the tokens `[tokens, channels]` of a view.
    pub fn logits(&self, tokens: &[f32]) -> Vec<f32> {
        let seen = Seen::of(&widened(&self.queries), tokens, self.channels).values;
        let logit = |(weights, bias): (&[f32], &f32)| (dot(&widened(weights), &seen) + f64::from(*bias)) as f32;
        self.weight.chunks_exact(seen.len().max(1)).zip(&self.bias).map(logit).collect()
    }
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// What queries see of the tokens of a view.
struct Seen {
    /// Attention `[tokens, heads]`.
    attention: Vec<f64>,
    /// Sums of tokens `[heads, channels]`.
    values: Vec<f64>,
}

impl Seen {
    fn of(queries: &[f64], tokens: &[f32], channels: usize) -> Self {
        let channels = channels.max(1);
        let heads = queries.len() / channels;
        let mut attention = Vec::with_capacity(heads * tokens.len() / channels);
        each(tokens, channels, |token| attention.extend(queries.chunks_exact(channels).map(|query| dot(query, token))));
        softmax(&mut attention, heads);
        let (mut values, mut rows) = (vec![0.0; queries.len()], attention.chunks_exact(heads.max(1)));
        each(tokens, channels, |token| {
            let shares = rows.next().unwrap_or_default();
            values.chunks_exact_mut(channels).zip(shares).for_each(|(sum, &share)| add(sum, share, token));
        });
        Self { attention, values }
    }
}

/// Goes through tokens, in float64.
fn each(tokens: &[f32], channels: usize, mut take: impl FnMut(&[f64])) {
    let mut wide = vec![0.0; channels];
    for token in tokens.chunks_exact(channels) {
        wide.iter_mut().zip(token).for_each(|(wide, &value)| *wide = f64::from(value));
        take(&wide);
    }
}

/// Scores `[tokens, heads]` to shares of one over all tokens.
fn softmax(scores: &mut [f64], heads: usize) {
    let heads = heads.max(1);
    let (mut peaks, mut totals) = (vec![f64::NEG_INFINITY; heads], vec![0.0; heads]);
    for row in scores.chunks_exact(heads) {
        peaks.iter_mut().zip(row).for_each(|(peak, &score)| *peak = peak.max(score));
    }
    for row in scores.chunks_exact_mut(heads) {
        for ((score, peak), total) in row.iter_mut().zip(&peaks).zip(&mut totals) {
            *score = (*score - peak).exp();
            *total += *score;
        }
    }
    scores.chunks_exact_mut(heads).for_each(|row| row.iter_mut().zip(&totals).for_each(|(share, total)| *share /= total));
}

/// Heads of these examples for several strengths of the penalty, and whether each converged. All fits start from the same random
/// queries: those of a strong penalty are alike, and would stay so.
pub(super) fn fits(
    examples: &[&Example],
    classes: usize,
    (strengths, seed): (&[f64], u64),
    follower: &Follower<'_>,
) -> Fitted<Vec<(Attentive, bool)>> {
    let problem = Problem::of(examples, classes)?;
    let mut found = Vec::new();
    for &strength in strengths {
        let loss = |at: &[f64]| problem.loss(strength, at, follower);
        let (parameters, converged) = minimise(loss, problem.start(seed), CONVERGED, MOST_ITERATIONS)?;
        found.push((problem.unscaled(&parameters), converged));
        follower.count(1);
    }
    Ok(found)
}

/// The examples, and the units of their channels.
struct Problem<'e> {
    examples: &'e [&'e Example],
    classes: usize,
    scaling: Scaling,
}

impl<'e> Problem<'e> {
    fn of(examples: &'e [&'e Example], classes: usize) -> Result<Self> {
        Ok(Self { examples, classes, scaling: Scaling::of(examples)? })
    }

    fn channels(&self) -> usize {
        self.scaling.mean.len()
    }

    /// Parameters that a fit starts at: queries, weights, biases.
    fn start(&self, seed: u64) -> Vec<f64> {
        let (width, mut random) = (QUERIES * self.channels(), ChaCha8Rng::seed_from_u64(seed));
        // Uniform from -1 to 1 has a deviation of one by the root of three.
        let size = START * (3.0 / self.channels().max(1) as f64).sqrt();
        let mut start: Vec<f64> = (0..width).map(|_| size * random.random_range(-1.0..1.0)).collect();
        start.resize(width + self.classes * (width + 1), 0.0);
        start
    }

    /// The penalised loss.
    fn loss(&self, strength: f64, parameters: &[f64], follower: &Follower<'_>) -> Fitted<Slope> {
        let width = QUERIES * self.channels();
        let (penalised, _) = parameters.split_at(width * (1 + self.classes));
        let mut loss = 0.5 * strength * dot(penalised, penalised);
        let mut gradient: Vec<f64> = penalised.iter().map(|value| strength * value).collect();
        gradient.resize(parameters.len(), 0.0);
        let queries = self.of_channels(&parameters[..width], |query, _, deviation| query / deviation);
        let mut count = 0.0;
        let (mut losses, mut slopes) = (0.0, vec![0.0; parameters.len()]);
        for example in self.examples {
            follower.ask()?;
            for tokens in views(&*example.features.read()?) {
                losses += self.view(tokens, example.class, (&queries, &parameters[width..]), &mut slopes);
                count += 1.0;
            }
        }
        loss += losses / count;
        add(&mut gradient, 1.0 / count, &slopes);
        Ok((loss, gradient))
    }

    /// Values `[heads, channels]` in other units.
    fn of_channels(&self, values: &[f64], change: impl Fn(f64, f64, f64) -> f64) -> Vec<f64> {
        let units = self.scaling.mean.iter().zip(&self.scaling.deviation).cycle();
        values.iter().zip(units).map(|(&value, (&mean, &deviation))| change(value, mean, deviation)).collect()
    }

    /// The loss of a view, whose slopes are added. Queries are in units of the tokens; weights, and biases behind them, of standardised ones.
    fn view(&self, tokens: &[f32], truth: usize, (queries, layer): (&[f64], &[f64]), slopes: &mut [f64]) -> f64 {
        let (channels, width) = (self.channels().max(1), queries.len().max(1));
        let (weights, biases) = layer.split_at(self.classes * queries.len());
        let seen = Seen::of(queries, tokens, channels);
        let standard = self.of_channels(&seen.values, |value, mean, deviation| (value - mean) / deviation);
        let mut logits: Vec<f64> =
            weights.chunks_exact(width).zip(biases).map(|(row, bias)| dot(row, &standard) + bias).collect();
        let loss = cross_entropy(&mut logits, truth);
        let (query_slopes, layer_slopes) = slopes.split_at_mut(queries.len());
        let (weight_slopes, bias_slopes) = layer_slopes.split_at_mut(weights.len());
        let mut wanted = vec![0.0; queries.len()];
        for (class, &slope) in logits.iter().enumerate() {
            add(&mut weight_slopes[class * width..][..width], slope, &standard);
            bias_slopes[class] += slope;
            add(&mut wanted, slope, &weights[class * width..][..width]);
        }
        let wanted = self.of_channels(&wanted, |slope, _, deviation| slope / deviation);
        let of_queries = through_attention(tokens, channels, &seen, &wanted);
        // The query is the standardised one by the deviation.
        let of_queries = self.of_channels(&of_queries, |slope, _, deviation| slope / deviation);
        add(query_slopes, 1.0, &of_queries);
        loss
    }

    /// The same head for tokens as they are.
    fn unscaled(&self, parameters: &[f64]) -> Attentive {
        let (channels, width) = (self.channels(), QUERIES * self.channels());
        let (weights, biases) = parameters[width..].split_at(self.classes * width);
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for (row, own) in weights.chunks_exact(width.max(1)).zip(biases) {
            let moved: f64 = self.of_channels(row, |weight, mean, deviation| weight * mean / deviation).iter().sum();
            bias.push((own - moved) as f32);
            weight.extend(self.of_channels(row, |weight, _, deviation| weight / deviation).into_iter().map(|value| value as f32));
        }
        let queries = self.of_channels(&parameters[..width], |query, _, deviation| query / deviation);
        Attentive { channels, queries: queries.into_iter().map(|value| value as f32).collect(), weight, bias }
    }
}

/// Slopes of queries `[heads, channels]`, from those of what they see: `sum_n a_n (g . x_n - sum_m a_m g . x_m) x_n`, in one pass.
fn through_attention(tokens: &[f32], channels: usize, seen: &Seen, wanted: &[f64]) -> Vec<f64> {
    let heads = wanted.len() / channels;
    let (mut slopes, mut means) = (vec![0.0; wanted.len()], vec![0.0; heads]);
    let mut rows = seen.attention.chunks_exact(heads.max(1));
    each(tokens, channels, |token| {
        let shares = rows.next().unwrap_or_default();
        for (head, &share) in shares.iter().enumerate() {
            let own = head * channels..(head + 1) * channels;
            let slope = share * dot(&wanted[own.clone()], token);
            means[head] += slope;
            add(&mut slopes[own], slope, token);
        }
    });
    let values = seen.values.chunks_exact(channels).zip(means);
    slopes.chunks_exact_mut(channels).zip(values).for_each(|(slopes, (values, mean))| add(slopes, -mean, values));
    slopes
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use orthoformer::Tensor;
    use support::numbers;

    use super::super::fit::assert_slopes;
    use super::*;

    const CHANNELS: usize = 6;

    fn follower() -> Follower<'static> {
        Follower::new(&|_| ControlFlow::Continue(()))
    }

    /// Views of random tokens, of which one is marked, in channel 0. What channels 1 and 2 say of it is the class, and says nothing of all the others.
    fn examples(count: usize, tokens: usize) -> Vec<Example> {
        let example = |index: usize| {
            let class = index % 2;
            let mut values = numbers(index as u64, 2 * tokens * CHANNELS, 1.0);
            for (view, tokens) in values.chunks_mut(tokens * CHANNELS).enumerate() {
                let marked = (7 * index + 3 * view) % (tokens.len() / CHANNELS);
                for (number, token) in tokens.chunks_mut(CHANNELS).enumerate() {
                    token[0] = 0.1 * token[0] + if number == marked { 3.0 } else { 0.0 };
                    // Far from zero, and in other units.
                    token[3] = 1000.0 + 50.0 * token[3];
                    let sign = if number == marked { [1.0, -1.0][class] } else { token[1].signum() };
                    (token[1], token[2]) = (sign, -sign);
                }
            }
            Example { features: Tensor::new(vec![2, tokens, CHANNELS], values).expect("views").into(), class }
        };
        (0..count).map(example).collect()
    }

    #[test]
    fn slopes_are_those_of_the_loss() {
        let examples = examples(5, 7);
        let examples: Vec<&Example> = examples.iter().collect();
        let problem = Problem::of(&examples, 3).expect("in memory");
        let count = QUERIES * CHANNELS * 4 + 3;
        let at: Vec<f64> = numbers(98, count, 1.0).into_iter().map(f64::from).collect();
        assert_eq!(problem.start(0).len(), count);
        assert_slopes(|at| problem.loss(0.3, at, &follower()).expect("in memory"), &at);
    }

    #[test]
    fn a_head_is_the_same_in_the_units_of_the_tokens() {
        let examples = examples(5, 7);
        let examples: Vec<&Example> = examples.iter().collect();
        let problem = Problem::of(&examples, 3).expect("in memory");
        let at: Vec<f64> = numbers(97, QUERIES * CHANNELS * 4 + 3, 0.5).into_iter().map(f64::from).collect();
        let head = problem.unscaled(&at);
        let mut losses = Vec::new();
        for example in &examples {
            for tokens in views(&example.features.read().expect("in memory")) {
                let mut logits = widened(&head.logits(tokens));
                losses.push(cross_entropy(&mut logits, example.class));
            }
        }
        let (expected, _) = problem.loss(0.0, &at, &follower()).expect("in memory");
        let found = losses.iter().sum::<f64>() / losses.len() as f64;
        assert!((found - expected).abs() < 1e-3, "{found} {expected}");
    }

    #[test]
    fn the_token_that_matters_is_found() {
        let (trained, judged) = (examples(200, 16), examples(260, 16).split_off(200));
        let trained: Vec<&Example> = trained.iter().collect();
        let found = fits(&trained, 2, (&[1e-2], 3), &follower()).expect("in memory");
        let (head, converged) = &found[0];
        let mut right = 0;
        for example in &judged {
            for tokens in views(&example.features.read().expect("in memory")) {
                let logits = head.logits(tokens);
                right += usize::from((logits[1] > logits[0]) == (example.class == 1));
            }
        }
        println!("{right} of 120 right, converged: {converged}");
        assert!(right >= 114 && *converged, "{right} of 120 right");
        assert_eq!(fits(&trained, 2, (&[1e-2], 3), &follower()).expect("in memory")[0].0, *head, "the same seed");
    }
}
