//! Attention of a block of query rows to the keys and values of a segment. Scores stay in the cache.
//!
//! Up to [`SINGLE_PASS`] keys have their softmax at once; more go by chunks, with a running row max and row sum (online softmax).
//!
//! **Precision.** A softmax needs the differences of its logits to about 1e-5. Float32 dot products do for logits up to some tens. Rows that
//! may have more (by their length and that of the longest key) are split as in the kernels: `q = q_c + q_f` and `k = k_c + k_f`, coarse parts
//! being multiples of a power of two, up to 256 times. Products and sums of coarse parts are then exact in float32 (up to 256 columns), and
//! what is left, `q_c k_f + q_f k`, is 2^8 times smaller. The scale comes after the subtraction of the row max.

use std::ops::Range;

use pulp::Simd;

use super::bias::SplitScores;
pub use super::bias::{LogitBias, NoBias};
use super::epilogue::Plain;
use super::exp::exp;
use super::lanes::{first_of, fold, map, map2};
use super::matrix::{Aligned, Matrix, Rows, RowsMut};
use super::panels::Panels;
use super::product::Product;
use super::softmax::{exp_row, max_of_sums, row_max, shift_of};

/// Rows whose logits may be larger get exact scores.
pub const PLAIN_LOGIT: f32 = 64.0;
/// Query rows whose scores are in the cache at a time: a multiple of a tile's rows.
const BLOCK_ROWS: usize = 24;
/// Keys of a single pass at most.
const SINGLE_PASS: usize = 1024;
/// Panels of a chunk of more keys.
const CHUNK_PANELS: usize = 6;

/// The keys of a segment, packed.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    plain: Panels,
    /// Their coarse parts, and fine parts over the whole keys; only where some row may need them.
    coarse: Panels,
    fine: Panels,
    refined: bool,
    /// Length of the longest key.
    largest: f32,
    buffer: Aligned,
}

impl Keys {
    /// Packs `count` keys of `size` elements: rows of a matrix with any strides. `query_length` is that of the longest query times the
    /// scale's size, or infinity if that is not known: where no logit exceeds [`PLAIN_LOGIT`], exact scores need not be prepared.
    #[inline(always)]
    pub fn pack<S: Simd>(&mut self, simd: S, keys: Matrix<'_>, count: usize, size: usize, query_length: f32) {
        self.plain.pack(simd, keys.transposed(), size, count);
        // Lanes beyond the last key are zero.
        let mut largest = simd.splat_f32s(0.0);
        for panel in 0..self.plain.count() {
            let panel = self.plain.panel(panel, 0..size);
            let vectors = S::as_simd_f32s(panel.elements).0;
            for first in 0..panel.vectors {
                let mut squares = simd.splat_f32s(0.0);
                for &vector in vectors.iter().skip(first).step_by(panel.vectors) {
                    squares = simd.mul_add_e_f32s(vector, vector, squares);
                }
                largest = simd.max_f32s(largest, squares);
            }
        }
        self.largest = simd.reduce_max_f32s(largest).sqrt();
        // NaN (no length times infinity, or what is not finite) counts as more.
        let plain = self.largest * query_length <= PLAIN_LOGIT;
        self.refined = !plain;
        if self.refined {
            self.refine(simd, keys, count, size);
        }
    }

    /// Bytes of all that is packed.
    pub fn bytes(&self) -> usize {
        self.plain.bytes() + self.coarse.bytes() + self.fine.bytes()
    }

    /// Whether they serve queries of this length, times the scale's size.
    pub fn serves(&self, query_length: f32) -> bool {
        self.refined || self.largest * query_length <= PLAIN_LOGIT
    }

    /// Splits the keys.
    #[inline(always)]
    fn refine<S: Simd>(&mut self, simd: S, keys: Matrix<'_>, count: usize, size: usize) {
        let mut largest = simd.splat_f32s(0.0);
        for panel in 0..self.plain.count() {
            for &vector in S::as_simd_f32s(self.plain.panel(panel, 0..size).elements).0 {
                largest = simd.max_f32s(largest, simd.abs_f32s(vector));
            }
        }
        let rounding = rounding_of(simd.reduce_max_f32s(largest));
        let split = self.buffer.elements_mut(count * 3 * size);
        let (coarse, others) = split.split_at_mut(count * size);
        for (key, (coarse, others)) in coarse.chunks_exact_mut(size).zip(others.chunks_exact_mut(2 * size)).enumerate() {
            let (fine, whole) = others.split_at_mut(size);
            let elements = keys.from(key, 0);
            for at in 0..size {
                let element = elements[at * keys.column_stride];
                coarse[at] = coarse_of(element, rounding);
                fine[at] = element - coarse[at];
                whole[at] = element;
            }
        }
        let packed = |elements, size| Matrix { elements, row_stride: 1, column_stride: size };
        self.coarse.pack(simd, packed(coarse, size), size, count);
        self.fine.pack(simd, packed(others, 2 * size), 2 * size, count);
    }
}

/// What rounds to multiples of a power of two of which `largest` is at most 256, when added and subtracted.
fn rounding_of(largest: f32) -> f32 {
    let exponent = (largest.to_bits() >> 23).clamp(8, 230);
    f32::from_bits((exponent - 7) << 23) * 12_582_912.0
}

/// The coarse part of an element.
#[inline(always)]
fn coarse_of(element: f32, rounding: f32) -> f32 {
    (element + rounding) - rounding
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct AttentionScratch {
    scores: Aligned,
    fine_scores: Aligned,
    coarse_queries: Aligned,
    split_queries: Aligned,
    exact_rows: Vec<usize>,
}

/// A block of query rows and what they attend to.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'e> {
    /// Query rows.
    pub queries: Rows<'e>,
    pub rows: usize,
    /// Elements of a query.
    pub head_size: usize,
    /// Factor on scores.
    pub scale: f32,
    pub keys: &'e Keys,
    /// `[keys, value size]`.
    pub values: &'e Panels,
}

/// A row's softmax so far.
#[derive(Clone, Copy, Debug)]
struct Running {
    max: f32,
    sum: f32,
}

impl Attention<'_> {
    /// Computes a row of values for each query row. A NaN score makes the row NaN, as do logits that are all minus infinity.
    #[inline(always)]
    pub fn run<S: Simd>(&self, simd: S, bias: &impl LogitBias, mut tokens: RowsMut<'_>, scratch: &mut AttentionScratch) {
        for first in (0..self.rows).step_by(BLOCK_ROWS) {
            let block = Self { queries: self.queries.from(first), rows: BLOCK_ROWS.min(self.rows - first), ..*self };
            block.run_block(simd, bias, first, tokens.from(first), scratch);
        }
    }

    #[inline(always)]
    fn run_block<S: Simd>(
        &self,
        simd: S,
        bias: &impl LogitBias,
        first: usize,
        mut tokens: RowsMut<'_>,
        scratch: &mut AttentionScratch,
    ) {
        self.split_queries(simd, scratch);
        let mut running = [Running { max: f32::NEG_INFINITY, sum: 0.0 }; BLOCK_ROWS];
        for panels in chunks(&self.keys.plain, !no_bias(bias)) {
            let keys = self.keys.plain.columns_of(panels.clone());
            let begun = keys.start > 0;
            let stride = keys.len().next_multiple_of(16);
            self.score(simd, panels, stride, scratch);
            for (row, running) in running[..self.rows].iter_mut().enumerate() {
                let scores = &mut scratch.scores.elements_mut(BLOCK_ROWS * stride)[row * stride..][..keys.len()];
                let exact = scratch.exact_rows.iter().position(|&exact| exact == row);
                let fine = exact.map(|at| {
                    let rows = scratch.fine_scores.elements_mut(2 * BLOCK_ROWS * stride).split_at_mut(BLOCK_ROWS * stride);
                    [rows.0, rows.1].map(|rows| &mut rows[at * stride..][..keys.len()])
                });
                let correction = self.weigh(simd, bias, first + row, scores, fine, running);
                if begun {
                    let correction = simd.splat_f32s(correction);
                    map!(simd, tokens.part(row, 0, self.values.columns()), |sum| simd.mul_f32s(sum, correction));
                }
            }
            let weights = Rows { elements: scratch.scores.elements(), stride };
            let product = Product { inner: keys, accumulate: begun, ..Product::new(weights, self.rows, self.values) };
            product.run(simd, RowsMut { elements: &mut *tokens.elements, stride: tokens.stride }, &Plain);
        }
        for (row, running) in running[..self.rows].iter().enumerate() {
            let sum = simd.splat_f32s(running.sum);
            map!(simd, tokens.part(row, 0, self.values.columns()), |value| simd.div_f32s(value, sum));
        }
    }

    /// Finds the rows that need exact scores and splits them.
    #[inline(always)]
    fn split_queries<S: Simd>(&self, simd: S, scratch: &mut AttentionScratch) {
        scratch.exact_rows.clear();
        if !self.keys.refined {
            return;
        }
        let size = self.head_size;
        let coarse_rows = scratch.coarse_queries.elements_mut(BLOCK_ROWS * size);
        let split_rows = scratch.split_queries.elements_mut(BLOCK_ROWS * 2 * size);
        for row in 0..self.rows {
            let query = self.queries.part(row, 0, size);
            let square =
                simd.reduce_sum_f32s(fold!(simd, query, 0.0, |s, x| simd.mul_add_e_f32s(x, x, s), |a, b| simd.add_f32s(a, b)));
            if square.sqrt() * self.keys.largest * self.scale.abs() <= PLAIN_LOGIT {
                continue;
            }
            let at = scratch.exact_rows.len();
            scratch.exact_rows.push(row);
            let rounding = rounding_of(query.iter().fold(0.0, |largest: f32, element| largest.max(element.abs())));
            let coarse = &mut coarse_rows[at * size..][..size];
            let (both_coarse, both_fine) = split_rows[at * 2 * size..][..2 * size].split_at_mut(size);
            for (at, &element) in query.iter().enumerate() {
                coarse[at] = coarse_of(element, rounding);
                both_coarse[at] = coarse[at];
                both_fine[at] = element - coarse[at];
            }
        }
    }

    /// Scores of all rows with some panels of keys.
    #[inline(always)]
    fn score<S: Simd>(&self, simd: S, panels: Range<usize>, stride: usize, scratch: &mut AttentionScratch) {
        let scores = scratch.scores.elements_mut(BLOCK_ROWS * stride);
        let exact = scratch.exact_rows.len();
        if exact < self.rows {
            let product = Product { panels: panels.clone(), ..Product::new(self.queries, self.rows, &self.keys.plain) };
            product.run(simd, RowsMut { elements: &mut *scores, stride }, &Plain);
        }
        if exact == 0 {
            return;
        }
        let fine_scores = scratch.fine_scores.elements_mut(2 * BLOCK_ROWS * stride);
        let (fine, coarse) = fine_scores.split_at_mut(BLOCK_ROWS * stride);
        let rows = |elements, stride| Rows { elements, stride };
        let queries = rows(scratch.coarse_queries.elements(), self.head_size);
        let product = Product { panels: panels.clone(), ..Product::new(queries, exact, &self.keys.coarse) };
        product.run(simd, RowsMut { elements: &mut *coarse, stride }, &Plain);
        let queries = rows(scratch.split_queries.elements(), 2 * self.head_size);
        let product = Product { panels, ..Product::new(queries, exact, &self.keys.fine) };
        product.run(simd, RowsMut { elements: fine, stride }, &Plain);
        for (at, &row) in scratch.exact_rows.iter().enumerate() {
            scores[row * stride..][..stride].copy_from_slice(&coarse[at * stride..][..stride]);
        }
    }

    /// Turns scores of a row into weights. `fine` has their fine parts where they are exact, and a row to use. Returns the factor on the sums of
    /// earlier keys.
    #[inline(always)]
    fn weigh<S: Simd>(
        &self,
        simd: S,
        bias: &impl LogitBias,
        row: usize,
        scores: &mut [f32],
        fine: Option<[&mut [f32]; 2]>,
        running: &mut Running,
    ) -> f32 {
        // A negative scale makes the least score the greatest logit.
        let scale = self.scale.abs();
        let sign = simd.splat_f32s(if self.scale < 0.0 { -1.0 } else { 1.0 });
        if self.scale < 0.0 {
            map!(simd, scores, |score| simd.neg_f32s(score));
        }
        let fine = match fine {
            Some([fine, spare]) if !no_bias(bias) => {
                running.sum = SplitScores { coarse: scores, fine, spare }.weigh(simd, bias, row, [scale, self.scale.signum()]);
                return 1.0;
            }
            fine => fine.map(|[fine, _]| &*fine),
        };
        let max = running.max.max(match fine {
            Some(fine) => max_of_sums(simd, scores, fine, sign),
            None => row_max(simd, scores),
        });
        let shift = shift_of(max);
        let correction = one_exp(simd, scale * (running.max - shift));
        running.max = max;
        let shifts = simd.splat_f32s(shift);
        if let Some(fine) = fine {
            map2!(simd, scores, fine, |coarse, fine| simd.mul_add_e_f32s(sign, fine, simd.sub_f32s(coarse, shifts)));
        }
        let left = if fine.is_some() { 0.0 } else { shift };
        if no_bias(bias) {
            running.sum = running.sum.mul_add(correction, exp_row(simd, scores, left, scale));
            return correction;
        }
        let (scales, left) = (simd.splat_f32s(scale), simd.splat_f32s(left));
        map!(simd, scores, |score| simd.mul_f32s(scales, simd.sub_f32s(score, left)));
        bias.add(simd, row, scores);
        running.sum = exp_row(simd, scores, shift_of(row_max(simd, scores)), 1.0);
        correction
    }
}

/// Whether logits are scores alone. With a bias, all logits of a row have to be there at once.
const fn no_bias<B: LogitBias>(_: &B) -> bool {
    B::NONE
}

/// The exponential of one element.
#[inline(always)]
fn one_exp<S: Simd>(simd: S, x: f32) -> f32 {
    first_of::<S>(exp(simd, simd.splat_f32s(x)))
}

/// Panels of a pass each.
fn chunks(keys: &Panels, together: bool) -> impl Iterator<Item = Range<usize>> {
    let panels = keys.count();
    let each = if together || keys.columns() <= SINGLE_PASS { panels } else { CHUNK_PANELS };
    (0..panels).step_by(each.max(1)).map(move |first| first..panels.min(first + each))
}
