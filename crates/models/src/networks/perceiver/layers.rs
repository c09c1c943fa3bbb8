//! What layers have learned, and those in which latents attend to themselves.

use super::{Layer, NetworkPlan};
use orthoformer::Result;
use orthoformer::kernel::Attend;
use orthoformer::ops::kit::{
    Attention, Budget, Clips, Mlp, Norm, Product, Projection, SelfAttention, heads, hidden_layer, mlp, norm, projection, scale_of,
};
use orthoformer::plan::{PlanBuilder, Role};
use orthoformer::view::View;

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
    /// Under what names begin with now: queries have `width` elements, and what keys are made of `of_key`.
    pub fn of(network: &mut NetworkPlan, layer: &Layer, [width, of_key]: [u64; 2]) -> Result<Self> {
        let (builder, activation) = (&mut network.builder, network.architecture.activation);
        let [keys, values, hidden] = [layer.keys, layer.values, layer.hidden].map(u64::from);
        let query = projection(builder, "attention.self.query", keys, width, true)?;
        let key = projection(builder, "attention.self.key", keys, of_key, true)?;
        let value = projection(builder, "attention.self.value", values, of_key, true)?;
        let out = projection(builder, "attention.output.dense", width, values, true)?;
        let norm_of = norm(builder, "attention.self.layernorm1", width, EPSILON)?;
        let mlp_norm = norm(builder, "layernorm", width, EPSILON)?;
        let mlp = mlp(builder, ["mlp.dense1", "mlp.dense2"], [width, hidden], activation)?;
        Ok(Self { norm: norm_of, query, key, value, out, mlp_norm, mlp })
    }
}

/// A layer in which latents attend to themselves. Its weights may be used more than once.
pub(super) struct OwnLayer {
    learned: Learned,
}

/// The buffers that these layers share.
pub(super) struct OwnScratch {
    normed: View,
    /// Queries, keys and values of the items that go through attention together, `[items,L,2*keys+values]`.
    packed: View,
    attended: View,
    /// Hidden layer of the MLP.
    hidden: View,
    /// Of as many items.
    attention: Attention,
}

/// Queries, keys and values of some batch items, `[items,L,...]` each.
#[derive(Clone, Copy)]
struct Operands {
    queries: View,
    keys: View,
    values: View,
}

impl Operands {
    /// Of rows in which they follow each other.
    fn of(packed: View, layer: &Layer) -> Self {
        let [keys, values] = [layer.keys, layer.values].map(u64::from);
        Self { queries: packed.part(2, 0, keys), keys: packed.part(2, keys, keys), values: packed.part(2, 2 * keys, values) }
    }

    /// Attention of all latents to all, into `out [items,L,values]`.
    fn attend(&self, layer: &Layer, out: View) -> Attend {
        let by_heads = |tokens: View| heads(tokens, layer.heads.into());
        let queries = by_heads(self.queries);
        let (keys, values, out) = (by_heads(self.keys), by_heads(self.values), by_heads(out));
        SelfAttention { queries, keys, values, out, scale: scale_of(queries.size(3)) }.joint()
    }
}

impl OwnScratch {
    pub fn new(network: &mut NetworkPlan) -> Result<Self> {
        let (a, layer, builder) = (network.architecture, network.architecture.own, &mut network.builder);
        let [batch, rows, width] = [network.batch, a.latents, a.channels].map(u64::from);
        let [keys, values] = [layer.keys, layer.values].map(u64::from);
        let items = Budget::of_scratch(builder.limits()).items(rows * (2 * keys + values), batch);
        let normed = builder.array("normed latents", &[batch, rows, width], Role::Scratch)?;
        let packed = builder.array("queries, keys, values", &[items, rows, 2 * keys + values], Role::Scratch)?;
        let attended = builder.array("attended latents", &[batch, rows, values], Role::Scratch)?;
        let hidden = hidden_layer(builder, batch * rows, layer.hidden.into())?;
        let request = Operands::of(packed, &layer).attend(&layer, attended.part(0, 0, items));
        let attention = Attention::like(builder, &request)?;
        Ok(Self { normed, packed, attended, hidden, attention })
    }

    /// Appends attention of as many batch items as have been packed, to `out`.
    fn attend(&self, builder: &mut PlanBuilder, layer: &Layer, packed: Operands, out: View) -> Result<()> {
        self.attention.push(builder, "attention of latents", packed.attend(layer, out))?;
        self.attention.release(builder)
    }
}

impl OwnLayer {
    /// Adds the weights, under what names begin with now.
    pub fn of(network: &mut NetworkPlan) -> Result<Self> {
        let (layer, width) = (network.architecture.own, network.architecture.channels.into());
        Ok(Self { learned: Learned::of(network, &layer, [width; 2])? })
    }

    /// Appends the layer, from the latents `x` to `y`. What is between goes to `z`, which may be where neither is.
    pub fn push(&self, network: &mut NetworkPlan, scratch: &OwnScratch, x: View, z: View, y: View) -> Result<()> {
        let layer = network.architecture.own;
        let builder = &mut network.builder;
        let Learned { norm, query, key, value, out, mlp_norm, mlp } = &self.learned;
        norm.push(builder, x, scratch.normed)?;
        for clips in Clips::parts(x.size(0), scratch.packed.size(0)) {
            let [normed, attended] = [scratch.normed, scratch.attended].map(|view| clips.of(view));
            let packed = Operands::of(clips.of_scratch(scratch.packed), &layer);
            Product::new("queries", *query).push(builder, normed, packed.queries)?;
            Product::new("keys", *key).push(builder, normed, packed.keys)?;
            Product::new("values", *value).push(builder, normed, packed.values)?;
            scratch.attend(builder, &layer, packed, attended)?;
        }
        let product = Product { residual: Some(x), ..Product::new("projection", *out) };
        product.push(builder, scratch.attended, z)?;
        builder.release(&[scratch.packed.buffer(), scratch.attended.buffer()])?;
        mlp_norm.push(builder, z, scratch.normed)?;
        mlp.push(builder, scratch.hidden, scratch.normed, z, y)?;
        builder.release(&[scratch.normed.buffer()])
    }
}
