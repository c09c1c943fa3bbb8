//! Reference of `shaders/deformable_scores.wgsl`: queries against keys where samples lie.

use super::deformable::Grid;
use super::dot;
use crate::params::DeformableScoresParams;

/// Inputs: queries, keys, displacements; output: logits. See [`DeformableScoresParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], logits: &mut [f32]) {
    let p: DeformableScoresParams = bytemuck::pod_read_unaligned(params);
    let &[queries, keys, displacements] = inputs else { return };
    let grid = Grid { rows: p.grid_rows, columns: p.grid_columns, sub_clip: p.sub_clip, samples: p.samples };
    let part = |buffer, start: u32| vector(buffer, start, p.head_size);
    for batch in 0..p.batch {
        for head in 0..p.heads {
            for token in 0..p.frames * p.grid_rows * p.grid_columns {
                let start = p.q_offset + batch * p.q_batch_stride + head * p.q_head_stride + token * p.q_token_stride;
                let query = part(queries, start);
                let start =
                    p.logit_offset + batch * p.logit_batch_stride + head * p.logit_head_stride + token * p.logit_token_stride;
                let outer = p.displacement_offset + batch * p.displacement_batch_stride + head * p.displacement_head_stride;
                for sample in 0..p.sub_clip * p.samples {
                    let at = (outer + token * p.displacement_token_stride + sample * 2) as usize;
                    let corners = grid.corners(token, sample, (displacements[at], displacements[at + 1]));
                    let of_corner = |(corner, share): (u32, f64)| {
                        let start = p.k_offset + batch * p.k_batch_stride + head * p.k_head_stride + corner * p.k_token_stride;
                        share * dot(query, part(keys, start))
                    };
                    let score: f64 = corners.into_iter().map(of_corner).sum();
                    logits[(start + sample) as usize] = (f64::from(p.scale) * score) as f32;
                }
            }
        }
    }
}

fn vector(buffer: &[f32], start: u32, len: u32) -> &[f32] {
    &buffer[start as usize..(start + len) as usize]
}
