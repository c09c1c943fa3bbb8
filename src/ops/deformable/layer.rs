//! A layer of deformable attention from its weights, at one scale (D-ST-A) or several (D-MS-A).
//!
//! Inputs `x [B,N,C]` and `motion [B,F,Y,X,G,2]`, and the weights that [`super`] names, without their prefix; output `y [B,N,C]`.

use super::super::tokens::{Tokens, items_at_once, parts};
use super::motion::{self, Motion};
use super::multi_scale::Scales;
use super::space_time::{HandedOut, SpaceTime, largest_of_clip};
use super::{AttentionSpec, Grid};
use crate::error::{Error, Result};
use crate::plan::{Plan, PlanBuilder, PlanLimits, Role};
use crate::shape::fits_u32;

/// A layer with everything needed to plan it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LayerSpec {
    /// `B`: clips.
    pub batch: u32,
    /// The patches of a clip.
    pub grid: Grid,
    /// `C`: numbers in a token.
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
    let axes = [spec.batch, spec.grid.tokens(), spec.channels];
    let x = Tokens::new(&mut builder, "x", axes, Role::Input)?;
    let y = Tokens::new(&mut builder, "y", axes, Role::Output)?;
    let given = motion::given(&mut builder, spec.grid, spec.batch)?;
    let motions = Motion::of_scales(&mut builder, &spec.attention, (given, spec.grid), spec.batch)?;
    push(&mut builder, (&spec.attention, spec.grid), &motions, &Place { x, y, residual: None, operands: false }, "")?;
    Ok(builder.build())
}

/// Where a layer stands in a plan.
pub(super) struct Place {
    pub x: Tokens,
    pub y: Tokens,
    /// Added to the result.
    pub residual: Option<Tokens>,
    /// Whether displacements and logits of samples are handed out.
    pub operands: bool,
}

/// Appends a layer to a plan: clips go through in slices. Names of its weights begin with `prefix`.
pub(super) fn push(
    builder: &mut PlanBuilder,
    (spec, grid): (&AttentionSpec, Grid),
    motions: &[Motion],
    place: &Place,
    prefix: &str,
) -> Result<()> {
    builder.name_under(prefix);
    let &Place { x, y, residual, operands } = place;
    let channels = x.size;
    let scales = spec.scales.as_ref().map_or(1, |several| several.strides.len() as u64);
    let numbers = largest_of_clip(spec, grid, channels).max(u64::from(grid.tokens()) * u64::from(channels) * scales);
    let items = items_at_once(builder.limits(), x.batch, numbers);
    let slices = parts(x.batch, items);
    let of = |tokens: Tokens, (first, items)| tokens.batch_items(first, items);
    let operands = operands.then_some(x.batch);
    match &spec.scales {
        None => {
            let handed_out = operands.map(|clips| HandedOut { clips, prefix: String::new() });
            let attention = SpaceTime::new(builder, (spec, grid), [channels, items], handed_out)?;
            for slice in slices {
                let residual = residual.map(|residual| of(residual, slice));
                let motion = motions.first().ok_or(Error::ZeroSize { what: "scales" })?;
                attention.push(builder, motion, slice, [of(x, slice), of(y, slice)], residual)?;
            }
        }
        Some(several) => {
            let attention = Scales::new(builder, (spec, several), grid, [channels, items], (prefix, operands))?;
            for slice in slices {
                let residual = residual.map(|residual| of(residual, slice));
                attention.push(builder, motions, slice, [of(x, slice), of(y, slice)], residual)?;
            }
        }
    }
    builder.name_under("");
    Ok(())
}
