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
use crate::kernel::SoftmaxRows;
use crate::params::{LinearParams, TemporalPoolParams};
use crate::plan::{BINDING_SLACK, BufferId, ELEMENT_BYTES, PlanBuilder, PlanLimits, Role};
use crate::shape::{fits_u32, product};
use crate::view::View;

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
    /// Whether all heads have the same keys.
    pub keys_shared: bool,
    /// Whether all heads have the same values.
    pub values_shared: bool,
    /// Factor on every score.
    pub scale: f32,
    /// The most numbers that the caller keeps of a key at a time, of what it makes keys and values from.
    pub of_key: u32,
}

impl StreamedSizes {
    /// Heads with keys and values of their own, of these sizes, and the published scale; of nothing yet.
    pub fn own(head_size: u32, value_size: u32) -> Self {
        let scale = (1.0 / f64::from(head_size).sqrt()) as f32;
        let [heads, rows, keys, of_key] = [0; 4];
        Self { heads, rows, keys, head_size, value_size, keys_shared: false, values_shared: false, scale, of_key }
    }
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
    /// other, where they are not shared. With the last chunk `out` is written.
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
        let StreamedSizes { heads, rows, head_size, keys_shared, .. } = self.sizes;
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
            w_group_stride: if keys_shared { 0 } else { head_size },
            w_output_stride: keys.row_stride,
            y_group_stride: rows * count,
            y_row_stride: count,
            product_scale: self.sizes.scale,
            ..LinearParams::plain()
        };
        let bindings = [queries.binding, keys.binding, keys.binding, keys.binding, scores];
        builder.push("scores of a chunk", products, &bindings)?;
        let [scores, weights] = [self.scores, self.weights].map(|buffer| View::of(buffer, &[heads, rows, count].map(u64::from)));
        let sums = self.merging.map(|_| self.sums().index(2, chunk.number.into()));
        builder.launch("weights of a chunk", SoftmaxRows { scores, weights, sums })
    }

    /// The sums of all chunks `[heads, rows, chunks]`, behind the weights.
    fn sums(&self) -> View {
        let [heads, rows, chunks] = [self.sizes.heads, self.sizes.rows, self.chunks].map(u64::from);
        let first = u64::from(self.numbers(self.chunk));
        let behind = View::of(self.weights, &[first + heads * rows * chunks]).from(0, first);
        behind.split(0, rows * chunks).split(1, chunks)
    }

    /// Values by their weights, into rows `y` from a column on.
    fn push_values(&self, builder: &mut PlanBuilder, chunk: KeyChunk, values: Rows, (y, column): (Rows, u32)) -> Result<()> {
        let StreamedSizes { heads, rows, value_size, values_shared, .. } = self.sizes;
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
            w_group_stride: if values_shared { 0 } else { value_size },
            w_output_stride: 1,
            w_input_stride: values.row_stride,
            y_offset: y.offset + column,
            y_group_stride: value_size,
            y_row_stride: y.row_stride,
            ..LinearParams::plain()
        };
        let bindings = [weights, values.binding, values.binding, values.binding, y.binding];
        builder.push("values by their weights", weighted, &bindings)
    }

    /// What each chunk saw, by what it counts.
    fn merge(&self, builder: &mut PlanBuilder, (parts, shares): (BufferId, BufferId), out: Rows) -> Result<()> {
        let StreamedSizes { heads, rows, value_size, .. } = self.sizes;
        let (chunks, width) = (self.chunks, heads * value_size);
        let weights = View::of(shares, &[heads, rows, chunks].map(u64::from));
        builder.launch("weights of chunks", SoftmaxRows { scores: self.sums(), weights, sums: None })?;
        let (shares, parts) = (builder.bind_all(shares)?, builder.bind_all(parts)?);
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
    let StreamedSizes { heads, rows, keys, head_size, value_size, keys_shared, values_shared, of_key, .. } = *sizes;
    let of_scores = product("scores of a key", &[heads, rows].map(u64::from))?;
    let width = |size: u32, is_shared| u64::from(if is_shared { 1 } else { heads }) * u64::from(size);
    let widths = [width(head_size, keys_shared), width(value_size, values_shared)];
    let widest = widths.into_iter().chain([of_scores, of_key.into(), 1]).max().unwrap_or(1);
    fits_u32("numbers of a key", widest)?;
    // Half a binding, as the sums lie behind the weights.
    let most = limits.scratch_bytes.min(limits.binding_bytes.saturating_sub(BINDING_SLACK) / 2) / ELEMENT_BYTES;
    let fitting = (most / widest).clamp(1, MAX_CHUNK.min(keys).into()) as u32;
    let rounded = fitting / CHUNK_MULTIPLE * CHUNK_MULTIPLE;
    Ok(if fitting < keys && rounded > 0 { rounded } else { fitting })
}

#[cfg(test)]
mod tests;
