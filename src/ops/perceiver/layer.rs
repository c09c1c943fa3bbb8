//! The attention of latents to inputs by itself: what the first layer has ahead of its MLP.
//!
//! Inputs `x [B,M,C]`, `latents [1,L,D]`, and the weights of the first layer that [`super`] names, all of them as wide as an input; those of the MLP, of one number
//! inside, are not used. Output `y [B,L,D]`.

use super::super::tokens::Tokens;
use super::cross::CrossLayer;
use super::layers::Learned;
use super::{Architecture, Layer, NetworkPlan};
use crate::error::Result;
use crate::params::Activation;
use crate::plan::{Plan, PlanBuilder, PlanLimits, Role};

/// A layer with everything needed to plan it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LayerSpec {
    /// `B`: clips.
    pub batch: u32,
    /// `M`: inputs of a clip.
    pub inputs: u32,
    /// `C` and `D`: numbers in an input, and in a latent.
    pub channels: u32,
    /// `L`: latents.
    pub latents: u32,
    /// Attention heads.
    pub heads: u32,
}

/// Plans a layer.
///
/// # Errors
/// Those of [`super::plan`].
pub fn plan(spec: &LayerSpec, limits: PlanLimits) -> Result<Plan> {
    let &LayerSpec { batch, inputs, channels, latents, heads } = spec;
    // Of the MLP, which is not computed, there is as little as can be.
    let layer = Layer { heads, keys: channels, values: channels, hidden: 1, query_residual: true };
    let architecture = Architecture {
        has_family_names: false,
        inputs,
        input_channels: channels,
        latents,
        channels,
        cross: layer,
        own: layer,
        blocks: 1,
        layers: 1,
        activation: Activation::Gelu,
        decoder: None,
    };
    architecture.check(batch)?;
    let mut network = NetworkPlan { architecture: &architecture, batch, builder: PlanBuilder::new(limits) };
    let source = Tokens::new(&mut network.builder, "x", [batch, inputs, channels], Role::Input)?;
    let queries = Tokens::new(&mut network.builder, "latents", [1, latents, channels], Role::Input)?;
    let answer = Tokens::new(&mut network.builder, "y", [batch, latents, channels], Role::Output)?;
    let learned = Learned::of(&mut network, &layer, [channels; 2])?;
    CrossLayer { layer, queries, source, operands: false }.push_answer(&mut network, &learned, answer)?;
    Ok(network.builder.build())
}
