//! Divided attention: along time, among patches, then within frames, where the class token is in every frame.

use super::blocks::Qkv;
use super::{Clips, NetworkPlan};
use orthoformer::Result;
use orthoformer::kernel::Attend;
use orthoformer::ops::kit::{Product, Projection, by_frame, by_position, heads, mean, one_group, push_attention};
use orthoformer::plan::Role;
use orthoformer::view::View;

/// Appends both attentions of block `number`.
pub(super) fn push(network: &mut NetworkPlan, number: u32) -> Result<()> {
    let stream = network.stream;
    let class = network.builder.array("class tokens", &[stream.size(0), 1, stream.size(2)], Role::Scratch)?;
    mean(&mut network.builder, "copy of the class token", stream.part(1, 0, 1), class)?;
    push_time(network, number)?;
    let after_time = network.stream;
    push_space(network, number, class)?;
    network.builder.release(&[class.buffer(), after_time.buffer()])
}

/// Tokens `[batch, 1+N, columns]` without the class token.
fn behind_class(tokens: View) -> View {
    tokens.from(1, 1)
}

/// Attention along time, among patches.
fn push_time(network: &mut NetworkPlan, number: u32) -> Result<()> {
    let (patches, target) = (network.patches(), network.target());
    let [stream, normed, y] = [network.stream, network.normed, target].map(behind_class);
    network.choose_packed(number, "time_operands")?;
    network.norm("temporal_layernorm")?.push(&mut network.builder, stream, normed)?;
    let qkv = Qkv::new(network, "temporal_attention.attention.")?;
    let out = network.projection("temporal_attention.output.dense")?;
    let dense = network.projection("temporal_dense")?;
    for clips in network.parts() {
        let x = clips.of(normed);
        qkv.push(network, x, behind_class(network.packed(clips).all()), x.size(1))?;
        let own = network.attention(clips).behind_class_token();
        let along_time = own.within(|tokens| by_position(tokens, patches), false);
        push_attention(&mut network.builder, "attention along time", along_time)?;
        let attended = behind_class(network.attended(clips));
        // The normalised tokens are not needed any more: their buffer holds what is between the two products.
        Product::new("time, first product", out).push(&mut network.builder, attended, x)?;
        let second = Product { residual: Some(clips.of(stream)), ..Product::new("time, second product", dense) };
        second.push(&mut network.builder, x, clips.of(y))?;
    }
    network.finish_attention()?;
    network.stream = target;
    Ok(())
}

/// Attention within frames, of the patches and the copied class tokens `[B,1,C]`.
fn push_space(network: &mut NetworkPlan, number: u32, class: View) -> Result<()> {
    let (stream, normed, target) = (network.stream, network.normed, network.target());
    network.choose_packed(number, "operands")?;
    let learned = network.norm("layernorm_before")?;
    learned.push(&mut network.builder, class, normed.part(1, 0, 1))?;
    learned.push(&mut network.builder, behind_class(stream), behind_class(normed))?;
    let qkv = Qkv::new(network, "attention.attention.")?;
    let out = network.projection("attention.output.dense")?;
    let class = ClassTokens::new(network, class)?;
    let class_only = network.is_first_only(number);
    let queries = if class_only { 1 } else { stream.size(1) };
    for clips in network.parts() {
        qkv.push(network, clips.of(normed), network.packed(clips).all(), queries)?;
        class.push(network, clips, out, target)?;
        if !class_only {
            push_patches(network, clips, out, target)?;
        }
    }
    network.builder.release(&[class.by_frame.buffer(), class.averaged.buffer()])?;
    network.finish_attention()?;
    network.stream = target;
    Ok(())
}

/// The class tokens on their way through the frames.
struct ClassTokens {
    /// As they came in, `[B,1,C]`.
    before: View,
    /// What they see in each frame, `[items,F,C]`.
    by_frame: View,
    /// The mean of that, `[items,1,C]`.
    averaged: View,
}

impl ClassTokens {
    fn new(network: &mut NetworkPlan, before: View) -> Result<Self> {
        let (items, frames, c) = (network.packed.size(0), network.shape.frames().into(), network.channels());
        let by_frame = network.builder.array("class token in each frame", &[items, frames, c], Role::Scratch)?;
        let averaged = network.builder.array("averaged class token", &[items, 1, c], Role::Scratch)?;
        Ok(Self { before, by_frame, averaged })
    }

    /// They attend within each frame; the results are averaged, which is the same ahead of the projection as behind it.
    fn push(&self, network: &mut NetworkPlan, clips: Clips, out: Projection, target: View) -> Result<()> {
        let (all, patches) = (network.attention(clips), network.patches());
        let [seen, averaged] = [self.by_frame, self.averaged].map(|view| clips.of_scratch(view));
        // A segment of keys for each frame, the class token's own key in all of them.
        let frames = |tokens: View| one_group(by_frame(tokens.from(2, 1), patches)).with_extra(&tokens);
        let request = Attend {
            queries: one_group(all.queries.part(2, 0, 1)),
            keys: frames(all.keys),
            values: frames(all.values),
            tokens: one_group(heads(seen, network.shape.heads().into())).with_axis(2, 1),
            scale: all.scale,
        };
        push_attention(&mut network.builder, "class token within frames", request)?;
        mean(&mut network.builder, "class token over frames", seen, averaged)?;
        let residual = Some(clips.of(self.before));
        let product = Product { residual, ..Product::new("proj of the class token", out) };
        product.push(&mut network.builder, averaged, clips.of(target).part(1, 0, 1))
    }
}

/// Patches attend to their frame and the class token.
fn push_patches(network: &mut NetworkPlan, clips: Clips, out: Projection, target: View) -> Result<()> {
    let (all, patches) = (network.attention(clips), network.patches());
    let within_frames = all.within(|tokens| by_frame(tokens, patches), true);
    push_attention(&mut network.builder, "attention within a frame", within_frames)?;
    let [x, residual, y] = [network.attended(clips), clips.of(network.stream), clips.of(target)].map(behind_class);
    Product { residual: Some(residual), ..Product::new("proj", out) }.push(&mut network.builder, x, y)
}
