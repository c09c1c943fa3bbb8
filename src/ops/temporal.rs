//! Trajectory tokens and the temporal stage, chunk of queries by chunk of queries.
//!
//! The published order projects every trajectory token to `k2` and `v2`. It need not: `q2_h . (Wk_h t + bk_h) = (Wk_h' q2_h) . t + const`,
//! the constant cancels in the softmax over frames, and `sum_f a_f (Wv_h t_f + bv_h) = Wv_h (sum_f a_f t_f) + bv_h`. So the query is
//! projected down and the pooled token up: `F` times fewer projections. With *identity* values the pooled token is the result.

use super::layer::{BatchSlice, LayerPlan, LayerSpec, Projection, TemporalValue, projection};
use super::temporal_stage::ChunkStage;
use crate::error::Result;
use crate::plan::{Binding, BufferId, ELEMENT_BYTES, PlanBuilder, Role};
use crate::shape::Shape;

/// How many whole sequences the scratch of the temporal stage holds; 0 if not even one.
pub(super) fn items_that_fit(shape: &Shape, scratch_bytes: u64) -> u32 {
    (rows_that_fit(shape, scratch_bytes) / u64::from(shape.tokens())).min(u64::from(shape.batch())) as u32
}

/// How many queries fit: of each, the largest scratch buffers hold `F x C` and `H x C` numbers.
fn rows_that_fit(shape: &Shape, scratch_bytes: u64) -> u64 {
    let row = u64::from(shape.frames().max(shape.heads())) * u64::from(shape.channels()) * ELEMENT_BYTES;
    (scratch_bytes / row).max(1)
}

/// Buffers of the stage.
pub(super) struct Buffers {
    pub query_projection: Projection,
    pub key_value_projection: Projection,
    /// Trajectory tokens: the output `[B,N,F,C]`, or a chunk's scratch.
    tokens: BufferId,
    tokens_whole: bool,
    /// Temporal weights: the output `[B,H,N,F]`, or a chunk's scratch.
    weights: BufferId,
    weights_whole: bool,
    /// Second queries `[items, rows, C]`.
    queries: BufferId,
    /// Those projected down, `[items, rows, H, C]`.
    down: BufferId,
    /// Pooled tokens `[items, rows, H, C]`, for projected values.
    pub pooled: Option<BufferId>,
    rows: u32,
}

impl Buffers {
    pub fn new(builder: &mut PlanBuilder, spec: &LayerSpec, value: TemporalValue, items: u32) -> Result<Self> {
        let shape = &spec.shape;
        let [batch, heads, n, frames, c] =
            [shape.batch(), shape.heads(), shape.tokens(), shape.frames(), shape.channels()].map(u64::from);
        let limits = builder.limits();
        let fitting = rows_that_fit(shape, limits.scratch_bytes.min(limits.binding_bytes.saturating_sub(256))).min(n);
        let patches = u64::from(shape.patches());
        let rows = if fitting >= patches { fitting / patches * patches } else { fitting };
        let items = u64::from(items);
        let query_projection = projection(builder, "proj_q", c, c, spec.biases.proj_q)?;
        let key_value_projection = projection(builder, "proj_kv", 2 * c, c, spec.biases.proj_kv)?;
        let tokens = match spec.outputs.tokens {
            true => builder.buffer("tokens", &[batch, n, frames, c], Role::Output)?,
            false => builder.buffer("trajectory tokens", &[items, rows, frames, c], Role::Scratch)?,
        };
        let weights = match spec.outputs.temporal_weights {
            true => builder.buffer("temporal_weights", &[batch, heads, n, frames], Role::Output)?,
            false => builder.buffer("temporal weights", &[items, heads, rows, frames], Role::Scratch)?,
        };
        Ok(Self {
            query_projection,
            key_value_projection,
            tokens,
            tokens_whole: spec.outputs.tokens,
            weights,
            weights_whole: spec.outputs.temporal_weights,
            queries: builder.buffer("temporal queries", &[items, rows, c], Role::Scratch)?,
            down: builder.buffer("projected queries", &[items, rows, heads, c], Role::Scratch)?,
            pooled: match value {
                TemporalValue::Projected => Some(builder.buffer("pooled tokens", &[items, rows, heads, c], Role::Scratch)?),
                TemporalValue::Identity => None,
            },
            rows: rows as u32,
        })
    }

    /// Cuts the queries: into whole frames where at least one fits, else into parts of a frame.
    pub fn chunks(&self, frames: u32, patches: u32) -> Vec<Chunk> {
        let whole_frames = self.rows / patches;
        if whole_frames > 0 {
            let first_frames = (0..frames).step_by(whole_frames as usize);
            let chunk =
                |first: u32| Chunk { first_row: first * patches, frames: whole_frames.min(frames - first), rows: patches };
            return first_frames.map(chunk).collect();
        }
        let starts = (0..frames).flat_map(|frame| (0..patches).step_by(self.rows as usize).map(move |patch| (frame, patch)));
        let chunk = |(frame, patch): (u32, u32)| {
            let rows = self.rows.min(patches - patch);
            Chunk { first_row: frame * patches + patch, frames: 1, rows }
        };
        starts.map(chunk).collect()
    }
}

/// Queries that go through the stage together: `rows` consecutive ones in each of `frames` consecutive frames.
pub(super) struct Chunk {
    pub first_row: u32,
    pub frames: u32,
    pub rows: u32,
}

/// A binding, the first element used in it, and the stride from one batch item to the next.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    pub binding: Binding,
    pub offset: u32,
    pub batch_stride: u32,
}

/// Operands of one chunk's stage.
pub(super) struct Operands {
    pub tokens: Operand,
    pub weights: Operand,
    pub weights_head_stride: u32,
    pub queries: Operand,
    pub down: Operand,
    pub out: Operand,
}

impl Chunk {
    /// Queries in the chunk.
    pub fn count(&self) -> u32 {
        self.frames * self.rows
    }

    /// Appends the trajectory tokens of the chunk's queries and the temporal stage on them.
    pub fn push(&self, layer: &mut LayerPlan, slice: BatchSlice, value: TemporalValue) -> Result<()> {
        let Some(buffers) = &layer.trajectory else { return Ok(()) };
        let operands = self.operands(layer, buffers, slice)?;
        let stages = ChunkStage { layer, buffers, slice, chunk: self, operands }.plan(value)?;
        stages.into_iter().for_each(|stage| layer.builder.push_stage(stage));
        Ok(())
    }

    fn operands(&self, layer: &LayerPlan, buffers: &Buffers, slice: BatchSlice) -> Result<Operands> {
        let (shape, builder) = (&layer.spec.shape, &layer.builder);
        let (n, c, rows) = (shape.tokens(), shape.channels(), self.count());
        let (trajectory, items) = (u64::from(shape.frames()) * u64::from(c), u64::from(slice.items));
        // Of a chunk's scratch, or the same rows of an output that holds all rows of all batch items.
        let rows_of = |buffer, whole: bool, row: u64| -> Result<Operand> {
            let stride = if whole { u64::from(n) } else { u64::from(rows) };
            let first = if whole { u64::from(slice.first) * stride + u64::from(self.first_row) } else { 0 };
            let (binding, offset) = builder.bind(buffer, first * row, ((items - 1) * stride + u64::from(rows)) * row)?;
            Ok(Operand { binding, offset, batch_stride: (stride * row) as u32 })
        };
        let weights_head_stride = if buffers.weights_whole { n } else { rows } * shape.frames();
        let item = u64::from(shape.heads()) * u64::from(weights_head_stride);
        let first = if buffers.weights_whole { u64::from(slice.first) * item } else { 0 };
        let (binding, ahead) = builder.bind(buffers.weights, first, items * item)?;
        let skip = if buffers.weights_whole { self.first_row * shape.frames() } else { 0 };
        let class = u32::from(layer.spec.class_token);
        Ok(Operands {
            tokens: rows_of(buffers.tokens, buffers.tokens_whole, trajectory)?,
            weights: Operand { binding, offset: ahead + skip, batch_stride: item as u32 },
            weights_head_stride,
            queries: rows_of(buffers.queries, false, c.into())?,
            down: rows_of(buffers.down, false, u64::from(shape.heads()) * u64::from(c))?,
            out: Operand {
                binding: layer.attended(slice)?,
                offset: (class + self.first_row) * c,
                batch_stride: layer.sequence * c,
            },
        })
    }
}
