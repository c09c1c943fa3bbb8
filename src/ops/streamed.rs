//! Attention of any head size over any number of keys, chunk of keys by chunk, in bounded memory.
//!
//! ```text
//! weights_i  = softmax(scale * q k_i'),  sums_i = log sum exp(scale * q k_i'),  parts_i = weights_i v_i        for each chunk i
//! out        = sum_i softmax_i(sums_i) parts_i
//! ```
//!
//! For sizes that the attention kernel does not support. Keys and values are needed a chunk at a time, so that they may be computed on
//! demand. Scores are plain float32.

use super::kit::{Budget, heads as by_heads, scale_of};
use crate::error::{Error, Result};
use crate::kernel::{Attend, Linear, SoftmaxRows, TemporalPool};
use crate::plan::{BufferId, Dispatch, PlanBuilder, PlanLimits, Role};
use crate::shape::{fits_u32, product};
use crate::view::View;

/// Most keys of a chunk, whatever the driver.
const MAX_CHUNK: u32 = 1 << 15;
/// Iterations that a product takes for sixteen keys, rounded up.
const ITERATIONS_OF_SIXTEEN: u32 = 24;
/// Reduced chunks have a multiple of this many keys.
const CHUNK_MULTIPLE: u32 = 64;

/// The sizes of such an attention.
#[derive(Clone, Copy, Debug)]
pub struct StreamedSizes {
    /// Attention heads.
    pub heads: u32,
    /// Queries.
    pub rows: u32,
    /// Keys.
    pub keys: u32,
    /// Whether there is an extra key ahead of the others, as a chunk of its own.
    pub has_extra_key: bool,
    /// Elements of a query and a key of one head.
    pub head_size: u32,
    /// Elements of a value of one head.
    pub value_size: u32,
    /// Whether all heads have the same keys.
    pub keys_shared: bool,
    /// Whether all heads have the same values.
    pub values_shared: bool,
    /// Factor on every score.
    pub scale: f32,
    /// Elements a key of the caller's largest operand for computing keys and values.
    pub of_key: u32,
}

impl StreamedSizes {
    /// Heads with keys and values of their own, of these sizes, and the published scale; no rows or keys yet.
    pub fn own(head_size: u32, value_size: u32) -> Self {
        let scale = scale_of(head_size.into());
        let [heads, rows, keys, of_key] = [0; 4];
        Self {
            heads,
            rows,
            keys,
            head_size,
            value_size,
            keys_shared: false,
            values_shared: false,
            has_extra_key: false,
            scale,
            of_key,
        }
    }
}

/// Keys that are computed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyChunk {
    number: u32,
    /// The first key.
    pub first: u32,
    /// Keys.
    pub count: u32,
    /// Whether it is the extra key.
    pub is_extra: bool,
}

/// The scratch of such an attention, for one batch item at a time.
pub struct Streamed {
    sizes: StreamedSizes,
    /// Keys of all chunks but the last.
    pub chunk: u32,
    chunks: u32,
    /// `[heads * rows * chunk]`.
    scores: View,
    /// Weights of a chunk `[heads, rows, chunk]`, and behind them the log sums of all chunks `[heads, rows, chunks]`.
    weights: View,
    /// For several chunks: outputs of each, `[rows, chunks, heads * value size]`, and the chunks' weights, `[heads, rows, chunks]`.
    merging: Option<(View, View)>,
}

impl Streamed {
    /// Adds the scratch buffers.
    ///
    /// # Errors
    /// [`crate::Error::SizeOverflow`] if the elements of one key exceed 32 bits.
    pub fn new(builder: &mut PlanBuilder, sizes: StreamedSizes) -> Result<Self> {
        let StreamedSizes { heads, rows, keys, value_size, .. } = sizes;
        let chunk = chunk_of(builder.limits(), &sizes)?;
        let chunks = keys.div_ceil(chunk) + u32::from(sizes.has_extra_key);
        let [of_chunk, of_sums] = [chunk, chunks].map(|count| product("scores", &[heads, rows, count].map(u64::from)));
        let (of_chunk, of_sums) = (of_chunk?, of_sums?);
        fits_u32("scores of a chunk and sums of all", of_chunk.saturating_add(of_sums))?;
        let scores = builder.array("scores of a chunk", &[of_chunk], Role::Scratch)?;
        let weights = builder.array("weights of a chunk, and sums", &[of_chunk.saturating_add(of_sums)], Role::Scratch)?;
        let merging = match chunks {
            1 => None,
            _ => {
                let parts = [rows, chunks, fits_u32("elements of values", u64::from(heads) * u64::from(value_size))?];
                fits_u32("what all chunks see", product("what all chunks see", &parts.map(u64::from))?)?;
                let parts = builder.array("what each chunk sees", &parts.map(u64::from), Role::Scratch)?;
                Some((parts, builder.array("weights of chunks", &[heads, rows, chunks].map(u64::from), Role::Scratch)?))
            }
        };
        Ok(Self { sizes, chunk, chunks, scores, weights, merging })
    }

    /// Refuses a request of other sizes than these.
    ///
    /// # Errors
    /// [`Error::ViewMismatch`].
    pub(super) fn check(&self, request: &Attend) -> Result<()> {
        let sizes = &self.sizes;
        let extra = |view: &View| u64::from(view.has_extra());
        let pairs = [
            ("queries", "heads", request.queries.size(1), sizes.heads.into()),
            ("queries", "head size", request.queries.size(4), sizes.head_size.into()),
            ("keys", "keys", request.keys.size(4), sizes.keys.into()),
            ("keys", "extra rows", extra(&request.keys), sizes.has_extra_key.into()),
            ("values", "keys", request.values.size(4), sizes.keys.into()),
            ("values", "value size", request.values.size(5), sizes.value_size.into()),
        ];
        match pairs.into_iter().find(|(_, _, given, expected)| given != expected) {
            None => Ok(()),
            Some((view, what, given, expected)) => Err(Error::ViewMismatch { kernel: "attend", view, what, given, expected }),
        }
    }

    /// The chunks, in the required order.
    pub fn chunks(&self) -> impl Iterator<Item = KeyChunk> + use<> {
        let (keys, chunk, extra) = (self.sizes.keys, self.chunk, u32::from(self.sizes.has_extra_key));
        (0..self.chunks).map(move |number| match number.checked_sub(extra) {
            None => KeyChunk { number, first: 0, count: 1, is_extra: true },
            Some(own) => {
                let first = own * chunk;
                KeyChunk { number, first, count: chunk.min(keys - first), is_extra: false }
            }
        })
    }

    /// Appends a chunk of one batch item: views `[1, rows, columns]`. Queries and `out` have the sizes' rows, keys and values those of the chunk; the
    /// heads of each follow each other, where they are not shared. With the last chunk `out` is written.
    ///
    /// # Errors
    /// Those of [`PlanBuilder::make`].
    pub fn push(&self, builder: &mut PlanBuilder, chunk: KeyChunk, [queries, keys, values]: [View; 3], out: View) -> Result<()> {
        let heads = u64::from(self.sizes.heads);
        let shared = |view: View, is_shared| if is_shared { view.with_axis(1, 1) } else { by_heads(view, heads) };
        let (keys, values) = (shared(keys, self.sizes.keys_shared), shared(values, self.sizes.values_shared));
        let operands = [by_heads(queries, heads), keys, values];
        let dispatches = self.dispatches(builder, chunk, operands, by_heads(out, heads))?;
        dispatches.into_iter().for_each(|dispatch| builder.push_kernel(dispatch));
        Ok(())
    }

    /// The dispatches of a chunk of one batch item: views `[1, heads, rows, size]`. There may be fewer rows than the sizes have.
    ///
    /// # Errors
    /// Those of [`PlanBuilder::make`].
    pub fn dispatches(
        &self,
        builder: &PlanBuilder,
        chunk: KeyChunk,
        [queries, keys, values]: [View; 3],
        out: View,
    ) -> Result<Vec<Dispatch>> {
        let rows = queries.size(2);
        let [scores, weights] = [self.scores, self.weights].map(|view| self.of_keys(view, rows, chunk.count));
        let products = Linear { product_scale: self.sizes.scale, ..Linear::new(queries, keys, scores) };
        let sums = self.merging.map(|_| self.sums(rows).index(2, chunk.number.into()));
        let seen = match self.merging {
            None => out,
            Some((parts, _)) => by_heads(parts.part(0, 0, rows).with_axis(0, 1).index(2, chunk.number.into()), out.size(1)),
        };
        let mut dispatches = vec![
            builder.make("scores of a chunk", products)?,
            builder.make("weights of a chunk", SoftmaxRows { scores, weights, sums })?,
            builder.make("values by their weights", Linear::new(weights, values.ordered(&[0, 1, 3, 2]), seen))?,
        ];
        if let Some(merging) = self.merging.filter(|_| chunk.number + 1 == self.chunks) {
            dispatches.extend(self.merge(builder, merging, out)?);
        }
        Ok(dispatches)
    }

    /// Scores or weights of so many rows and keys, `[heads, rows, keys]` from the start of a buffer.
    fn of_keys(&self, view: View, rows: u64, keys: u32) -> View {
        View::of(view.buffer(), &[self.sizes.heads.into(), rows, keys.into()])
    }

    /// The log sums of all chunks `[heads, rows, chunks]`, behind the weights.
    fn sums(&self, rows: u64) -> View {
        let [heads, most_rows, chunk, chunks] = [self.sizes.heads, self.sizes.rows, self.chunk, self.chunks].map(u64::from);
        self.weights.part(0, heads * most_rows * chunk, heads * rows * chunks).split(0, rows * chunks).split(1, chunks)
    }

    /// Merges the chunks' outputs, by their weights, into `out [1, heads, rows, size]`.
    fn merge(&self, builder: &PlanBuilder, (parts, shares): (View, View), out: View) -> Result<[Dispatch; 2]> {
        let rows = out.size(2);
        let shares = self.of_keys(shares, rows, self.chunks);
        let by_chunk = SoftmaxRows { scores: self.sums(rows), weights: shares, sums: None };
        let tokens = parts.part(0, 0, rows).split(2, self.sizes.value_size.into());
        let pool = TemporalPool { weights: shares, tokens, pooled: out.ordered(&[0, 2, 1, 3]) };
        Ok([builder.make("weights of chunks", by_chunk)?, builder.make("chunks put together", pool)?])
    }

    /// Ends the live ranges of its buffers.
    ///
    /// # Errors
    /// Those of [`PlanBuilder::release`].
    pub fn release(&self, builder: &mut PlanBuilder) -> Result<()> {
        builder.release(&self.scratch())
    }

    /// Its scratch buffers.
    pub fn scratch(&self) -> Vec<BufferId> {
        let merging = self.merging.into_iter().flat_map(|(parts, shares)| [parts, shares]);
        [self.scores, self.weights].into_iter().chain(merging).map(|view| view.buffer()).collect()
    }
}

/// Keys of a chunk: as many as scratch and a binding hold of the largest operand.
fn chunk_of(limits: &PlanLimits, sizes: &StreamedSizes) -> Result<u32> {
    let StreamedSizes { heads, rows, keys, head_size, value_size, keys_shared, values_shared, of_key, .. } = *sizes;
    let of_scores = product("scores of a key", &[heads, rows].map(u64::from))?;
    let width = |size: u32, is_shared| u64::from(if is_shared { 1 } else { heads }) * u64::from(size);
    let widths = [width(head_size, keys_shared), width(value_size, values_shared)];
    let widest = widths.into_iter().chain([of_scores, of_key.into(), 1]).max().unwrap_or(1);
    fits_u32("elements of a key", widest)?;
    // Half a binding, because the log sums are behind the weights.
    let half = Budget::of_binding(limits).fitting(2 * widest);
    let fitting = Budget::of_scratch(limits).fitting(widest).min(half).clamp(1, most_keys(limits).min(keys.max(1)).into()) as u32;
    let rounded = fitting / CHUNK_MULTIPLE * CHUNK_MULTIPLE;
    Ok(if fitting < keys && rounded > 0 { rounded } else { fitting })
}

/// Most keys of a chunk: sums over more would take too many iterations of the products on a driver that counts them.
fn most_keys(limits: &PlanLimits) -> u32 {
    let fitting = |most: u32| (most / ITERATIONS_OF_SIXTEEN * 16).max(1);
    limits.loop_iterations.map_or(MAX_CHUNK, |most| fitting(most).min(MAX_CHUNK))
}

#[cfg(test)]
mod tests;
