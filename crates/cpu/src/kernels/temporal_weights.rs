//! Weights of the frames: dot products of every head's query and every frame's token of a row, and their softmax.
//!
//! Rows whose logits may exceed some tens get dot products in float64, as float32 is off by more than a softmax may be then.

use orthoformer::kernel::TemporalWeightsParams;
use pulp::{Simd, WithSimd};

use super::Environment;
use crate::context::{Context, Scratch};
use crate::simd::attention::PLAIN_LOGIT;
use crate::simd::matrix::Aligned;
use crate::simd::softmax::softmax_row;
use crate::split::{Axis, Part, axes, rows_of_task, split};

/// Heads and frames whose dot products are computed together.
const TILE_HEADS: usize = 3;
const TILE_FRAMES: usize = 8;

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
        let axis = |size, stride, block| Axis { size, stride, block };
        let staged_axes = [axis(p.batch, rows * of_row, 1), axis(p.rows, of_row, rows_of_task(p.rows, p.batch.into()))];
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
    context.with_scratch(|scratch| {
        let width = (p.heads * p.frames) as usize;
        for index in part.indices() {
            let weights = &mut part.from(axes, index)[..width];
            context.dispatch(Row { p, inputs, index, weights, scratch });
        }
    });
}

struct Row<'e> {
    p: &'e TemporalWeightsParams,
    inputs: [&'e [f32]; 2],
    index: [u32; 2],
    /// `[heads, frames]`.
    weights: &'e mut [f32],
    scratch: &'e mut Scratch,
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (p, frames, [queries, tokens]) = (self.p, self.p.frames as usize, self.inputs);
        let [batch, row] = self.index;
        let query = |head: usize| p.queries.row(queries, &[batch, row, head as u32], p.width);
        let token = |frame: usize| p.tokens.row(tokens, &[batch, row, frame as u32], p.width);
        let heads = p.heads as usize;
        let mut longest = 0.0;
        for frame in 0..frames {
            let length = length(simd, token(frame));
            longest = if length <= longest { longest } else { length };
        }
        let bounds = self.scratch.rows.elements_mut(heads);
        for (head, bound) in bounds.iter_mut().enumerate() {
            *bound = length(simd, query(head)) * longest * p.scale.abs();
        }
        for first_head in (0..heads).step_by(TILE_HEADS) {
            for first in (0..frames).step_by(TILE_FRAMES) {
                if first_head + TILE_HEADS <= heads && first + TILE_FRAMES <= frames {
                    let queries: [&[f32]; TILE_HEADS] = std::array::from_fn(|own| query(first_head + own));
                    let tokens: [&[f32]; TILE_FRAMES] = std::array::from_fn(|own| token(first + own));
                    for (own, scores) in dots(simd, queries, tokens).into_iter().enumerate() {
                        self.weights[(first_head + own) * frames + first..][..TILE_FRAMES].copy_from_slice(&scores);
                    }
                    continue;
                }
                for head in first_head..heads.min(first_head + TILE_HEADS) {
                    for frame in first..frames.min(first + TILE_FRAMES) {
                        self.weights[head * frames + frame] = dots(simd, [query(head)], [token(frame)])[0][0];
                    }
                }
            }
        }
        for (head, weights) in self.weights.chunks_exact_mut(frames).enumerate() {
            if bounds[head] <= PLAIN_LOGIT {
                weights.iter_mut().for_each(|score| *score *= p.scale);
            } else {
                exact_logits(p.scale, weights, query(head), token);
            }
            softmax_row(simd, weights);
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

#[inline(always)]
fn length<S: Simd>(simd: S, row: &[f32]) -> f32 {
    dots(simd, [row], [row])[0][0].sqrt()
}

/// Dot products of each of some rows with each of others, all as long.
#[inline(always)]
fn dots<S: Simd, const A: usize, const B: usize>(simd: S, a: [&[f32]; A], b: [&[f32]; B]) -> [[f32; B]; A] {
    let mut sums = [[simd.splat_f32s(0.0); B]; A];
    let (a_parts, b_parts) = (a.map(S::as_simd_f32s), b.map(S::as_simd_f32s));
    let count = a_parts.iter().chain(&b_parts).map(|(vectors, _)| vectors.len()).min().unwrap_or(0);
    let (a_vectors, b_vectors) = (a_parts.map(|(vectors, _)| &vectors[..count]), b_parts.map(|(vectors, _)| &vectors[..count]));
    for at in 0..count {
        for row in 0..A {
            for column in 0..B {
                sums[row][column] = simd.mul_add_e_f32s(a_vectors[row][at], b_vectors[column][at], sums[row][column]);
            }
        }
    }
    if a_parts.first().is_some_and(|(_, rest)| !rest.is_empty()) {
        for (sums, (_, a)) in sums.iter_mut().zip(a_parts) {
            for (sum, (_, b)) in sums.iter_mut().zip(b_parts) {
                *sum = simd.mul_add_e_f32s(simd.partial_load_f32s(a), simd.partial_load_f32s(b), *sum);
            }
        }
    }
    let mut dots = [[0.0; B]; A];
    for (dots, sums) in dots.iter_mut().zip(sums) {
        for (dot, sum) in dots.iter_mut().zip(sums) {
            *dot = simd.reduce_sum_f32s(sum);
        }
    }
    dots
}
