//! Trajectory tokens summed over the frames: some heads and vectors of elements in registers at a time.

use orthoformer::kernel::TemporalPoolParams;
use pulp::{Simd, WithSimd};

use super::Environment;
use crate::split::{Axis, Part, axes, rows_of_task, split};

/// Heads and vectors of a tile.
const TILE_HEADS: u32 = 6;
const TILE_VECTORS: usize = 4;

#[derive(Debug)]
pub(crate) struct Step(pub TemporalPoolParams);

impl Step {
    pub fn run(&self, inputs: [&[f32]; 2], pooled: &mut [f32], environment: &Environment<'_>) {
        let p = &self.0;
        let axes = axes(&p.pooled, [p.batch, p.rows, p.heads], [1, rows_of_task(p.rows, p.batch.into()), p.heads]);
        split(&mut pooled[p.pooled.offset as usize..], &axes, p.width as usize, &|part| {
            environment.context.dispatch(Rows { p, axes: &axes, inputs, part });
        });
    }
}

struct Rows<'e> {
    p: &'e TemporalPoolParams,
    axes: &'e [Axis; 3],
    inputs: [&'e [f32]; 2],
    part: Part<'e, 3>,
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Heads that pool the same tokens load them once.
        let together = if self.p.tokens.stride(3) == 0 { TILE_HEADS } else { 1 };
        for batch in self.part.along(0) {
            for row in self.part.along(1) {
                for first in self.part.along(2).step_by(together as usize) {
                    let heads = together.min(self.part.first[2] + self.part.count[2] - first);
                    self.row(simd, [batch, row, first], heads);
                }
            }
        }
    }
}

impl Rows<'_> {
    /// Pools for some heads of a row.
    #[inline(always)]
    fn row<S: Simd>(&mut self, simd: S, index: [u32; 3], heads: u32) {
        let (width, lanes) = (self.p.width as usize, S::F32_LANES);
        let mut column = 0;
        while width - column >= TILE_VECTORS * lanes {
            match heads {
                6 => self.tile::<S, 6, TILE_VECTORS>(simd, index, column, TILE_VECTORS * lanes),
                _ => {
                    for head in 0..heads {
                        self.tile::<S, 1, TILE_VECTORS>(simd, plus(index, head), column, TILE_VECTORS * lanes);
                    }
                }
            }
            column += TILE_VECTORS * lanes;
        }
        while column < width {
            let count = lanes.min(width - column);
            match heads {
                6 => self.tile::<S, 6, 1>(simd, index, column, count),
                _ => {
                    for head in 0..heads {
                        self.tile::<S, 1, 1>(simd, plus(index, head), column, count);
                    }
                }
            }
            column += count;
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, index: [u32; 3], column: usize, count: usize) {
        let (p, [weights, tokens]) = (self.p, self.inputs);
        let [batch, row, head] = index;
        let shares: [&[f32]; R] = std::array::from_fn(|own| p.weights.row(weights, &[batch, head + own as u32, row], p.frames));
        let first = p.tokens.at(&[batch, row, 0, head]) + column;
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for frame in 0..p.frames as usize {
            let token = &tokens[first + frame * p.tokens.stride(2) as usize..][..count];
            let vectors: [S::f32s; V] = load(simd, token);
            for (sums, shares) in sums.iter_mut().zip(shares) {
                let share = simd.splat_f32s(shares[frame]);
                for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                    *sum = simd.mul_add_e_f32s(share, vector, *sum);
                }
            }
        }
        for (own, sums) in sums.iter().enumerate() {
            let index = [batch, row, head + own as u32];
            store(simd, &mut self.part.from(self.axes, index)[column..][..count], sums);
        }
    }
}

fn plus([batch, row, head]: [u32; 3], heads: u32) -> [u32; 3] {
    [batch, row, head + heads]
}

/// `V` whole vectors, or one that may have fewer lanes.
#[inline(always)]
fn load<S: Simd, const V: usize>(simd: S, elements: &[f32]) -> [S::f32s; V] {
    let (vectors, rest) = S::as_simd_f32s(elements);
    let whole = vectors.as_chunks::<V>().0;
    match whole.first() {
        Some(whole) => *whole,
        None => [simd.partial_load_f32s(rest); V],
    }
}

#[inline(always)]
fn store<S: Simd, const V: usize>(simd: S, elements: &mut [f32], sums: &[S::f32s; V]) {
    let (vectors, rest) = S::as_mut_simd_f32s(elements);
    match vectors.as_chunks_mut::<V>().0.first_mut() {
        Some(whole) => *whole = *sums,
        None => simd.partial_store_f32s(rest, sums[0]),
    }
}
