//! Attention of any length and head size.
//!
//! One dispatch of the attention kernel, if it supports the request. Values of more than [`MAX_VALUE_SIZE`] elements are cut into parts, a dispatch
//! each. Heads that are too large for it, and more keys than a driver's limit on iterations allows, are computed chunk by chunk
//! ([`crate::ops::streamed`]), some rows at a time.

use super::budget::{Budget, parts};
use crate::error::{Error, Result};
use crate::kernel::{Attend, KernelParams, Request};
use crate::ops::streamed::{Streamed, StreamedSizes};
use crate::plan::{BufferId, Dispatch, PlanBuilder};
use crate::shape::{MAX_HEAD_SIZE, MAX_VALUE_SIZE, fits_u32};
use crate::view::View;

/// Fewest keys of a chunk to aim for.
const LEAST_CHUNK: u64 = 1024;

/// Tokens `[batch, heads, tokens, D]` as one group: `[batch, heads, 1, tokens, D]`.
pub fn one_group(tokens: View) -> View {
    tokens.with_axis(2, 1)
}

/// Groups of tokens `[batch, heads, groups, tokens, D]` as keys of one segment: `[batch, heads, groups, 1, tokens, D]`.
pub fn one_segment(tokens: View) -> View {
    tokens.with_axis(3, 1)
}

/// Appends attention.
///
/// # Errors
/// Those of [`PlanBuilder::make`].
pub fn push_attention(builder: &mut PlanBuilder, label: &'static str, request: Attend) -> Result<()> {
    let attention = Attention::like(builder, &request)?;
    attention.push(builder, label, request)?;
    attention.release(builder)
}

/// The computation of requests of some size, and its scratch.
pub struct Attention {
    /// Scratch for chunks of keys, and the rows that are computed together.
    chunked: Option<(Streamed, u64)>,
}

impl Attention {
    /// For requests of the sizes of this one, with as many rows or fewer.
    ///
    /// # Errors
    /// Those of [`Request::place`] and [`PlanBuilder::buffer`]; [`Error::ZeroSize`].
    pub fn like(builder: &mut PlanBuilder, request: &Attend) -> Result<Self> {
        let limit = builder.limits().loop_iterations;
        let mut fits = request.queries.size(4) <= MAX_HEAD_SIZE.into();
        for part in value_parts(request) {
            let (params, _) = part.place()?;
            if let Some((what, _, _)) = params.counts().into_iter().find(|(_, count, _)| *count == 0) {
                return Err(Error::ZeroSize { what });
            }
            fits &= limit.is_none_or(|most| params.iterations() <= most.into());
        }
        if fits {
            return Ok(Self { chunked: None });
        }
        let (heads, keys) = (request.queries.size(1), request.keys.size(4));
        let rows = Budget::of_scratch(builder.limits()).items(heads * LEAST_CHUNK.min(keys), request.queries.size(3));
        let size = |what, size: u64| fits_u32(what, size);
        let sizes = StreamedSizes {
            heads: size("heads", heads)?,
            rows: size("rows", rows)?,
            keys: size("keys", keys)?,
            has_extra_key: request.keys.has_extra(),
            scale: request.scale,
            ..StreamedSizes::own(size("head size", request.queries.size(4))?, size("value size", request.values.size(5))?)
        };
        Ok(Self { chunked: Some((Streamed::new(builder, sizes)?, rows)) })
    }

    /// The dispatches of a request.
    ///
    /// # Errors
    /// Those of [`PlanBuilder::make`].
    pub fn dispatches(&self, builder: &PlanBuilder, label: &'static str, request: Attend) -> Result<Vec<Dispatch>> {
        let Some((streamed, rows)) = &self.chunked else {
            return value_parts(&request).map(|part| builder.make(label, part)).collect();
        };
        streamed.check(&request)?;
        let mut dispatches = Vec::new();
        for softmax in softmaxes(&request) {
            for (first, count) in parts(softmax.queries.size(2), *rows) {
                let own = |view: View| view.part(2, first, count);
                for chunk in streamed.chunks() {
                    let of_chunk = |(all, extra): (View, Option<View>)| match extra.filter(|_| chunk.is_extra) {
                        Some(extra) => extra,
                        None => all.part(2, chunk.first.into(), chunk.count.into()),
                    };
                    let operands = [own(softmax.queries), of_chunk(softmax.keys), of_chunk(softmax.values)];
                    dispatches.extend(streamed.dispatches(builder, chunk, operands, own(softmax.out))?);
                }
            }
        }
        Ok(dispatches)
    }

    /// Appends a request.
    ///
    /// # Errors
    /// Those of [`PlanBuilder::make`].
    pub fn push(&self, builder: &mut PlanBuilder, label: &'static str, request: Attend) -> Result<()> {
        let dispatches = self.dispatches(builder, label, request)?;
        dispatches.into_iter().for_each(|dispatch| builder.push_kernel(dispatch));
        Ok(())
    }

    /// Ends the live ranges of its scratch.
    ///
    /// # Errors
    /// Those of [`PlanBuilder::release`].
    pub fn release(&self, builder: &mut PlanBuilder) -> Result<()> {
        builder.release(&self.scratch())
    }

    /// Its scratch buffers.
    pub fn scratch(&self) -> Vec<BufferId> {
        self.chunked.as_ref().map_or_else(Vec::new, |(streamed, _)| streamed.scratch())
    }
}

/// The request for each part of the values that a dispatch takes.
pub fn value_parts(request: &Attend) -> impl Iterator<Item = Attend> {
    let request = *request;
    let own = move |(first, count): (u64, u64)| Attend {
        values: request.values.part(5, first, count),
        tokens: request.tokens.part(5, first, count),
        ..request
    };
    parts(request.values.size(5), MAX_VALUE_SIZE.into()).map(own)
}

/// The rows that have a softmax over the same keys: a batch item's, a group's and a segment's, of all heads.
struct Softmax {
    /// `[1, heads, rows, D]`.
    queries: View,
    /// `[1, heads, keys, D]`, and the extra one.
    keys: (View, Option<View>),
    /// `[1, heads, keys, V]`, and the extra one.
    values: (View, Option<View>),
    /// `[1, heads, rows, V]`.
    out: View,
}

fn softmaxes(request: &Attend) -> Vec<Softmax> {
    let (batch, groups, segments) = (request.tokens.size(0), request.tokens.size(2), request.tokens.size(4));
    // What all items, groups or segments share is there once.
    let one_of = |view: View, axis, number: u64| view.index(axis, number.min(view.size(axis).saturating_sub(1)));
    let of = |view: View, item, group| one_of(one_of(view, 0, item).with_axis(0, 1), 2, group);
    let mut all = Vec::new();
    for (item, group) in (0..batch).flat_map(|item| (0..groups).map(move |group| (item, group))) {
        for segment in 0..segments {
            let keys = |view: View| {
                let extra = view.extra_rows().map(|extra| one_of(of(extra, item, 0), 2, 0));
                (one_of(of(view.without_extra(), item, group), 2, segment), extra)
            };
            all.push(Softmax {
                queries: of(request.queries, item, group),
                keys: keys(request.keys),
                values: keys(request.values),
                out: one_of(of(request.tokens, item, group), 3, segment),
            });
        }
    }
    all
}
