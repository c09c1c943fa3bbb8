//! Attention within windows by itself, between tokens: what a block has ahead of its MLP, without normalisation.
//!
//! Inputs `x [B,N,C]` over the grid, `attn.qkv.weight [3C,C]`, `attn.qkv.bias [3C]`, `attn.relative_position_bias_table [(2wt-1)(2wy-1)(2wx-1), H]`,
//! `attn.proj.weight [C,C]`, `attn.proj.bias [C]`; output `y [B,N,C]`.

use super::{Architecture, Dimensions, NetworkPlan};
use crate::networks::NetworkOutputs;
use orthoformer::ops::kit::{Product, projection};
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::{Error, Result};

/// A layer with everything needed to plan it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LayerSpec {
    /// `B`: clips.
    pub batch: u32,
    /// Frames, rows and columns of tokens.
    pub grid: [u32; 3],
    /// Frames, rows and columns of a window; where the grid is no longer, as long as the grid.
    pub window: [u32; 3],
    /// Whether windows are shifted by half.
    pub shifted: bool,
    /// `C`: elements of a token.
    pub channels: u32,
    /// `H`: attention heads.
    pub heads: u32,
}

/// Plans a layer.
///
/// # Errors
/// Those of [`super::plan`].
pub fn plan(spec: &LayerSpec, limits: PlanLimits) -> Result<Plan> {
    let &LayerSpec { batch, grid: [frames, height, width], window, shifted, channels, heads } = spec;
    // The only block of a network whose patches are pixels.
    let (depths, heads, hidden) = (vec![1], vec![heads], vec![channels]);
    let sizes = Architecture {
        dimensions: Dimensions::Three,
        frames,
        height,
        width,
        patch: [1; 3],
        channels,
        depths,
        heads,
        window,
        hidden,
        classes: 1,
    };
    let stages = sizes.stages(batch)?;
    let stage = stages.first().ok_or(Error::ZeroSize { what: "stages" })?;
    let outputs = NetworkOutputs::LOGITS;
    let mut network = NetworkPlan { architecture: &sizes, outputs: &outputs, batch, builder: PlanBuilder::new(limits) };
    let axes @ [_, _, c] = network.axes(stage);
    let x = network.builder.array("x", &axes, Role::Input)?;
    let y = network.builder.array("y", &axes, Role::Output)?;
    let buffers = network.buffers_around(stage, x)?;
    network.push_attention(stage, &buffers, shifted.into())?;
    let proj = projection(&mut network.builder, "attn.proj", c, c, true)?;
    Product::new("projection", proj).push(&mut network.builder, buffers.attended, y)?;
    Ok(network.builder.build())
}
