//! Following one thing through a clip: the trajectory tokens and the attention of a few queries.
//!
//! `attention[i,f,s] = softmax_s(scale * query_i . keys_{f,s})` and `tokens[i,f] = sum_s attention[i,f,s] values_{f,s}`. Inputs `query [Q,D]`,
//! `keys [F,S,D]`, `values [F,S,V]`; outputs `attention [Q,F,S]`, `tokens [Q,F,V]`. It is trajectory attention (Patrick et al., NeurIPS 2021,
//! equation 3) for queries from anywhere, a scale that may be sharper than `1 / sqrt D`, and values of any width.

mod approximated;
mod stream;

pub use stream::Stream;

use super::approximation::Approximation;
use super::kit::{Budget, parts};
use crate::error::{Error, Result};
use crate::kernel::{AttendRows, Linear};
use crate::plan::{Dispatch, Plan, PlanBuilder, PlanLimits, Role};
use crate::shape::{MAX_HEAD_SIZE, at_most};
use crate::view::View;

/// Sizes of a following.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FollowSpec {
    /// `Q`: queries.
    pub queries: usize,
    /// `F`: frames.
    pub frames: usize,
    /// `S`: patches in a frame.
    pub patches: usize,
    /// `D`: elements of a query and a key, at most 256.
    pub head_size: usize,
    /// `V`: elements of a value.
    pub value_size: usize,
    /// Factor on every score: one over the temperature.
    pub scale: f32,
}

/// Plans a following: inputs `query`, `keys` and those of [`value_inputs`], outputs `attention` and `tokens`. Approximations take the keys of the whole clip as its
/// queries too, so all of its frames have to be in one plan; prototypes are shared by all of them.
///
/// # Errors
/// [`Error::ZeroSize`], [`Error::TooLarge`], [`Error::BindingTooLarge`] if the keys of all frames or the values of one exceed a binding,
/// [`Error::Argument`] for a scale that is not finite; for an approximation also those of [`super::trajectories::plan_with`], and
/// [`Error::Argument`] for prototypes per frame and a scale that is not positive.
pub fn plan(spec: &FollowSpec, approximation: &Approximation, limits: PlanLimits) -> Result<Plan> {
    let (mut builder, attention) = with_attention(spec, approximation, limits)?;
    push_tokens(&mut builder, spec, attention)?;
    Ok(builder.build())
}

/// Plans the attention of a following alone: inputs `query` and `keys`, output `attention`; the value size is not used.
///
/// # Errors
/// As [`plan`].
pub fn attention(spec: &FollowSpec, approximation: &Approximation, limits: PlanLimits) -> Result<Plan> {
    Ok(with_attention(spec, approximation, limits)?.0.build())
}

/// A plan that ends with the output `attention [Q,F,S]`.
fn with_attention(spec: &FollowSpec, approximation: &Approximation, limits: PlanLimits) -> Result<(PlanBuilder, View)> {
    let [queries, frames, patches, size, _] = checked(spec)?;
    let mut builder = PlanBuilder::new(limits);
    let query = builder.array("query", &[queries, size], Role::Input)?;
    let keys = builder.array("keys", &[frames, patches, size], Role::Input)?;
    let attention = builder.array("attention", &[queries, frames, patches], Role::Output)?;
    if *approximation == Approximation::Exact {
        let rows = attention_rows(&mut builder, spec.scale, [query, keys, attention])?;
        builder.push_kernel(rows);
    } else {
        approximated::push(&mut builder, spec.scale, approximation, [query, keys, attention])?;
    }
    Ok((builder, attention))
}

/// Some frames' values, which are an input `[frames, S, V]` of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueInput {
    /// The input's name.
    pub name: String,
    /// The frames.
    pub frames: std::ops::Range<usize>,
}

/// The inputs that the values of a following come in: `values`, or `values.0`, `values.1` and so on where they exceed a binding.
///
/// # Errors
/// [`Error::ZeroSize`] and [`Error::TooLarge`] for sizes that cannot be.
pub fn value_inputs(spec: &FollowSpec, limits: &PlanLimits) -> Result<Vec<ValueInput>> {
    let [_, frames, patches, _, width] = checked(spec)?;
    let together = Budget::of_binding(limits).items(patches * width, frames);
    let input = |(number, (first, count)): (usize, (u64, u64))| ValueInput {
        name: if together == frames { "values".to_owned() } else { format!("values.{number}") },
        frames: first as usize..(first + count) as usize,
    };
    Ok(parts(frames, together).enumerate().map(input).collect())
}

/// Trajectory tokens from the attention and the values of each frame: `tokens [Q,F,V]`.
fn push_tokens(builder: &mut PlanBuilder, spec: &FollowSpec, attention: View) -> Result<()> {
    let [queries, frames, patches, _, width] = checked(spec)?;
    let tokens = builder.array("tokens", &[queries, frames, width], Role::Output)?;
    for ValueInput { name, frames } in value_inputs(spec, builder.limits())? {
        let (first, count) = (frames.start as u64, frames.len() as u64);
        let values = builder.array(&name, &[count, patches, width], Role::Input)?;
        push_tokens_of(builder, [attention.part(1, first, count), values, tokens.part(1, first, count)])?;
    }
    Ok(())
}

/// The tokens `[Q,f,V]` of some frames from their attention `[Q,f,S]` and values `[f,S,V]`.
fn push_tokens_of(builder: &mut PlanBuilder, [attention, values, tokens]: [View; 3]) -> Result<()> {
    let by_frame = |rows: View| rows.ordered(&[1, 0, 2]);
    let request = Linear::new(by_frame(attention), values.ordered(&[0, 2, 1]), by_frame(tokens));
    builder.launch("trajectory tokens", request)
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
    if !spec.scale.is_finite() {
        return Err(Error::Argument { what: "scale", given: spec.scale.to_string(), expected: "a finite number".to_owned() });
    }
    Ok([spec.queries, spec.frames, spec.patches, spec.head_size, spec.value_size].map(|size| size as u64))
}

/// The softmax rows of all queries `[Q,D]` over keys `[F,S,D]`, `[Q,F,S]`.
fn attention_rows(builder: &mut PlanBuilder, scale: f32, [query, keys, attention]: [View; 3]) -> Result<Dispatch> {
    let list: Vec<u32> = (0..query.size(0) as u32).collect();
    let chosen = builder.array("chosen queries", &[query.size(0)], Role::Constant(list))?;
    builder.make("attention", AttendRows { queries: query, keys, chosen, weights: attention, scale })
}
