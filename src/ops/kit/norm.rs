//! Normalisation and averages of tokens.

use super::budget::{Budget, parts, slices};
use crate::error::Result;
use crate::kernel::{LayerNorm, SegmentMeans};
use crate::plan::{PlanBuilder, Role};
use crate::view::View;

/// Learned scales and shifts of a normalisation.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    scales: View,
    shifts: View,
    epsilon: f32,
}

/// Adds the scales `NAME.weight [width]` and shifts `NAME.bias [width]`.
///
/// # Errors
/// Those of [`PlanBuilder::buffer`].
pub fn norm(builder: &mut PlanBuilder, name: &str, width: u64, epsilon: f32) -> Result<Norm> {
    let mut learned = |part: &str| builder.array(&format!("{name}.{part}"), &[width], Role::Input);
    Ok(Norm { scales: learned("weight")?, shifts: learned("bias")?, epsilon })
}

impl Norm {
    /// Normalises `x [batch, rows, width]` into as many rows of `y`.
    ///
    /// # Errors
    /// Those of [`PlanBuilder::launch`].
    pub fn push(&self, builder: &mut PlanBuilder, x: View, y: View) -> Result<()> {
        let &Self { scales, shifts, epsilon } = self;
        for slice in slices(builder.limits(), &[x, y], u64::MAX) {
            builder.launch("norm", LayerNorm { x: slice.of(x), scales, shifts, y: slice.of(y), epsilon })?;
        }
        Ok(())
    }
}

/// The mean of the rows of each batch item of `x [batch, rows, width]`, into `y [batch, 1, width]`.
///
/// # Errors
/// Those of [`PlanBuilder::launch`].
pub fn mean(builder: &mut PlanBuilder, label: &'static str, x: View, y: View) -> Result<()> {
    let together = Budget::of_binding(builder.limits()).items(x.stride(0), x.size(0));
    for (first, count) in parts(x.size(0), together) {
        // One head, one group, one frame; one segment.
        let alone = |view: View| view.part(0, first, count).with_axis(1, 1).with_axis(1, 1);
        builder.launch(label, SegmentMeans { x: alone(x).with_axis(1, 1), means: alone(y) })?;
    }
    Ok(())
}
