//! Attention over one sequence: `out[b,h,n] = sum_m softmax_m(q_n . k_m / sqrt D) v_m`, exact or approximated.
//!
//! Inputs `q`, `k`, `v` `[B,H,N,D]`, output `out` `[B,H,N,D]`. These are the trajectory tokens of a clip of one frame; Orthoformer here is
//! algorithm 1 of Patrick et al., NeurIPS 2021.

use super::approximation::Approximation;
use super::trajectories;
use crate::error::{Error, Result};
use crate::plan::{Plan, PlanLimits};
use crate::shape::Shape;

/// Plans attention over sequences: a shape of one frame, whose patches are the tokens. Outputs and inputs that an approximation adds are those
/// of [`trajectories::plan_with`].
///
/// # Errors
/// [`Error::TooLarge`] for more than one frame; those of [`trajectories::plan_with`].
pub fn plan(shape: &Shape, approximation: &Approximation, limits: PlanLimits) -> Result<Plan> {
    if shape.frames() != 1 {
        return Err(Error::TooLarge { what: "frames of attention over one sequence", given: shape.frames().into(), most: 1 });
    }
    let axes = [shape.batch(), shape.heads(), shape.tokens(), shape.head_size()];
    trajectories::plan_named(shape, approximation, limits, "out", &axes.map(u64::from))
}
