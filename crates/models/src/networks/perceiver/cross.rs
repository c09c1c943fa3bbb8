//! Layers whose queries attend to something else, which may be very long.
//!
//! Where it takes fewer operations, keys and values are never made: `q (x W_k' + b_k)' = (q W_k) x' + q b_k'`, where the last term is the same for
//! all keys of a query and drops out of its softmax, and `sum_j a_j (x_j W_v' + b_v) = (sum_j a_j x_j) W_v' + b_v`, as weights add up to one.

use super::layers::{EPSILON, Learned};
use super::{Layer, NetworkPlan};
use orthoformer::Result;
use orthoformer::kernel::Linear;
use orthoformer::ops::kit::{Product, Projection, heads, hidden_layer, norm};
use orthoformer::ops::streamed::{Streamed, StreamedSizes};
use orthoformer::plan::{PlanBuilder, Role};
use orthoformer::shape::fits_u32;
use orthoformer::view::View;

/// A layer whose learned queries `[1,Q,D]` attend to another source `[B,M,C]`.
pub(super) struct CrossLayer {
    pub layer: Layer,
    pub queries: View,
    pub source: View,
    /// Whether queries and keys are handed out, as outputs of these names.
    pub operands: bool,
}

impl CrossLayer {
    /// Appends the layer, whose tensors and scratch are named under `name`: what comes out, `[B,Q,D]`.
    pub fn push(&self, network: &mut NetworkPlan, name: &str) -> Result<View> {
        let Self { layer, queries, source, .. } = *self;
        let (rows, width, batch) = (queries.size(1), queries.size(2), source.size(0));
        network.builder.name_under(name);
        let learned = Learned::of(network, &layer, [width, source.size(2)])?;
        let builder = &mut network.builder;
        let [answer, result] = ["answer", "result"].map(|name| builder.array(name, &[batch, rows, width], Role::Scratch));
        let (answer, result) = (answer?, result?);
        builder.keep_exact(&[answer.buffer(), result.buffer()])?;
        self.push_answer(network, &learned, answer)?;
        let builder = &mut network.builder;
        let normed = builder.array("normed answer", &[batch, rows, width], Role::Scratch)?;
        learned.mlp_norm.push(builder, answer, normed)?;
        let hidden = hidden_layer(builder, batch * rows, layer.hidden.into())?;
        learned.mlp.push(builder, hidden, normed, answer, result)?;
        builder.release(&[normed.buffer(), answer.buffer()])?;
        Ok(result)
    }

    /// The layer without its MLP.
    pub fn push_answer(&self, network: &mut NetworkPlan, learned: &Learned, answer: View) -> Result<()> {
        let Self { layer, queries, source, .. } = *self;
        let batch = source.size(0);
        let axes = [batch, queries.size(1), layer.values.into()];
        let attended = network.builder.array("attended", &axes, Role::Scratch)?;
        self.push_attention(network, learned, attended)?;
        let builder = &mut network.builder;
        // All batch items have the same queries.
        let residual = layer.query_residual.then_some(queries);
        for item in 0..batch {
            let product = Product { residual, ..Product::new("projection", learned.out) };
            product.push(builder, attended.part(0, item, 1), answer.part(0, item, 1))?;
        }
        builder.release(&[attended.buffer()])
    }

    /// Hands out the queries `[1,Q,keys]`, if that is wanted, and makes the output for the keys `[B,M,keys]`, which need not be what attention takes.
    fn hand_out(&self, builder: &mut PlanBuilder, learned: &Learned, normed_queries: View) -> Result<Option<View>> {
        if !self.operands {
            return Ok(None);
        }
        let Self { layer, queries, source, .. } = *self;
        let asked = builder.array("queries", &[1, queries.size(1), layer.keys.into()], Role::Output)?;
        Product::new("queries to hand out", learned.query).push(builder, normed_queries, asked)?;
        builder.array("keys", &[source.size(0), source.size(1), layer.keys.into()], Role::Output).map(Some)
    }

    /// What the queries see, `[B,Q,values]`: keys and values are made chunk by chunk.
    fn push_attention(&self, network: &mut NetworkPlan, learned: &Learned, attended: View) -> Result<()> {
        let Self { layer, queries, source, .. } = *self;
        let builder = &mut network.builder;
        let other_norm = norm(builder, "attention.self.layernorm2", source.size(2), EPSILON)?;
        let normed_queries = builder.array("normed queries", &queries.shape(), Role::Scratch)?;
        let asked = builder.array("queries", &[1, queries.size(1), layer.keys.into()], Role::Scratch)?;
        learned.norm.push(builder, queries, normed_queries)?;
        Product::new("queries", learned.query).push(builder, normed_queries, asked)?;
        let handed_out = self.hand_out(builder, learned, normed_queries)?;
        let folding = Folding::of(&layer, queries.size(1), [source.size(1), source.size(2)])?;
        let asking = if folding.has_keys() { folding.push_queries(builder, learned.key, asked)? } else { asked };
        let streamed = Streamed::new(builder, folding.sizes)?;
        let mut of_chunk = |name: &str, width| builder.array(name, &[1, streamed.chunk.into(), width], Role::Scratch);
        let normed = of_chunk("normed inputs of a chunk", source.size(2))?;
        let keys = if folding.has_keys() { normed } else { of_chunk("keys of a chunk", layer.keys.into())? };
        let values = if folding.has_values() { normed } else { of_chunk("values of a chunk", layer.values.into())? };
        let seen = if folding.has_values() { Some(folding.of_heads(builder, "inputs seen")?) } else { None };
        for item in 0..source.size(0) {
            let out = attended.part(0, item, 1);
            for chunk in streamed.chunks() {
                let (first, count) = (chunk.first.into(), chunk.count.into());
                let of_chunk = |view: View| view.part(0, item, 1).part(1, first, count);
                let [normed, keys, values] = [normed, keys, values].map(|view| view.part(1, 0, count));
                other_norm.push(builder, of_chunk(source), normed)?;
                if let Some(keys) = handed_out {
                    Product::new("keys to hand out", learned.key).push(builder, normed, of_chunk(keys))?;
                }
                if !folding.has_keys() {
                    Product::new("keys of a chunk", learned.key).push(builder, normed, keys)?;
                }
                if !folding.has_values() {
                    Product::new("values of a chunk", learned.value).push(builder, normed, values)?;
                }
                streamed.push(builder, chunk, [asking, keys, values], seen.unwrap_or(out))?;
                builder.release(&[normed.buffer(), keys.buffer(), values.buffer()])?;
            }
            if let Some(seen) = seen {
                folding.push_values(builder, learned.value, seen, out)?;
                builder.release(&[seen.buffer()])?;
            }
        }
        builder.release(&[normed_queries.buffer(), asked.buffer(), asking.buffer()])?;
        streamed.release(builder)
    }
}

/// Which projections are applied to queries and results instead of inputs. All heads then share the inputs as keys or values.
struct Folding {
    layer: Layer,
    sizes: StreamedSizes,
}

impl Folding {
    /// What takes fewer multiplications for so many queries, and keys made of so many elements.
    fn of(layer: &Layer, rows: u64, [keys, of_key]: [u64; 2]) -> Result<Self> {
        let [l, m, c, heads] = [rows, keys, of_key, layer.heads.into()].map(u128::from);
        // A query then has as many elements for each head as a key is made of.
        let fits = l * heads * c <= u32::MAX.into();
        let pays = |width: u32| {
            let width = u128::from(width);
            fits && m * heads * l * c + l * c * width < m * (c + l) * width
        };
        let (keys_shared, values_shared) = (pays(layer.keys), pays(layer.values));
        let [head_size, value_size] = layer.head_sizes();
        let of_key = fits_u32("elements of a key", of_key)?;
        let sizes = StreamedSizes {
            heads: layer.heads,
            rows: fits_u32("queries", rows)?,
            keys: fits_u32("keys", keys)?,
            head_size: if keys_shared { of_key } else { head_size },
            value_size: if values_shared { of_key } else { value_size },
            keys_shared,
            values_shared,
            of_key,
            ..StreamedSizes::own(head_size, value_size)
        };
        Ok(Self { layer: *layer, sizes })
    }

    /// Whether keys are folded into queries.
    fn has_keys(&self) -> bool {
        self.sizes.keys_shared
    }

    /// Whether values are folded into results.
    fn has_values(&self) -> bool {
        self.sizes.values_shared
    }

    /// A buffer with a row of what is attended to for each query and head, `[1,Q,heads*C]`.
    fn of_heads(&self, builder: &mut PlanBuilder, name: &str) -> Result<View> {
        let [rows, heads, of_key] = [self.sizes.rows, self.sizes.heads, self.sizes.of_key].map(u64::from);
        builder.array(name, &[1, rows, heads * of_key], Role::Scratch)
    }

    /// Tokens by their heads.
    fn by_heads(&self, tokens: View) -> View {
        heads(tokens, self.layer.heads.into())
    }

    /// Appends queries that the inputs themselves are asked by, of `asked [1,Q,keys]`: `[1,Q,heads*C]`.
    fn push_queries(&self, builder: &mut PlanBuilder, key: Projection, asked: View) -> Result<View> {
        let [head_size, _] = self.layer.head_sizes();
        let folded = self.of_heads(builder, "folded queries")?;
        let weight = key.weight.split(0, head_size.into()).ordered(&[0, 2, 1]);
        builder.launch("folded queries", Linear::new(self.by_heads(asked), weight, self.by_heads(folded)))?;
        Ok(folded)
    }

    /// Appends values `[1,Q,values]` of what each head saw, `[1,Q,heads*C]`.
    fn push_values(&self, builder: &mut PlanBuilder, value: Projection, seen: View, out: View) -> Result<()> {
        let [_, value_size] = self.layer.head_sizes();
        let of_head = |view: View| view.split(0, value_size.into());
        let bias = value.bias.map(|bias| of_head(bias).with_axis(1, 1));
        let product = Linear::new(self.by_heads(seen), of_head(value.weight), self.by_heads(out));
        builder.launch("values of inputs seen", Linear { bias, ..product })
    }
}
