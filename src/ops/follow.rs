//! Following one thing through a clip: the trajectory tokens and the attention of a few queries.
//!
//! `attention[i,f,s] = softmax_s(scale * query_i . keys_{f,s})` and `tokens[i,f] = sum_s attention[i,f,s] values_{f,s}`. Inputs `query [Q,D]`,
//! `keys [F,S,D]`, `values [F,S,V]`; outputs `attention [Q,F,S]`, `tokens [Q,F,V]`. It is trajectory attention (Patrick et al., NeurIPS 2021,
//! equation 3) for queries from anywhere, a scale that may be sharper than `1 / sqrt D`, and values wider than a head: their columns
//! are shared out among heads that all compare the same queries and keys. Frames do not see each other, so a long clip may be
//! followed some frames at a time.

use crate::error::{Error, Result};
use crate::params::{AttendParams, AttendRowsParams};
use crate::plan::{Binding, Plan, PlanBuilder, PlanLimits, Role};
use crate::shape::{MAX_HEAD_SIZE, MAX_LOOP, at_most, fits_u32};

/// Columns of the values that one head takes.
const VALUE_COLUMNS: u32 = 64;

/// Sizes of a following.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FollowSpec {
    /// `Q`: queries.
    pub queries: usize,
    /// `F`: frames.
    pub frames: usize,
    /// `S`: patches in a frame.
    pub patches: usize,
    /// `D`: numbers in a query and a key, at most 128.
    pub head_size: usize,
    /// `V`: numbers in a value.
    pub value_size: usize,
    /// Factor on every score: one over the temperature.
    pub scale: f32,
}

/// Plans a following.
///
/// # Errors
/// [`Error::ZeroSize`], [`Error::TooLarge`], [`Error::BindingTooLarge`] if the values of all frames exceed a binding,
/// [`Error::Argument`] for a scale that is not finite.
pub fn plan(spec: &FollowSpec, limits: PlanLimits) -> Result<Plan> {
    let named = [("queries", spec.queries), ("frames", spec.frames), ("patches a frame", spec.patches)];
    for (what, size) in named.into_iter().chain([("head size", spec.head_size), ("value size", spec.value_size)]) {
        if size == 0 {
            return Err(Error::ZeroSize { what });
        }
    }
    at_most("head size", spec.head_size as u64, MAX_HEAD_SIZE)?;
    at_most("patches a frame", spec.patches as u64, MAX_LOOP)?;
    if !spec.scale.is_finite() {
        return Err(Error::Argument { what: "scale", given: spec.scale.to_string(), expected: "a finite number".to_owned() });
    }
    let [queries, frames, patches, size, width] =
        [spec.queries, spec.frames, spec.patches, spec.head_size, spec.value_size].map(|size| size as u64);
    let mut builder = PlanBuilder::new(limits);
    let query = builder.buffer("query", &[queries, size], Role::Input)?;
    let keys = builder.buffer("keys", &[frames, patches, size], Role::Input)?;
    let values = builder.buffer("values", &[frames, patches, width], Role::Input)?;
    let attention = builder.buffer("attention", &[queries, frames, patches], Role::Output)?;
    let tokens = builder.buffer("tokens", &[queries, frames, width], Role::Output)?;
    let [query, keys, values, attention, tokens] =
        [query, keys, values, attention, tokens].map(|buffer| builder.bind_all(buffer));
    let (query, keys) = (query?, keys?);
    let list: Vec<u32> = (0..fits_u32("queries", queries)?).collect();
    let chosen = builder.buffer("chosen queries", &[queries], Role::Constant(list))?;
    let chosen = builder.bind_all(chosen);
    // Every size fits in 32 bits now: each is a factor of what was bound.
    let [queries, frames, patches, size, width] = [queries, frames, patches, size, width].map(|size| size as u32);
    let rows = AttendRowsParams {
        batch: 1,
        heads: 1,
        rows: queries,
        chosen_count: queries,
        segments: frames,
        keys: patches,
        head_size: size,
        scale: spec.scale,
        q_row_stride: size,
        k_segment_stride: patches * size,
        k_row_stride: size,
        ..AttendRowsParams::default()
    };
    builder.push("attention", rows, &[query, keys, chosen?, attention?])?;
    push_tokens(&mut builder, [queries, frames, patches, size, width], spec.scale, [query, keys, values?, tokens?])?;
    Ok(builder.build())
}

/// Tokens for whole heads of columns, then for the columns that are left.
fn push_tokens(
    builder: &mut PlanBuilder,
    [queries, frames, patches, size, width]: [u32; 5],
    scale: f32,
    bindings: [Binding; 4],
) -> Result<()> {
    let whole = width / VALUE_COLUMNS;
    for (heads, columns, first) in [(whole, VALUE_COLUMNS, 0), (1, width % VALUE_COLUMNS, whole * VALUE_COLUMNS)] {
        if heads == 0 || columns == 0 {
            continue;
        }
        let params = AttendParams {
            batch: 1,
            heads,
            groups: 1,
            rows: queries,
            segments: frames,
            keys: patches,
            head_size: size,
            value_size: columns,
            scale,
            q_row_stride: size,
            k_segment_stride: patches * size,
            k_row_stride: size,
            v_offset: first,
            v_head_stride: VALUE_COLUMNS,
            v_segment_stride: patches * width,
            v_row_stride: width,
            out_offset: first,
            out_head_stride: VALUE_COLUMNS,
            out_row_stride: frames * width,
            out_segment_stride: width,
            ..AttendParams::default()
        };
        builder.push("trajectory tokens", params, &bindings)?;
    }
    Ok(())
}
