//! What layers have learned, and those in which latents attend to themselves.

use super::super::dense::{Projection, projection};
use super::super::streamed::{Streamed, StreamedSizes};
use super::super::tokens::{Mlp, Norm, Product, Tokens, inside_of_mlp, items_at_once, mlp, norm, parts};
use super::{Layer, NetworkPlan};
use crate::error::Result;
use crate::params::AttendParams;
use crate::plan::{PlanBuilder, Role};
use crate::shape::{MAX_HEAD_SIZE, MAX_LOOP};

/// The published networks' layer normalisations add this to the variance.
pub(super) const EPSILON: f32 = 1e-5;

/// What a layer has learned, but for the norm of other keys.
pub(super) struct Learned {
    pub norm: Norm,
    pub query: Projection,
    pub key: Projection,
    pub value: Projection,
    pub out: Projection,
    pub mlp_norm: Norm,
    pub mlp: Mlp,
}

impl Learned {
    /// Under what names begin with now: queries have `width` numbers, and what keys are made of `of_key`.
    pub fn of(network: &mut NetworkPlan, layer: &Layer, [width, of_key]: [u32; 2]) -> Result<Self> {
        let (builder, activation) = (&mut network.builder, network.architecture.activation);
        let mut dense = |name: &str, outputs: u32, inputs: u32| projection(builder, name, outputs.into(), inputs.into(), true);
        let query = dense("attention.self.query", layer.keys, width)?;
        let key = dense("attention.self.key", layer.keys, of_key)?;
        let value = dense("attention.self.value", layer.values, of_key)?;
        let out = dense("attention.output.dense", width, layer.values)?;
        let norm_of = norm(builder, "attention.self.layernorm1", width, EPSILON)?;
        let mlp_norm = norm(builder, "layernorm", width, EPSILON)?;
        let mlp = mlp(builder, ["mlp.dense1", "mlp.dense2"], [width, layer.hidden], activation)?;
        Ok(Self { norm: norm_of, query, key, value, out, mlp_norm, mlp })
    }
}

/// A layer in which latents attend to themselves. Its weights may be used more than once.
pub(super) struct OwnLayer {
    learned: Learned,
}

/// The buffers that these layers share.
pub(super) struct OwnScratch {
    normed: Tokens,
    /// Queries, keys and values of the items that go through attention together, `[items,L,2*keys+values]`.
    packed: Tokens,
    attended: Tokens,
    inside: Tokens,
    /// Where the attention kernel does not do.
    streamed: Option<Streamed>,
}

impl OwnScratch {
    pub fn new(network: &mut NetworkPlan) -> Result<Self> {
        let (a, batch) = (network.architecture, network.batch);
        let (rows, layer, builder) = (a.latents, a.own, &mut network.builder);
        let packed_width = 2 * layer.keys + layer.values;
        let items = items_at_once(builder.limits(), batch, u64::from(rows) * u64::from(packed_width));
        let normed = Tokens::new(builder, "normed latents", [batch, rows, a.channels], Role::Scratch)?;
        let packed = Tokens::new(builder, "queries, keys, values", [items, rows, packed_width], Role::Scratch)?;
        let attended = Tokens::new(builder, "attended latents", [batch, rows, layer.values], Role::Scratch)?;
        let inside = inside_of_mlp(builder, u64::from(batch) * u64::from(rows), layer.hidden)?;
        let [head_size, value_size] = layer.head_sizes();
        let params = attend_params(&layer, rows, 1);
        let does = head_size.max(value_size) <= MAX_HEAD_SIZE && params.iterations() <= MAX_LOOP.into();
        let sizes =
            StreamedSizes { heads: layer.heads, rows, keys: rows, of_key: 0, ..StreamedSizes::own(head_size, value_size) };
        let streamed = if does { None } else { Some(Streamed::new(builder, sizes)?) };
        Ok(Self { normed, packed, attended, inside, streamed })
    }
}

impl OwnLayer {
    /// Adds the weights, under what names begin with now.
    pub fn of(network: &mut NetworkPlan) -> Result<Self> {
        let (layer, width) = (network.architecture.own, network.architecture.channels);
        Ok(Self { learned: Learned::of(network, &layer, [width, width])? })
    }

    /// Appends the layer, from the latents `x` to `y`. What is between goes to `z`, which may be where neither is.
    pub fn push(&self, network: &mut NetworkPlan, scratch: &OwnScratch, x: Tokens, z: Tokens, y: Tokens) -> Result<()> {
        let layer = network.architecture.own;
        let builder = &mut network.builder;
        let Learned { norm, query, key, value, out, mlp_norm, mlp } = &self.learned;
        norm.push(builder, x, scratch.normed)?;
        let labels = ["queries", "keys", "values"];
        for (first, items) in parts(x.batch, scratch.packed.batch) {
            let packed = scratch.packed.batch_items(0, items);
            let normed = scratch.normed.batch_items(first, items);
            let columns = [(0, layer.keys), (layer.keys, layer.keys), (2 * layer.keys, layer.values)];
            let columns = columns.map(|(column, size)| packed.columns(column, size));
            for ((label, part), to) in labels.into_iter().zip([query, key, value]).zip(columns) {
                Product::new(label, *part).push(builder, normed, to)?;
            }
            scratch.attend(builder, &layer, columns, scratch.attended.batch_items(first, items))?;
        }
        let product = Product { residual: Some(x), ..Product::new("projection", *out) };
        product.push(builder, scratch.attended, z)?;
        builder.release(&[scratch.packed.buffer, scratch.attended.buffer])?;
        mlp_norm.push(builder, z, scratch.normed)?;
        mlp.push(builder, scratch.inside, scratch.normed, z, y)?;
        builder.release(&[scratch.normed.buffer])
    }
}

impl OwnScratch {
    /// Attention of as many batch items as have been packed, from queries, keys and values to `out`.
    fn attend(&self, builder: &mut PlanBuilder, layer: &Layer, packed: [Tokens; 3], out: Tokens) -> Result<()> {
        let Some(streamed) = &self.streamed else {
            let [binding, to] = [packed[0], out].map(|tokens| tokens.rows(builder));
            let (binding, to) = (binding?.binding, to?);
            let params = AttendParams { out_offset: to.offset, ..attend_params(layer, out.rows, out.batch) };
            return builder.push("attention of latents", params, &[binding, binding, binding, to.binding]);
        };
        for item in 0..out.batch {
            let [queries, keys, values] = packed.map(|tokens| tokens.batch_items(item, 1));
            for chunk in streamed.chunks() {
                let [keys, values] = [keys, values].map(|tokens| tokens.part(chunk.first, chunk.count));
                streamed.push(builder, chunk, [queries, keys, values], out.batch_items(item, 1))?;
            }
        }
        streamed.release(builder)
    }
}

/// Attention of `rows` latents of each of `items` over packed queries, keys and values, from the start of what is bound.
fn attend_params(layer: &Layer, rows: u32, items: u32) -> AttendParams {
    let [head_size, value_size] = layer.head_sizes();
    let row = 2 * layer.keys + layer.values;
    AttendParams {
        batch: items,
        heads: layer.heads,
        groups: 1,
        rows,
        segments: 1,
        keys: rows,
        head_size,
        value_size,
        scale: (1.0 / f64::from(head_size).sqrt()) as f32,
        q_batch_stride: rows * row,
        q_head_stride: head_size,
        q_row_stride: row,
        k_offset: layer.keys,
        k_batch_stride: rows * row,
        k_head_stride: head_size,
        k_row_stride: row,
        v_offset: 2 * layer.keys,
        v_batch_stride: rows * row,
        v_head_stride: value_size,
        v_row_stride: row,
        out_batch_stride: rows * layer.values,
        out_head_stride: value_size,
        out_row_stride: layer.values,
        ..AttendParams::default()
    }
}
