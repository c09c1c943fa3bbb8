//! Reference of `shaders/attend.wgsl`: segmented attention, all scores of a row at once.

use super::{dot, softmax};
use crate::params::AttendParams;

/// Inputs: queries, keys, values; output: tokens. See [`AttendParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], tokens: &mut [f32]) {
    let p: AttendParams = bytemuck::pod_read_unaligned(params);
    for batch in 0..p.batch {
        for head in 0..p.heads {
            for group in 0..p.groups {
                for segment in 0..p.segments {
                    for row in 0..p.rows {
                        one_row(&p, [batch, head, group, segment, row], inputs, tokens);
                    }
                }
            }
        }
    }
}

fn one_row(p: &AttendParams, [batch, head, group, segment, row]: [u32; 5], inputs: &[&[f32]], tokens: &mut [f32]) {
    let &[queries, keys, values] = inputs else { return };
    let q_outer = p.q_offset + batch * p.q_batch_stride + head * p.q_head_stride + group * p.q_group_stride;
    let query = at(queries, q_outer + row * p.q_row_stride, p.head_size);
    let key_start = |key: u32| {
        let outer = batch * p.k_batch_stride + head * p.k_head_stride;
        match key.checked_sub(p.extra_keys) {
            None => p.k_extra_offset + outer,
            Some(own) => p.k_offset + outer + group * p.k_group_stride + segment * p.k_segment_stride + own * p.k_row_stride,
        }
    };
    let value_start = |key: u32| {
        let outer = batch * p.v_batch_stride + head * p.v_head_stride;
        match key.checked_sub(p.extra_keys) {
            None => p.v_extra_offset + outer,
            Some(own) => p.v_offset + outer + group * p.v_group_stride + segment * p.v_segment_stride + own * p.v_row_stride,
        }
    };
    let total_keys = p.keys + p.extra_keys;
    let mut weights: Vec<f64> =
        (0..total_keys).map(|key| f64::from(p.scale) * dot(query, at(keys, key_start(key), p.head_size))).collect();
    softmax(&mut weights);
    let mut sum = vec![0.0f64; p.value_size as usize];
    for (key, weight) in (0..total_keys).zip(weights) {
        for (sum, &value) in sum.iter_mut().zip(at(values, value_start(key), p.value_size)) {
            *sum += weight * f64::from(value);
        }
    }
    let out_outer = p.out_offset + batch * p.out_batch_stride + head * p.out_head_stride + group * p.out_group_stride;
    let start = (out_outer + row * p.out_row_stride + segment * p.out_segment_stride) as usize;
    for (token, sum) in tokens[start..].iter_mut().zip(sum) {
        *token = sum as f32;
    }
}

fn at(buffer: &[f32], start: u32, len: u32) -> &[f32] {
    &buffer[start as usize..(start + len) as usize]
}
