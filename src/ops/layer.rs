//! A whole attention layer from its published weights: `qkv`, attention over the tokens, `proj`.
//!
//! Inputs `x [B,T,C]` with `T = N`, or `1 + N` with the class token first; `qkv.weight [3C,C]`, `proj.weight [C,C]`, for trajectory
//! attention `proj_q.weight [C,C]` and `proj_kv.weight [2C,C]`, and biases of the same names where [`Biases`] says so. Output
//! `y [B,T,C]`; trajectory attention also hands out what [`LayerOutputs`] asks for.
//!
//! The class token attends over all `T` keys; patches do not attend to it, except in divided attention, where it is an extra key
//! of every group (Patrick et al., NeurIPS 2021; the published code's `TrajectoryAttention`, `JointSpaceTimeAttention`, `DividedAttention`).
//!
//! Batch items and queries are processed in slices, so that scratch memory does not grow with the batch, and grows with the number
//! of tokens only as the packed `qkv` does.

use super::approximation::Approximation;
use super::dense::{Dense, Projection, Rows, projection};
use super::{layer_attention, temporal};
use crate::error::{Error, Result};
use crate::params::AttendRowsParams;
use crate::plan::{BINDING_SLACK, Binding, BufferId, ELEMENT_BYTES, Plan, PlanBuilder, PlanLimits, Role};
pub use crate::reference::direct::TemporalValue;
use crate::shape::{Shape, fits_u32};

/// Which tokens attend to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerAttention {
    /// Trajectory attention with these temporal values.
    Trajectory(TemporalValue),
    /// Every token attends to every token.
    Joint,
    /// A patch attends to its own frame, and the class token.
    DividedSpace,
    /// A patch attends to its own place in every frame, and the class token.
    DividedTime,
}

/// Which linear layers have a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Biases {
    /// `qkv.bias [3C]`.
    pub qkv: bool,
    /// `proj_q.bias [C]`.
    pub proj_q: bool,
    /// `proj_kv.bias [2C]`.
    pub proj_kv: bool,
    /// `proj.bias [C]`.
    pub proj: bool,
}

/// What a trajectory layer hands out beside `y`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LayerOutputs {
    /// `tokens [B,N,F,C]`: the trajectory tokens.
    pub tokens: bool,
    /// `temporal_weights [B,H,N,F]`.
    pub temporal_weights: bool,
    /// `indices [B*H, R]`, or `[B*H, F, R]` with prototypes per frame: the picks of a greedy selection.
    pub indices: bool,
    /// If not empty, `attention [B,H,Q,F,S]`: the spatial attention of these queries (token numbers `n`, class token not counted).
    pub queries: Vec<u32>,
}

/// A layer with everything needed to plan it.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSpec {
    /// Sizes; the class token is not counted in them.
    pub shape: Shape,
    /// Kind of attention.
    pub attention: LayerAttention,
    /// How trajectory tokens are computed; other attentions are exact.
    pub approximation: Approximation,
    /// Whether `x` and `y` begin with a class token.
    pub class_token: bool,
    /// Which biases exist.
    pub biases: Biases,
    /// What else to hand out.
    pub outputs: LayerOutputs,
}

/// Plans a layer.
///
/// # Errors
/// [`Error::OutOfRange`] for a query beyond the tokens, [`Error::Argument`] for trajectory outputs of another attention,
/// [`Error::BindingTooLarge`] if one sequence's packed `qkv`, its temporal weights or attention rows, or a weight matrix exceeds a
/// binding.
pub fn plan(spec: &LayerSpec, limits: PlanLimits) -> Result<Plan> {
    let mut builder = PlanBuilder::new(limits);
    let sequence = spec.shape.tokens() + u32::from(spec.class_token);
    let axes = [spec.shape.batch(), sequence, spec.shape.channels()].map(u64::from);
    let x = builder.buffer("x", &axes, Role::Input)?;
    let y = builder.buffer("y", &axes, Role::Output)?;
    push(&mut builder, spec, &Place { x, y, residual: None, class_only: false })?;
    Ok(builder.build())
}

/// Where a layer stands in a plan.
pub(super) struct Place {
    /// `[B,T,C]`.
    pub x: BufferId,
    /// `[B,T,C]`.
    pub y: BufferId,
    /// Added to the result, `[B,T,C]`.
    pub residual: Option<BufferId>,
    /// Only the class token is wanted: of `y`, only the first row of each batch item is written.
    pub class_only: bool,
}

/// Appends a layer to a plan.
///
/// # Errors
/// Those of [`plan`].
pub(super) fn push(builder: &mut PlanBuilder, spec: &LayerSpec, place: &Place) -> Result<()> {
    check(spec)?;
    let mut layer = LayerPlan::new(builder, spec, place)?;
    for first in (0..spec.shape.batch()).step_by(layer.slice_items as usize) {
        layer.push_slice(BatchSlice { first, items: layer.slice_items.min(spec.shape.batch() - first) })?;
    }
    Ok(())
}

fn check(spec: &LayerSpec) -> Result<()> {
    let shape = &spec.shape;
    let trajectory = matches!(spec.attention, LayerAttention::Trajectory(_));
    if !trajectory && spec.outputs != LayerOutputs::default() {
        let (given, expected) = (format!("{:?}", spec.outputs), "no extra outputs, as attention is not `trajectory`".to_owned());
        return Err(Error::Argument { what: "layer outputs", given, expected });
    }
    if !trajectory && spec.approximation != Approximation::Exact {
        let given = spec.approximation.name().to_owned();
        let expected = "exact, as attention is not `trajectory`".to_owned();
        return Err(Error::Argument { what: "approximation", given, expected });
    }
    if spec.approximation != Approximation::Exact && !spec.outputs.queries.is_empty() {
        let given = format!("{} queries", spec.outputs.queries.len());
        let expected = "none, as only exact attention has a row for each query".to_owned();
        return Err(Error::Argument { what: "attention of chosen queries", given, expected });
    }
    if let Some(&query) = spec.outputs.queries.iter().find(|&&query| query >= shape.tokens()) {
        return Err(Error::OutOfRange { what: "query", index: query.into(), count: shape.tokens().into() });
    }
    Ok(())
}

/// How many batch items go through the layer together: as many as scratch and bindings hold, outputs included; at least one.
fn items_at_once(spec: &LayerSpec, limits: &PlanLimits) -> u32 {
    let shape = &spec.shape;
    let [h, n, f, c] = [shape.heads(), shape.tokens(), shape.frames(), shape.channels()].map(u64::from);
    let packed = (n + 1) * 3 * c;
    let scratch = limits.scratch_bytes.min(limits.binding_bytes.saturating_sub(BINDING_SLACK)) / ELEMENT_BYTES;
    let mut items = scratch / packed;
    if matches!(spec.attention, LayerAttention::Trajectory(_)) {
        items = items.min(temporal::items_that_fit(spec, scratch * ELEMENT_BYTES).into());
    }
    let outputs = [
        (spec.outputs.tokens, n * f * c),
        (spec.outputs.temporal_weights, h * n * f),
        (true, h * n * spec.outputs.queries.len() as u64),
    ];
    let largest = outputs.iter().filter(|(wanted, _)| *wanted).map(|(_, elements)| *elements).max().unwrap_or(0).max(1);
    let bound = limits.binding_bytes.saturating_sub(BINDING_SLACK) / ELEMENT_BYTES;
    items.min(bound / largest).clamp(1, shape.batch().into()) as u32
}

/// Batch items that go through the layer together.
#[derive(Clone, Copy)]
pub(super) struct BatchSlice {
    pub first: u32,
    pub items: u32,
}

/// A layer being planned.
pub(super) struct LayerPlan<'p> {
    pub spec: &'p LayerSpec,
    pub builder: &'p mut PlanBuilder,
    /// `T`: tokens of a sequence, the class token included.
    pub sequence: u32,
    pub slice_items: u32,
    pub class_only: bool,
    x: BufferId,
    y: BufferId,
    residual: Option<BufferId>,
    qkv: BufferId,
    attended: BufferId,
    qkv_projection: Projection,
    out_projection: Projection,
    pub trajectory: Option<temporal::Buffers>,
    chosen: Option<(BufferId, BufferId)>,
}

impl<'p> LayerPlan<'p> {
    fn new(builder: &'p mut PlanBuilder, spec: &'p LayerSpec, place: &Place) -> Result<Self> {
        let shape = &spec.shape;
        let sequence = shape.tokens() + u32::from(spec.class_token);
        let [batch, t, c] = [shape.batch(), sequence, shape.channels()].map(u64::from);
        let qkv_projection = projection(builder, "qkv", 3 * c, c, spec.biases.qkv)?;
        let items = items_at_once(spec, builder.limits());
        let trajectory = match spec.attention {
            LayerAttention::Trajectory(value) if !place.class_only => Some(temporal::Buffers::new(builder, spec, value, items)?),
            _ => None,
        };
        let out_projection = projection(builder, "proj", c, c, spec.biases.proj)?;
        let qkv = builder.buffer("packed qkv", &[items.into(), t, 3 * c], Role::Scratch)?;
        let attended = builder.buffer("attended", &[items.into(), t, c], Role::Scratch)?;
        let mut chosen = None;
        if !spec.outputs.queries.is_empty() {
            let count = spec.outputs.queries.len() as u64;
            let list = builder.buffer("chosen queries", &[count], Role::Constant(spec.outputs.queries.clone()))?;
            let sizes = [shape.heads(), shape.frames(), shape.patches()].map(u64::from);
            let weights = [batch, sizes[0], count, sizes[1], sizes[2]];
            chosen = Some((list, builder.buffer("attention", &weights, Role::Output)?));
        }
        let &Place { x, y, residual, class_only, .. } = place;
        let slice_items = items;
        Ok(Self {
            spec,
            builder,
            sequence,
            slice_items,
            class_only,
            x,
            y,
            residual,
            qkv,
            attended,
            qkv_projection,
            out_projection,
            trajectory,
            chosen,
        })
    }

    /// The layer for some batch items.
    fn push_slice(&mut self, slice: BatchSlice) -> Result<()> {
        let (c, sequence) = (self.spec.shape.channels(), self.sequence);
        let rows = |(binding, offset): (Binding, u32), row_stride: u32| Rows {
            binding,
            offset,
            batch_stride: sequence * row_stride,
            row_stride,
        };
        let of_slice = |buffer| {
            let item = u64::from(sequence) * u64::from(c);
            let bound = self.builder.bind(buffer, u64::from(slice.first) * item, u64::from(slice.items) * item)?;
            Ok(rows(bound, c))
        };
        let (x, y): (Rows, Rows) = (of_slice(self.x)?, of_slice(self.y)?);
        let residual = self.residual.map(of_slice).transpose()?;
        let packed = rows((self.packed(slice)?, 0), 3 * c);
        let attended = rows((self.attended(slice)?, 0), c);
        let all = Dense::new((slice.items, sequence), (c, 3 * c), self.qkv_projection);
        if self.class_only {
            let query = Dense { rows: 1, outputs: c, ..all };
            query.push(self.builder, "class query", x, packed)?;
            let keys_and_values = Dense { first: c, outputs: 2 * c, ..all };
            keys_and_values.push(self.builder, "keys and values", x, Rows { offset: c, ..packed })?;
        } else {
            all.push(self.builder, "qkv", x, packed)?;
        }
        layer_attention::push(self, slice)?;
        if let Some((list, weights)) = self.chosen {
            self.push_chosen(slice, list, weights)?;
        }
        let rows = if self.class_only { 1 } else { sequence };
        let out = Dense::new((slice.items, rows), (c, c), self.out_projection);
        Dense { residual, ..out }.push(self.builder, "proj", attended, y)
    }

    /// The packed queries, keys and values of the slice, `[items, T, 3C]`.
    pub fn packed(&self, slice: BatchSlice) -> Result<Binding> {
        let item = u64::from(self.sequence) * 3 * u64::from(self.spec.shape.channels());
        Ok(self.builder.bind(self.qkv, 0, u64::from(slice.items) * item)?.0)
    }

    /// What attention makes of the slice, `[items, T, C]`.
    pub fn attended(&self, slice: BatchSlice) -> Result<Binding> {
        let item = u64::from(self.sequence) * u64::from(self.spec.shape.channels());
        Ok(self.builder.bind(self.attended, 0, u64::from(slice.items) * item)?.0)
    }

    /// The spatial attention rows of the chosen queries.
    fn push_chosen(&mut self, slice: BatchSlice, list: BufferId, weights: BufferId) -> Result<()> {
        let shape = &self.spec.shape;
        let (row, count) = (3 * shape.channels(), self.spec.outputs.queries.len() as u64);
        let item = u64::from(shape.heads()) * count * u64::from(shape.tokens());
        let (weights, out_offset) = self.builder.bind(weights, u64::from(slice.first) * item, u64::from(slice.items) * item)?;
        let skip = row * u32::from(self.spec.class_token);
        let params = AttendRowsParams {
            batch: slice.items,
            heads: shape.heads(),
            rows: shape.tokens(),
            chosen_count: fits_u32("chosen queries", count)?,
            segments: shape.frames(),
            keys: shape.patches(),
            head_size: shape.head_size(),
            scale: shape.scale(),
            q_offset: skip,
            q_batch_stride: self.sequence * row,
            q_head_stride: shape.head_size(),
            q_row_stride: row,
            k_offset: skip + shape.channels(),
            k_batch_stride: self.sequence * row,
            k_head_stride: shape.head_size(),
            k_segment_stride: shape.patches() * row,
            k_row_stride: row,
            out_offset,
        };
        let (packed, list) = (self.packed(slice)?, self.builder.bind_all(list)?);
        self.builder.push("attention of chosen queries", params, &[packed, packed, list, weights])
    }
}
