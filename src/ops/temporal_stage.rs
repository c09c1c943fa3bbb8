//! The kernels that one chunk of queries goes through, from its trajectory tokens to its results.

use std::sync::Arc;

use super::approximation::{Problem, Sizes};
use super::chunks::Chunk;
use super::kit::{Packed, heads};
use super::layer::{BatchSlice, LayerPlan, TemporalValue};
use super::temporal::{Buffers, Operands};
use crate::error::Result;
use crate::kernel::{Linear, TemporalPool, TemporalWeights};
use crate::plan::{Dispatch, Stage};
use crate::reference::direct::TemporalStage;
use crate::view::View;

/// One chunk of one batch slice, being planned.
pub(super) struct ChunkStage<'l> {
    pub layer: &'l LayerPlan<'l>,
    pub buffers: &'l Buffers,
    pub slice: BatchSlice,
    pub chunk: &'l Chunk,
    pub operands: Operands,
}

impl ChunkStage<'_> {
    /// The chunk's trajectory tokens, then the temporal stage on them.
    pub fn plan(&self, value: TemporalValue) -> Result<Vec<Stage>> {
        let tokens = match &self.buffers.approximator {
            None => self.trajectory_tokens()?,
            Some(approximator) => {
                let problem = problem(self.layer, self.slice);
                approximator.tokens(self.layer.builder, &problem, self.chunk, self.tokens_by_heads())?
            }
        };
        let mut dispatches = vec![self.temporal_queries()?, self.project_down()?, self.temporal_weights()?];
        match self.operands.pooled {
            Some(pooled) => dispatches.extend([self.pool_whole(pooled)?, self.project_pooled(pooled)?]),
            None => dispatches.push(self.pool_own()?),
        }
        let temporal = Stage::Shortcut { dispatches, direct: Arc::new(self.direct(value)) };
        Ok(tokens.into_iter().map(Stage::Kernel).chain([temporal]).collect())
    }

    /// Where the chunk's trajectory tokens go, `[items, heads, rows, F, D]`.
    fn tokens_by_heads(&self) -> View {
        self.tokens_and_heads().ordered(&[0, 3, 1, 2, 4])
    }

    /// The same in their own order, `[items, rows, F, heads, D]`.
    fn tokens_and_heads(&self) -> View {
        self.operands.tokens.split(3, self.head_size())
    }

    fn head_size(&self) -> u64 {
        self.layer.spec.shape.head_size().into()
    }

    fn heads(&self) -> u64 {
        self.layer.spec.shape.heads().into()
    }

    /// `t[n,f] = sum_s softmax_s(q_n . k_{f,s} / sqrt D) v_{f,s}`.
    fn trajectory_tokens(&self) -> Result<Vec<Dispatch>> {
        let request = problem(self.layer, self.slice).exact(self.chunk, self.tokens_by_heads());
        self.buffers.attention.dispatches(self.layer.builder, "trajectory tokens", request)
    }

    /// `q2 = Wq own + bq`, where `own[n] = t[n, f(n)]` is read in place: a group per frame.
    fn temporal_queries(&self) -> Result<Dispatch> {
        let [rows, first_frame] = [self.chunk.rows, self.chunk.first_row / self.layer.spec.shape.patches()].map(u64::from);
        let groups = self.operands.tokens.split(1, rows);
        // From a frame's queries to the next's, and to the frame that is their own.
        let diagonal = groups.stride(1) + groups.stride(3);
        let own = groups.index(3, first_frame).with_stride(1, diagonal);
        let projection = self.buffers.query_projection;
        let product = Linear::new(own, projection.weight, self.operands.queries.split(1, rows));
        self.layer.builder.make("temporal queries", Linear { bias: projection.bias, ..product })
    }

    /// `Wk_h' q2_h` for every head: the keys' projection, transposed, on the query.
    fn project_down(&self) -> Result<Dispatch> {
        let keys = self.weight_of_heads(0).ordered(&[0, 2, 1]);
        let down = self.operands.down.ordered(&[0, 2, 1, 3]);
        let product = Linear::new(heads(self.operands.queries, self.heads()), keys, down);
        self.layer.builder.make("projected queries", product)
    }

    /// The projection to keys (0) or values (1), `[heads, D, C]`.
    fn weight_of_heads(&self, half: u64) -> View {
        let weight = self.buffers.key_value_projection.weight;
        let channels = weight.size(1);
        weight.part(0, half * channels, channels).split(0, self.head_size())
    }

    fn temporal_weights(&self) -> Result<Dispatch> {
        let Operands { down, tokens, weights, .. } = self.operands;
        let request = TemporalWeights { queries: down, tokens, weights, scale: self.layer.spec.shape.scale() };
        self.layer.builder.make("temporal weights", request)
    }

    /// Each head pools its own part of the tokens, which is the result already.
    fn pool_own(&self) -> Result<Dispatch> {
        let pooled = self.operands.out.split(2, self.head_size());
        let request = TemporalPool { weights: self.operands.weights, tokens: self.tokens_and_heads(), pooled };
        self.layer.builder.make("pooled tokens", request)
    }

    /// Whole tokens pooled for every head.
    fn pool_whole(&self, pooled: View) -> Result<Dispatch> {
        let tokens = self.operands.tokens.with_axis(3, self.heads());
        self.layer.builder.make("pooled tokens", TemporalPool { weights: self.operands.weights, tokens, pooled })
    }

    /// `Wv_h pooled_h + bv_h`.
    fn project_pooled(&self, pooled: View) -> Result<Dispatch> {
        let channels = self.operands.out.size(2);
        let own = |bias: View| bias.part(0, channels, channels).split(0, self.head_size()).with_axis(1, 1);
        let bias = self.buffers.key_value_projection.bias.map(own);
        let out = heads(self.operands.out, self.heads());
        let product = Linear::new(pooled.ordered(&[0, 2, 1, 3]), self.weight_of_heads(1), out);
        self.layer.builder.make("projected values", Linear { bias, ..product })
    }

    fn direct(&self, value: TemporalValue) -> TemporalStage {
        let shape = &self.layer.spec.shape;
        TemporalStage {
            patches: shape.patches(),
            first_row: self.chunk.first_row,
            value,
            scale: shape.scale(),
            tokens: self.operands.tokens,
            q_weight: self.buffers.query_projection.weight,
            q_bias: self.buffers.query_projection.bias,
            kv_weight: self.buffers.key_value_projection.weight,
            kv_bias: self.buffers.key_value_projection.bias,
            weights: self.operands.weights,
            out: self.operands.out,
        }
    }
}

/// Queries, keys and values of a batch slice, the class token left out.
pub(super) fn problem(layer: &LayerPlan, slice: BatchSlice) -> Problem {
    let shape = &layer.spec.shape;
    let packed: Packed = layer.packed(slice);
    let patches = |view: View| view.from(2, layer.spec.class_token.into());
    Problem {
        sizes: Sizes::of(shape, layer.slice_items),
        first_item: slice.first,
        items: slice.items,
        scale: shape.scale(),
        q: patches(packed.queries()),
        k: patches(packed.keys()),
        v: patches(packed.values()),
    }
}
