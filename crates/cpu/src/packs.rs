//! Weights of products, packed once for all runs.

use std::sync::Arc;

use orthoformer::kernel::LinearParams;
use orthoformer::plan::{Binding, BufferId};
use orthoformer::view::BoundView;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::context::Context;
use super::memory::Memory;
use super::simd::matrix::Matrix;
use super::simd::panels::Panels;

/// The right matrices of a product, `[batch, groups]` of them: parts of a binding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Matrices {
    pub view: BoundView,
    pub batch: u32,
    pub groups: u32,
    pub outputs: u32,
    pub inputs: u32,
}

impl Matrices {
    /// Those of a product's weights.
    pub fn of(p: &LinearParams) -> Self {
        Self { view: p.w, batch: p.batch, groups: p.groups, outputs: p.outputs, inputs: p.inputs }
    }

    /// Number of different ones: all along an axis of stride zero are the same.
    pub fn count(&self) -> usize {
        self.different(0) * self.different(1)
    }

    fn different(&self, axis: usize) -> usize {
        let size = if axis == 0 { self.batch } else { self.groups };
        if self.view.stride(axis) == 0 { 1 } else { size as usize }
    }

    /// The number of a batch item's and group's.
    pub fn number(&self, batch: u32, group: u32) -> usize {
        let [batches, groups] = [0, 1].map(|axis| self.different(axis));
        batch as usize % batches * groups + group as usize % groups
    }

    /// One of them in its binding, `[inputs, outputs]`.
    pub fn matrix<'e>(&self, elements: &'e [f32], number: usize) -> Matrix<'e> {
        let groups = self.different(1);
        let at = self.view.at(&[(number / groups) as u32, (number % groups) as u32]);
        let [outputs, inputs] = [2, 3].map(|axis| self.view.stride(axis) as usize);
        Matrix { elements: &elements[at..], row_stride: inputs, column_stride: outputs }
    }

    /// Packs them.
    pub fn pack(&self, elements: &[f32], panels: &mut [Panels], context: &Context) {
        panels.par_iter_mut().enumerate().with_max_len(1).for_each(|(number, panels)| {
            let (matrix, inner, columns) = (self.matrix(elements, number), self.inputs as usize, self.outputs as usize);
            context.dispatch(Pack { panels, matrix, inner, columns });
        });
    }
}

/// Packs a matrix.
pub(crate) struct Pack<'e> {
    pub panels: &'e mut Panels,
    pub matrix: Matrix<'e>,
    pub inner: usize,
    pub columns: usize,
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.panels.pack(simd, self.matrix, self.inner, self.columns);
    }
}

/// Packed matrices, shared by the steps and plans that multiply with them.
pub(crate) type Packed = Arc<[Panels]>;

/// The packed inputs of a plan.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    binding: Binding,
    matrices: Matrices,
    panels: Packed,
    /// Whether the input has changed since it was packed.
    stale: bool,
}

impl Packs {
    /// The number of a binding's matrices; packed already if `known` has them, else when the plan runs.
    pub fn number(&mut self, binding: Binding, matrices: Matrices, known: impl FnOnce() -> Option<Packed>) -> usize {
        let is_same = |entry: &Entry| entry.binding == binding && entry.matrices == matrices;
        if let Some(found) = self.entries.iter().position(is_same) {
            return found;
        }
        let known = known();
        let stale = known.is_none();
        let panels = known.unwrap_or_else(|| vec![Panels::default(); matrices.count()].into());
        self.entries.push(Entry { binding, matrices, panels, stale });
        self.entries.len() - 1
    }

    /// The packed matrices of a number.
    pub fn get(&self, number: usize) -> &[Panels] {
        &self.entries[number].panels
    }

    /// Says that an input has changed.
    pub fn forget(&mut self, buffer: BufferId) {
        self.entries.iter_mut().filter(|entry| entry.binding.buffer() == buffer).for_each(|entry| entry.stale = true);
    }

    /// Packs what has changed.
    pub fn refresh(&mut self, memory: &Memory, context: &Context) {
        for entry in self.entries.iter_mut().filter(|entry| entry.stale) {
            // Those that plans share never change.
            if let Some(panels) = Arc::get_mut(&mut entry.panels) {
                entry.matrices.pack(memory.bound(&entry.binding, 0), panels, context);
                entry.stale = false;
            }
        }
    }

    /// Their size, in bytes.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().flat_map(|entry| entry.panels.iter()).map(|panels| panels.bytes() as u64).sum()
    }
}
