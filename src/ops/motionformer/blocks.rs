//! One block: attention and an MLP, each on normalised tokens and added to what came in.

use super::super::layer::{self, Biases, LayerAttention, LayerOutputs, LayerSpec, Place};
use super::super::tokens::{Tokens, mlp, norm};
use super::{BlockAttention, EPSILON, Features, NetworkPlan};
use crate::error::Result;
use crate::ops::Approximation;
use crate::params::Activation;

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
        true => network.features()?,
        false => network.target(),
    };
    push_mlp(network, target, if class_only { 1 } else { network.stream.rows })?;
    network.builder.name_under("");
    network.stream = target;
    Ok(())
}

/// `stream + attention(LN(stream))`.
fn push_attention(
    network: &mut NetworkPlan,
    number: u32,
    (norm_name, name): (&str, &str),
    attention: LayerAttention,
    class_only: bool,
) -> Result<()> {
    let architecture = &network.spec.architecture;
    network.builder.name_under(&format!("blocks.{number}."));
    let learned = norm(&mut network.builder, norm_name, network.stream.size, EPSILON)?;
    learned.push(&mut network.builder, network.stream, network.normed)?;
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
    let place = Place { x: network.normed.buffer, y: target.buffer, residual: Some(network.stream.buffer), class_only };
    network.builder.name_under(&format!("blocks.{number}.{name}."));
    layer::push(&mut network.builder, &spec, &place)?;
    network.builder.name_under("");
    network.builder.release(&[network.normed.buffer])?;
    network.stream = target;
    Ok(())
}

/// `stream + W_2' gelu(W_1' LN(stream) + b_1) + b_2` for the first `rows` tokens of each batch item.
fn push_mlp(network: &mut NetworkPlan, target: Tokens, rows: u32) -> Result<()> {
    let (c, hidden) = (network.stream.size, network.spec.architecture.hidden);
    let learned = norm(&mut network.builder, "norm2", c, EPSILON)?;
    let layers = mlp(&mut network.builder, ["mlp.fc1", "mlp.fc2"], [c, hidden], Activation::Gelu)?;
    let [stream, normed, target] = [network.stream, network.normed, target].map(|tokens| tokens.part(0, rows));
    learned.push(&mut network.builder, stream, normed)?;
    layers.push(&mut network.builder, network.inside, normed, stream, target)?;
    network.builder.release(&[network.normed.buffer])
}
