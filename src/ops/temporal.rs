//! Trajectory tokens and the temporal stage, chunk of queries by chunk of queries.
//!
//! The published order projects every trajectory token to `k2` and `v2`. It need not: `q2_h . (Wk_h t + bk_h) = (Wk_h' q2_h) . t + const`,
//! the constant cancels in the softmax over frames, and `sum_f a_f (Wv_h t_f + bv_h) = Wv_h (sum_f a_f t_f) + bv_h`. So the query is
//! projected down and the pooled token up: `F` times fewer projections. With *identity* values the pooled token is the result.

use super::approximation::{Approximator, Problem, Sizes, scratch_elements};
use super::chunks::{Chunk, rows_of_chunk};
use super::kit::{Attention, Projection, projection};
use super::layer::{BatchSlice, LayerPlan, LayerSpec, TemporalValue};
use super::temporal_stage::ChunkStage;
use crate::error::Result;
use crate::plan::{BINDING_SLACK, BufferId, ELEMENT_BYTES, PlanBuilder, Role, Stage};
use crate::view::View;

/// How many whole sequences the scratch of the temporal stage holds; 0 if not even one.
pub(super) fn items_that_fit(spec: &LayerSpec, scratch_bytes: u64) -> u32 {
    let (_, item) = scratch_elements(&spec.approximation, &Sizes::of(&spec.shape, 1));
    let items = rows_that_fit(spec, scratch_bytes) / u64::from(spec.shape.tokens());
    items.min(scratch_bytes / ELEMENT_BYTES / item.max(1)).min(spec.shape.batch().into()) as u32
}

/// How many queries fit: of each, the largest scratch buffers hold `F x C` and `H x C` numbers, and what the approximation needs.
fn rows_that_fit(spec: &LayerSpec, scratch_bytes: u64) -> u64 {
    let shape = &spec.shape;
    let (approximated, _) = scratch_elements(&spec.approximation, &Sizes::of(shape, 1));
    let row = u64::from(shape.frames().max(shape.heads())) * u64::from(shape.channels());
    (scratch_bytes / ELEMENT_BYTES / row.max(approximated)).max(1)
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
    /// How trajectory tokens are made, if not exactly.
    pub approximator: Option<Approximator>,
    /// How they are made exactly.
    pub attention: Attention,
    /// Most queries of a chunk.
    pub rows: u32,
}

impl Buffers {
    pub fn new(builder: &mut PlanBuilder, spec: &LayerSpec, value: TemporalValue, items: u32) -> Result<Self> {
        let shape = &spec.shape;
        let [batch, heads, n, frames, c] =
            [shape.batch(), shape.heads(), shape.tokens(), shape.frames(), shape.channels()].map(u64::from);
        let limits = builder.limits();
        let fitting = rows_that_fit(spec, limits.scratch_bytes.min(limits.binding_bytes.saturating_sub(BINDING_SLACK)));
        let chunk_rows = rows_of_chunk(fitting, shape.frames(), shape.patches());
        let sizes = Sizes::of(shape, items);
        let (rows, items) = (u64::from(chunk_rows), u64::from(items));
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
        let mut approximator = Approximator::new(builder, &spec.approximation, &sizes, chunk_rows)?;
        if let (true, Some(Approximator::Orthoformer { prototypes, .. })) = (spec.outputs.indices, &mut approximator) {
            prototypes.output_indices(builder, &sizes)?;
        }
        let example = Problem::example(sizes, shape.scale(), chunk_rows);
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
            approximator,
            attention: Attention::like(builder, &example)?,
            rows: chunk_rows,
        })
    }
}

impl Buffers {
    /// Buffers that a chunk fills and reads, and the next one fills again.
    pub fn scratch_of_a_chunk(&self) -> Vec<BufferId> {
        let own = [(self.tokens, !self.tokens_whole), (self.weights, !self.weights_whole)];
        let own = own.into_iter().filter(|&(_, scratch)| scratch).map(|(buffer, _)| buffer);
        own.chain([self.queries, self.down]).chain(self.pooled).chain(self.attention.scratch()).collect()
    }
}

/// Operands of one chunk's stage.
pub(super) struct Operands {
    /// Trajectory tokens `[items, rows, F, C]`.
    pub tokens: View,
    /// Temporal weights `[items, H, rows, F]`.
    pub weights: View,
    /// Second queries `[items, rows, C]`.
    pub queries: View,
    /// Those projected down, `[items, rows, H, C]`.
    pub down: View,
    /// Pooled tokens `[items, rows, H, C]`, for projected values.
    pub pooled: Option<View>,
    /// Results `[items, rows, C]`.
    pub out: View,
}

impl Chunk {
    /// The trajectory tokens of the chunk's queries and the temporal stage on them.
    pub fn plan(&self, layer: &LayerPlan, buffers: &Buffers, slice: BatchSlice, value: TemporalValue) -> Result<Vec<Stage>> {
        let operands = self.operands(layer, buffers, slice);
        ChunkStage { layer, buffers, slice, chunk: self, operands }.plan(value)
    }

    fn operands(&self, layer: &LayerPlan, buffers: &Buffers, slice: BatchSlice) -> Operands {
        let shape = &layer.spec.shape;
        let [batch, heads, n, frames, c] =
            [shape.batch(), shape.heads(), shape.tokens(), shape.frames(), shape.channels()].map(u64::from);
        let [first, items, first_row, rows] = [slice.first, slice.items, self.first_row, self.count()].map(u64::from);
        // Of a chunk's scratch, or the same rows of an output that holds all rows of all batch items.
        let tokens = match buffers.tokens_whole {
            true => View::of(buffers.tokens, &[batch, n, frames, c]).part(0, first, items).part(1, first_row, rows),
            false => View::of(buffers.tokens, &[items, rows, frames, c]),
        };
        let weights = match buffers.weights_whole {
            true => View::of(buffers.weights, &[batch, heads, n, frames]).part(0, first, items).part(2, first_row, rows),
            false => View::of(buffers.weights, &[items, heads, rows, frames]),
        };
        Operands {
            tokens,
            weights,
            queries: View::of(buffers.queries, &[items, rows, c]),
            down: View::of(buffers.down, &[items, rows, heads, c]),
            pooled: buffers.pooled.map(|pooled| View::of(pooled, &[items, rows, heads, c])),
            out: layer.attended(slice).from(1, layer.spec.class_token.into()).part(1, first_row, rows),
        }
    }
}
