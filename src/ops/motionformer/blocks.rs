//! One block: attention and an MLP, each on normalised tokens and added to what came in.

use super::super::dense::{Dense, Projection, Rows, projection};
use super::super::layer::{self, Biases, LayerAttention, LayerOutputs, LayerSpec, Place};
use super::{BlockAttention, Features, NetworkPlan};
use crate::error::Result;
use crate::ops::Approximation;
use crate::params::Activation;
use crate::plan::{BufferId, Role};

/// Appends block `number`.
pub(super) fn push_block(network: &mut NetworkPlan, number: u32) -> Result<()> {
    let class_only = network.spec.is_class_only(number);
    let block = format!("blocks.{number}.");
    match network.spec.architecture.attention {
        BlockAttention::Trajectory(value) => {
            push_attention(network, number, ("norm1", "attn"), LayerAttention::Trajectory(value), class_only)?;
        }
        BlockAttention::Joint => push_attention(network, number, ("norm1", "attn"), LayerAttention::Joint, class_only)?,
        BlockAttention::Divided => {
            push_attention(network, number, ("norm3", "timeattn"), LayerAttention::DividedTime, false)?;
            push_attention(network, number, ("norm1", "attn"), LayerAttention::DividedSpace, class_only)?;
        }
    }
    network.builder.name_under(&block);
    let target = match network.spec.outputs.features == Some(Features::Block(number)) {
        true => network.builder.buffer("features", &network.axes(), Role::Output)?,
        false => network.target(),
    };
    push_mlp(network, target, if class_only { 1 } else { network.sequence })?;
    network.builder.name_under("");
    network.stream = target;
    Ok(())
}

/// `stream + attention(LN(stream))`.
fn push_attention(
    network: &mut NetworkPlan,
    number: u32,
    (norm, name): (&str, &str),
    attention: LayerAttention,
    class_only: bool,
) -> Result<()> {
    let architecture = &network.spec.architecture;
    network.builder.name_under(&format!("blocks.{number}."));
    let learned = network.learned_norm(norm)?;
    network.push_norm(learned, network.sequence, network.stream, (network.normed, network.sequence))?;
    let wanted = network.spec.outputs.trajectories.as_ref().filter(|wanted| wanted.block == number);
    let outputs = wanted.map_or_else(LayerOutputs::default, |wanted| LayerOutputs {
        temporal_weights: true,
        queries: wanted.queries.clone(),
        ..LayerOutputs::default()
    });
    let bias = architecture.qkv_bias;
    let is_trajectory = matches!(attention, LayerAttention::Trajectory(_));
    let spec = LayerSpec {
        shape: network.shape,
        attention,
        approximation: if is_trajectory { architecture.approximation.clone() } else { Approximation::Exact },
        class_token: true,
        biases: Biases { qkv: bias, proj_q: bias, proj_kv: bias, proj: true },
        outputs,
    };
    let target = network.target();
    let place = Place { x: network.normed, y: target, residual: Some(network.stream), class_only };
    network.builder.name_under(&format!("blocks.{number}.{name}."));
    layer::push(&mut network.builder, &spec, &place)?;
    network.builder.name_under("");
    network.builder.release(&[network.normed])?;
    network.stream = target;
    Ok(())
}

/// `stream + W_2' gelu(W_1' LN(stream) + b_1) + b_2` for the first `rows` tokens of each batch item.
fn push_mlp(network: &mut NetworkPlan, target: BufferId, rows: u32) -> Result<()> {
    let (c, hidden) = (network.shape.channels(), network.spec.architecture.hidden);
    let learned = network.learned_norm("norm2")?;
    network.push_norm(learned, rows, network.stream, (network.normed, network.sequence))?;
    let widen = projection(&mut network.builder, "mlp.fc1", hidden.into(), c.into(), true)?;
    let narrow: Projection = projection(&mut network.builder, "mlp.fc2", c.into(), hidden.into(), true)?;
    for slice in network.slices() {
        let (x, y) = (network.tokens(network.normed, slice)?, network.tokens(target, slice)?);
        let residual = network.tokens(network.stream, slice)?;
        let numbers = u64::from(slice.1) * u64::from(network.sequence) * u64::from(hidden);
        let (binding, offset) = network.builder.bind(network.hidden, 0, numbers)?;
        let inside = Rows { binding, offset, batch_stride: network.sequence * hidden, row_stride: hidden };
        let first = Dense { activation: Some(Activation::Gelu), ..Dense::new((slice.1, rows), (c, hidden), widen) };
        first.push(&mut network.builder, "mlp, first half", x, inside)?;
        let second = Dense { residual: Some(residual), ..Dense::new((slice.1, rows), (hidden, c), narrow) };
        second.push(&mut network.builder, "mlp, second half", inside, y)?;
    }
    network.builder.release(&[network.normed, network.hidden])
}
