//! Weights of the frames: dot products of every head's query and every frame's token of a row, and their softmax.
//!
//! Rows whose logits may exceed some tens get dot products in float64, as float32 is off by more than a softmax may be then.

use orthoformer::kernel::TemporalWeightsParams;
use orthoformer::view::BoundView;
use pulp::{Simd, WithSimd};

use super::Environment;
use crate::context::Context;
use crate::simd::attention::PLAIN_LOGIT;
use crate::simd::matrix::{Aligned, Rows};
use crate::simd::softmax::softmax_row;
use crate::split::{Axis, Part, axes, rows_of_task, split};

/// Rows whose dot products with a query are computed together.
const TILE_ROWS: usize = 8;

#[derive(Debug)]
pub(crate) struct Step {
    p: TemporalWeightsParams,
    /// Weights `[batch, rows, heads, frames]`: a row's scores are made together.
    staged: Aligned,
}

impl Step {
    pub fn new(p: TemporalWeightsParams) -> Self {
        Self { p, staged: Aligned::default() }
    }

    pub fn run(&mut self, inputs: [&[f32]; 2], weights: &mut [f32], environment: &Environment<'_>) {
        let (p, context) = (&self.p, environment.context);
        let [batch, heads, rows, frames] = [p.batch, p.heads, p.rows, p.frames].map(|size| size as usize);
        let of_row = heads * frames;
        let staged = self.staged.elements_mut(batch * rows * of_row);
        let view = BoundView::new(0, &[(rows * of_row) as u32, of_row as u32]);
        let sizes = [p.batch, p.rows];
        let staged_axes = axes(&view, sizes, [1, rows_of_task(&view, sizes, 1)]);
        split(staged, &staged_axes, of_row, &|part| rows_of(p, inputs, part, &staged_axes, context));
        let own = axes(&p.weights, [p.batch, p.heads, p.rows], [1, 1, p.rows]);
        split(&mut weights[p.weights.offset as usize..], &own, frames, &|mut part| {
            for index @ [batch, head, row] in part.indices() {
                let from = (batch as usize * rows + row as usize) * of_row + head as usize * frames;
                part.from(&own, index)[..frames].copy_from_slice(&staged[from..][..frames]);
            }
        });
    }
}

fn rows_of(p: &TemporalWeightsParams, inputs: [&[f32]; 2], mut part: Part<'_, 2>, axes: &[Axis; 2], context: &Context) {
    let width = (p.heads * p.frames) as usize;
    for index in part.indices() {
        let weights = &mut part.from(axes, index)[..width];
        context.dispatch(Row { p, inputs, index, weights });
    }
}

struct Row<'e> {
    p: &'e TemporalWeightsParams,
    inputs: [&'e [f32]; 2],
    index: [u32; 2],
    /// `[heads, frames]`.
    weights: &'e mut [f32],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (p, frames, [queries, tokens]) = (self.p, self.p.frames as usize, self.inputs);
        let [batch, row] = self.index;
        let rows = Rows { elements: &tokens[p.tokens.at(&[batch, row])..], stride: p.tokens.stride(2) as usize };
        let mut longest = 0.0;
        for frame in 0..frames {
            let length = length(simd, rows.part(frame, 0, p.width as usize));
            longest = if length <= longest { longest } else { length };
        }
        for (head, weights) in self.weights.chunks_exact_mut(frames).enumerate() {
            let query = p.queries.row(queries, &[batch, row, head as u32], p.width);
            weigh_row(simd, p.scale, query, rows, longest, weights);
        }
    }
}

/// The softmax of a query's dot products with as many rows as there are weights; `longest` is the length of the longest row.
#[inline(always)]
pub(crate) fn weigh_row<S: Simd>(simd: S, scale: f32, query: &[f32], rows: Rows<'_>, longest: f32, weights: &mut [f32]) {
    let row = |number: usize| rows.part(number, 0, query.len());
    // NaN is as good as a large number.
    let is_plain = length(simd, query) * longest * scale.abs() <= PLAIN_LOGIT;
    if is_plain {
        dots_of_rows(simd, scale, query, row, weights);
    } else {
        exact_logits(scale, weights, query, row);
    }
    softmax_row(simd, weights);
}

/// A query's dot products with rows, times the scale.
#[inline(always)]
fn dots_of_rows<'t, S: Simd>(simd: S, scale: f32, query: &[f32], row: impl Fn(usize) -> &'t [f32], weights: &mut [f32]) {
    let count = weights.len();
    for (tile, scores) in weights.chunks_mut(TILE_ROWS).enumerate() {
        let first = tile * TILE_ROWS;
        if first + TILE_ROWS <= count {
            let tokens: [&[f32]; TILE_ROWS] = std::array::from_fn(|own| row(first + own));
            scores.copy_from_slice(&dots(simd, query, tokens));
        } else {
            for (own, score) in scores.iter_mut().enumerate() {
                *score = dots(simd, query, [row(first + own)])[0];
            }
        }
        for score in scores {
            *score *= scale;
        }
    }
}

/// Logits in float64, less the largest of them.
#[inline(always)]
fn exact_logits<'t>(scale: f32, logits: &mut [f32], query: &[f32], token: impl Fn(usize) -> &'t [f32]) {
    let logit = |frame: usize| f64::from(scale) * dot(query, token(frame));
    let largest = (0..logits.len()).map(logit).fold(f64::NEG_INFINITY, f64::max);
    for (frame, element) in logits.iter_mut().enumerate() {
        *element = (logit(frame) - largest) as f32;
    }
}

/// A dot product in float64.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    sums.iter().sum::<f64>() + rest
}

/// Length of a row.
#[inline(always)]
pub(crate) fn length<S: Simd>(simd: S, row: &[f32]) -> f32 {
    dots(simd, row, [row])[0].sqrt()
}

/// Dot products of a row with others, all as long.
#[inline(always)]
fn dots<S: Simd, const N: usize>(simd: S, a: &[f32], others: [&[f32]; N]) -> [f32; N] {
    let mut sums = [simd.splat_f32s(0.0); N];
    let (a_vectors, a_rest) = S::as_simd_f32s(a);
    let parts = others.map(S::as_simd_f32s);
    let vectors: [&[S::f32s]; N] = parts.map(|(vectors, _)| &vectors[..a_vectors.len()]);
    for (at, &a) in a_vectors.iter().enumerate() {
        for own in 0..N {
            sums[own] = simd.mul_add_e_f32s(a, vectors[own][at], sums[own]);
        }
    }
    let mut dots = [0.0; N];
    for own in 0..N {
        if !a_rest.is_empty() {
            sums[own] = simd.mul_add_e_f32s(simd.partial_load_f32s(a_rest), simd.partial_load_f32s(parts[own].1), sums[own]);
        }
        dots[own] = simd.reduce_sum_f32s(sums[own]);
    }
    dots
}
