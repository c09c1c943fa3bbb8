//! Softmax of rows of scores, and their log sums, which merge rows that were cut into chunks.

use super::arithmetic::softmax;
use super::declaration::{count, kernel, looped};
use crate::view::indices;

kernel! {
    /// Softmax of rows (`softmax_rows`): `weights[b,g,r,j] = exp(scores[b,g,r,j] - sums[b,g,r])` with `sums[b,g,r] = log sum_j exp(scores[b,g,r,j])`.
    SoftmaxRows, SoftmaxRowsParams, "softmax_rows", |p|
    sizes {
        /// Batch items.
        batch,
        /// Groups of rows.
        groups,
        /// Rows of a group.
        rows,
        /// Scores of a row.
        keys,
    }
    flags {
        /// 1 if the log sums are written too, else 0.
        has_sums,
    }
    read scores {
        /// Scores of a row follow each other.
        scores: [batch, groups, rows; keys],
    }
    write weights {
        /// Weights of a row follow each other.
        weights: [batch, groups, rows; keys],
        /// A log sum a row.
        sums: [batch, groups, rows; 1] if has_sums,
    }
    workgroup: 64,
    workgroups: count(&[p.batch, p.groups, p.rows]),
    multiply_adds: count(&[p.batch, p.groups, p.rows, p.keys]),
    iterations: 3 * looped(p.keys.div_ceil(64).into(), 0) + 2 * looped(6, 0),
    accesses_in_range: true,
    reference: reference,
}

/// Input: scores; output: weights, and sums among them.
fn reference(p: &SoftmaxRowsParams, inputs: &[&[f32]], output: &mut [f32]) {
    let &[scores] = inputs else { return };
    for index in indices([p.batch, p.groups, p.rows]) {
        let row: Vec<f64> = p.scores.row(scores, &index, p.keys).iter().map(|&score| score.into()).collect();
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|score| (score - max).exp()).sum();
        if p.has_sums != 0 {
            output[p.sums.at(&index)] = (max + sum.ln()) as f32;
        }
        let mut weights = row;
        softmax(&mut weights);
        for (weight, share) in p.weights.row_mut(output, &index, p.keys).iter_mut().zip(weights) {
            *weight = share as f32;
        }
    }
}
