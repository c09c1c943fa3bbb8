//! Reference of `shaders/attend_rows.wgsl`: attention weights of chosen queries.

use super::{dot, softmax};
use crate::params::AttendRowsParams;

/// Inputs: queries, keys, chosen (32-bit integers); output: weights. See [`AttendRowsParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], weights: &mut [f32]) {
    let p: AttendRowsParams = bytemuck::pod_read_unaligned(params);
    let &[queries, keys, chosen] = inputs else { return };
    let mut out = p.out_offset as usize;
    let row_of = |buffer: &'_ [f32], start: u32| -> Vec<f32> { buffer[start as usize..][..p.head_size as usize].to_vec() };
    for batch in 0..p.batch {
        for head in 0..p.heads {
            for choice in &chosen[..p.chosen_count as usize] {
                let row = choice.to_bits().min(p.rows - 1);
                let q_start = p.q_offset + batch * p.q_batch_stride + head * p.q_head_stride + row * p.q_row_stride;
                let query = row_of(queries, q_start);
                for segment in 0..p.segments {
                    let outer = p.k_offset + batch * p.k_batch_stride + head * p.k_head_stride;
                    let k_start = outer + segment * p.k_segment_stride;
                    let score = |key| f64::from(p.scale) * dot(&query, &row_of(keys, k_start + key * p.k_row_stride));
                    let mut row_weights: Vec<f64> = (0..p.keys).map(score).collect();
                    softmax(&mut row_weights);
                    for (weight, value) in weights[out..].iter_mut().zip(&row_weights) {
                        *weight = *value as f32;
                    }
                    out += row_weights.len();
                }
            }
        }
    }
}
