//! Keys and values, packed for blocks of queries.

use orthoformer::kernel::AttendParams;
use orthoformer::plan::{Binding, BufferId};
use orthoformer::view::BoundView;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::context::{Context, Scratch};
use crate::packs::Pack;
use crate::simd::attention::Keys;
use crate::simd::matrix::{Aligned, Matrix, Rows};
use crate::simd::panels::Panels;

/// Packed keys and values. Steps that attend to the same ones share them.
#[derive(Debug)]
pub(crate) struct Packed {
    bindings: [Binding; 2],
    p: AttendParams,
    /// Whether nothing has written to them since a step that packs them, step by step while a plan is prepared.
    pub fresh: bool,
    /// Of each batch item, head, group and segment that has its own.
    pub keys: Vec<Keys>,
    pub values: Vec<Panels>,
}

impl Packed {
    pub fn new(p: AttendParams, bindings: [Binding; 2]) -> Self {
        let keys = vec![Keys::default(); packs(&p, &p.keys).count()];
        let values = vec![Panels::default(); packs(&p, &p.values).count()];
        Self { bindings, p, fresh: false, keys, values }
    }

    pub fn is_of(&self, p: &AttendParams, bindings: [Binding; 2]) -> bool {
        // Sizes and views but for those of queries and tokens.
        let same = AttendParams { queries: self.p.queries, tokens: self.p.tokens, rows: self.p.rows, ..*p };
        self.bindings == bindings && self.p == same
    }

    /// Says that a step writes to a buffer.
    pub fn written(&mut self, buffer: BufferId) {
        self.fresh &= self.bindings.iter().all(|binding| binding.buffer() != buffer);
    }

    /// Bytes of all.
    pub fn bytes(&self) -> u64 {
        self.keys.iter().map(Keys::bytes).chain(self.values.iter().map(Panels::bytes)).sum::<usize>() as u64
    }

    /// Packs keys, for queries of this length, and values.
    pub fn pack(&mut self, [keys, values]: [&[f32]; 2], length: f32, context: &Context) {
        let p = &self.p;
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
    }
}

/// Packed keys or values: how many there are, and where.
pub(super) struct Packs<'p> {
    p: &'p AttendParams,
    view: &'p BoundView,
    /// Different ones along batch items, heads, groups and segments.
    sizes: [u32; 4],
}

pub(super) fn packs<'p>(p: &'p AttendParams, view: &'p BoundView) -> Packs<'p> {
    let axes = [p.batch, p.heads, p.groups, p.segments];
    // What lies at a stride of zero is the same.
    Packs { p, view, sizes: std::array::from_fn(|axis| if view.stride(axis) == 0 { 1 } else { axes[axis] }) }
}

impl Packs<'_> {
    fn count(&self) -> usize {
        self.sizes.iter().map(|&size| size as usize).product()
    }

    pub fn number(&self, index: [u32; 4]) -> usize {
        index.into_iter().zip(self.sizes).fold(0, |number, (at, size)| number * size as usize + (at % size) as usize)
    }

    pub fn rows<'e>(&self, elements: &'e [f32], mut number: usize, width: u32) -> KeyRows<'e> {
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
pub(super) struct KeyRows<'e> {
    extra: Option<&'e [f32]>,
    rows: Rows<'e>,
    own: usize,
    pub width: usize,
}

impl<'e> KeyRows<'e> {
    pub fn count(&self) -> usize {
        self.own + usize::from(self.extra.is_some())
    }

    /// As a matrix `[keys, width]`, by way of a buffer if the extra one lies elsewhere.
    pub fn matrix<'m>(&self, buffer: &'m mut Aligned) -> Matrix<'m>
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
