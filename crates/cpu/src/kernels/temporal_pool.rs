//! Trajectory tokens summed over the frames.

use orthoformer::kernel::TemporalPoolParams;
use pulp::{Simd, WithSimd};

use super::Environment;
use crate::simd::matrix::Rows;
use crate::split::{Axis, Part, axes, rows_of_task, split};

/// Vectors that are summed together.
const TILE_VECTORS: usize = 6;

#[derive(Debug)]
pub(crate) struct Step(pub TemporalPoolParams);

impl Step {
    pub fn run(&self, inputs: [&[f32]; 2], pooled: &mut [f32], environment: &Environment<'_>) {
        let p = &self.0;
        let sizes = [p.batch, p.rows, p.heads];
        let axes = axes(&p.pooled, sizes, [1, rows_of_task(&p.pooled, sizes, 1), p.heads]);
        split(&mut pooled[p.pooled.offset as usize..], &axes, p.width as usize, &|part| {
            environment.context.dispatch(PooledRows { p, axes: &axes, inputs, part });
        });
    }
}

struct PooledRows<'e> {
    p: &'e TemporalPoolParams,
    axes: &'e [Axis; 3],
    inputs: [&'e [f32]; 2],
    part: Part<'e, 3>,
}

impl WithSimd for PooledRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (p, [weights, tokens]) = (self.p, self.inputs);
        for index @ [batch, row, head] in self.part.indices() {
            let weights = p.weights.row(weights, &[batch, head, row], p.frames);
            let tokens = Rows { elements: &tokens[p.tokens.at(&[batch, row, 0, head])..], stride: p.tokens.stride(2) as usize };
            pool_row(simd, weights, tokens, &mut self.part.from(self.axes, index)[..p.width as usize]);
        }
    }
}

/// The sum of rows by their weights.
#[inline(always)]
pub(crate) fn pool_row<S: Simd>(simd: S, weights: &[f32], rows: Rows<'_>, pooled: &mut [f32]) {
    let tile = TILE_VECTORS * S::F32_LANES;
    let width = pooled.len();
    for first in (0..width).step_by(tile) {
        let pooled = &mut pooled[first..width.min(first + tile)];
        let (vectors, rest) = S::as_mut_simd_f32s(pooled);
        let mut sums = [simd.splat_f32s(0.0); TILE_VECTORS];
        let mut rest_sum = simd.splat_f32s(0.0);
        for (frame, &weight) in weights.iter().enumerate() {
            let share = simd.splat_f32s(weight);
            let (others, other_rest) = S::as_simd_f32s(rows.part(frame, first, vectors.len() * S::F32_LANES + rest.len()));
            if let Some(whole) = others.as_chunks::<TILE_VECTORS>().0.first() {
                for at in 0..TILE_VECTORS {
                    sums[at] = simd.mul_add_e_f32s(share, whole[at], sums[at]);
                }
                continue;
            }
            for (sum, &other) in sums.iter_mut().zip(others) {
                *sum = simd.mul_add_e_f32s(share, other, *sum);
            }
            rest_sum = simd.mul_add_e_f32s(share, simd.partial_load_f32s(other_rest), rest_sum);
        }
        for (vector, sum) in vectors.iter_mut().zip(sums) {
            *vector = sum;
        }
        simd.partial_store_f32s(rest, rest_sum);
    }
}
