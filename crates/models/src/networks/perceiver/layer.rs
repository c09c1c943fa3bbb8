//! The attention of latents to inputs by itself: what the first layer has ahead of its MLP.
//!
//! Inputs `x [B,M,C]`, `latents [1,L,D]`, and the weights of the first layer that [`super`] names, all of them as wide as an input; those of the MLP, whose
//! hidden layer has one element, are not used. Output `y [B,L,D]`.

use super::cross::CrossLayer;
use super::layers::Learned;
use super::{Architecture, Layer, NetworkPlan};
use orthoformer::Result;
use orthoformer::kernel::Activation;
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};

/// A layer with everything needed to plan it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LayerSpec {
    /// `B`: clips.
    pub batch: u32,
    /// `M`: inputs of a clip.
    pub inputs: u32,
    /// `C` and `D`: elements of an input, and of a latent.
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
    architecture.check_batch(batch)?;
    let mut network = NetworkPlan { architecture: &architecture, batch, builder: PlanBuilder::new(limits) };
    let [batch, inputs, latents, c] = [batch, inputs, latents, channels].map(u64::from);
    let source = network.builder.array("x", &[batch, inputs, c], Role::Input)?;
    let queries = network.builder.array("latents", &[1, latents, c], Role::Input)?;
    let answer = network.builder.array("y", &[batch, latents, c], Role::Output)?;
    let learned = Learned::of(&mut network, &layer, [c; 2])?;
    CrossLayer { layer, queries, source, operands: false }.push_answer(&mut network, &learned, answer)?;
    Ok(network.builder.build())
}
