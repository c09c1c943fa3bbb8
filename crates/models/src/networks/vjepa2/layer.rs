//! Layers in which all tokens attend to each other: blocks of the encoder, where queries and keys turn by their positions, and layers of the pooler.

use super::NetworkPlan;
use orthoformer::Result;
use orthoformer::kernel::Rotary;
use orthoformer::ops::kit::{Product, heads, push_attention};
use orthoformer::view::View;

/// Which layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Encoder,
    Pooler,
}

impl Kind {
    /// Names of the normalisations, ahead of attention and of the MLP.
    fn norms(self) -> [&'static str; 2] {
        match self {
            Self::Encoder => ["norm1", "norm2"],
            Self::Pooler => ["layer_norm1", "layer_norm2"],
        }
    }

    /// Names of the projections to queries, keys and values, and of the one behind attention.
    fn projections(self) -> [&'static str; 4] {
        match self {
            Self::Encoder => ["attention.query", "attention.key", "attention.value", "attention.proj"],
            Self::Pooler => ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"],
        }
    }
}

/// Appends a layer, whose tensors are under what names begin with now: from the stream to `target`.
pub(super) fn push(network: &mut NetworkPlan, kind: Kind, target: View) -> Result<()> {
    push_attention_half(network, kind)?;
    let (stream, normed, hidden) = (network.stream, network.normed, network.hidden(kind));
    let [_, ahead_of_mlp] = kind.norms();
    let learned = network.norm(ahead_of_mlp)?;
    let layers = network.mlp(hidden)?;
    learned.push(&mut network.builder, stream, normed)?;
    layers.push(&mut network.builder, hidden, normed, stream, target)?;
    network.builder.release(&[normed.buffer(), stream.buffer()])?;
    network.stream = target;
    Ok(())
}

/// `stream + attention(LN(stream))`.
fn push_attention_half(network: &mut NetworkPlan, kind: Kind) -> Result<()> {
    let (stream, normed, target) = (network.stream, network.normed, network.target());
    let [ahead_of_attention, _] = kind.norms();
    network.norm(ahead_of_attention)?.push(&mut network.builder, stream, normed)?;
    let has_bias = kind == Kind::Pooler || network.architecture.qkv_bias;
    let [query, key, value, out] = kind.projections();
    let [query, key, value] = [query, key, value].map(|name| network.projection(name, has_bias));
    let (query, key, value, out) = (query?, key?, value?, network.projection(out, true)?);
    for clips in network.parts() {
        let x = clips.of(normed);
        let [queries, keys] = network.compared(clips);
        let [values, attended] = [network.values, network.attended].map(|view| clips.of_scratch(view));
        push_compared(network, kind, Product::new("queries", query), x, queries)?;
        push_compared(network, kind, Product::new("keys", key), x, keys)?;
        Product::new("values", value).push(&mut network.builder, x, values)?;
        let attention = network.attention([queries, keys, values], attended);
        push_attention(&mut network.builder, "joint attention", attention.joint())?;
        let product = Product { residual: Some(clips.of(stream)), ..Product::new("proj", out) };
        product.push(&mut network.builder, attended, clips.of(target))?;
    }
    network.finish_attention()?;
    network.stream = target;
    Ok(())
}

/// Queries or keys of some clips: in the encoder they turn by their positions.
fn push_compared(network: &mut NetworkPlan, kind: Kind, product: Product, x: View, y: View) -> Result<()> {
    if kind == Kind::Pooler {
        return product.push(&mut network.builder, x, y);
    }
    let unturned = network.unturned.part(0, 0, x.size(0));
    product.push(&mut network.builder, x, unturned)?;
    let [_, rows, columns] = network.architecture.grid()?;
    let count = network.shape.heads().into();
    let request = Rotary { x: heads(unturned, count), table: network.positions, y: heads(y, count), rows, columns };
    network.builder.launch("rotary positions", request)
}
