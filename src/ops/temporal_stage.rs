//! The kernels that one chunk of queries goes through, from its trajectory tokens to its results.

use std::sync::Arc;

use super::approximation::{Problem, Sizes, TokensOut, Vectors};
use super::chunks::Chunk;
use super::layer::{BatchSlice, LayerPlan, TemporalValue};
use super::layer_attention::packed;
use super::temporal::{Buffers, Operands};
use crate::error::Result;
use crate::params::{AttendParams, LinearParams, TemporalPoolParams, TemporalWeightsParams};
use crate::plan::{BufferId, Dispatch, Stage};
use crate::reference::direct::TemporalStage;

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
            None => vec![self.trajectory_tokens()?],
            Some(approximator) => {
                let problem = problem(self.layer, self.slice)?;
                approximator.tokens(self.layer.builder, &problem, self.chunk, &self.tokens_out())?
            }
        };
        let mut dispatches = vec![self.temporal_queries()?, self.project_down()?, self.temporal_weights()?];
        match self.buffers.pooled {
            Some(pooled) => dispatches.extend(self.pool_and_project(pooled)?),
            None => dispatches.push(self.pool_own()?),
        }
        let temporal = Stage::Shortcut { dispatches, direct: Arc::new(self.direct(value)) };
        Ok(tokens.into_iter().map(Stage::Kernel).chain([temporal]).collect())
    }

    /// Where the chunk's trajectory tokens go.
    fn tokens_out(&self) -> TokensOut {
        let (shape, tokens) = (&self.layer.spec.shape, &self.operands.tokens);
        let rows = Vectors {
            binding: tokens.binding,
            offset: tokens.offset,
            batch_stride: tokens.batch_stride,
            head_stride: shape.head_size(),
            row_stride: shape.frames() * shape.channels(),
        };
        TokensOut { rows, segment_stride: shape.channels() }
    }

    /// Each head pools its own part of the tokens, which is the result already.
    fn pool_own(&self) -> Result<Dispatch> {
        let size = self.layer.spec.shape.head_size();
        let own = TemporalPoolParams { width: size, t_head_stride: size, ..self.pool() };
        let bindings = [self.operands.weights.binding, self.operands.tokens.binding, self.operands.out.binding];
        self.layer.builder.dispatch("pooled tokens", own, &bindings)
    }

    /// `t[n,f] = sum_s softmax_s(q_n . k_{f,s} / sqrt D) v_{f,s}`.
    fn trajectory_tokens(&self) -> Result<Dispatch> {
        let (shape, class) = (&self.layer.spec.shape, u32::from(self.layer.spec.class_token));
        let c = shape.channels();
        let base = packed(self.layer, self.slice, class);
        let params = AttendParams {
            rows: self.chunk.count(),
            segments: shape.frames(),
            keys: shape.patches(),
            q_offset: (class + self.chunk.first_row) * 3 * c,
            k_segment_stride: shape.patches() * 3 * c,
            v_segment_stride: shape.patches() * 3 * c,
            out_offset: self.operands.tokens.offset,
            out_batch_stride: self.operands.tokens.batch_stride,
            out_row_stride: shape.frames() * c,
            out_segment_stride: c,
            ..base
        };
        let qkv = self.layer.packed(self.slice)?;
        self.layer.builder.dispatch("trajectory tokens", params, &[qkv, qkv, qkv, self.operands.tokens.binding])
    }

    /// `q2 = Wq own + bq`, where `own[n] = t[n, f(n)]` is read in place: a group per frame.
    fn temporal_queries(&self) -> Result<Dispatch> {
        let shape = &self.layer.spec.shape;
        let (c, trajectory) = (shape.channels(), shape.frames() * shape.channels());
        let first_frame = self.chunk.first_row / shape.patches();
        let projection = self.buffers.query_projection;
        let params = LinearParams {
            batch: self.slice.items,
            groups: self.chunk.frames,
            rows: self.chunk.rows,
            inputs: c,
            outputs: c,
            has_bias: projection.bias.is_some().into(),
            x_offset: self.operands.tokens.offset + first_frame * c,
            x_batch_stride: self.operands.tokens.batch_stride,
            x_group_stride: self.chunk.rows * trajectory + c,
            x_row_stride: trajectory,
            w_output_stride: c,
            w_input_stride: 1,
            y_offset: self.operands.queries.offset,
            y_batch_stride: self.operands.queries.batch_stride,
            y_group_stride: self.chunk.rows * c,
            y_row_stride: c,
            ..LinearParams::plain()
        };
        let bias = projection.bias.unwrap_or(projection.weight);
        let bindings = [self.operands.tokens.binding, projection.weight, bias, projection.weight, self.operands.queries.binding];
        self.layer.builder.dispatch("temporal queries", params, &bindings)
    }

    /// `Wk_h' q2_h` for every head: the keys' projection, transposed, on the query.
    fn project_down(&self) -> Result<Dispatch> {
        let shape = &self.layer.spec.shape;
        let (c, size) = (shape.channels(), shape.head_size());
        let params = LinearParams {
            batch: self.slice.items,
            groups: shape.heads(),
            rows: self.chunk.count(),
            inputs: size,
            outputs: c,
            x_offset: self.operands.queries.offset,
            x_batch_stride: self.operands.queries.batch_stride,
            x_group_stride: size,
            x_row_stride: c,
            w_group_stride: size * c,
            w_output_stride: 1,
            w_input_stride: c,
            y_offset: self.operands.down.offset,
            y_batch_stride: self.operands.down.batch_stride,
            y_group_stride: c,
            y_row_stride: shape.heads() * c,
            ..LinearParams::plain()
        };
        let weight = self.buffers.key_value_projection.weight;
        let bindings = [self.operands.queries.binding, weight, weight, weight, self.operands.down.binding];
        self.layer.builder.dispatch("projected queries", params, &bindings)
    }

    fn temporal_weights(&self) -> Result<Dispatch> {
        let shape = &self.layer.spec.shape;
        let c = shape.channels();
        let params = TemporalWeightsParams {
            batch: self.slice.items,
            heads: shape.heads(),
            rows: self.chunk.count(),
            frames: shape.frames(),
            width: c,
            scale: shape.scale(),
            q_offset: self.operands.down.offset,
            q_batch_stride: self.operands.down.batch_stride,
            q_row_stride: shape.heads() * c,
            q_head_stride: c,
            t_offset: self.operands.tokens.offset,
            t_batch_stride: self.operands.tokens.batch_stride,
            t_row_stride: shape.frames() * c,
            t_frame_stride: c,
            out_offset: self.operands.weights.offset,
            out_batch_stride: self.operands.weights.batch_stride,
            out_head_stride: self.operands.weights_head_stride,
            out_row_stride: shape.frames(),
        };
        let bindings = [self.operands.down.binding, self.operands.tokens.binding, self.operands.weights.binding];
        self.layer.builder.dispatch("temporal weights", params, &bindings)
    }

    /// Pooling of whole tokens for every head, into the layer's result.
    fn pool(&self) -> TemporalPoolParams {
        let shape = &self.layer.spec.shape;
        let c = shape.channels();
        TemporalPoolParams {
            batch: self.slice.items,
            heads: shape.heads(),
            rows: self.chunk.count(),
            frames: shape.frames(),
            width: c,
            a_offset: self.operands.weights.offset,
            a_batch_stride: self.operands.weights.batch_stride,
            a_head_stride: self.operands.weights_head_stride,
            a_row_stride: shape.frames(),
            t_offset: self.operands.tokens.offset,
            t_batch_stride: self.operands.tokens.batch_stride,
            t_row_stride: shape.frames() * c,
            t_frame_stride: c,
            t_head_stride: 0,
            out_offset: self.operands.out.offset,
            out_batch_stride: self.operands.out.batch_stride,
            out_row_stride: c,
            out_head_stride: shape.head_size(),
        }
    }

    /// Whole tokens pooled for every head, then `Wv_h pooled_h + bv_h`.
    fn pool_and_project(&self, pooled: BufferId) -> Result<[Dispatch; 2]> {
        let shape = &self.layer.spec.shape;
        let (c, size, row) = (shape.channels(), shape.head_size(), shape.heads() * shape.channels());
        let item = self.chunk.count() * row;
        let (pooled, _) = self.layer.builder.bind(pooled, 0, u64::from(self.slice.items) * u64::from(item))?;
        let pool =
            TemporalPoolParams { out_offset: 0, out_batch_stride: item, out_row_stride: row, out_head_stride: c, ..self.pool() };
        let projection = self.buffers.key_value_projection;
        let project = LinearParams {
            batch: self.slice.items,
            groups: shape.heads(),
            rows: self.chunk.count(),
            inputs: c,
            outputs: size,
            has_bias: projection.bias.is_some().into(),
            x_offset: 0,
            x_batch_stride: item,
            x_group_stride: c,
            x_row_stride: row,
            w_offset: c * c,
            w_group_stride: size * c,
            w_output_stride: c,
            w_input_stride: 1,
            bias_offset: c,
            bias_group_stride: size,
            y_offset: self.operands.out.offset,
            y_batch_stride: self.operands.out.batch_stride,
            y_group_stride: size,
            y_row_stride: c,
            ..LinearParams::plain()
        };
        let bias = projection.bias.unwrap_or(projection.weight);
        let bindings = [self.operands.weights.binding, self.operands.tokens.binding, pooled];
        Ok([
            self.layer.builder.dispatch("pooled tokens", pool, &bindings)?,
            self.layer.builder.dispatch(
                "projected values",
                project,
                &[pooled, projection.weight, bias, projection.weight, self.operands.out.binding],
            )?,
        ])
    }

    fn direct(&self, value: TemporalValue) -> TemporalStage {
        let shape = &self.layer.spec.shape;
        TemporalStage {
            batch: self.slice.items,
            heads: shape.heads(),
            frames: shape.frames(),
            patches: shape.patches(),
            head_size: shape.head_size(),
            first_row: self.chunk.first_row,
            rows: self.chunk.count(),
            value,
            scale: shape.scale(),
            tokens: self.operands.tokens.binding,
            tokens_offset: self.operands.tokens.offset,
            tokens_batch_stride: self.operands.tokens.batch_stride,
            q_weight: self.buffers.query_projection.weight,
            q_bias: self.buffers.query_projection.bias,
            kv_weight: self.buffers.key_value_projection.weight,
            kv_bias: self.buffers.key_value_projection.bias,
            weights: self.operands.weights.binding,
            weights_offset: self.operands.weights.offset,
            weights_batch_stride: self.operands.weights.batch_stride,
            weights_head_stride: self.operands.weights_head_stride,
            out: self.operands.out.binding,
            out_offset: self.operands.out.offset,
            out_batch_stride: self.operands.out.batch_stride,
        }
    }
}

/// Queries, keys and values of a batch slice, the class token left out.
pub(super) fn problem(layer: &LayerPlan, slice: BatchSlice) -> Result<Problem> {
    let shape = &layer.spec.shape;
    let (c, binding) = (shape.channels(), layer.packed(slice)?);
    let vectors = |part: u32| Vectors {
        binding,
        offset: u32::from(layer.spec.class_token) * 3 * c + part * c,
        batch_stride: layer.sequence * 3 * c,
        head_stride: shape.head_size(),
        row_stride: 3 * c,
    };
    let (first_item, items) = (slice.first, slice.items);
    let sizes = Sizes::of(shape, layer.slice_items);
    Ok(Problem { sizes, first_item, items, scale: shape.scale(), q: vectors(0), k: vectors(1), v: vectors(2) })
}
