//! Segmented attention: keys and values packed once a dispatch, then blocks of query rows whose scores stay in the cache.

use std::ops::Range;

use orthoformer::kernel::AttendParams;
use orthoformer::view::BoundView;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Environment;
use crate::context::{Context, Scratch};
use crate::packs::Pack;
use crate::simd::attention::{Attention, Keys, NoBias};
use crate::simd::matrix::{Aligned, Matrix, Rows, RowsMut};
use crate::simd::panels::Panels;
use crate::split::{Axis, Part, axes, rows_of_task, split};

#[derive(Debug)]
pub(crate) struct Step {
    p: AttendParams,
    /// Of each batch item, head, group and segment that has its own.
    keys: Vec<Keys>,
    values: Vec<Panels>,
    /// Results in an order that tasks can share out, where the output's own is none.
    staged: Option<Aligned>,
}

impl Step {
    pub fn new(p: AttendParams) -> Self {
        let keys = vec![Keys::default(); packs(&p, &p.keys).count()];
        let values = vec![Panels::default(); packs(&p, &p.values).count()];
        // Rows outside of groups interleave the groups: their tasks would have a row each.
        let interleaved = p.groups > 1 && p.rows > 1 && p.tokens.stride(3) > p.tokens.stride(2);
        Self { p, keys, values, staged: interleaved.then(Aligned::default) }
    }

    pub fn run(&mut self, [queries, keys, values]: [&[f32]; 3], tokens: &mut [f32], environment: &Environment<'_>) {
        let (p, context) = (&self.p, environment.context);
        let length = longest(p, queries) * p.scale.abs();
        let pack_keys = |(number, own): (usize, &mut Keys)| {
            let rows = packs(p, &p.keys).rows(keys, number, p.head_size);
            context.with_scratch(|scratch| context.dispatch(PackKeys { rows, keys: own, length, scratch }));
        };
        self.keys.par_iter_mut().enumerate().with_max_len(1).for_each(pack_keys);
        let pack_values = |(number, own): (usize, &mut Panels)| {
            let rows = packs(p, &p.values).rows(values, number, p.value_size);
            context.with_scratch(|scratch| {
                let matrix = rows.matrix(&mut scratch.rows);
                context.dispatch(Pack { panels: own, matrix, inner: rows.count(), columns: rows.width });
            });
        };
        self.values.par_iter_mut().enumerate().with_max_len(1).for_each(pack_values);
        let (keys, values) = (self.keys.as_slice(), self.values.as_slice());
        let sizes = [p.batch, p.heads, p.groups, p.rows, p.segments];
        let block = rows_of_task(p.rows, u64::from(p.batch) * u64::from(p.heads) * u64::from(p.groups));
        let blocks = [1, 1, 1, block, p.segments];
        let width = p.value_size as usize;
        match &mut self.staged {
            None => {
                let axes = axes(&p.tokens, sizes, blocks);
                let attend = Attend { p, axes, queries, keys, values, context };
                split(&mut tokens[p.tokens.offset as usize..], &axes, width, &|part| attend.part(part));
            }
            Some(staged) => {
                // [batch, groups, heads, rows, segments, value_size].
                let [of_row, of_rows] = [p.segments as usize * width, p.rows as usize * p.segments as usize * width];
                let strides = [p.groups as usize * p.heads as usize * of_rows, of_rows, p.heads as usize * of_rows, of_row, width];
                let axes: [Axis; 5] = std::array::from_fn(|axis| Axis { size: sizes[axis], stride: strides[axis], block: blocks[axis] });
                let attend = Attend { p, axes, queries, keys, values, context };
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

/// Packed keys or values: how many there are, and where.
struct Packs<'p> {
    p: &'p AttendParams,
    view: &'p BoundView,
    /// Different ones along batch items, heads, groups and segments.
    sizes: [u32; 4],
}

fn packs<'p>(p: &'p AttendParams, view: &'p BoundView) -> Packs<'p> {
    let axes = [p.batch, p.heads, p.groups, p.segments];
    // What lies at a stride of zero is the same.
    Packs { p, view, sizes: std::array::from_fn(|axis| if view.stride(axis) == 0 { 1 } else { axes[axis] }) }
}

impl Packs<'_> {
    fn count(&self) -> usize {
        self.sizes.iter().map(|&size| size as usize).product()
    }

    fn number(&self, index: [u32; 4]) -> usize {
        index.into_iter().zip(self.sizes).fold(0, |number, (at, size)| number * size as usize + (at % size) as usize)
    }

    fn rows<'e>(&self, elements: &'e [f32], mut number: usize, width: u32) -> KeyRows<'e> {
        let mut index = [0; 4];
        for (at, size) in index.iter_mut().zip(self.sizes).rev() {
            (*at, number) = ((number % size as usize) as u32, number / size as usize);
        }
        let extra = (self.p.extra_keys != 0).then(|| &elements[self.view.extra_at(&index[..2])..][..width as usize]);
        let [stride, count, width] = [self.view.stride(4), self.p.key_count, width].map(|size| size as usize);
        KeyRows { extra, rows: Rows { elements: &elements[self.view.at(&index)..], stride }, own: count, width }
    }
}

/// Keys or values of a segment, the extra one first.
struct KeyRows<'e> {
    extra: Option<&'e [f32]>,
    rows: Rows<'e>,
    own: usize,
    width: usize,
}

impl<'e> KeyRows<'e> {
    fn count(&self) -> usize {
        self.own + usize::from(self.extra.is_some())
    }

    /// As a matrix `[keys, width]`, by way of a buffer if the extra one lies elsewhere.
    fn matrix<'m>(&self, buffer: &'m mut Aligned) -> Matrix<'m>
    where
        'e: 'm,
    {
        let Some(extra) = self.extra else {
            return Matrix { elements: self.rows.elements, row_stride: self.rows.stride, column_stride: 1 };
        };
        let gathered = buffer.elements_mut(self.count() * self.width);
        let (first, others) = gathered.split_at_mut(self.width);
        first.copy_from_slice(extra);
        for (row, target) in others.chunks_exact_mut(self.width).enumerate() {
            target.copy_from_slice(self.rows.part(row, 0, self.width));
        }
        Matrix { elements: gathered, row_stride: self.width, column_stride: 1 }
    }
}

struct PackKeys<'e> {
    rows: KeyRows<'e>,
    keys: &'e mut Keys,
    /// Of the longest query, times the scale.
    length: f32,
    scratch: &'e mut Scratch,
}

impl WithSimd for PackKeys<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let matrix = self.rows.matrix(&mut self.scratch.rows);
        self.keys.pack(simd, matrix, self.rows.count(), self.rows.width, self.length);
    }
}

/// What all tasks share.
struct Attend<'e> {
    p: &'e AttendParams,
    /// Of what is written.
    axes: [Axis; 5],
    queries: &'e [f32],
    keys: &'e [Keys],
    values: &'e [Panels],
    context: &'e Context,
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
        let Attend { p, axes, queries, keys, values, .. } = self.attend;
        let [batch, head, group, row, segment] = self.index;
        let own = [batch, head, group, segment];
        let attention = Attention {
            queries: Rows { elements: &queries[p.queries.at(&[batch, head, group, row])..], stride: p.queries.stride(3) as usize },
            rows: self.rows as usize,
            head_size: p.head_size as usize,
            scale: p.scale,
            keys: &keys[packs(p, &p.keys).number(own)],
            values: &values[packs(p, &p.values).number(own)],
        };
        let tokens = RowsMut { elements: self.tokens, stride: axes[3].stride };
        attention.run(simd, &NoBias, tokens, &mut self.scratch.attention);
    }
}
