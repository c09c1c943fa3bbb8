//! Trajectory tokens: `tokens[b,h,n,f] = sum_s softmax_s(q_n . k_{f,s} / sqrt D) v_{f,s}`.
//!
//! Inputs `q`, `k`, `v` `[B,H,N,D]`, output `tokens` `[B,H,N,F,D]` (Patrick et al., NeurIPS 2021, equation 3). The scores are never in
//! memory; where the tokens of all heads exceed one binding, heads and then queries are sliced. Inputs have to be finite, rows of `q`
//! and `k` zero or of a length between 1e-15 and 1e18, and `|q| |k| D` below 3e38. [`plan_with`] takes an [`Approximation`] instead.

use super::approximation::{Approximation, Approximator, Problem, Sizes, scratch_elements};
use super::chunks::{chunks, rows_of_chunk};
use super::kit::{Attention, Budget, parts};
use crate::error::Result;
use crate::plan::{Plan, PlanBuilder, PlanLimits, Role, Stage};
use crate::shape::{Shape, fits_u32};
use crate::view::View;

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
    let [q, k, v] = ["q", "k", "v"].map(|name| builder.buffer(name, &sequence, Role::Input));
    let (q, k, v) = (q?, k?, v?);
    let out = builder.buffer(out_name, out_shape, Role::Output)?;
    let (sizes, rows) = slices(shape, approximation, &limits)?;
    let mut approximator = Approximator::new(&mut builder, approximation, &sizes, rows)?;
    if let Some(Approximator::Orthoformer { prototypes, .. }) = &mut approximator {
        prototypes.output_indices(&mut builder, &sizes)?;
    }
    let attention = Attention::like(&mut builder, &Problem::example(sizes, shape.scale(), rows))?;
    let [items, tokens, frames, size] = [sizes.batch, sizes.tokens(), sizes.frames, sizes.head_size].map(u64::from);
    let [q, k, v] = [q, k, v].map(|buffer| View::of(buffer, &[items, 1, tokens, size]));
    let out = View::of(out, &[items, 1, tokens, frames, size]);
    for (first, count) in parts(items, sizes.items.into()) {
        let [q, k, v] = [q, k, v].map(|view| view.part(0, first, count));
        let (first_item, items) = (first as u32, count as u32);
        let problem = Problem { sizes, first_item, items, scale: shape.scale(), q, k, v };
        let mut stages = match &approximator {
            Some(approximator) => approximator.prepare(&builder, &problem)?,
            None => Vec::new(),
        };
        for chunk in chunks(rows, sizes.frames, sizes.patches) {
            let own = out.part(0, first, count).part(2, chunk.first_row.into(), chunk.count().into());
            let dispatches = match &approximator {
                Some(approximator) => approximator.tokens(&builder, &problem, &chunk, own)?,
                None => attention.dispatches(&builder, "trajectory tokens", problem.exact(&chunk, own))?,
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
    let (row, item) = scratch_elements(approximation, &sizes);
    let tokens = u64::from(sizes.tokens());
    let (bound, scratch) = (Budget::of_binding(limits), Budget::of_scratch(limits));
    let trajectory = u64::from(sizes.frames) * u64::from(sizes.head_size);
    let items = bound.fitting(tokens * trajectory).min(scratch.fitting(item)).clamp(1, all.into());
    // Queries of one item have an output of their own; those of several share one.
    let fitting = if items == 1 { bound.fitting(trajectory) } else { tokens };
    let fitting = if row == 0 { fitting } else { fitting.min(scratch.fitting(items * row)) };
    let rows = rows_of_chunk(fitting, sizes.frames, sizes.patches);
    Ok((Sizes { items: items as u32, ..sizes }, rows))
}
