//! The attentive pooler and the classifier: some layers over all tokens, then one learned query attends to them.

use super::NetworkPlan;
use super::architecture::Classifier;
use super::layer::{self, Kind};
use orthoformer::Result;
use orthoformer::ops::kit::{Product, projection, push_attention};
use orthoformer::plan::Role;
use orthoformer::view::View;

const POOLER: &str = "pooler.";

/// Appends the pooler and the classifier, from the encoder's tokens in the stream to `logits [B,classes]`.
pub(super) fn push(network: &mut NetworkPlan, classifier: Classifier) -> Result<()> {
    for number in 0..classifier.layers {
        network.builder.name_under(&format!("{POOLER}self_attention_layers.{number}."));
        let target = network.after_layer();
        layer::push(network, Kind::Pooler, target)?;
    }
    let pooled = push_cross(network)?;
    network.builder.name_under("");
    let (batch, c) = (pooled.size(0), network.channels());
    let learned = projection(&mut network.builder, "classifier", classifier.classes.into(), c, true)?;
    let logits = network.builder.array("logits", &[batch, classifier.classes.into()], Role::Output)?;
    // What is pooled of all clips is the rows of one batch item.
    let pooled = View::of(pooled.buffer(), &[1, batch, c]);
    Product::new("classifier", learned).push(&mut network.builder, pooled, logits.split(0, batch))
}

/// The layer in which the learned query attends to the tokens: what comes out, `[B,1,C]`.
fn push_cross(network: &mut NetworkPlan) -> Result<View> {
    let (batch, c, hidden) = (network.stream.size(0), network.channels(), network.hidden(Kind::Pooler));
    network.builder.name_under(POOLER);
    let query = network.builder.array("query_tokens", &[1, 1, c], Role::Input)?;
    network.builder.name_under(&format!("{POOLER}cross_attention_layer."));
    let mut scratch = |name: &str, batch| network.builder.array(name, &[batch, 1, c], Role::Scratch);
    let (asked, answer, normed) = (scratch("query", 1)?, scratch("answer", batch)?, scratch("normed answer", batch)?);
    let pooled = scratch("pooled", batch)?;
    network.builder.keep_exact(&[answer.buffer(), pooled.buffer()])?;
    let asking = network.projection("cross_attn.q_proj", true)?;
    Product::new("query", asking).push(&mut network.builder, query, asked)?;
    push_answer(network, [query, asked], answer)?;
    let (learned, layers) = (network.norm("layer_norm2")?, network.mlp(hidden)?);
    learned.push(&mut network.builder, answer, normed)?;
    layers.push(&mut network.builder, hidden, normed, answer, pooled)?;
    Ok(pooled)
}

/// What the query sees, and itself: as weights add up to one, `query + sum_j a_j v_j = sum_j a_j (v_j + query)`.
fn push_answer(network: &mut NetworkPlan, [query, asked]: [View; 2], answer: View) -> Result<()> {
    let (stream, normed) = (network.stream, network.normed);
    network.norm("layer_norm1")?.push(&mut network.builder, stream, normed)?;
    let [key, value] = ["cross_attn.k_proj", "cross_attn.v_proj"].map(|name| network.projection(name, true));
    let (key, value) = (key?, value?);
    for clips in network.parts() {
        let [keys, values] = [network.keys, network.values].map(|view| clips.of_scratch(view));
        Product::new("keys", key).push(&mut network.builder, clips.of(normed), keys)?;
        let for_all = query.index(0, 0).index(0, 0).with_axis(0, keys.size(1)).with_axis(0, clips.count);
        let product = Product { residual: Some(for_all), ..Product::new("values and query", value) };
        product.push(&mut network.builder, clips.of(normed), values)?;
        let attention = network.attention([asked, keys, values], clips.of(answer));
        push_attention(&mut network.builder, "attention of the query", attention.joint())?;
    }
    network.finish_attention()
}
