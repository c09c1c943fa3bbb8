//! One block: attention, joint or along time and then within frames, and an MLP.

use super::super::dense::{Projection, projection};
use super::super::motionformer::Features;
use super::super::tokens::{Product, Tokens, mean, mlp, norm, parts};
use super::{Kind, NetworkPlan};
use crate::error::Result;
use crate::params::AttendParams;
use crate::plan::Role;

/// Appends block `number`.
pub(super) fn push_block(network: &mut NetworkPlan, number: u32) -> Result<()> {
    let a = network.architecture;
    let class_only = network.outputs.is_class_only(number, a.depth);
    network.operands = network.outputs.operands == Some(number);
    let layer = format!("{}encoder.layer.{number}.", a.prefix());
    network.builder.name_under(&layer);
    match a.kind {
        Kind::TimeSformerDivided => push_divided(network, class_only)?,
        Kind::TimeSformerJoint | Kind::Vivit => push_joint(network, class_only)?,
    }
    let target = match network.outputs.features == Some(Features::Block(number)) {
        true => network.features()?,
        false => network.in_turn,
    };
    let (c, rows) = (a.channels, if class_only { 1 } else { network.stream.rows });
    let learned = norm(&mut network.builder, "layernorm_after", c, a.epsilon)?;
    let layers = mlp(&mut network.builder, ["intermediate.dense", "output.dense"], [c, a.hidden], a.activation)?;
    let [stream, normed, to] = [network.stream, network.normed, target].map(|tokens| tokens.part(0, rows));
    learned.push(&mut network.builder, stream, normed)?;
    layers.push(&mut network.builder, network.inside, normed, stream, to)?;
    network.builder.release(&[normed.buffer, stream.buffer])?;
    network.builder.name_under(&a.prefix());
    if target.buffer == network.in_turn.buffer {
        network.in_turn = network.stream;
    }
    network.stream = target;
    Ok(())
}

/// `stream + attention(LN(stream))`, every token to every token.
fn push_joint(network: &mut NetworkPlan, class_only: bool) -> Result<()> {
    let (sequence, target) = (network.stream.rows, network.in_turn);
    network.pack("operands")?;
    push_norm(network, "layernorm_before", network.stream, network.normed)?;
    let qkv = Qkv::of(network, "attention.attention.")?;
    let c = network.architecture.channels;
    let out = projection(&mut network.builder, "attention.output.dense", c.into(), c.into(), true)?;
    let queries = if class_only { 1 } else { sequence };
    for (first, items) in parts(network.stream.batch, network.packed.batch) {
        let (x, packed) = (network.normed.batch_items(first, items), network.packed(first, items));
        qkv.push(network, x, packed, queries)?;
        let all = AttendParams { rows: queries, keys: sequence, ..whole(network, items) };
        attend(network, (first, items), "joint attention", all)?;
        let attended = network.attended.batch_items(0, items).part(0, queries);
        let [residual, y] = [network.stream, target].map(|tokens| tokens.batch_items(first, items).part(0, queries));
        let product = Product { residual: Some(residual), ..Product::new("proj", out) };
        product.push(&mut network.builder, attended, y)?;
    }
    finish_attention(network)?;
    network.in_turn = network.stream;
    network.stream = target;
    Ok(())
}

/// Time, then space, as [`super`] has them; the tokens end where they began.
fn push_divided(network: &mut NetworkPlan, class_only: bool) -> Result<()> {
    let batch = network.stream.batch;
    let class = Tokens::new(&mut network.builder, "class tokens", [batch, 1, network.architecture.channels], Role::Scratch)?;
    mean(&mut network.builder, "copy of the class token", network.stream.part(0, 1), class)?;
    push_time(network)?;
    push_space(network, class, class_only)?;
    network.builder.release(&[class.buffer, network.in_turn.buffer])
}

/// Attention along time, among patches: from the stream to the buffer in turn.
fn push_time(network: &mut NetworkPlan) -> Result<()> {
    let (frames, patches, c) = (network.shape.frames(), network.shape.patches(), network.shape.channels());
    let n = frames * patches;
    let of_patches = |tokens: Tokens| tokens.part(1, n);
    network.pack("time_operands")?;
    let (stream, normed) = (of_patches(network.stream), of_patches(network.normed));
    push_norm(network, "temporal_layernorm", stream, normed)?;
    let qkv = Qkv::of(network, "temporal_attention.attention.")?;
    let [out, dense] = ["temporal_attention.output.dense", "temporal_dense"]
        .map(|name| projection(&mut network.builder, name, c.into(), c.into(), true));
    let (out, dense) = (out?, dense?);
    for (first, items) in parts(stream.batch, network.packed.batch) {
        let x = normed.batch_items(first, items);
        qkv.push(network, x, of_patches(network.packed(first, items)), n)?;
        let own_place = AttendParams {
            groups: patches,
            rows: frames,
            keys: frames,
            q_group_stride: 3 * c,
            q_row_stride: patches * 3 * c,
            k_group_stride: 3 * c,
            k_row_stride: patches * 3 * c,
            v_group_stride: 3 * c,
            v_row_stride: patches * 3 * c,
            out_group_stride: c,
            out_row_stride: patches * c,
            ..behind_class(whole(network, items))
        };
        attend(network, (first, items), "attention along time", own_place)?;
        let attended = of_patches(network.attended.batch_items(0, items));
        // What was normalised is not needed any more: its place holds what is between the two products.
        Product::new("time, first product", out).push(&mut network.builder, attended, x)?;
        let residual = Some(stream.batch_items(first, items));
        let y = of_patches(network.in_turn).batch_items(first, items);
        Product { residual, ..Product::new("time, second product", dense) }.push(&mut network.builder, x, y)?;
    }
    finish_attention(network)
}

/// Attention within frames: from the buffer in turn, and the copied class tokens, back to the stream.
fn push_space(network: &mut NetworkPlan, class: Tokens, class_only: bool) -> Result<()> {
    let (n, c) = (network.shape.tokens(), network.shape.channels());
    let epsilon = network.architecture.epsilon;
    network.pack("operands")?;
    let learned = norm(&mut network.builder, "layernorm_before", c, epsilon)?;
    learned.push(&mut network.builder, class, network.normed.part(0, 1))?;
    learned.push(&mut network.builder, network.in_turn.part(1, n), network.normed.part(1, n))?;
    let qkv = Qkv::of(network, "attention.attention.")?;
    let out = projection(&mut network.builder, "attention.output.dense", c.into(), c.into(), true)?;
    let items = network.packed.batch;
    let axes = [items, network.shape.frames(), c];
    let by_frame = Tokens::new(&mut network.builder, "class token in each frame", axes, Role::Scratch)?;
    let averaged = Tokens::new(&mut network.builder, "averaged class token", [items, 1, c], Role::Scratch)?;
    for part in parts(class.batch, items) {
        let x = network.normed.batch_items(part.0, part.1);
        let queries = if class_only { 1 } else { n + 1 };
        let packed = network.packed(part.0, part.1);
        qkv.push(network, x, packed, queries)?;
        push_class_within_frames(network, out, [class, by_frame, averaged], part)?;
        if !class_only {
            push_patches_within_frames(network, out, part)?;
        }
    }
    network.builder.release(&[by_frame.buffer, averaged.buffer])?;
    finish_attention(network)
}

/// The class token attends within each frame; its results are averaged, which is the same ahead of the projection as behind it.
fn push_class_within_frames(
    network: &mut NetworkPlan,
    out: Projection,
    [class, by_frame, averaged]: [Tokens; 3],
    (first, items): (u32, u32),
) -> Result<()> {
    let (frames, patches, c) = (network.shape.frames(), network.shape.patches(), network.shape.channels());
    let class_row = AttendParams {
        rows: 1,
        segments: frames,
        keys: patches,
        extra_keys: 1,
        k_segment_stride: patches * 3 * c,
        v_segment_stride: patches * 3 * c,
        out_batch_stride: frames * c,
        out_segment_stride: c,
        ..keys_behind_class(whole(network, items))
    };
    let by_frame = by_frame.batch_items(0, items);
    push_attend(network, (first, items), "class token within frames", class_row, by_frame)?;
    let own = averaged.batch_items(0, items);
    mean(&mut network.builder, "class token over frames", by_frame, own)?;
    let product = Product { residual: Some(class.batch_items(first, items)), ..Product::new("proj of the class token", out) };
    product.push(&mut network.builder, own, network.stream.part(0, 1).batch_items(first, items))
}

/// Patches attend to their frame and the class token.
fn push_patches_within_frames(network: &mut NetworkPlan, out: Projection, (first, items): (u32, u32)) -> Result<()> {
    let (frames, patches, c) = (network.shape.frames(), network.shape.patches(), network.shape.channels());
    let own_frame = AttendParams {
        groups: frames,
        rows: patches,
        keys: patches,
        extra_keys: 1,
        q_group_stride: patches * 3 * c,
        k_group_stride: patches * 3 * c,
        v_group_stride: patches * 3 * c,
        out_group_stride: patches * c,
        ..behind_class(whole(network, items))
    };
    attend(network, (first, items), "attention within a frame", own_frame)?;
    let of_patches = |tokens: Tokens| tokens.part(1, frames * patches);
    let residual = Some(of_patches(network.in_turn).batch_items(first, items));
    let attended = of_patches(network.attended.batch_items(0, items));
    let y = of_patches(network.stream).batch_items(first, items);
    Product { residual, ..Product::new("proj", out) }.push(&mut network.builder, attended, y)
}

fn finish_attention(network: &mut NetworkPlan) -> Result<()> {
    network.builder.release(&[network.normed.buffer, network.packed.buffer, network.attended.buffer])
}

fn push_norm(network: &mut NetworkPlan, name: &str, x: Tokens, y: Tokens) -> Result<()> {
    let (c, epsilon) = (network.architecture.channels, network.architecture.epsilon);
    norm(&mut network.builder, name, c, epsilon)?.push(&mut network.builder, x, y)
}

/// The projections to queries, keys and values: one, or three of their own.
enum Qkv {
    Together(Projection),
    Apart([Projection; 3]),
}

impl Qkv {
    /// Adds them, under `NAME.qkv` or `NAME.query`, `NAME.key` and `NAME.value`.
    fn of(network: &mut NetworkPlan, name: &str) -> Result<Self> {
        let (c, bias) = (u64::from(network.architecture.channels), network.architecture.qkv_bias);
        let mut add = |part: &str, outputs| projection(&mut network.builder, &format!("{name}{part}"), outputs, c, bias);
        Ok(match network.architecture.kind {
            Kind::TimeSformerDivided | Kind::TimeSformerJoint => Self::Together(add("qkv", 3 * c)?),
            Kind::Vivit => Self::Apart([add("query", c)?, add("key", c)?, add("value", c)?]),
        })
    }

    /// Packs the keys and values of all rows of `x`, and the queries of the first so many.
    fn push(&self, network: &mut NetworkPlan, x: Tokens, packed: Tokens, queries: u32) -> Result<()> {
        let c = network.architecture.channels;
        let few = |tokens: Tokens| tokens.part(tokens.first, queries);
        let builder = &mut network.builder;
        match *self {
            Self::Together(all) if queries == x.count => Product::new("qkv", all).push(builder, x, packed),
            Self::Together(all) => {
                Product::new("class query", all).push(builder, few(x), few(packed).columns(0, c))?;
                let rest = Product { first: c, ..Product::new("keys and values", all) };
                rest.push(builder, x, packed.columns(c, 2 * c))
            }
            Self::Apart([query, key, value]) => {
                Product::new("queries", query).push(builder, few(x), few(packed).columns(0, c))?;
                Product::new("keys", key).push(builder, x, packed.columns(c, c))?;
                Product::new("values", value).push(builder, x, packed.columns(2 * c, c))
            }
        }
    }
}

/// Params over the packed buffer and into the attended tokens for so many clips; one group, one segment; rows and keys are left to the caller.
fn whole(network: &NetworkPlan, items: u32) -> AttendParams {
    let shape = &network.shape;
    let (c, size, sequence) = (shape.channels(), shape.head_size(), network.stream.rows);
    let (row, item) = (3 * c, sequence * 3 * c);
    AttendParams {
        batch: items,
        heads: shape.heads(),
        groups: 1,
        segments: 1,
        head_size: size,
        value_size: size,
        scale: shape.scale(),
        q_batch_stride: item,
        q_head_stride: size,
        q_row_stride: row,
        k_offset: c,
        k_extra_offset: c,
        k_batch_stride: item,
        k_head_stride: size,
        k_row_stride: row,
        v_offset: 2 * c,
        v_extra_offset: 2 * c,
        v_batch_stride: item,
        v_head_stride: size,
        v_row_stride: row,
        out_batch_stride: sequence * c,
        out_head_stride: size,
        out_row_stride: c,
        ..AttendParams::default()
    }
}

/// The same with keys and values behind the class token's.
fn keys_behind_class(params: AttendParams) -> AttendParams {
    let row = params.k_row_stride;
    AttendParams { k_offset: params.k_offset + row, v_offset: params.v_offset + row, ..params }
}

/// The same with queries and results behind the class token's too.
fn behind_class(params: AttendParams) -> AttendParams {
    let (q_offset, out_offset) = (params.q_row_stride, params.out_row_stride);
    AttendParams { q_offset, out_offset, ..keys_behind_class(params) }
}

/// Attention of some clips, into the attended tokens.
fn attend(network: &mut NetworkPlan, part: (u32, u32), label: &'static str, params: AttendParams) -> Result<()> {
    let attended = network.attended.batch_items(0, part.1);
    push_attend(network, part, label, params, attended)
}

fn push_attend(
    network: &mut NetworkPlan,
    (first, items): (u32, u32),
    label: &'static str,
    params: AttendParams,
    into: Tokens,
) -> Result<()> {
    let packed = network.packed(first, items).rows(&network.builder)?;
    // A binding starts where it may, which is not always where its first clip does.
    let params = AttendParams {
        q_offset: params.q_offset + packed.offset,
        k_offset: params.k_offset + packed.offset,
        k_extra_offset: params.k_extra_offset + packed.offset,
        v_offset: params.v_offset + packed.offset,
        v_extra_offset: params.v_extra_offset + packed.offset,
        ..params
    };
    let (packed, into) = (packed.binding, into.rows(&network.builder)?.binding);
    network.builder.push(label, params, &[packed, packed, packed, into])
}
