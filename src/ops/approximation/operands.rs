//! Where an approximation's operands lie.

use crate::error::Result;
use crate::plan::{Binding, BufferId, PlanBuilder, Role};
use crate::shape::{Shape, fits_u32};

/// Vectors of every batch item, head and token: the first one, and strides in elements.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Vectors {
    pub binding: Binding,
    pub offset: u32,
    pub batch_stride: u32,
    pub head_stride: u32,
    pub row_stride: u32,
}

/// Sizes of all batch items of an operation, and how many of them go through it together.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Sizes {
    pub batch: u32,
    pub items: u32,
    pub heads: u32,
    pub frames: u32,
    pub patches: u32,
    pub head_size: u32,
}

impl Sizes {
    pub fn of(shape: &Shape, items: u32) -> Self {
        let (batch, heads, frames) = (shape.batch(), shape.heads(), shape.frames());
        Self { batch, items, heads, frames, patches: shape.patches(), head_size: shape.head_size() }
    }

    pub fn tokens(&self) -> u32 {
        self.frames * self.patches
    }

    /// A scratch buffer `[items, heads, axes...]`.
    pub fn scratch(&self, builder: &mut PlanBuilder, name: &str, axes: &[u32]) -> Result<BufferId> {
        let shape: Vec<u64> = [self.items, self.heads].iter().chain(axes).map(|&size| size.into()).collect();
        builder.buffer(name, &shape, Role::Scratch)
    }
}

/// The batch items that go through an approximation together.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Problem {
    pub sizes: Sizes,
    /// First batch item, in the whole operation.
    pub first_item: u32,
    /// Batch items.
    pub items: u32,
    /// Factor on every score.
    pub scale: f32,
    pub q: Vectors,
    pub k: Vectors,
    pub v: Vectors,
}

impl Problem {
    /// Heads of all items.
    pub fn item_heads(&self) -> u32 {
        self.items * self.sizes.heads
    }

    /// The used part of a scratch buffer `[items, heads, ...]` with `numbers` for each head, as vectors of `row_stride`.
    pub fn scratch(&self, builder: &PlanBuilder, buffer: BufferId, numbers: u64, row_stride: u32) -> Result<Vectors> {
        let len = u64::from(self.item_heads()) * numbers;
        let (binding, offset) = builder.bind(buffer, 0, len)?;
        let head_stride = fits_u32("numbers of a head", numbers)?;
        Ok(Vectors { binding, offset, batch_stride: self.sizes.heads * head_stride, head_stride, row_stride })
    }

    /// What kernels with two outer axes take as `batch` and `groups` to go through items, heads and one more axis: item by item, or all items
    /// at once where they have one head.
    pub fn outer(&self) -> Vec<Outer> {
        if self.sizes.heads == 1 {
            return vec![Outer { item: 0, count: self.items, by_item: true }];
        }
        (0..self.items).map(|item| Outer { item, count: self.sizes.heads, by_item: false }).collect()
    }
}

/// Either some heads of one item, or some items of one head each.
pub(in crate::ops) struct Outer {
    pub item: u32,
    pub count: u32,
    by_item: bool,
}

impl Outer {
    /// First vector of this part.
    pub fn offset(&self, vectors: &Vectors) -> u32 {
        vectors.offset + self.item * vectors.batch_stride
    }

    /// From one head or item of this part to the next.
    pub fn stride(&self, vectors: &Vectors) -> u32 {
        if self.by_item { vectors.batch_stride } else { vectors.head_stride }
    }
}

/// Where trajectory tokens of a chunk go: rows are queries, `segment_stride` leads from a frame's token to the next's.
#[derive(Clone, Copy)]
pub(in crate::ops) struct TokensOut {
    pub rows: Vectors,
    pub segment_stride: u32,
}
