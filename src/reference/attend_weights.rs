//! Reference of `shaders/attend_weights.wgsl`: softmax rows of all queries.

use super::{dot, softmax};
use crate::params::AttendWeightsParams;

/// Inputs: queries, keys; output: weights. See [`AttendWeightsParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], weights: &mut [f32]) {
    let p: AttendWeightsParams = bytemuck::pod_read_unaligned(params);
    let &[queries, keys] = inputs else { return };
    let row_of = |buffer: &'_ [f32], start: u32| -> Vec<f32> { buffer[start as usize..][..p.head_size as usize].to_vec() };
    for batch in 0..p.batch {
        for head in 0..p.heads {
            for group in 0..p.groups {
                let q_start = p.q_offset + batch * p.q_batch_stride + head * p.q_head_stride + group * p.q_group_stride;
                let k_start = p.k_offset + batch * p.k_batch_stride + head * p.k_head_stride + group * p.k_group_stride;
                let out = p.out_offset + batch * p.out_batch_stride + head * p.out_head_stride + group * p.out_group_stride;
                let keys: Vec<Vec<f32>> = (0..p.keys).map(|key| row_of(keys, k_start + key * p.k_row_stride)).collect();
                for row in 0..p.rows {
                    let query = row_of(queries, q_start + row * p.q_row_stride);
                    let mut scores: Vec<f64> = keys.iter().map(|key| f64::from(p.scale) * dot(&query, key)).collect();
                    softmax(&mut scores);
                    let start = (out + row * p.out_row_stride) as usize;
                    for (weight, score) in weights[start..].iter_mut().zip(scores) {
                        *weight = score as f32;
                    }
                }
            }
        }
    }
}
