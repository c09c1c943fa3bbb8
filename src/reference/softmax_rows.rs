//! Reference of `shaders/softmax_rows.wgsl`: softmax of rows, and the logarithms of their sums.

use super::softmax;
use crate::params::SoftmaxRowsParams;

/// Input: scores; output: weights, and sums among them. See [`SoftmaxRowsParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], weights: &mut [f32]) {
    let p: SoftmaxRowsParams = bytemuck::pod_read_unaligned(params);
    let &[scores] = inputs else { return };
    for (batch, group) in (0..p.batch).flat_map(|batch| (0..p.groups).map(move |group| (batch, group))) {
        for row in 0..p.rows {
            let start =
                p.scores_offset + batch * p.scores_batch_stride + group * p.scores_group_stride + row * p.scores_row_stride;
            let own: Vec<f64> = scores[start as usize..][..p.keys as usize].iter().map(|&score| score.into()).collect();
            let mut shares = own.clone();
            softmax(&mut shares);
            let to =
                p.weights_offset + batch * p.weights_batch_stride + group * p.weights_group_stride + row * p.weights_row_stride;
            for (weight, share) in weights[to as usize..].iter_mut().zip(shares) {
                *weight = share as f32;
            }
            if p.has_sums != 0 {
                let at = p.sums_offset + batch * p.sums_batch_stride + group * p.sums_group_stride + row * p.sums_row_stride;
                let peak = own.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = own.iter().map(|score| (score - peak).exp()).sum();
                weights[at as usize] = (peak + total.ln()) as f32;
            }
        }
    }
}
