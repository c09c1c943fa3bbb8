//! Attention of any head size over any number of keys, chunk of keys by chunk, in bounded memory.
//!
//! ```text
//! weights_i  = softmax(scale * q k_i'),  sums_i = log sum exp(scale * q k_i'),  parts_i = weights_i v_i        for each chunk i
//! out        = sum_i softmax_i(sums_i) parts_i
//! ```
//!
//! For what the attention kernel is not built for. Keys and values are asked for a chunk at a time, so that they may be computed when they are
//! needed and forgotten. Scores are float32, in one part.

use super::dense::Rows;
use super::tokens::Tokens;
use crate::error::Result;
use crate::params::{LinearParams, SoftmaxRowsParams, TemporalPoolParams};
use crate::plan::{BINDING_SLACK, BufferId, ELEMENT_BYTES, PlanBuilder, PlanLimits, Role};
use crate::shape::{fits_u32, product};

/// Most keys of a chunk: sums over more would take too many loop turns of the products.
const MAX_CHUNK: u32 = 1 << 15;
/// Chunks that are cut short have a multiple of this many keys.
const CHUNK_MULTIPLE: u32 = 64;

/// The sizes of such an attention.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamedSizes {
    pub heads: u32,
    /// Queries.
    pub rows: u32,
    pub keys: u32,
    /// Numbers of a query and a key of one head.
    pub head_size: u32,
    /// Numbers of a value of one head.
    pub value_size: u32,
    /// The most numbers that the caller keeps of a key at a time, of what it makes keys and values from.
    pub of_key: u32,
}

/// Keys that go through together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyChunk {
    number: u32,
    /// The first key.
    pub first: u32,
    pub count: u32,
}

/// The scratch of such an attention, of one batch item after the other.
pub(super) struct Streamed {
    sizes: StreamedSizes,
    /// Keys of all chunks but the last.
    pub chunk: u32,
    chunks: u32,
    scores: BufferId,
    /// Weights of a chunk `[heads, rows, chunk]`, and behind them the sums of all chunks `[heads, rows, chunks]`.
    weights: BufferId,
    /// Where there are several chunks: what each sees, `[rows, chunks, heads * value size]`, and what counts how much, `[heads, rows, chunks]`.
    merging: Option<(BufferId, BufferId)>,
}

impl Streamed {
    /// Adds the scratch buffers.
    ///
    /// # Errors
    /// [`crate::Error::SizeOverflow`] if what one key takes does not fit 32 bits.
    pub fn new(builder: &mut PlanBuilder, sizes: StreamedSizes) -> Result<Self> {
        let StreamedSizes { heads, rows, keys, value_size, .. } = sizes;
        let chunk = chunk_of(builder.limits(), &sizes)?;
        let chunks = keys.div_ceil(chunk);
        let [of_chunk, of_sums] = [chunk, chunks].map(|count| product("scores", &[heads, rows, count].map(u64::from)));
        let (of_chunk, of_sums) = (of_chunk?, of_sums?);
        fits_u32("scores of a chunk and sums of all", of_chunk.saturating_add(of_sums))?;
        let scores = builder.buffer("scores of a chunk", &[of_chunk], Role::Scratch)?;
        let weights = builder.buffer("weights of a chunk, and sums", &[of_chunk.saturating_add(of_sums)], Role::Scratch)?;
        let merging = match chunks {
            1 => None,
            _ => {
                let parts = [rows, chunks, fits_u32("numbers of values", u64::from(heads) * u64::from(value_size))?];
                fits_u32("what all chunks see", product("what all chunks see", &parts.map(u64::from))?)?;
                let parts = builder.buffer("what each chunk sees", &parts.map(u64::from), Role::Scratch)?;
                Some((parts, builder.buffer("weights of chunks", &[heads, rows, chunks].map(u64::from), Role::Scratch)?))
            }
        };
        Ok(Self { sizes, chunk, chunks, scores, weights, merging })
    }

    /// The chunks, in the order in which they have to come.
    pub fn chunks(&self) -> impl Iterator<Item = KeyChunk> + use<> {
        let (keys, chunk) = (self.sizes.keys, self.chunk);
        (0..self.chunks).map(move |number| KeyChunk { number, first: number * chunk, count: chunk.min(keys - number * chunk) })
    }

    /// Appends a chunk of one batch item. Queries and `out` have the sizes' rows, keys and values those of the chunk; the heads of each follow each
    /// other. With the last chunk `out` is written.
    pub fn push(
        &self,
        builder: &mut PlanBuilder,
        chunk: KeyChunk,
        [queries, keys, values]: [Tokens; 3],
        out: Tokens,
    ) -> Result<()> {
        let (queries, keys, values) = (queries.rows(builder)?, keys.rows(builder)?, values.rows(builder)?);
        self.push_weights(builder, chunk, queries, keys)?;
        let out = out.rows(builder)?;
        let y = match self.merging {
            None => (out, 0),
            Some((parts, _)) => {
                let width = self.sizes.heads * self.sizes.value_size;
                let binding = builder.bind_all(parts)?;
                (Rows { binding, offset: 0, batch_stride: 0, row_stride: self.chunks * width }, chunk.number * width)
            }
        };
        self.push_values(builder, chunk, values, y)?;
        match self.merging {
            Some(merging) if chunk.number + 1 == self.chunks => self.merge(builder, merging, out),
            _ => Ok(()),
        }
    }

    /// Numbers of the scores and weights of so many keys.
    fn numbers(&self, keys: u32) -> u32 {
        self.sizes.heads * self.sizes.rows * keys
    }

    fn push_weights(&self, builder: &mut PlanBuilder, chunk: KeyChunk, queries: Rows, keys: Rows) -> Result<()> {
        let StreamedSizes { heads, rows, head_size, .. } = self.sizes;
        let count = chunk.count;
        let scores = builder.bind(self.scores, 0, self.numbers(count).into())?.0;
        let products = LinearParams {
            batch: 1,
            groups: heads,
            rows,
            inputs: head_size,
            outputs: count,
            x_offset: queries.offset,
            x_group_stride: head_size,
            x_row_stride: queries.row_stride,
            w_offset: keys.offset,
            w_group_stride: head_size,
            w_output_stride: keys.row_stride,
            y_group_stride: rows * count,
            y_row_stride: count,
            product_scale: (1.0 / f64::from(head_size).sqrt()) as f32,
            ..LinearParams::plain()
        };
        let bindings = [queries.binding, keys.binding, keys.binding, keys.binding, scores];
        builder.push("scores of a chunk", products, &bindings)?;
        let softmax = SoftmaxRowsParams {
            batch: 1,
            groups: heads,
            rows,
            keys: count,
            has_sums: self.merging.is_some().into(),
            scores_group_stride: rows * count,
            scores_row_stride: count,
            weights_group_stride: rows * count,
            weights_row_stride: count,
            sums_offset: self.numbers(self.chunk) + chunk.number,
            sums_group_stride: rows * self.chunks,
            sums_row_stride: self.chunks,
            ..SoftmaxRowsParams::default()
        };
        let weights = builder.bind_all(self.weights)?;
        builder.push("weights of a chunk", softmax, &[scores, weights])
    }

    /// Values by their weights, into rows `y` from a column on.
    fn push_values(&self, builder: &mut PlanBuilder, chunk: KeyChunk, values: Rows, (y, column): (Rows, u32)) -> Result<()> {
        let StreamedSizes { heads, rows, value_size, .. } = self.sizes;
        let weights = builder.bind(self.weights, 0, self.numbers(chunk.count).into())?.0;
        let weighted = LinearParams {
            batch: 1,
            groups: heads,
            rows,
            inputs: chunk.count,
            outputs: value_size,
            x_group_stride: rows * chunk.count,
            x_row_stride: chunk.count,
            w_offset: values.offset,
            w_group_stride: value_size,
            w_output_stride: 1,
            w_input_stride: values.row_stride,
            y_offset: y.offset + column,
            y_group_stride: value_size,
            y_row_stride: y.row_stride,
            ..LinearParams::plain()
        };
        let bindings = [weights, values.binding, values.binding, values.binding, y.binding];
        builder.push("values of a chunk", weighted, &bindings)
    }

    /// What each chunk saw, by what it counts.
    fn merge(&self, builder: &mut PlanBuilder, (parts, shares): (BufferId, BufferId), out: Rows) -> Result<()> {
        let StreamedSizes { heads, rows, value_size, .. } = self.sizes;
        let (chunks, width) = (self.chunks, heads * value_size);
        let first = u64::from(self.numbers(self.chunk));
        let (sums, scores_offset) = builder.bind(self.weights, first, self.numbers(chunks).into())?;
        let (shares, parts) = (builder.bind_all(shares)?, builder.bind_all(parts)?);
        let softmax = SoftmaxRowsParams {
            batch: 1,
            groups: heads,
            rows,
            keys: chunks,
            scores_offset,
            scores_group_stride: rows * chunks,
            scores_row_stride: chunks,
            weights_group_stride: rows * chunks,
            weights_row_stride: chunks,
            ..SoftmaxRowsParams::default()
        };
        builder.push("weights of chunks", softmax, &[sums, shares])?;
        let pool = TemporalPoolParams {
            batch: 1,
            heads,
            rows,
            frames: chunks,
            width: value_size,
            a_head_stride: rows * chunks,
            a_row_stride: chunks,
            t_row_stride: chunks * width,
            t_frame_stride: width,
            t_head_stride: value_size,
            out_offset: out.offset,
            out_row_stride: out.row_stride,
            out_head_stride: value_size,
            ..TemporalPoolParams::default()
        };
        builder.push("chunks put together", pool, &[shares, parts, out.binding])
    }

    /// Says that nothing of it is needed any more.
    pub fn release(&self, builder: &mut PlanBuilder) -> Result<()> {
        let merging = self.merging.map(|(parts, shares)| [parts, shares]);
        builder.release(&[self.scores, self.weights])?;
        builder.release(merging.as_ref().map_or(&[], |both| both.as_slice()))
    }
}

/// Keys of a chunk: as many as scratch and a binding hold of whatever there is most of.
fn chunk_of(limits: &PlanLimits, sizes: &StreamedSizes) -> Result<u32> {
    let StreamedSizes { heads, rows, keys, head_size, value_size, of_key } = *sizes;
    let of_scores = product("scores of a key", &[heads, rows].map(u64::from))?;
    let widths = [head_size, value_size].map(|size| u64::from(heads) * u64::from(size));
    let widest = widths.into_iter().chain([of_scores, of_key.into(), 1]).max().unwrap_or(1);
    fits_u32("numbers of a key", widest)?;
    // Half a binding, as the sums lie behind the weights.
    let most = limits.scratch_bytes.min(limits.binding_bytes.saturating_sub(BINDING_SLACK) / 2) / ELEMENT_BYTES;
    let fitting = (most / widest).clamp(1, MAX_CHUNK.min(keys).into()) as u32;
    let rounded = fitting / CHUNK_MULTIPLE * CHUNK_MULTIPLE;
    Ok(if fitting < keys && rounded > 0 { rounded } else { fitting })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::reference::{self, Route};
    use crate::tensor::{Tensor, Tensors};

    const SIZES: StreamedSizes = StreamedSizes { heads: 2, rows: 3, keys: 0, head_size: 5, value_size: 4, of_key: 0 };

    /// Attention of two items over `keys` keys, in chunks of 64, and how many chunks there are.
    fn plan(keys: u32) -> (Plan, u32) {
        let sizes = StreamedSizes { keys, ..SIZES };
        let mut builder = PlanBuilder::new(PlanLimits { scratch_bytes: 4 * 10 * 64, ..PlanLimits::default() });
        let mut tokens = |name: &str, rows, width, role| Tokens::new(&mut builder, name, [2, rows, width], role).expect("small");
        let (q, k) = (tokens("q", sizes.rows, 10, Role::Input), tokens("k", keys, 10, Role::Input));
        let (v, out) = (tokens("v", keys, 8, Role::Input), tokens("out", sizes.rows, 8, Role::Output));
        let streamed = Streamed::new(&mut builder, sizes).expect("small");
        for item in 0..2 {
            let [q, k, v, out] = [q, k, v, out].map(|tokens| tokens.batch_items(item, 1));
            for chunk in streamed.chunks() {
                let [k, v] = [k, v].map(|tokens| tokens.part(chunk.first, chunk.count));
                streamed.push(&mut builder, chunk, [q, k, v], out).expect("small");
            }
        }
        streamed.release(&mut builder).expect("its own");
        (builder.build(), streamed.chunks)
    }

    /// Numbers that repeat late, from -1 to 1.
    fn numbers(shape: [usize; 3], factor: u64) -> Tensor {
        let count = shape.iter().product::<usize>() as u64;
        let data = (1..=count).map(|index| (index * factor % 10_007) as f32 / 5_003.5 - 1.0).collect();
        Tensor::new(shape.to_vec(), data).expect("as many")
    }

    /// One softmax over all keys.
    fn plain(given: &Tensors, keys: usize) -> Vec<f64> {
        let row = |name: &str, item: usize, rows: usize, row: usize, first: usize, size: usize| -> Vec<f64> {
            let tensor = &given[name];
            let start = (item * rows + row) * tensor.shape()[2] + first;
            tensor.data()[start..start + size].iter().map(|&number| number.into()).collect()
        };
        let mut out = Vec::new();
        for (item, asking, head) in (0..2).flat_map(|item| (0..3).flat_map(move |r| (0..2).map(move |h| (item, r, h)))) {
            let query = row("q", item, 3, asking, head * 5, 5);
            let score = |key| {
                let products = query.iter().zip(row("k", item, keys, key, head * 5, 5)).map(|(q, k)| q * k);
                (products.sum::<f64>() / 5f64.sqrt()).exp()
            };
            let weights: Vec<f64> = (0..keys).map(score).collect();
            let total: f64 = weights.iter().sum();
            let mut sum = [0.0; 4];
            for (key, weight) in weights.iter().enumerate() {
                let value = row("v", item, keys, key, head * 4, 4);
                sum.iter_mut().zip(value).for_each(|(sum, value)| *sum += weight / total * value);
            }
            out.extend(sum);
        }
        out
    }

    #[test]
    fn chunks_are_one_softmax() {
        for (keys, chunks) in [(1, 1), (2, 1), (63, 1), (64, 1), (65, 2), (127, 2), (128, 2), (129, 3), (640, 10)] {
            let (plan, found) = plan(keys);
            assert_eq!(found, chunks, "{keys} keys");
            let keys = keys as usize;
            let shapes = [("q", [2, 3, 10], 7919), ("k", [2, keys, 10], 6101), ("v", [2, keys, 8], 3571)];
            let given: Tensors =
                shapes.map(|(name, shape, factor)| (name.to_owned(), numbers(shape, factor))).into_iter().collect();
            let outputs = reference::run(&plan, &given, Route::Kernels).expect("runs");
            for (found, expected) in outputs["out"].data().iter().zip(plain(&given, keys)) {
                assert!((f64::from(*found) - expected).abs() < 1e-6, "{keys} keys: {found} {expected}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_32_bits_is_refused() {
        let of = |sizes| {
            Streamed::new(&mut PlanBuilder::new(PlanLimits { scratch_bytes: 1, ..PlanLimits::default() }), sizes).is_err()
        };
        assert!(of(StreamedSizes { heads: 1 << 16, rows: 1 << 16, keys: 1, ..SIZES }));
        assert!(of(StreamedSizes { keys: u32::MAX, ..SIZES }));
        assert!(of(StreamedSizes { keys: 1 << 20, value_size: 1 << 12, ..SIZES }));
    }
}
