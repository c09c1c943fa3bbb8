//! Following one thing through a clip: the trajectory tokens and the attention of a few queries.
//!
//! `attention[i,f,s] = softmax_s(scale * query_i . keys_{f,s})` and `tokens[i,f] = sum_s attention[i,f,s] values_{f,s}`. Inputs `query [Q,D]`,
//! `keys [F,S,D]`, `values [F,S,V]`; outputs `attention [Q,F,S]`, `tokens [Q,F,V]`. It is trajectory attention (Patrick et al., NeurIPS 2021,
//! equation 3) for queries from anywhere, a scale that may be sharper than `1 / sqrt D`, and values of any width. In exact attention
//! frames do not see each other, so a long clip may be followed some frames at a time.

mod approximated;

use super::approximation::Approximation;
use crate::error::{Error, Result};
use crate::params::{AttendRowsParams, LinearParams};
use crate::plan::{Binding, Dispatch, Plan, PlanBuilder, PlanLimits, Role};
use crate::shape::{MAX_HEAD_SIZE, MAX_LOOP, at_most};

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

/// Plans the attention of a following: inputs `query` and `keys`, output `attention`; the value size is not used. Approximations take the
/// keys of the whole clip as its queries too, so all of its frames have to be in one plan; prototypes are shared by all of them.
///
/// # Errors
/// [`Error::ZeroSize`], [`Error::TooLarge`], [`Error::BindingTooLarge`] if the keys of all frames exceed a binding, [`Error::Argument`] for a
/// scale that is not finite; for an approximation also those of [`super::trajectories::plan_with`], and [`Error::Argument`] for prototypes per
/// frame and a scale that is not positive.
pub fn attention(spec: &FollowSpec, approximation: &Approximation, limits: PlanLimits) -> Result<Plan> {
    let [queries, frames, patches, size, _] = checked(spec)?;
    let mut builder = PlanBuilder::new(limits);
    let (query, keys) = sources(&mut builder, [queries, frames, patches, size])?;
    let attention = builder.buffer("attention", &[queries, frames, patches], Role::Output)?;
    let attention = builder.bind_all(attention)?;
    let sizes = [queries, frames, patches, size].map(|size| size as u32);
    if *approximation == Approximation::Exact {
        let rows = attention_rows(&mut builder, sizes, spec.scale, [query, keys, attention])?;
        builder.push_kernel(rows);
    } else {
        approximated::push(&mut builder, sizes, spec.scale, approximation, [query, keys, attention])?;
    }
    Ok(builder.build())
}

/// Plans what attention makes of values: inputs `attention [Q,F,S]` and `values [F,S,V]`, output `tokens [Q,F,V]`.
///
/// # Errors
/// [`Error::ZeroSize`], [`Error::TooLarge`], [`Error::BindingTooLarge`] if the values of all frames exceed a binding.
pub fn tokens(spec: &FollowSpec, limits: PlanLimits) -> Result<Plan> {
    let [queries, frames, patches, _, width] = checked(spec)?;
    let mut builder = PlanBuilder::new(limits);
    let attention = builder.buffer("attention", &[queries, frames, patches], Role::Input)?;
    let values = builder.buffer("values", &[frames, patches, width], Role::Input)?;
    let tokens = builder.buffer("tokens", &[queries, frames, width], Role::Output)?;
    let [attention, values, tokens] = [attention, values, tokens].map(|buffer| builder.bind_all(buffer));
    let (attention, values, tokens) = (attention?, values?, tokens?);
    let [queries, frames, patches, width] = [queries, frames, patches, width].map(|size| size as u32);
    let params = LinearParams {
        batch: 1,
        groups: frames,
        rows: queries,
        inputs: patches,
        outputs: width,
        x_group_stride: patches,
        x_row_stride: frames * patches,
        w_group_stride: patches * width,
        w_output_stride: 1,
        w_input_stride: width,
        y_group_stride: width,
        y_row_stride: frames * width,
        ..LinearParams::plain()
    };
    builder.push("trajectory tokens", params, &[attention, values, values, values, tokens])?;
    Ok(builder.build())
}

/// `[Q, F, S, D, V]`, each at least one and within what kernels take.
fn checked(spec: &FollowSpec) -> Result<[u64; 5]> {
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
    Ok([spec.queries, spec.frames, spec.patches, spec.head_size, spec.value_size].map(|size| size as u64))
}

/// The inputs `query` and `keys`, bound.
fn sources(builder: &mut PlanBuilder, [queries, frames, patches, size]: [u64; 4]) -> Result<(Binding, Binding)> {
    let query = builder.buffer("query", &[queries, size], Role::Input)?;
    let keys = builder.buffer("keys", &[frames, patches, size], Role::Input)?;
    Ok((builder.bind_all(query)?, builder.bind_all(keys)?))
}

/// The softmax rows of all queries over dense keys.
fn attention_rows(
    builder: &mut PlanBuilder,
    [queries, frames, patches, size]: [u32; 4],
    scale: f32,
    [query, keys, attention]: [Binding; 3],
) -> Result<Dispatch> {
    let list: Vec<u32> = (0..queries).collect();
    let chosen = builder.buffer("chosen queries", &[queries.into()], Role::Constant(list))?;
    let params = AttendRowsParams {
        batch: 1,
        heads: 1,
        rows: queries,
        chosen_count: queries,
        segments: frames,
        keys: patches,
        head_size: size,
        scale,
        q_row_stride: size,
        k_segment_stride: patches * size,
        k_row_stride: size,
        ..AttendRowsParams::default()
    };
    builder.dispatch("attention", params, &[query, keys, builder.bind_all(chosen)?, attention])
}
