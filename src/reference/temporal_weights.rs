//! Reference of `shaders/temporal_weights.wgsl`: softmax over the frames of a trajectory.

use super::{dot, softmax};
use crate::params::TemporalWeightsParams;

/// Inputs: queries, tokens; output: weights. See [`TemporalWeightsParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], weights: &mut [f32]) {
    let p: TemporalWeightsParams = bytemuck::pod_read_unaligned(params);
    let &[queries, tokens] = inputs else { return };
    for batch in 0..p.batch {
        for head in 0..p.heads {
            for row in 0..p.rows {
                let q_start = p.q_offset + batch * p.q_batch_stride + row * p.q_row_stride + head * p.q_head_stride;
                let query = &queries[q_start as usize..][..p.width as usize];
                let t_start = p.t_offset + batch * p.t_batch_stride + row * p.t_row_stride;
                let score = |frame| {
                    let token = &tokens[(t_start + frame * p.t_frame_stride) as usize..][..p.width as usize];
                    f64::from(p.scale) * dot(query, token)
                };
                let mut row_weights: Vec<f64> = (0..p.frames).map(score).collect();
                softmax(&mut row_weights);
                let start = p.out_offset + batch * p.out_batch_stride + head * p.out_head_stride + row * p.out_row_stride;
                for (weight, value) in weights[start as usize..].iter_mut().zip(row_weights) {
                    *weight = value as f32;
                }
            }
        }
    }
}
