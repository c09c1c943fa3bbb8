//! The matrix product `c[m, n] = a[m, k] b[k, n]`, with an epilogue on finished parts of rows.
//!
//! A tile of up to 6 rows and 4 vectors of `c` stays in registers while it goes through [`INNER`] elements of `k`. Sums of such blocks are
//! added in order, so an element depends on its row, its column and `k` alone: on no other row or column, nor on how a product is split.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::epilogue::Epilogue;
use super::matrix::{Rows, RowsMut};
use super::panels::{Panel, Panels};

/// Rows of a tile.
const TILE_ROWS: usize = 6;
/// Elements of `k` that a tile sums before it is stored: a panel's part stays in the second cache.
const INNER: usize = 384;
/// Rows whose part of `a` stays in the second cache.
const BLOCK_ROWS: usize = 192;
/// Elements of `k` of an iteration.
const UNROLL: usize = 4;

/// A product, or a part of its rows and panels.
#[derive(Clone, Debug)]
pub struct Product<'e> {
    /// The left matrix: `rows` rows of as many elements as `inner`.
    pub a: Rows<'e>,
    pub rows: usize,
    /// The right matrix.
    pub b: &'e Panels,
    /// Panels to multiply with. The first of them starts at the first column of the output.
    pub panels: Range<usize>,
    /// Rows of `b` to sum.
    pub inner: Range<usize>,
    /// Whether the product is added to the output.
    pub accumulate: bool,
}

impl<'e> Product<'e> {
    /// All of `a b`.
    pub fn new(a: Rows<'e>, rows: usize, b: &'e Panels) -> Self {
        Self { a, rows, b, panels: 0..b.count(), inner: 0..b.inner(), accumulate: false }
    }

    /// Computes it. The epilogue gets each part of a row once it is finished, with the column in `b`.
    #[inline(always)]
    pub fn run<S: Simd>(&self, simd: S, mut c: RowsMut<'_>, epilogue: &impl Epilogue) {
        let offset = self.b.columns_of(self.panels.clone()).start;
        for first_row in (0..self.rows).step_by(BLOCK_ROWS) {
            let rows = first_row..self.rows.min(first_row + BLOCK_ROWS);
            for part in parts(self.inner.clone()) {
                let accumulate = self.accumulate || part.start > self.inner.start;
                let last = part.end == self.inner.end;
                for panel in self.panels.clone() {
                    let panel = self.b.panel(panel, part.clone());
                    for row in rows.clone().step_by(TILE_ROWS) {
                        let tile_rows = TILE_ROWS.min(rows.end - row);
                        let a =
                            Rows { elements: &self.a.elements[row * self.a.stride + part.start - self.inner.start..], ..self.a };
                        let start = row * c.stride + panel.first - offset;
                        let tile = RowsMut { elements: &mut c.elements[start..], stride: c.stride };
                        run_tile(simd, tile_rows, a, panel, tile, accumulate);
                        if last && !epilogue.is_none() {
                            for row in row..row + tile_rows {
                                let values = c.part(row, panel.first - offset, panel.width);
                                epilogue.finish(simd, row, panel.first, values);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Cuts a range at multiples of [`INNER`]; one part if it is empty.
fn parts(inner: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let count = inner.len().div_ceil(INNER).max(1);
    (0..count).map(move |part| inner.start + part * INNER..inner.end.min(inner.start + (part + 1) * INNER))
}

/// Calls the variant for so many rows and vectors.
#[inline(always)]
fn run_tile<S: Simd>(simd: S, rows: usize, a: Rows<'_>, panel: Panel<'_>, c: RowsMut<'_>, accumulate: bool) {
    macro_rules! vectors {
        ($rows:literal) => {
            match panel.vectors {
                1 => simd.vectorize(Tile::<$rows, 1> { a, panel, c, accumulate }),
                2 => simd.vectorize(Tile::<$rows, 2> { a, panel, c, accumulate }),
                3 => simd.vectorize(Tile::<$rows, 3> { a, panel, c, accumulate }),
                _ => simd.vectorize(Tile::<$rows, 4> { a, panel, c, accumulate }),
            }
        };
    }
    match rows {
        1 => vectors!(1),
        2 => vectors!(2),
        3 => vectors!(3),
        4 => vectors!(4),
        5 => vectors!(5),
        _ => vectors!(6),
    }
}

/// A tile of `R` rows and `V` vectors.
struct Tile<'e, const R: usize, const V: usize> {
    a: Rows<'e>,
    panel: Panel<'e>,
    c: RowsMut<'e>,
    accumulate: bool,
}

impl<const R: usize, const V: usize> WithSimd for Tile<'_, R, V> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let b = S::as_simd_f32s(self.panel.elements).0.as_chunks::<V>().0;
        let a: [&[f32]; R] = std::array::from_fn(|row| self.a.part(row, 0, b.len()));
        let sums = sums_of(simd, a, b);
        for (row, sums) in sums.iter().enumerate() {
            let (vectors, rest) = S::as_mut_simd_f32s(self.c.part(row, 0, self.panel.width));
            for (vector, &sum) in vectors.iter_mut().zip(sums) {
                *vector = if self.accumulate { simd.add_f32s(*vector, sum) } else { sum };
            }
            if !rest.is_empty() {
                let sum = if self.accumulate { simd.add_f32s(simd.partial_load_f32s(rest), sums[V - 1]) } else { sums[V - 1] };
                simd.partial_store_f32s(rest, sum);
            }
        }
    }
}

/// Sums of a tile: each row of `a` times each column of `b`.
#[inline(always)]
fn sums_of<S: Simd, const R: usize, const V: usize>(simd: S, a: [&[f32]; R], b: &[[S::f32s; V]]) -> [[S::f32s; V]; R] {
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    let (blocks, rest) = b.as_chunks::<UNROLL>();
    let a_blocks: [&[[f32; UNROLL]]; R] = a.map(|row| &row.as_chunks::<UNROLL>().0[..blocks.len()]);
    for (at, block) in blocks.iter().enumerate() {
        let a: [&[f32; UNROLL]; R] = std::array::from_fn(|row| &a_blocks[row][at]);
        for step in 0..UNROLL {
            add_products(simd, &mut sums, std::array::from_fn(|row| a[row][step]), &block[step]);
        }
    }
    for (at, b) in rest.iter().enumerate() {
        add_products(simd, &mut sums, std::array::from_fn(|row| a[row][blocks.len() * UNROLL + at]), b);
    }
    sums
}

/// Adds one element of each row times one vector row of `b`.
#[inline(always)]
fn add_products<S: Simd, const R: usize, const V: usize>(simd: S, sums: &mut [[S::f32s; V]; R], a: [f32; R], b: &[S::f32s; V]) {
    for row in 0..R {
        let factor = simd.splat_f32s(a[row]);
        for vector in 0..V {
            sums[row][vector] = simd.mul_add_e_f32s(factor, b[vector], sums[row][vector]);
        }
    }
}
