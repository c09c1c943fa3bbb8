//! Latents: patches do not attend to anything, latents attend to them. Shown is what one latent sees: the one that attends most to the patch.

use orthoformer::{Result, Tensor};

use super::Architecture;
use crate::attribution::{Attribution, Patch, by_frames, finite, output, softmax};
use crate::model::Model;

/// Latents whose scores are computed together, so that each key is loaded once for all of them.
const TOGETHER: usize = 8;

/// What the latent sees that attends most to the patch, and which it is.
pub(super) fn attribution(a: &Architecture, patch: &Patch, model: &Model<'_>) -> Result<Attribution> {
    let outputs = patch.operands(model)?;
    let attention =
        CrossAttention { queries: output(&outputs, "queries")?, keys: output(&outputs, "keys")?, heads: a.cross.heads };
    let (latents, inputs, input) = (a.latents as usize, a.inputs as usize, patch.number());
    let mut rows = vec![vec![0.0; inputs]; TOGETHER];
    let mut scores = vec![vec![0.0; inputs]; TOGETHER];
    let mut best: (usize, Vec<f64>) = (0, Vec::new());
    for first in (0..latents).step_by(TOGETHER) {
        let together = TOGETHER.min(latents - first);
        rows.iter_mut().for_each(|row| row.fill(0.0));
        let heads = patch.heads(a.cross.heads);
        let share = 1.0 / heads.len().max(1) as f64;
        for head in heads {
            attention.scores(first..first + together, head, &mut scores);
            for (row, weights) in rows.iter_mut().zip(&mut scores).take(together) {
                softmax(weights);
                row.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += share * *weight);
            }
        }
        for (latent, row) in (first..).zip(&mut rows).take(together) {
            let own = row.get(input).copied().unwrap_or_default();
            finite(vec![own as f32])?;
            if best.1.get(input).is_none_or(|&most| own > most) {
                best = (latent, row.clone());
            }
        }
    }
    let (latent, weights) = best;
    let own = weights.get(input).copied().unwrap_or_default();
    let note = format!(
        "Shown is what latent {latent} of {latents} sees of the inputs, ahead of all layers: it attends most to the patch, with {own:.2e} of its attention."
    );
    let weights = finite(weights.into_iter().map(|weight| weight as f32).collect())?;
    Ok(Attribution { frames: by_frames(&weights, patch.patches()), note: Some(note) })
}

/// Queries `[1,L,keys]` of latents and keys `[1,M,keys]` of inputs.
struct CrossAttention<'t> {
    queries: &'t Tensor,
    keys: &'t Tensor,
    heads: u32,
}

impl CrossAttention<'_> {
    /// The scores of all inputs for some latents, each in a row of its own.
    fn scores(&self, latents: std::ops::Range<usize>, head: usize, rows: &mut [Vec<f64>]) {
        let width = self.keys.shape().last().copied().unwrap_or(1).max(1);
        let size = width / self.heads.max(1) as usize;
        let scale = (size.max(1) as f64).sqrt().recip();
        let own = head * size..(head + 1) * size;
        for (input, key) in self.keys.data().chunks(width).enumerate() {
            let key = key.get(own.clone()).unwrap_or_default();
            let queries = self.queries.data().chunks(width).skip(latents.start);
            for (query, row) in queries.zip(&mut *rows).take(latents.len()) {
                if let Some(score) = row.get_mut(input) {
                    *score = scale * f64::from(dot(query.get(own.clone()).unwrap_or_default(), key));
                }
            }
        }
    }
}

/// The product of two rows, summed in several lanes.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let (a_lanes, b_lanes) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = a_lanes.remainder().iter().zip(b_lanes.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_lanes.zip(b_lanes) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(lane, (a, b))| *lane += a * b);
    }
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_products_of_a_heads_part() {
        let row = |factor: f32| (0..40).map(move |value| factor * value as f32);
        let tensor = |factors: &[f32]| {
            let data = factors.iter().flat_map(|&factor| row(factor)).collect();
            Tensor::new(vec![1, factors.len(), 40], data).expect("fits")
        };
        let (queries, keys) = (tensor(&[1.0, -0.5, 2.0]), tensor(&[0.1, 1.0]));
        let attention = CrossAttention { queries: &queries, keys: &keys, heads: 2 };
        let mut rows = vec![vec![0.0; 2]; 2];
        attention.scores(1..3, 1, &mut rows);
        let squares: f64 = (20..40).map(|value| f64::from(value * value)).sum();
        let expected = |factor: f64| factor * squares / 20f64.sqrt();
        for (found, factor) in [(rows[0][0], -0.05), (rows[0][1], -0.5), (rows[1][0], 0.2), (rows[1][1], 2.0)] {
            assert!((found / expected(factor) - 1.0).abs() < 1e-6, "{found}");
        }
    }
}
