//! Trajectory tokens: `tokens[b,h,n,f] = sum_s softmax_s(q_n . k_{f,s} / sqrt D) v_{f,s}`.
//!
//! Inputs `q`, `k`, `v` `[B,H,N,D]`, output `tokens` `[B,H,N,F,D]` (Patrick et al., NeurIPS 2021, equation 3). The scores are never in
//! memory; where the tokens of all heads exceed one binding, heads and then queries are sliced. Inputs have to be finite, rows of `q`
//! and `k` zero or of a length between 1e-15 and 1e18, and `|q| |k| D` below 3e38. [`plan_with`] takes an [`Approximation`] instead.

use super::approximation::{Approximation, Approximator, Problem, Sizes, TokensOut, Vectors, scratch_numbers};
use super::chunks::{Chunk, chunks, rows_of_chunk};
use crate::error::Result;
use crate::params::AttendParams;
use crate::plan::{BINDING_SLACK, BufferId, Dispatch, ELEMENT_BYTES, Plan, PlanBuilder, PlanLimits, Role, Stage};
use crate::shape::{Shape, fits_u32};

/// Plans the trajectory tokens of a batch of heads.
///
/// # Errors
/// [`crate::Error::BindingTooLarge`] if the keys of one head exceed a binding; sizes that overflow.
pub fn plan(shape: &Shape, limits: PlanLimits) -> Result<Plan> {
    plan_with(shape, &Approximation::Exact, limits)
}

/// Plans trajectory tokens, exact or approximated. A greedy selection of prototypes adds the output `indices [B*H, R]` (`[B*H, F, R]`
/// with prototypes per frame), Performer with a given projection the input `projection [M, D]`.
///
/// # Errors
/// Those of [`plan`]; [`crate::Error::ZeroSize`], [`crate::Error::TooLarge`], [`crate::Error::OutOfRange`], [`crate::Error::WrongShape`] and
/// [`crate::Error::Argument`] for numbers of the approximation that do not fit the shape.
pub fn plan_with(shape: &Shape, approximation: &Approximation, limits: PlanLimits) -> Result<Plan> {
    let axes = [shape.batch(), shape.heads(), shape.tokens(), shape.frames(), shape.head_size()];
    plan_named(shape, approximation, limits, "tokens", &axes.map(u64::from))
}

/// As [`plan_with`], with the output's name and shape.
pub(super) fn plan_named(
    shape: &Shape,
    approximation: &Approximation,
    limits: PlanLimits,
    out_name: &str,
    out_shape: &[u64],
) -> Result<Plan> {
    let mut builder = PlanBuilder::new(limits);
    let sequence = [shape.batch(), shape.heads(), shape.tokens(), shape.head_size()].map(u64::from);
    let q = builder.buffer("q", &sequence, Role::Input)?;
    let k = builder.buffer("k", &sequence, Role::Input)?;
    let v = builder.buffer("v", &sequence, Role::Input)?;
    let out = builder.buffer(out_name, out_shape, Role::Output)?;
    let (sizes, rows) = slices(shape, approximation, &limits)?;
    let mut approximator = Approximator::new(&mut builder, approximation, &sizes, rows)?;
    if let Some(Approximator::Orthoformer { prototypes, .. }) = &mut approximator {
        prototypes.output_indices(&mut builder, &sizes)?;
    }
    for first_item in (0..sizes.batch).step_by(sizes.items as usize) {
        let items = sizes.items.min(sizes.batch - first_item);
        let problem = problem(&builder, &sizes, shape, [q, k, v], [first_item, items])?;
        let mut stages = match &approximator {
            Some(approximator) => approximator.prepare(&builder, &problem)?,
            None => Vec::new(),
        };
        for chunk in chunks(rows, sizes.frames, sizes.patches) {
            let tokens = tokens_out(&builder, &problem, &chunk, out)?;
            let dispatches = match &approximator {
                Some(approximator) => approximator.tokens(&builder, &problem, &chunk, &tokens)?,
                None => vec![exact(&builder, &problem, &chunk, &tokens)?],
            };
            stages.extend(dispatches.into_iter().map(Stage::Kernel));
        }
        stages.into_iter().for_each(|stage| builder.push_stage(stage));
    }
    Ok(builder.build())
}

/// Heads of all batch items count as batch items of one head here. How many go through together, and how many queries of each.
fn slices(shape: &Shape, approximation: &Approximation, limits: &PlanLimits) -> Result<(Sizes, u32)> {
    let all = fits_u32("heads of all batch items", u64::from(shape.batch()) * u64::from(shape.heads()))?;
    let sizes = Sizes { batch: all, heads: 1, ..Sizes::of(shape, 1) };
    let (row, item) = scratch_numbers(approximation, &sizes);
    let tokens = u64::from(sizes.tokens());
    let bound = limits.binding_bytes.saturating_sub(BINDING_SLACK) / ELEMENT_BYTES;
    let scratch = bound.min(limits.scratch_bytes / ELEMENT_BYTES);
    let trajectory = u64::from(sizes.frames) * u64::from(sizes.head_size);
    let items = (bound / (tokens * trajectory)).min(scratch / item.max(1)).clamp(1, all.into());
    // Queries of one item have an output of their own; those of several share one.
    let fitting = if items == 1 { bound / trajectory } else { tokens };
    let fitting = if row == 0 { fitting } else { fitting.min(scratch / (items * row)) };
    let rows = rows_of_chunk(fitting, sizes.frames, sizes.patches);
    Ok((Sizes { items: items as u32, ..sizes }, rows))
}

fn problem(
    builder: &PlanBuilder,
    sizes: &Sizes,
    shape: &Shape,
    buffers: [BufferId; 3],
    [first_item, items]: [u32; 2],
) -> Result<Problem> {
    let item = u64::from(sizes.tokens()) * u64::from(sizes.head_size);
    let vectors = |buffer| -> Result<Vectors> {
        let (binding, offset) = builder.bind(buffer, u64::from(first_item) * item, u64::from(items) * item)?;
        let stride = fits_u32("elements of one head", item)?;
        Ok(Vectors { binding, offset, batch_stride: stride, head_stride: stride, row_stride: sizes.head_size })
    };
    let [q, k, v] = buffers.map(vectors);
    Ok(Problem { sizes: *sizes, first_item, items, scale: shape.scale(), q: q?, k: k?, v: v? })
}

/// Where the tokens of a chunk go: bound with those of all its items, or alone if there is one item.
fn tokens_out(builder: &PlanBuilder, problem: &Problem, chunk: &Chunk, out: BufferId) -> Result<TokensOut> {
    let sizes = &problem.sizes;
    let row = u64::from(sizes.frames) * u64::from(sizes.head_size);
    let first_row = u64::from(problem.first_item) * u64::from(sizes.tokens());
    let (first, rows, skip) = match problem.items {
        1 => (first_row + u64::from(chunk.first_row), chunk.count().into(), 0),
        items => (first_row, u64::from(items) * u64::from(sizes.tokens()), u64::from(chunk.first_row) * row),
    };
    let (binding, ahead) = builder.bind(out, first * row, rows * row)?;
    let stride = if problem.items == 1 { 0 } else { fits_u32("tokens of one head", u64::from(sizes.tokens()) * row)? };
    let rows =
        Vectors { binding, offset: ahead + skip as u32, batch_stride: stride, head_stride: stride, row_stride: row as u32 };
    Ok(TokensOut { rows, segment_stride: sizes.head_size })
}

/// The tokens of a chunk in one dispatch.
fn exact(builder: &PlanBuilder, problem: &Problem, chunk: &Chunk, out: &TokensOut) -> Result<Dispatch> {
    let (sizes, q, k, v) = (&problem.sizes, &problem.q, &problem.k, &problem.v);
    let params = AttendParams {
        batch: problem.items,
        heads: 1,
        groups: 1,
        rows: chunk.count(),
        segments: sizes.frames,
        keys: sizes.patches,
        head_size: sizes.head_size,
        value_size: sizes.head_size,
        scale: problem.scale,
        q_offset: q.offset + chunk.first_row * q.row_stride,
        q_batch_stride: q.batch_stride,
        q_row_stride: q.row_stride,
        k_offset: k.offset,
        k_batch_stride: k.batch_stride,
        k_segment_stride: sizes.patches * k.row_stride,
        k_row_stride: k.row_stride,
        v_offset: v.offset,
        v_batch_stride: v.batch_stride,
        v_segment_stride: sizes.patches * v.row_stride,
        v_row_stride: v.row_stride,
        out_offset: out.rows.offset,
        out_batch_stride: out.rows.batch_stride,
        out_row_stride: out.rows.row_stride,
        out_segment_stride: out.segment_stride,
        ..AttendParams::default()
    };
    builder.dispatch("trajectory tokens", params, &[q.binding, k.binding, v.binding, out.rows.binding])
}
