//! Layers whose queries attend to something else, which may be very long.
//!
//! Where it takes fewer operations, keys and values are never made: `q (x W_k' + b_k)' = (q W_k) x' + q b_k'`, where the last term is the same for
//! all keys of a query and drops out of its softmax, and `sum_j a_j (x_j W_v' + b_v) = (sum_j a_j x_j) W_v' + b_v`, as weights add up to one.

use super::super::dense::{Projection, Rows};
use super::super::streamed::{Streamed, StreamedSizes};
use super::super::tokens::{Product, Tokens, inside_of_mlp, norm};
use super::layers::{EPSILON, Learned};
use super::{Layer, NetworkPlan};
use crate::error::Result;
use crate::params::LinearParams;
use crate::plan::{PlanBuilder, Role};

/// A layer whose learned queries `[1,Q,D]` attend to another source `[B,M,C]`.
pub(super) struct CrossLayer {
    pub layer: Layer,
    pub queries: Tokens,
    pub source: Tokens,
    /// Whether queries and keys are handed out, as outputs of these names.
    pub operands: bool,
}

impl CrossLayer {
    /// Appends the layer, whose tensors and scratch are named under `name`: what comes out, `[B,Q,D]`.
    pub fn push(&self, network: &mut NetworkPlan, name: &str) -> Result<Tokens> {
        let Self { layer, queries, source, .. } = *self;
        let (rows, width, batch) = (queries.rows, queries.stride, source.batch);
        network.builder.name_under(name);
        let learned = Learned::of(network, &layer, [width, source.stride])?;
        let builder = &mut network.builder;
        let [answer, result] = ["answer", "result"].map(|name| Tokens::new(builder, name, [batch, rows, width], Role::Scratch));
        let (answer, result) = (answer?, result?);
        builder.keep_exact(&[answer.buffer, result.buffer])?;
        self.push_answer(network, &learned, answer)?;
        let builder = &mut network.builder;
        let normed = Tokens::new(builder, "normed answer", [batch, rows, width], Role::Scratch)?;
        learned.mlp_norm.push(builder, answer, normed)?;
        let inside = inside_of_mlp(builder, u64::from(batch) * u64::from(rows), layer.hidden)?;
        learned.mlp.push(builder, inside, normed, answer, result)?;
        builder.release(&[normed.buffer, answer.buffer])?;
        Ok(result)
    }

    /// The layer without its MLP.
    pub fn push_answer(&self, network: &mut NetworkPlan, learned: &Learned, answer: Tokens) -> Result<()> {
        let Self { layer, queries, source, .. } = *self;
        let batch = source.batch;
        let attended = Tokens::new(&mut network.builder, "attended", [batch, queries.rows, layer.values], Role::Scratch)?;
        self.push_attention(network, learned, attended)?;
        let builder = &mut network.builder;
        for item in 0..batch {
            // All batch items have the same queries.
            let product =
                Product { residual: layer.query_residual.then_some(queries), ..Product::new("projection", learned.out) };
            product.push(builder, attended.batch_items(item, 1), answer.batch_items(item, 1))?;
        }
        builder.release(&[attended.buffer])
    }

    /// Hands out the queries `[1,Q,keys]`, if that is wanted, and makes the output for the keys `[B,M,keys]`, which need not be what attention takes.
    fn hand_out(&self, builder: &mut PlanBuilder, learned: &Learned, normed_queries: Tokens) -> Result<Option<Tokens>> {
        if !self.operands {
            return Ok(None);
        }
        let Self { layer, queries, source, .. } = *self;
        let asked = Tokens::new(builder, "queries", [1, queries.rows, layer.keys], Role::Output)?;
        Product::new("queries to hand out", learned.query).push(builder, normed_queries, asked)?;
        Tokens::new(builder, "keys", [source.batch, source.rows, layer.keys], Role::Output).map(Some)
    }

    /// What the queries see, `[B,Q,values]`: keys and values are made chunk by chunk.
    fn push_attention(&self, network: &mut NetworkPlan, learned: &Learned, attended: Tokens) -> Result<()> {
        let Self { layer, queries, source, .. } = *self;
        let builder = &mut network.builder;
        let other_norm = norm(builder, "attention.self.layernorm2", source.stride, EPSILON)?;
        let normed_queries = Tokens::new(builder, "normed queries", [1, queries.rows, queries.stride], Role::Scratch)?;
        let asked = Tokens::new(builder, "queries", [1, queries.rows, layer.keys], Role::Scratch)?;
        learned.norm.push(builder, queries, normed_queries)?;
        Product::new("queries", learned.query).push(builder, normed_queries, asked)?;
        let handed_out = self.hand_out(builder, learned, normed_queries)?;
        let folding = Folding::of(&layer, queries.rows, [source.rows, source.stride]);
        let asking = if folding.keys { folding.queries(builder, learned.key, asked)? } else { asked };
        let streamed = Streamed::new(builder, folding.sizes(queries.rows, source.rows))?;
        let mut of_chunk = |name: &str, width| Tokens::new(builder, name, [1, streamed.chunk, width], Role::Scratch);
        let normed = of_chunk("normed inputs of a chunk", source.stride)?;
        let keys = if folding.keys { normed } else { of_chunk("keys of a chunk", layer.keys)? };
        let values = if folding.values { normed } else { of_chunk("values of a chunk", layer.values)? };
        let seen = if folding.values { Some(folding.seen(builder, queries.rows)?) } else { None };
        for item in 0..source.batch {
            let out = attended.batch_items(item, 1);
            for chunk in streamed.chunks() {
                let [normed, keys, values] = [normed, keys, values].map(|tokens| tokens.part(0, chunk.count));
                other_norm.push(builder, source.batch_items(item, 1).part(chunk.first, chunk.count), normed)?;
                if let Some(keys) = handed_out {
                    let own = keys.batch_items(item, 1).part(chunk.first, chunk.count);
                    Product::new("keys to hand out", learned.key).push(builder, normed, own)?;
                }
                if !folding.keys {
                    Product::new("keys of a chunk", learned.key).push(builder, normed, keys)?;
                }
                if !folding.values {
                    Product::new("values of a chunk", learned.value).push(builder, normed, values)?;
                }
                streamed.push(builder, chunk, [asking, keys, values], seen.unwrap_or(out))?;
                builder.release(&[normed.buffer, keys.buffer, values.buffer])?;
            }
            if let Some(seen) = seen {
                folding.values(builder, learned.value, seen, out)?;
                builder.release(&[seen.buffer])?;
            }
        }
        builder.release(&[normed_queries.buffer, asked.buffer, asking.buffer])?;
        streamed.release(builder)
    }
}

/// Which projections go to queries and results instead of to what is attended to.
struct Folding {
    layer: Layer,
    /// Numbers of what is attended to.
    of_key: u32,
    keys: bool,
    values: bool,
}

impl Folding {
    /// What takes fewer multiplications for so many queries and keys.
    fn of(layer: &Layer, rows: u32, [keys, of_key]: [u32; 2]) -> Self {
        let [l, m, c, heads] = [rows, keys, of_key, layer.heads].map(u128::from);
        // A query then has as many numbers for each head as a key is made of.
        let fits = l * heads * c <= u32::MAX.into();
        let pays = |width: u32| {
            let width = u128::from(width);
            fits && m * heads * l * c + l * c * width < m * (c + l) * width
        };
        Self { layer: *layer, of_key, keys: pays(layer.keys), values: pays(layer.values) }
    }

    fn sizes(&self, rows: u32, keys: u32) -> StreamedSizes {
        let [head_size, value_size] = self.layer.head_sizes();
        StreamedSizes {
            heads: self.layer.heads,
            rows,
            keys,
            head_size: if self.keys { self.of_key } else { head_size },
            value_size: if self.values { self.of_key } else { value_size },
            keys_shared: self.keys,
            values_shared: self.values,
            of_key: self.of_key,
            ..StreamedSizes::own(head_size, value_size)
        }
    }

    /// Numbers of all heads, of what is attended to.
    fn width(&self) -> u32 {
        self.layer.heads * self.of_key
    }

    /// Queries by which the inputs themselves are asked, `[1,Q,heads*C]`.
    fn queries(&self, builder: &mut PlanBuilder, key: Projection, asked: Tokens) -> Result<Tokens> {
        let (size, c) = (self.layer.head_sizes()[0], self.of_key);
        let folded = Tokens::new(builder, "folded queries", [1, asked.rows, self.width()], Role::Scratch)?;
        let (x, y) = (asked.rows(builder)?, folded.rows(builder)?);
        let params = LinearParams {
            inputs: size,
            outputs: c,
            x_group_stride: size,
            w_group_stride: size * c,
            w_output_stride: 1,
            w_input_stride: c,
            y_group_stride: c,
            ..self.by_heads(asked.rows, x, y)
        };
        builder.push("folded queries", params, &[x.binding, key.weight, key.weight, key.weight, y.binding])?;
        Ok(folded)
    }

    /// A buffer for what each head sees of the inputs themselves, `[1,Q,heads*C]`.
    fn seen(&self, builder: &mut PlanBuilder, rows: u32) -> Result<Tokens> {
        Tokens::new(builder, "inputs seen", [1, rows, self.width()], Role::Scratch)
    }

    /// Values of what each head saw.
    fn values(&self, builder: &mut PlanBuilder, value: Projection, seen: Tokens, out: Tokens) -> Result<()> {
        let (size, c) = (self.layer.head_sizes()[1], self.of_key);
        let (x, y) = (seen.rows(builder)?, out.rows(builder)?);
        let params = LinearParams {
            inputs: c,
            outputs: size,
            has_bias: value.bias.is_some().into(),
            x_group_stride: c,
            w_group_stride: size * c,
            w_output_stride: c,
            bias_group_stride: size,
            y_group_stride: size,
            ..self.by_heads(seen.rows, x, y)
        };
        let bias = value.bias.unwrap_or(value.weight);
        builder.push("values of inputs seen", params, &[x.binding, value.weight, bias, bias, y.binding])
    }

    fn by_heads(&self, rows: u32, x: Rows, y: Rows) -> LinearParams {
        let (x_offset, x_row_stride, y_offset, y_row_stride) = (x.offset, x.row_stride, y.offset, y.row_stride);
        let params = LinearParams { batch: 1, groups: self.layer.heads, rows, ..LinearParams::plain() };
        LinearParams { x_offset, x_row_stride, y_offset, y_row_stride, ..params }
    }
}
