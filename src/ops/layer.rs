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
use super::kit::{Budget, Packed, Product, Projection, parts, projection};
use super::{layer_attention, temporal};
use crate::error::{Error, Result};
use crate::kernel::AttendRows;
use crate::plan::{ELEMENT_BYTES, Plan, PlanBuilder, PlanLimits, Role};
pub use crate::reference::direct::TemporalValue;
use crate::shape::Shape;
use crate::view::View;

/// Which tokens attend to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerAttention {
    /// Trajectory attention with these temporal values.
    Trajectory(TemporalValue),
    /// Every token attends to every token.
    Joint,
    /// A patch attends to its own frame, and the class token.
    DividedSpace,
    /// A patch attends to its own position in every frame, and the class token.
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

/// Outputs of a trajectory layer besides `y`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LayerOutputs {
    /// `tokens [B,N,F,C]`: the trajectory tokens.
    pub tokens: bool,
    /// `temporal_weights [B,H,N,F]`.
    pub temporal_weights: bool,
    /// `indices [B*H, R]`, or `[B*H, F, R]` with prototypes per frame: the picks of a greedy selection.
    pub indices: bool,
    /// If not empty, `attention [B,H,Q,F,S]`: the spatial attention of these queries (token indices `n`, class token not counted).
    pub queries: Vec<u32>,
}

/// A layer with everything needed to plan it.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSpec {
    /// Sizes; the class token is not counted in them.
    pub shape: Shape,
    /// Kind of attention.
    pub attention: LayerAttention,
    /// Approximation of trajectory tokens; other attentions are exact.
    pub approximation: Approximation,
    /// Whether `x` and `y` begin with a class token.
    pub class_token: bool,
    /// Which biases exist.
    pub biases: Biases,
    /// Further outputs.
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
    let x = builder.array("x", &axes, Role::Input)?;
    let y = builder.array("y", &axes, Role::Output)?;
    push(&mut builder, spec, &LayerViews { x, y, residual: None, class_only: false })?;
    Ok(builder.build())
}

/// Operands of a layer of a plan.
pub struct LayerViews {
    /// `[B,T,C]`.
    pub x: View,
    /// `[B,T,C]`.
    pub y: View,
    /// Added to the result, `[B,T,C]`.
    pub residual: Option<View>,
    /// Compute the class token alone: of `y`, only the first row of each batch item is written.
    pub class_only: bool,
}

/// Appends a layer to a plan.
///
/// # Errors
/// Those of [`plan`].
pub fn push(builder: &mut PlanBuilder, spec: &LayerSpec, views: &LayerViews) -> Result<()> {
    check(spec)?;
    let mut layer = LayerPlan::new(builder, spec, views)?;
    for (first, items) in parts(spec.shape.batch().into(), layer.slice_items.into()) {
        layer.push_slice(BatchSlice { first: first as u32, items: items as u32 })?;
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

/// Number of batch items computed together: as many as scratch and bindings hold, outputs included; at least one.
fn items_at_once(spec: &LayerSpec, limits: &PlanLimits) -> u32 {
    let shape = &spec.shape;
    let [h, n, f, c] = [shape.heads(), shape.tokens(), shape.frames(), shape.channels()].map(u64::from);
    let scratch = Budget::of_scratch(limits);
    let mut items = scratch.fitting((n + 1) * 3 * c);
    if matches!(spec.attention, LayerAttention::Trajectory(_)) {
        items = items.min(temporal::items_that_fit(spec, scratch.elements() * ELEMENT_BYTES).into());
    }
    let outputs = [
        (spec.outputs.tokens, n * f * c),
        (spec.outputs.temporal_weights, h * n * f),
        (true, h * n * spec.outputs.queries.len() as u64),
    ];
    let largest = outputs.iter().filter(|(wanted, _)| *wanted).map(|(_, elements)| *elements).max().unwrap_or(0).max(1);
    items.min(Budget::of_binding(limits).fitting(largest)).clamp(1, shape.batch().into()) as u32
}

/// Batch items that are computed together.
#[derive(Clone, Copy)]
pub(super) struct BatchSlice {
    pub first: u32,
    pub items: u32,
}

/// A layer being planned.
pub(super) struct LayerPlan<'p> {
    pub spec: &'p LayerSpec,
    pub builder: &'p mut PlanBuilder,
    pub slice_items: u32,
    pub class_only: bool,
    x: View,
    y: View,
    residual: Option<View>,
    /// `[slice items, T, 3C]`.
    qkv: View,
    /// `[slice items, T, C]`.
    attended: View,
    qkv_projection: Projection,
    out_projection: Projection,
    pub trajectory: Option<temporal::Buffers>,
    /// A list of queries `[Q]` and their attention `[B,H,Q,F,S]`.
    chosen: Option<(View, View)>,
}

impl<'p> LayerPlan<'p> {
    fn new(builder: &'p mut PlanBuilder, spec: &'p LayerSpec, views: &LayerViews) -> Result<Self> {
        let shape = &spec.shape;
        let sequence = shape.tokens() + u32::from(spec.class_token);
        let [batch, t, c] = [shape.batch(), sequence, shape.channels()].map(u64::from);
        let qkv_projection = projection(builder, "qkv", 3 * c, c, spec.biases.qkv)?;
        let items = items_at_once(spec, builder.limits());
        let trajectory = match spec.attention {
            LayerAttention::Trajectory(value) if !views.class_only => Some(temporal::Buffers::new(builder, spec, value, items)?),
            _ => None,
        };
        let out_projection = projection(builder, "proj", c, c, spec.biases.proj)?;
        let qkv = builder.array("packed qkv", &[items.into(), t, 3 * c], Role::Scratch)?;
        let attended = builder.array("attended", &[items.into(), t, c], Role::Scratch)?;
        let mut chosen = None;
        if !spec.outputs.queries.is_empty() {
            let count = spec.outputs.queries.len() as u64;
            let list = builder.array("chosen queries", &[count], Role::Constant(spec.outputs.queries.clone()))?;
            let sizes = [shape.heads(), shape.frames(), shape.patches()].map(u64::from);
            let weights = [batch, sizes[0], count, sizes[1], sizes[2]];
            chosen = Some((list, builder.array("attention", &weights, Role::Output)?));
        }
        let &LayerViews { x, y, residual, class_only, .. } = views;
        let slice_items = items;
        Ok(Self {
            spec,
            builder,
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
        let c: u64 = self.spec.shape.channels().into();
        let [x, y] = [self.x, self.y].map(|view| slice.of(view));
        let packed = self.packed(slice).all();
        if self.class_only {
            let query = Product::new("class query", self.qkv_projection.outputs(0, c));
            query.push(self.builder, x.part(1, 0, 1), packed.part(1, 0, 1).part(2, 0, c))?;
            let keys_and_values = Product::new("keys and values", self.qkv_projection.outputs(c, 2 * c));
            keys_and_values.push(self.builder, x, packed.part(2, c, 2 * c))?;
        } else {
            Product::new("qkv", self.qkv_projection).push(self.builder, x, packed)?;
        }
        layer_attention::push(self, slice)?;
        if let Some((list, weights)) = self.chosen {
            self.push_chosen(slice, list, weights)?;
        }
        let rows = |view: View| if self.class_only { view.part(1, 0, 1) } else { view };
        let residual = self.residual.map(|residual| rows(slice.of(residual)));
        let (attended, y) = (rows(self.attended(slice)), rows(y));
        Product { residual, ..Product::new("proj", self.out_projection) }.push(self.builder, attended, y)
    }

    /// The packed queries, keys and values of the slice, `[items, T, 3C]`.
    pub fn packed(&self, slice: BatchSlice) -> Packed {
        Packed::new(self.qkv.part(0, 0, slice.items.into()), self.spec.shape.heads().into())
    }

    /// Attended tokens of the slice, `[items, T, C]`.
    pub fn attended(&self, slice: BatchSlice) -> View {
        self.attended.part(0, 0, slice.items.into())
    }

    /// The spatial attention rows of the chosen queries.
    fn push_chosen(&mut self, slice: BatchSlice, list: View, weights: View) -> Result<()> {
        let shape = &self.spec.shape;
        let (packed, class) = (self.packed(slice), u64::from(self.spec.class_token));
        let request = AttendRows {
            queries: packed.queries().from(2, class),
            keys: packed.keys().from(2, class).split(2, shape.patches().into()),
            chosen: list,
            weights: slice.of(weights),
            scale: shape.scale(),
        };
        self.builder.launch("attention of chosen queries", request)
    }
}

impl BatchSlice {
    /// These batch items of a view `[batch, ...]`.
    pub fn of(self, view: View) -> View {
        view.part(0, self.first.into(), self.items.into())
    }
}
