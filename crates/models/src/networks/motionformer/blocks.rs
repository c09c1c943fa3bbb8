//! One block: attention and an MLP, each on normalised tokens and added to what came in.

use super::{BlockAttention, EPSILON, NetworkPlan};
use crate::networks::Features;
use orthoformer::Result;
use orthoformer::kernel::Activation;
use orthoformer::ops::Approximation;
use orthoformer::ops::kit::{mlp, norm};
use orthoformer::ops::layer::{self, Biases, LayerAttention, LayerOutputs, LayerSpec, LayerViews};
use orthoformer::view::View;

/// Appends block `number`.
pub(super) fn push_block(network: &mut NetworkPlan, number: u32) -> Result<()> {
    let class_only = network.spec.is_class_only(number);
    let names = Names { norm: "norm1", attention: "attn" };
    match network.spec.architecture.attention {
        BlockAttention::Trajectory(value) => {
            push_attention(network, number, names, LayerAttention::Trajectory(value), class_only)?;
        }
        BlockAttention::Joint => push_attention(network, number, names, LayerAttention::Joint, class_only)?,
        BlockAttention::Divided => {
            let of_time = Names { norm: "norm3", attention: "timeattn" };
            push_attention(network, number, of_time, LayerAttention::DividedTime, false)?;
            push_attention(network, number, names, LayerAttention::DividedSpace, class_only)?;
        }
    }
    network.builder.name_under(&format!("blocks.{number}."));
    let is_wanted = network.spec.outputs.features == Some(Features::Block(number));
    let target = if is_wanted { network.features()? } else { network.target() };
    push_mlp(network, target, if class_only { 1 } else { network.stream.size(1) })?;
    network.builder.name_under("");
    network.stream = target;
    Ok(())
}

/// What tensors of a block's attention are published under.
#[derive(Clone, Copy)]
struct Names {
    norm: &'static str,
    attention: &'static str,
}

/// `stream + attention(LN(stream))`.
fn push_attention(
    network: &mut NetworkPlan,
    number: u32,
    names: Names,
    attention: LayerAttention,
    class_only: bool,
) -> Result<()> {
    let (x, target) = (network.stream, network.target());
    network.builder.name_under(&format!("blocks.{number}."));
    norm(&mut network.builder, names.norm, x.size(2), EPSILON)?.push(&mut network.builder, x, network.normed)?;
    let spec = layer_spec(network, number, attention);
    let views = LayerViews { x: network.normed, y: target, residual: Some(x), class_only };
    network.builder.name_under(&format!("blocks.{number}.{}.", names.attention));
    layer::push(&mut network.builder, &spec, &views)?;
    network.builder.name_under("");
    network.builder.release(&[network.normed.buffer()])?;
    network.stream = target;
    Ok(())
}

fn layer_spec(network: &NetworkPlan, number: u32, attention: LayerAttention) -> LayerSpec {
    let architecture = &network.spec.architecture;
    let wanted = network.spec.outputs.trajectories.as_ref().filter(|wanted| wanted.block == number);
    let outputs = wanted.map_or_else(LayerOutputs::default, |wanted| LayerOutputs {
        temporal_weights: true,
        queries: wanted.queries.clone(),
        ..LayerOutputs::default()
    });
    let bias = architecture.qkv_bias;
    let is_trajectory = matches!(attention, LayerAttention::Trajectory(_));
    LayerSpec {
        shape: network.shape,
        attention,
        approximation: if is_trajectory { architecture.approximation.clone() } else { Approximation::Exact },
        class_token: true,
        biases: Biases { qkv: bias, proj_q: bias, proj_kv: bias, proj: true },
        outputs,
    }
}

/// `stream + W_2' gelu(W_1' LN(stream) + b_1) + b_2` for the first `rows` tokens of each batch item.
fn push_mlp(network: &mut NetworkPlan, target: View, rows: u64) -> Result<()> {
    let (c, hidden) = (network.stream.size(2), network.spec.architecture.hidden.into());
    let learned = norm(&mut network.builder, "norm2", c, EPSILON)?;
    let layers = mlp(&mut network.builder, ["mlp.fc1", "mlp.fc2"], [c, hidden], Activation::Gelu)?;
    let [stream, normed, target] = [network.stream, network.normed, target].map(|tokens| tokens.part(1, 0, rows));
    learned.push(&mut network.builder, stream, normed)?;
    layers.push(&mut network.builder, network.hidden, normed, stream, target)?;
    network.builder.release(&[normed.buffer()])
}
