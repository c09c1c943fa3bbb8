//! Prototypes of groups of rows, by themselves.
//!
//! Input `x [G,N,D]`; outputs `prototypes [G,R,D]`, and `indices [G,R]` (integers) of a greedy selection.

use super::approximation::{Candidates, Problem, PrototypeBuffers, Prototypes, Sizes, candidate_elements};
use crate::error::Result;
use crate::plan::{Plan, PlanBuilder, PlanLimits, Role};
use crate::shape::{MAX_HEAD_SIZE, at_most, fits_u32};

/// Sizes of a choice of prototypes, and how they are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct PrototypesSpec {
    /// `G`: groups, each with prototypes of its own.
    pub groups: usize,
    /// `N`: rows of a group.
    pub rows: usize,
    /// `D`: elements of a row, at most 256.
    pub size: usize,
    /// How many prototypes, and how they are chosen. The candidates are the rows; there is one frame.
    pub prototypes: Prototypes,
}

/// Plans a choice of prototypes.
///
/// # Errors
/// [`crate::Error::ZeroSize`], [`crate::Error::TooLarge`], [`crate::Error::OutOfRange`], [`crate::Error::WrongShape`] and [`crate::Error::Argument`] for
/// sizes that do not fit each other; [`crate::Error::BindingTooLarge`] if the rows of all groups exceed a binding.
pub fn plan(spec: &PrototypesSpec, limits: PlanLimits) -> Result<Plan> {
    let shape = [spec.groups, spec.rows, spec.size].map(|size| size as u64);
    let [groups, rows, size] = shape.map(|size| fits_u32("rows to choose from", size));
    let (groups, rows, size) = (groups?, rows?, size?);
    for (what, count) in [("groups", groups), ("rows", rows), ("row size", size)] {
        if count == 0 {
            return Err(crate::Error::ZeroSize { what });
        }
    }
    at_most("row size", size.into(), MAX_HEAD_SIZE)?;
    if spec.prototypes.candidates != Candidates::Queries || spec.prototypes.per_frame {
        let given = format!("{:?}, per frame: {}", spec.prototypes.candidates, spec.prototypes.per_frame);
        let expected = "queries, shared: the rows are the only candidates".to_owned();
        return Err(crate::Error::Argument { what: "candidates", given, expected });
    }
    let mut builder = PlanBuilder::new(limits);
    let x = builder.array("x", &shape, Role::Input)?;
    let sizes = Sizes { batch: groups, items: groups, heads: 1, frames: 1, patches: rows, head_size: size };
    let workspace = sizes.scratch(&mut builder, "candidates", &[candidate_elements(&spec.prototypes, &sizes)?.max(1)])?;
    let mut prototypes = PrototypeBuffers::new(&mut builder, &spec.prototypes, &sizes, workspace)?;
    prototypes.output_indices(&mut builder, &sizes)?;
    let out = [shape[0], spec.prototypes.count.into(), shape[2]];
    let out = builder.buffer("prototypes", &out, Role::Output)?;
    let x = x.with_axis(1, 1);
    let problem = Problem { sizes, first_item: 0, items: groups, scale: 1.0, q: x, k: x, v: x };
    let stages = prototypes.plan(&builder, &problem, out)?;
    stages.into_iter().for_each(|stage| builder.push_stage(stage));
    Ok(builder.build())
}
