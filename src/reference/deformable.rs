//! Reference of `shaders/deformable.wgsl`: attention to points of a query's own sub-clip.

use super::softmax;
use crate::params::DeformableParams;

/// The grid that is sampled, as both kernels need it.
pub(super) struct Grid {
    pub rows: u32,
    pub columns: u32,
    pub sub_clip: u32,
    pub samples: u32,
}

impl Grid {
    /// The tokens round sample `sample` of all of a token's, displaced by `(dx, dy)`, and the share of each: none outside of the grid. NaN makes
    /// a share NaN.
    pub fn corners(&self, token: u32, sample: u32, (dx, dy): (f32, f32)) -> Vec<(u32, f64)> {
        let places = self.rows * self.columns;
        let frame = token / places / self.sub_clip * self.sub_clip + sample / self.samples;
        let place = token % places;
        let x = f64::from(place % self.columns) + f64::from(dx);
        let y = f64::from(place / self.columns) + f64::from(dy);
        if x.is_nan() || y.is_nan() {
            return vec![(frame * places, f64::NAN)];
        }
        let corners =
            [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)].map(|(right, below)| (x.floor() + right, y.floor() + below));
        let inside = corners.into_iter().filter(|&(column, row)| {
            (0.0..f64::from(self.columns)).contains(&column) && (0.0..f64::from(self.rows)).contains(&row)
        });
        let of = |(column, row): (f64, f64)| {
            let share = (1.0 - (x - column).abs()) * (1.0 - (y - row).abs());
            (frame * places + row as u32 * self.columns + column as u32, share)
        };
        inside.map(of).collect()
    }
}

/// Inputs: values, displacements, logits; output: tokens. See [`DeformableParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], tokens: &mut [f32]) {
    let p: DeformableParams = bytemuck::pod_read_unaligned(params);
    let &[values, displacements, logits] = inputs else { return };
    let grid = Grid { rows: p.grid_rows, columns: p.grid_columns, sub_clip: p.sub_clip, samples: p.samples };
    let all_samples = p.sub_clip * p.samples;
    for batch in 0..p.batch {
        for head in 0..p.heads {
            for token in 0..p.frames * p.grid_rows * p.grid_columns {
                let start =
                    p.logit_offset + batch * p.logit_batch_stride + head * p.logit_head_stride + token * p.logit_token_stride;
                let mut weights: Vec<f64> = (start..start + all_samples).map(|at| logits[at as usize].into()).collect();
                softmax(&mut weights);
                let outer = p.displacement_offset + batch * p.displacement_batch_stride + head * p.displacement_head_stride;
                let mut sum = vec![0.0f64; p.head_size as usize];
                for (sample, weight) in (0..all_samples).zip(weights) {
                    let at = (outer + token * p.displacement_token_stride + sample * 2) as usize;
                    for (corner, share) in grid.corners(token, sample, (displacements[at], displacements[at + 1])) {
                        let start = p.v_offset + batch * p.v_batch_stride + head * p.v_head_stride + corner * p.v_token_stride;
                        for (sum, &value) in sum.iter_mut().zip(&values[start as usize..]) {
                            *sum += weight * share * f64::from(value);
                        }
                    }
                }
                let start = p.out_offset + batch * p.out_batch_stride + head * p.out_head_stride + token * p.out_token_stride;
                for (token, sum) in tokens[start as usize..].iter_mut().zip(sum) {
                    *token = sum as f32;
                }
            }
        }
    }
}
