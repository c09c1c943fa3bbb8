//! Matrix products: rows of `x` in tasks, with weights that are packed once, and what ends a product while a tile is in the cache.

use std::ops::Range;

use orthoformer::kernel::{self, LinearParams};
use orthoformer::view::{BoundView, indices};
use pulp::{Simd, WithSimd};

use super::Environment;
use crate::context::{Context, Scratch};
use crate::packs::Matrices;
use crate::simd::activation::Activation;
use crate::simd::epilogue::LinearEpilogue;
use crate::simd::matrix::{Matrix, Rows, RowsMut, gather_rows};
use crate::simd::panels::Panels;
use crate::simd::product::Product;
use crate::split::{Part, axes, rows_of_task, split};

#[derive(Debug)]
pub(crate) struct Step {
    p: LinearParams,
    weights: Matrices,
    packed: Packed,
}

#[derive(Debug)]
enum Packed {
    /// By its number among a plan's.
    Once(usize),
    EveryRun(Vec<Panels>),
}

impl Step {
    /// `pack` returns the number of packed weights, if they are an input.
    pub fn new(p: LinearParams, pack: impl FnOnce(Matrices) -> Option<usize>) -> Self {
        let p = rows_of_one(p);
        let weights = Matrices::of(&p);
        let packed = match pack(weights) {
            Some(number) => Packed::Once(number),
            None => Packed::EveryRun(vec![Panels::default(); weights.count()]),
        };
        Self { p, weights, packed }
    }

    pub fn run(&mut self, inputs: [&[f32]; 4], y: &mut [f32], environment: &Environment<'_>) {
        let (p, context) = (&self.p, environment.context);
        if let Packed::EveryRun(panels) = &mut self.packed {
            self.weights.pack(inputs[1], panels, context);
        }
        let panels = match &self.packed {
            Packed::Once(number) => environment.packs.get(*number),
            Packed::EveryRun(panels) => panels,
        };
        let product = Linear { p, inputs, weights: &self.weights, panels, context };
        if p.rows == 1 {
            return product.by_columns(y);
        }
        let sizes = [p.batch, p.groups, p.rows];
        let axes = axes(&p.y, sizes, [1, 1, rows_of_task(&p.y, sizes, 2)]);
        let elements = &mut y[p.y.offset as usize..];
        split(elements, &axes, p.outputs as usize, &|part| product.part(part));
    }
}

/// A row of each batch item is as many rows of one, if all have the same weights.
fn rows_of_one(p: LinearParams) -> LinearParams {
    if p.rows > 1 || p.w.stride(0) != 0 {
        return p;
    }
    let merged = |view: BoundView| view.with_stride(2, view.stride(0)).with_stride(0, 0);
    let [x, bias, residual, y] = [p.x, p.bias, p.residual, p.y].map(merged);
    LinearParams { x, bias, residual, y, rows: p.batch, batch: 1, ..p }
}

/// What all tasks share.
#[derive(Clone, Copy)]
struct Linear<'e> {
    p: &'e LinearParams,
    inputs: [&'e [f32]; 4],
    weights: &'e Matrices,
    panels: &'e [Panels],
    context: &'e Context,
}

impl Linear<'_> {
    fn part(&self, part: Part<'_, 3>) {
        let strides = [0, 1].map(|axis| self.p.y.stride(axis) as usize);
        for batch in part.along(0) {
            for group in part.along(1) {
                let at = (batch - part.first[0]) as usize * strides[0] + (group - part.first[1]) as usize * strides[1];
                let (rows, y) = (part.along(2), &mut part.elements[at..]);
                let panels = 0..self.panels[self.weights.number(batch, group)].count();
                self.block([batch, group], rows, panels, y);
            }
        }
    }

    /// Products of one row, a part of its columns each task.
    fn by_columns(&self, y: &mut [f32]) {
        for [batch, group] in indices([self.p.batch, self.p.groups]) {
            let row = self.p.y.row_mut(y, &[batch, group, 0], self.p.outputs);
            let panels = &self.panels[self.weights.number(batch, group)];
            self.columns([batch, group], panels, 0..panels.count(), row);
        }
    }

    fn columns(&self, at: [u32; 2], all: &Panels, panels: Range<usize>, y: &mut [f32]) {
        if panels.len() <= 4 {
            return self.block(at, 0..1, panels, y);
        }
        let middle = panels.start + panels.len() / 2;
        let [first, second] = [panels.start..middle, middle..panels.end];
        let (left, right) = y.split_at_mut(all.columns_of(first.clone()).len());
        rayon::join(|| self.columns(at, all, first, left), || self.columns(at, all, second, right));
    }

    /// Some rows and panels of a batch item's and group's product; `y` begins with the first of them.
    fn block(&self, [batch, group]: [u32; 2], rows: Range<u32>, panels: Range<usize>, y: &mut [f32]) {
        self.context.with_scratch(|scratch| {
            let b = &self.panels[self.weights.number(batch, group)];
            self.context.dispatch(Block { linear: self, at: [batch, group], rows, b, panels, y, scratch });
        });
    }
}

struct Block<'e> {
    linear: &'e Linear<'e>,
    at: [u32; 2],
    rows: Range<u32>,
    b: &'e Panels,
    panels: Range<usize>,
    y: &'e mut [f32],
    scratch: &'e mut Scratch,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Linear { p, inputs: [x, _, bias, residual], .. } = *self.linear;
        let ([batch, group], rows) = (self.at, self.rows.len());
        let at = [batch, group, self.rows.start];
        let column_stride = p.x.stride(3) as usize;
        let x = Matrix { elements: &x[p.x.at(&at)..], row_stride: p.x.stride(2) as usize, column_stride };
        let a = if column_stride == 1 || p.inputs == 1 {
            Rows { elements: x.elements, stride: x.row_stride }
        } else {
            gather_rows(x, rows, p.inputs as usize, &mut self.scratch.rows);
            Rows { elements: self.scratch.rows.elements(), stride: p.inputs as usize }
        };
        let summand = |has: u32, view: &BoundView, elements| (has != 0).then(|| rows_from(view, elements, &at));
        let epilogue = LinearEpilogue {
            product_scale: p.product_scale,
            bias: summand(p.has_bias, &p.bias, bias),
            bias_scale: p.bias_scale,
            activation: activation(p.activation),
            residual: summand(p.has_residual, &p.residual, residual),
        };
        let y = RowsMut { elements: self.y, stride: p.y.stride(2) as usize };
        Product { panels: self.panels, ..Product::new(a, rows, self.b) }.run(simd, y, &epilogue);
    }
}

/// The rows of a summand from an index on.
fn rows_from<'e>(view: &BoundView, elements: &'e [f32], at: &[u32]) -> Rows<'e> {
    Rows { elements: elements.get(view.at(at)..).unwrap_or(&[]), stride: view.stride(2) as usize }
}

fn activation(number: u32) -> Option<Activation> {
    let found = kernel::Activation::ALL.into_iter().find(|activation| activation.number() == number)?;
    Some(match found {
        kernel::Activation::Gelu => Activation::Gelu,
        kernel::Activation::GeluFast => Activation::GeluFast,
        kernel::Activation::Tanh => Activation::Tanh,
        kernel::Activation::Relu => Activation::Relu,
    })
}
