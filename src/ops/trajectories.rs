//! Trajectory tokens: `tokens[b,h,n,f] = sum_s softmax_s(q_n . k_{f,s} / sqrt D) v_{f,s}`.
//!
//! Inputs `q`, `k`, `v` `[B,H,N,D]`, output `tokens` `[B,H,N,F,D]` (Patrick et al., NeurIPS 2021, equation 3). The scores are never in
//! memory; where the tokens of all heads exceed one binding, heads and then queries are sliced. Inputs have to be finite, and
//! `|q| |k| D` below 3e38.

use crate::error::Result;
use crate::params::AttendParams;
use crate::plan::{BufferId, ELEMENT_BYTES, Plan, PlanBuilder, PlanLimits, Role};
use crate::shape::{Shape, fits_u32};

/// Plans the trajectory tokens of a batch of heads.
///
/// # Errors
/// [`crate::Error::BindingTooLarge`] if the keys of one head exceed a binding; sizes that overflow.
pub fn plan(shape: &Shape, limits: PlanLimits) -> Result<Plan> {
    let mut builder = PlanBuilder::new(limits);
    let [batch, heads, tokens, frames, size] =
        [shape.batch(), shape.heads(), shape.tokens(), shape.frames(), shape.head_size()].map(u64::from);
    let sequence = [batch, heads, tokens, size];
    let q = builder.buffer("q", &sequence, Role::Input)?;
    let k = builder.buffer("k", &sequence, Role::Input)?;
    let v = builder.buffer("v", &sequence, Role::Input)?;
    let out = builder.buffer("tokens", &[batch, heads, tokens, frames, size], Role::Output)?;

    let row_bytes = frames * size * ELEMENT_BYTES;
    let budget = limits.binding_bytes.saturating_sub(256);
    let rows = (budget / row_bytes).clamp(1, tokens);
    let items = if rows < tokens { 1 } else { (budget / (tokens * row_bytes)).clamp(1, batch * heads) };
    for first_item in (0..batch * heads).step_by(items as usize) {
        let items = items.min(batch * heads - first_item);
        for first_row in (0..tokens).step_by(rows as usize) {
            let rows = rows.min(tokens - first_row);
            push_slice(&mut builder, shape, [q, k, v, out], [first_item, items, first_row, rows])?;
        }
    }
    Ok(builder.build())
}

/// One dispatch: some whole heads, or some queries of one head. Heads of all batch items count as batch items here.
fn push_slice(
    builder: &mut PlanBuilder,
    shape: &Shape,
    [q, k, v, out]: [BufferId; 4],
    [first_item, items, first_row, rows]: [u64; 4],
) -> Result<()> {
    let (size, frames) = (shape.head_size(), shape.frames());
    let sequence = u64::from(shape.tokens()) * u64::from(size);
    let row = u64::from(frames) * u64::from(size);
    let (queries, q_ahead) = builder.bind(q, first_item * sequence, items * sequence)?;
    let (keys, k_ahead) = builder.bind(k, first_item * sequence, items * sequence)?;
    let (values, v_ahead) = builder.bind(v, first_item * sequence, items * sequence)?;
    let first_token = first_item * u64::from(shape.tokens()) + first_row;
    let slice_rows = if items > 1 { items * u64::from(shape.tokens()) } else { rows };
    let (tokens, out_ahead) = builder.bind(out, first_token * row, slice_rows * row)?;
    let sequence = fits_u32("elements of one head", sequence)?;
    let params = AttendParams {
        batch: fits_u32("heads of all batch items", items)?,
        heads: 1,
        groups: 1,
        rows: rows as u32,
        segments: frames,
        keys: shape.patches(),
        head_size: size,
        value_size: size,
        scale: shape.scale(),
        q_offset: fits_u32("first query", u64::from(q_ahead) + first_row * u64::from(size))?,
        q_batch_stride: sequence,
        q_row_stride: size,
        k_offset: k_ahead,
        k_batch_stride: sequence,
        k_segment_stride: shape.patches() * size,
        k_row_stride: size,
        v_offset: v_ahead,
        v_batch_stride: sequence,
        v_segment_stride: shape.patches() * size,
        v_row_stride: size,
        out_offset: out_ahead,
        out_batch_stride: fits_u32("trajectory tokens of one head", rows * row)?,
        out_row_stride: row as u32,
        out_segment_stride: size,
        ..AttendParams::default()
    };
    builder.push("trajectory tokens", params, &[queries, keys, values, tokens])
}
