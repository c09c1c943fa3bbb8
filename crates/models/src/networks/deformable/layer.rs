//! A layer of deformable attention from its weights, at one scale (D-ST-A) or several (D-MS-A).
//!
//! Inputs `x [B,N,C]` and `motion [B,F,Y,X,G,2]`, and the weights that [`super`] names, without their prefix; output `y [B,N,C]`.

use super::motion::{self, Motion};
use super::multi_scale::Scales;
use super::space_time::{HandedOut, SpaceTime, largest_of_clip};
use super::{AttentionSpec, Grid};
use orthoformer::ops::kit::{Budget, Clips};
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::shape::fits_u32;
use orthoformer::view::View;
use orthoformer::{Error, Result};

/// A layer with everything needed to plan it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LayerSpec {
    /// `B`: clips.
    pub batch: u32,
    /// The patches of a clip.
    pub grid: Grid,
    /// `C`: elements of a token.
    pub channels: u32,
    /// The attention.
    pub attention: AttentionSpec,
}

/// Plans a layer.
///
/// # Errors
/// Those of [`AttentionSpec::check`]; [`Error::ZeroSize`] for no clips; [`Error::BindingTooLarge`] if displacements or packed queries and values of one
/// clip exceed a binding.
pub fn plan(spec: &LayerSpec, limits: PlanLimits) -> Result<Plan> {
    if spec.batch == 0 {
        return Err(Error::ZeroSize { what: "batch" });
    }
    spec.attention.check(spec.grid, spec.channels)?;
    fits_u32("tokens of all clips", u64::from(spec.batch) * u64::from(spec.grid.tokens()))?;
    let mut builder = PlanBuilder::new(limits);
    let axes = [spec.batch, spec.grid.tokens(), spec.channels].map(u64::from);
    let x = builder.array("x", &axes, Role::Input)?;
    let y = builder.array("y", &axes, Role::Output)?;
    let given = motion::given(&mut builder, spec.grid, spec.batch.into())?;
    let motions = &Motion::of_scales(&mut builder, &spec.attention, spec.grid, given)?;
    let layer = LayerPlan { spec: &spec.attention, grid: spec.grid, motions, prefix: "", operands: false };
    layer.push(&mut builder, LayerViews { x, y, residual: None })?;
    Ok(builder.build())
}

/// What a layer of a plan reads and writes, `[B,N,C]` each.
#[derive(Clone, Copy)]
pub(super) struct LayerViews {
    pub x: View,
    pub y: View,
    /// Added to the result.
    pub residual: Option<View>,
}

impl LayerViews {
    /// These clips of all of them.
    fn of(self, clips: Clips) -> Self {
        Self { x: clips.of(self.x), y: clips.of(self.y), residual: self.residual.map(|residual| clips.of(residual)) }
    }
}

/// Sizes that weights and scratch of attention are made for.
#[derive(Clone, Copy)]
pub(super) struct Sizes<'s> {
    pub spec: &'s AttentionSpec,
    pub grid: Grid,
    /// Elements of a token.
    pub channels: u64,
    /// Clips that go through together.
    pub clips: u64,
}

/// A layer of a plan.
pub(super) struct LayerPlan<'p> {
    pub spec: &'p AttentionSpec,
    pub grid: Grid,
    /// Motion at each scale.
    pub motions: &'p [Motion],
    /// What names of its weights begin with.
    pub prefix: &'p str,
    /// Whether displacements and logits of samples are handed out.
    pub operands: bool,
}

impl LayerPlan<'_> {
    /// Appends the layer: clips go through in slices.
    pub fn push(&self, builder: &mut PlanBuilder, views: LayerViews) -> Result<()> {
        builder.name_under(self.prefix);
        let &Self { spec, grid, motions, prefix, operands } = self;
        let (batch, tokens, channels) = (views.x.size(0), views.x.size(1), views.x.size(2));
        let scales = spec.scales.as_ref().map_or(1, |several| several.strides.len() as u64);
        let elements = largest_of_clip(spec, grid, channels).max(tokens * channels * scales);
        let together = Budget::of_scratch(builder.limits()).items(elements, batch);
        let sizes = Sizes { spec, grid, channels, clips: together };
        let slices = Clips::parts(batch, together);
        let operands = operands.then_some(batch);
        match &spec.scales {
            None => {
                let motion = motions.first().ok_or(Error::ZeroSize { what: "scales" })?;
                let handed_out = operands.map(|clips| HandedOut { clips, prefix: String::new() });
                let attention = SpaceTime::new(builder, sizes, handed_out)?;
                for clips in slices {
                    attention.push(builder, motion, clips, views.of(clips))?;
                }
            }
            Some(several) => {
                let attention = Scales::new(builder, several, sizes, prefix, operands)?;
                for clips in slices {
                    attention.push(builder, motions, clips, views.of(clips))?;
                }
            }
        }
        builder.name_under("");
        Ok(())
    }
}
