//! One block: attention, joint or along time and then within frames, and an MLP.

use super::{Kind, NetworkPlan, divided};
use orthoformer::Result;
use orthoformer::ops::kit::{Product, Projection, mlp, push_attention};
use orthoformer::plan::Role;
use orthoformer::view::View;

/// Appends block `number`.
pub(super) fn push_block(network: &mut NetworkPlan, number: u32) -> Result<()> {
    let a = network.architecture;
    network.builder.name_under(&format!("{}encoder.layer.{number}.", a.prefix()));
    match a.kind {
        Kind::TimeSformerDivided => divided::push(network, number)?,
        Kind::TimeSformerJoint | Kind::Vivit | Kind::VideoMae(_) => push_joint(network, number)?,
    }
    let target = if network.hands_out(number) { network.features()? } else { network.target() };
    push_mlp(network, number, target)?;
    network.builder.name_under(&a.prefix());
    network.stream = target;
    Ok(())
}

/// `stream + W_2' act(W_1' LN(stream) + b_1) + b_2`.
fn push_mlp(network: &mut NetworkPlan, number: u32, target: View) -> Result<()> {
    let (a, c) = (network.architecture, network.channels());
    let rows = if network.is_first_only(number) { 1 } else { network.stream.size(1) };
    let learned = network.norm("layernorm_after")?;
    let names = ["intermediate.dense", "output.dense"];
    let layers = mlp(&mut network.builder, names, [c, a.hidden.into()], a.activation)?;
    let [stream, normed, target] = [network.stream, network.normed, target].map(|tokens| tokens.part(1, 0, rows));
    learned.push(&mut network.builder, stream, normed)?;
    layers.push(&mut network.builder, network.hidden, normed, stream, target)?;
    network.builder.release(&[normed.buffer(), stream.buffer()])
}

/// `stream + attention(LN(stream))`, every token to every token.
fn push_joint(network: &mut NetworkPlan, number: u32) -> Result<()> {
    let (stream, normed, target) = (network.stream, network.normed, network.target());
    network.choose_packed(number, "operands")?;
    network.norm("layernorm_before")?.push(&mut network.builder, stream, normed)?;
    let qkv = Qkv::new(network, "attention.attention.")?;
    let out = network.projection("attention.output.dense")?;
    let queries = if network.is_first_only(number) { 1 } else { stream.size(1) };
    let first_rows = |tokens: View| tokens.part(1, 0, queries);
    for clips in network.parts() {
        qkv.push(network, clips.of(normed), network.packed(clips).all(), queries)?;
        let attention = network.attention(clips).first_queries(queries);
        push_attention(&mut network.builder, "joint attention", attention.joint())?;
        let [x, residual, y] = [network.attended(clips), clips.of(stream), clips.of(target)].map(first_rows);
        Product { residual: Some(residual), ..Product::new("proj", out) }.push(&mut network.builder, x, y)?;
    }
    network.finish_attention()?;
    network.stream = target;
    Ok(())
}

/// The projections to queries, keys and values: one, or three of their own.
#[allow(clippy::large_enum_variant, reason = "made once a plan")]
pub(super) enum Qkv {
    Together(Projection),
    Apart { query: Projection, key: Projection, value: Projection },
}

impl Qkv {
    /// Adds them, under `NAMEqkv` or `NAMEquery`, `NAMEkey` and `NAMEvalue`.
    pub fn new(network: &mut NetworkPlan, name: &str) -> Result<Self> {
        let (c, a) = (network.channels(), network.architecture);
        let mut add = |part: &str, outputs: u64| -> Result<Projection> {
            let weight = network.builder.array(&format!("{name}{part}.weight"), &[outputs, c], Role::Input)?;
            let add_bias = |own: String| network.builder.array(&format!("{name}{own}"), &[outputs], Role::Input);
            Ok(Projection { weight, bias: a.qkv_bias.of(part).map(add_bias).transpose()? })
        };
        Ok(match a.kind.is_timesformer() {
            true => Self::Together(add("qkv", 3 * c)?),
            false => Self::Apart { query: add("query", c)?, key: add("key", c)?, value: add("value", c)? },
        })
    }

    /// Packs the keys and values of all rows of `x`, and the queries of the first so many.
    pub fn push(&self, network: &mut NetworkPlan, x: View, packed: View, queries: u64) -> Result<()> {
        let c = network.channels();
        let builder = &mut network.builder;
        let few = |tokens: View| tokens.part(1, 0, queries);
        let [query_columns, key_columns, value_columns] = [0, c, 2 * c].map(|first| packed.part(2, first, c));
        match *self {
            Self::Together(all) if queries == x.size(1) => Product::new("qkv", all).push(builder, x, packed),
            Self::Together(all) => {
                Product::new("class query", all.outputs(0, c)).push(builder, few(x), few(query_columns))?;
                let rest = Product::new("keys and values", all.outputs(c, 2 * c));
                rest.push(builder, x, packed.part(2, c, 2 * c))
            }
            Self::Apart { query, key, value } => {
                Product::new("queries", query).push(builder, few(x), few(query_columns))?;
                Product::new("keys", key).push(builder, x, key_columns)?;
                Product::new("values", value).push(builder, x, value_columns)
            }
        }
    }
}
