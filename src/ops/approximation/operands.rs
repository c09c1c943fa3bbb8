//! Where an approximation's operands lie.

use crate::error::Result;
use crate::kernel::Attend;
use crate::ops::chunks::Chunk;
use crate::ops::kit::one_group;
use crate::plan::{BufferId, PlanBuilder, Role};
use crate::shape::Shape;
use crate::view::View;

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
    /// Queries `[items, heads, tokens, D]`.
    pub q: View,
    /// Keys `[items, heads, tokens, D]`.
    pub k: View,
    /// Values `[items, heads, tokens, D]`.
    pub v: View,
}

impl Problem {
    /// Heads of all items.
    pub fn item_heads(&self) -> u32 {
        self.items * self.sizes.heads
    }

    /// The used part of a scratch buffer: `[items, heads, axes...]`.
    pub fn scratch(&self, buffer: BufferId, axes: &[u32]) -> View {
        let shape: Vec<u64> = [self.items, self.sizes.heads].iter().chain(axes).map(|&size| size.into()).collect();
        View::of(buffer, &shape)
    }

    /// Tokens `[items, heads, tokens, D]` frame by frame: `[items, heads, F, S, D]`.
    pub fn by_frame(&self, tokens: View) -> View {
        tokens.split(2, self.sizes.patches.into())
    }

    /// The queries of a chunk, `[items, heads, rows, D]`.
    pub fn queries(&self, chunk: &Chunk) -> View {
        self.q.part(2, chunk.first_row.into(), chunk.count().into())
    }

    /// What queries `[items, heads, rows, D]` see in each frame, `[items, heads, rows, F, D]`.
    pub fn seen_by(&self, queries: View, out: View) -> Attend {
        let keys = |tokens| self.by_frame(tokens).with_axis(2, 1);
        Attend {
            queries: one_group(queries),
            keys: keys(self.k),
            values: keys(self.v),
            tokens: one_group(out),
            scale: self.scale,
        }
    }

    /// The exact trajectory tokens of a chunk's queries, `[items, heads, rows, F, D]`.
    pub fn exact(&self, chunk: &Chunk, out: View) -> Attend {
        self.seen_by(self.queries(chunk), out)
    }

    /// The request for the exact tokens of so many rows, over buffers that there are not: what its size decides can be asked of it.
    pub fn example(sizes: Sizes, scale: f32, rows: u32) -> Attend {
        let [items, heads, tokens, frames, size] =
            [sizes.items, sizes.heads, sizes.tokens(), sizes.frames, sizes.head_size].map(u64::from);
        let of = |axes: &[u64]| View::of(BufferId::default(), axes);
        let all = of(&[items, heads, tokens, size]);
        let problem = Self { sizes, first_item: 0, items: sizes.items, scale, q: all, k: all, v: all };
        let rows = u64::from(rows);
        problem.seen_by(all.part(2, 0, rows), of(&[items, heads, rows, frames, size]))
    }

    /// Views `[items, heads, ...]` in parts with one axis `[..., ...]` in place of both, which is what kernels with two outer axes have for
    /// them beside one of their own: item by item, or all items at once where they have one head.
    pub fn outer<const N: usize>(&self, views: [View; N]) -> Vec<[View; N]> {
        if self.sizes.heads == 1 {
            return vec![views.map(|view| view.index(1, 0))];
        }
        (0..u64::from(self.items)).map(|item| views.map(|view| view.index(0, item))).collect()
    }
}
