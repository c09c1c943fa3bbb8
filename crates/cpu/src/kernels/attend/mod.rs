//! Segmented attention: keys and values packed once, then blocks of query rows whose scores stay in the cache. A few rows go without packing.

mod few;
mod packs;

use std::ops::Range;

use orthoformer::kernel::AttendParams;
use orthoformer::plan::Binding;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

pub(crate) use packs::Packed;
use packs::packs;

use super::Environment;
use crate::context::{Context, Scratch};
use crate::simd::attention::{Attention, Keys, NoBias};
use crate::simd::matrix::{Aligned, Rows, RowsMut};
use crate::simd::panels::Panels;
use crate::split::{Axis, Part, axes, rows_of_task, split};

/// So many query rows at most do without packed keys and values: packing takes longer.
const FEW_ROWS: u32 = 4;

#[derive(Debug)]
pub(crate) struct Step {
    p: AttendParams,
    /// Number of the packed keys and values, and whether an earlier step has packed them; `None` for a few rows.
    packed: Option<(usize, bool)>,
    /// Results in an order that tasks can share out, where the output's own is none.
    staged: Option<Aligned>,
}

impl Step {
    /// `all` are the packed keys and values of the plan so far.
    pub fn new(p: AttendParams, bindings: [Binding; 2], all: &mut Vec<Packed>) -> Self {
        // Rows outside of groups interleave the groups: their tasks would have a row each.
        let interleaved = p.groups > 1 && p.rows > 1 && p.tokens.stride(3) > p.tokens.stride(2);
        let staged = interleaved.then(Aligned::default);
        if p.rows <= FEW_ROWS {
            return Self { p, packed: None, staged };
        }
        let found = all.iter().position(|packed| packed.is_of(&p, bindings));
        let packed = found.unwrap_or_else(|| {
            all.push(Packed::new(p, bindings));
            all.len() - 1
        });
        let are_packed = std::mem::replace(&mut all[packed].fresh, true);
        Self { p, packed: Some((packed, are_packed)), staged }
    }

    pub fn run(&mut self, [queries, keys, values]: [&[f32]; 3], tokens: &mut [f32], environment: &mut Environment<'_>) {
        let (p, context) = (&self.p, environment.context);
        let others = match self.packed {
            None => Others::Few { keys, values },
            Some((number, are_packed)) => {
                let length = longest(p, queries) * p.scale.abs();
                let packed = &mut environment.attention[number];
                if !are_packed || !packed.keys.iter().all(|keys| keys.serves(length)) {
                    packed.pack([keys, values], length, context);
                }
                Others::Packed { keys: &packed.keys, values: &packed.values }
            }
        };
        let sizes = [p.batch, p.heads, p.groups, p.rows, p.segments];
        let block = if self.staged.is_some() { p.rows } else { rows_of_task(&p.tokens, sizes, 3) };
        let blocks = [1, 1, 1, block, p.segments];
        let width = p.value_size as usize;
        match &mut self.staged {
            None => {
                let axes = axes(&p.tokens, sizes, blocks);
                let attend = Attend { p, axes, queries, others, context };
                split(&mut tokens[p.tokens.offset as usize..], &axes, width, &|part| attend.part(part));
            }
            Some(staged) => {
                // [batch, groups, heads, rows, segments, value_size].
                let [of_row, of_rows] = [p.segments as usize * width, p.rows as usize * p.segments as usize * width];
                let strides =
                    [p.groups as usize * p.heads as usize * of_rows, of_rows, p.heads as usize * of_rows, of_row, width];
                let axes: [Axis; 5] =
                    std::array::from_fn(|axis| Axis { size: sizes[axis], stride: strides[axis], block: blocks[axis] });
                let attend = Attend { p, axes, queries, others, context };
                let staged = staged.elements_mut(p.batch as usize * strides[0]);
                split(staged, &axes, width, &|part| attend.part(part));
                unstage(p, staged, strides, tokens);
            }
        }
    }
}

/// Brings staged results to the output.
fn unstage(p: &AttendParams, staged: &[f32], strides: [usize; 5], tokens: &mut [f32]) {
    let own = axes(&p.tokens, [p.batch, p.heads, p.groups, p.rows, p.segments], [1, p.heads, p.groups, 1, 1]);
    let width = p.value_size as usize;
    split(&mut tokens[p.tokens.offset as usize..], &own, width, &|mut part| {
        for index in part.indices() {
            let from: usize = index.into_iter().zip(strides).map(|(at, stride)| at as usize * stride).sum();
            part.from(&own, index)[..width].copy_from_slice(&staged[from..][..width]);
        }
    });
}

/// Length of the longest query; infinity if one is not finite.
fn longest(p: &AttendParams, queries: &[f32]) -> f32 {
    let axes = [p.batch, p.heads, p.groups, p.rows];
    let sizes: [u32; 4] = std::array::from_fn(|axis| if p.queries.stride(axis) == 0 { 1 } else { axes[axis] });
    let count: u32 = sizes[0] * sizes[1] * sizes[2];
    let square_of = |query: &[f32]| query.iter().map(|element| element * element).sum::<f32>();
    let longest_of = |number: u32| {
        let at = [number / sizes[2] / sizes[1], number / sizes[2] % sizes[1], number % sizes[2]];
        let squares = (0..sizes[3]).map(|row| square_of(p.queries.row(queries, &[at[0], at[1], at[2], row], p.head_size)));
        squares.fold(0.0, |longest: f32, square| if square <= longest { longest } else { square })
    };
    let longest = (0..count).into_par_iter().map(longest_of).reduce(|| 0.0, |a, b| if a <= b { b } else { a });
    if longest.is_finite() { longest.sqrt() } else { f32::INFINITY }
}

/// What all tasks share.
struct Attend<'e> {
    p: &'e AttendParams,
    /// Of what is written.
    axes: [Axis; 5],
    queries: &'e [f32],
    others: Others<'e>,
    context: &'e Context,
}

/// Keys and values.
#[derive(Clone, Copy)]
enum Others<'e> {
    Packed { keys: &'e [Keys], values: &'e [Panels] },
    Few { keys: &'e [f32], values: &'e [f32] },
}

impl Attend<'_> {
    fn part(&self, mut part: Part<'_, 5>) {
        self.context.with_scratch(|scratch| {
            for (batch, head) in pairs(part.along(0), part.along(1)) {
                for (group, segment) in pairs(part.along(2), part.along(4)) {
                    let index = [batch, head, group, part.first[3], segment];
                    let rows = part.count[3];
                    let tokens = part.from(&self.axes, index);
                    self.context.dispatch(Block { attend: self, index, rows, tokens, scratch });
                }
            }
        });
    }
}

fn pairs(outer: Range<u32>, inner: Range<u32>) -> impl Iterator<Item = (u32, u32)> {
    outer.flat_map(move |outer| inner.clone().map(move |inner| (outer, inner)))
}

/// A block of rows and a segment.
struct Block<'e> {
    attend: &'e Attend<'e>,
    /// Batch item, head, group, first row, segment.
    index: [u32; 5],
    rows: u32,
    tokens: &'e mut [f32],
    scratch: &'e mut Scratch,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Attend { p, axes, queries, others, .. } = self.attend;
        let [batch, head, group, row, segment] = self.index;
        let own = [batch, head, group, segment];
        let queries =
            Rows { elements: &queries[p.queries.at(&[batch, head, group, row])..], stride: p.queries.stride(3) as usize };
        let tokens = RowsMut { elements: self.tokens, stride: axes[3].stride };
        let rows = self.rows as usize;
        match *others {
            Others::Packed { keys, values } => {
                let (keys, values) = (&keys[packs(p, &p.keys).number(own)], &values[packs(p, &p.values).number(own)]);
                let (head_size, scale) = (p.head_size as usize, p.scale);
                let attention = Attention { queries, rows, head_size, scale, keys, values };
                attention.run(simd, &NoBias, tokens, &mut self.scratch.attention);
            }
            Others::Few { keys, values } => {
                let [keys, values] =
                    [(&p.keys, keys, p.head_size), (&p.values, values, p.value_size)].map(|(view, elements, width)| {
                        let packs = packs(p, view);
                        packs.rows(elements, packs.number(own), width)
                    });
                few::attend(simd, p.scale, queries, rows, [&keys, &values], tokens, self.scratch);
            }
        }
    }
}
