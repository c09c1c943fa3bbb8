//! Trajectory tokens and the temporal stage, chunk of queries by chunk of queries.
//!
//! The published order projects every trajectory token to `k2` and `v2`. It need not: `q2_h . (Wk_h t + bk_h) = (Wk_h' q2_h) . t + const`,
//! the constant cancels in the softmax over frames, and `sum_f a_f (Wv_h t_f + bv_h) = Wv_h (sum_f a_f t_f) + bv_h`. So the query is
//! projected down and the pooled token up: `F` times fewer projections. With *identity* values the pooled token is the result.

use super::layer::{BatchSlice, LayerPlan, LayerSpec, Projection, TemporalValue, projection};
use super::layer_attention::packed;
use crate::error::Result;
use crate::params::{AttendParams, LinearParams, TemporalPoolParams, TemporalWeightsParams};
use crate::plan::{Binding, BufferId, Dispatch, ELEMENT_BYTES, PlanBuilder, Role, Stage};
use crate::reference::direct::TemporalStage;
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
    query_projection: Projection,
    key_value_projection: Projection,
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
    pooled: Option<BufferId>,
    rows: u32,
}

impl Buffers {
    pub fn new(builder: &mut PlanBuilder, spec: &LayerSpec, value: TemporalValue, items: u32) -> Result<Self> {
        let shape = &spec.shape;
        let [batch, heads, n, frames, c] =
            [shape.batch(), shape.heads(), shape.tokens(), shape.frames(), shape.channels()].map(u64::from);
        let fitting = rows_that_fit(shape, builder.limits().scratch_bytes).min(n);
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
    first_row: u32,
    frames: u32,
    rows: u32,
}

/// A binding, the first element used in it, and the stride from one batch item to the next.
#[derive(Clone, Copy)]
struct Operand {
    binding: Binding,
    offset: u32,
    batch_stride: u32,
}

/// Operands of one chunk's stage.
struct Operands {
    tokens: Operand,
    weights: Operand,
    weights_head_stride: u32,
    queries: Operand,
    down: Operand,
    out: Operand,
}

impl Chunk {
    fn count(&self) -> u32 {
        self.frames * self.rows
    }

    /// Appends the trajectory tokens of the chunk's queries and the temporal stage on them.
    pub fn push(&self, layer: &mut LayerPlan, slice: BatchSlice, value: TemporalValue) -> Result<()> {
        let Some(buffers) = &layer.trajectory else { return Ok(()) };
        let operands = self.operands(layer, buffers, slice)?;
        let tokens = self.trajectory_tokens(layer, slice, &operands)?;
        let mut dispatches = vec![
            self.temporal_queries(layer, buffers, slice, &operands)?,
            self.project_down(layer, buffers, slice, &operands)?,
            self.temporal_weights(layer, slice, &operands)?,
        ];
        match buffers.pooled {
            Some(pooled) => dispatches.extend(self.pool_and_project(layer, buffers, slice, &operands, pooled)?),
            None => {
                let pool = self.pool(layer, slice, &operands);
                let own = TemporalPoolParams {
                    width: layer.spec.shape.head_size(),
                    t_head_stride: layer.spec.shape.head_size(),
                    ..pool
                };
                let bindings = [operands.weights.binding, operands.tokens.binding, operands.out.binding];
                dispatches.push(layer.builder.dispatch("pooled tokens", own, &bindings)?);
            }
        }
        let direct = self.direct(layer, buffers, slice, value, &operands);
        layer.builder.push_stage(Stage::Kernel(tokens));
        layer.builder.push_stage(Stage::Shortcut { dispatches, direct });
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

    /// `t[n,f] = sum_s softmax_s(q_n . k_{f,s} / sqrt D) v_{f,s}`.
    fn trajectory_tokens(&self, layer: &LayerPlan, slice: BatchSlice, operands: &Operands) -> Result<Dispatch> {
        let (shape, class) = (&layer.spec.shape, u32::from(layer.spec.class_token));
        let c = shape.channels();
        let base = packed(layer, slice, class);
        let params = AttendParams {
            rows: self.count(),
            segments: shape.frames(),
            keys: shape.patches(),
            q_offset: (class + self.first_row) * 3 * c,
            k_segment_stride: shape.patches() * 3 * c,
            v_segment_stride: shape.patches() * 3 * c,
            out_offset: operands.tokens.offset,
            out_batch_stride: operands.tokens.batch_stride,
            out_row_stride: shape.frames() * c,
            out_segment_stride: c,
            ..base
        };
        let qkv = layer.packed(slice)?;
        layer.builder.dispatch("trajectory tokens", params, &[qkv, qkv, qkv, operands.tokens.binding])
    }

    /// `q2 = Wq own + bq`, where `own[n] = t[n, f(n)]` is read in place: a group per frame.
    fn temporal_queries(&self, layer: &LayerPlan, buffers: &Buffers, slice: BatchSlice, operands: &Operands) -> Result<Dispatch> {
        let shape = &layer.spec.shape;
        let (c, trajectory) = (shape.channels(), shape.frames() * shape.channels());
        let first_frame = self.first_row / shape.patches();
        let projection = buffers.query_projection;
        let params = LinearParams {
            batch: slice.items,
            groups: self.frames,
            rows: self.rows,
            inputs: c,
            outputs: c,
            has_bias: projection.bias.is_some().into(),
            x_offset: operands.tokens.offset + first_frame * c,
            x_batch_stride: operands.tokens.batch_stride,
            x_group_stride: self.rows * trajectory + c,
            x_row_stride: trajectory,
            w_output_stride: c,
            w_input_stride: 1,
            y_offset: operands.queries.offset,
            y_batch_stride: operands.queries.batch_stride,
            y_group_stride: self.rows * c,
            y_row_stride: c,
            ..LinearParams::default()
        };
        let bias = projection.bias.unwrap_or(projection.weight);
        let bindings = [operands.tokens.binding, projection.weight, bias, operands.queries.binding];
        layer.builder.dispatch("temporal queries", params, &bindings)
    }

    /// `Wk_h' q2_h` for every head: the keys' projection, transposed, on the query.
    fn project_down(&self, layer: &LayerPlan, buffers: &Buffers, slice: BatchSlice, operands: &Operands) -> Result<Dispatch> {
        let shape = &layer.spec.shape;
        let (c, size) = (shape.channels(), shape.head_size());
        let params = LinearParams {
            batch: slice.items,
            groups: shape.heads(),
            rows: self.count(),
            inputs: size,
            outputs: c,
            x_offset: operands.queries.offset,
            x_batch_stride: operands.queries.batch_stride,
            x_group_stride: size,
            x_row_stride: c,
            w_group_stride: size * c,
            w_output_stride: 1,
            w_input_stride: c,
            y_offset: operands.down.offset,
            y_batch_stride: operands.down.batch_stride,
            y_group_stride: c,
            y_row_stride: shape.heads() * c,
            ..LinearParams::default()
        };
        let weight = buffers.key_value_projection.weight;
        let bindings = [operands.queries.binding, weight, weight, operands.down.binding];
        layer.builder.dispatch("projected queries", params, &bindings)
    }

    fn temporal_weights(&self, layer: &LayerPlan, slice: BatchSlice, operands: &Operands) -> Result<Dispatch> {
        let shape = &layer.spec.shape;
        let c = shape.channels();
        let params = TemporalWeightsParams {
            batch: slice.items,
            heads: shape.heads(),
            rows: self.count(),
            frames: shape.frames(),
            width: c,
            scale: shape.scale(),
            q_offset: operands.down.offset,
            q_batch_stride: operands.down.batch_stride,
            q_row_stride: shape.heads() * c,
            q_head_stride: c,
            t_offset: operands.tokens.offset,
            t_batch_stride: operands.tokens.batch_stride,
            t_row_stride: shape.frames() * c,
            t_frame_stride: c,
            out_offset: operands.weights.offset,
            out_batch_stride: operands.weights.batch_stride,
            out_head_stride: operands.weights_head_stride,
            out_row_stride: shape.frames(),
        };
        let bindings = [operands.down.binding, operands.tokens.binding, operands.weights.binding];
        layer.builder.dispatch("temporal weights", params, &bindings)
    }

    /// Pooling of whole tokens for every head, into the layer's result.
    fn pool(&self, layer: &LayerPlan, slice: BatchSlice, operands: &Operands) -> TemporalPoolParams {
        let shape = &layer.spec.shape;
        let c = shape.channels();
        TemporalPoolParams {
            batch: slice.items,
            heads: shape.heads(),
            rows: self.count(),
            frames: shape.frames(),
            width: c,
            a_offset: operands.weights.offset,
            a_batch_stride: operands.weights.batch_stride,
            a_head_stride: operands.weights_head_stride,
            a_row_stride: shape.frames(),
            t_offset: operands.tokens.offset,
            t_batch_stride: operands.tokens.batch_stride,
            t_row_stride: shape.frames() * c,
            t_frame_stride: c,
            t_head_stride: 0,
            out_offset: operands.out.offset,
            out_batch_stride: operands.out.batch_stride,
            out_row_stride: c,
            out_head_stride: shape.head_size(),
        }
    }

    /// Whole tokens pooled for every head, then `Wv_h pooled_h + bv_h`.
    fn pool_and_project(
        &self,
        layer: &LayerPlan,
        buffers: &Buffers,
        slice: BatchSlice,
        operands: &Operands,
        pooled: BufferId,
    ) -> Result<[Dispatch; 2]> {
        let shape = &layer.spec.shape;
        let (c, size, row) = (shape.channels(), shape.head_size(), shape.heads() * shape.channels());
        let item = self.count() * row;
        let (pooled, _) = layer.builder.bind(pooled, 0, u64::from(slice.items) * u64::from(item))?;
        let pool = TemporalPoolParams {
            out_offset: 0,
            out_batch_stride: item,
            out_row_stride: row,
            out_head_stride: c,
            ..self.pool(layer, slice, operands)
        };
        let projection = buffers.key_value_projection;
        let project = LinearParams {
            batch: slice.items,
            groups: shape.heads(),
            rows: self.count(),
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
            y_offset: operands.out.offset,
            y_batch_stride: operands.out.batch_stride,
            y_group_stride: size,
            y_row_stride: c,
        };
        let bias = projection.bias.unwrap_or(projection.weight);
        let bindings = [operands.weights.binding, operands.tokens.binding, pooled];
        Ok([
            layer.builder.dispatch("pooled tokens", pool, &bindings)?,
            layer.builder.dispatch("projected values", project, &[pooled, projection.weight, bias, operands.out.binding])?,
        ])
    }

    fn direct(
        &self,
        layer: &LayerPlan,
        buffers: &Buffers,
        slice: BatchSlice,
        value: TemporalValue,
        operands: &Operands,
    ) -> TemporalStage {
        let shape = &layer.spec.shape;
        TemporalStage {
            batch: slice.items,
            heads: shape.heads(),
            frames: shape.frames(),
            patches: shape.patches(),
            head_size: shape.head_size(),
            first_row: self.first_row,
            rows: self.count(),
            value,
            scale: shape.scale(),
            tokens: operands.tokens.binding,
            tokens_offset: operands.tokens.offset,
            tokens_batch_stride: operands.tokens.batch_stride,
            q_weight: buffers.query_projection.weight,
            q_bias: buffers.query_projection.bias,
            kv_weight: buffers.key_value_projection.weight,
            kv_bias: buffers.key_value_projection.bias,
            weights: operands.weights.binding,
            weights_offset: operands.weights.offset,
            weights_batch_stride: operands.weights.batch_stride,
            weights_head_stride: operands.weights_head_stride,
            out: operands.out.binding,
            out_offset: operands.out.offset,
            out_batch_stride: operands.out.batch_stride,
        }
    }
}
