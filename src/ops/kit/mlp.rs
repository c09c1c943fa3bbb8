//! `y = act(x W_1' + b_1) W_2' + b_2 + residual` over tokens.

use super::budget::{Budget, slices};
use super::dense::{Product, Projection, projection};
use crate::error::Result;
use crate::kernel::Activation;
use crate::plan::{PlanBuilder, Role};
use crate::view::View;

/// The two layers of an MLP.
#[derive(Clone, Copy, Debug)]
pub struct Mlp {
    first: Projection,
    second: Projection,
    activation: Activation,
}

/// Adds the layers of an MLP, from `width` elements to `hidden` to `width`: weights and biases of these names.
///
/// # Errors
/// Those of [`PlanBuilder::buffer`].
pub fn mlp(
    builder: &mut PlanBuilder,
    [first, second]: [&str; 2],
    [width, hidden]: [u64; 2],
    activation: Activation,
) -> Result<Mlp> {
    let first = projection(builder, first, hidden, width, true)?;
    Ok(Mlp { first, second: projection(builder, second, width, hidden, true)?, activation })
}

/// Scratch `[1, rows, hidden]` for the hidden elements of so many rows, or of as many as are computed together.
///
/// # Errors
/// Those of [`PlanBuilder::buffer`].
pub fn hidden_layer(builder: &mut PlanBuilder, rows: u64, hidden: u64) -> Result<View> {
    let rows = Budget::of_scratch(builder.limits()).items(hidden, rows);
    builder.array("hidden layer of the mlp", &[1, rows, hidden], Role::Scratch)
}

impl Mlp {
    /// Applies the MLP to `x [batch, rows, width]` and adds `residual`, into as many rows of `y`. `hidden` is scratch, and released.
    ///
    /// # Errors
    /// Those of [`PlanBuilder::launch`].
    pub fn push(&self, builder: &mut PlanBuilder, hidden: View, x: View, residual: View, y: View) -> Result<()> {
        for slice in slices(builder.limits(), &[x, residual, y], hidden.size(1)) {
            let between = View::of(hidden.buffer(), &[slice.items, slice.rows, hidden.size(2)]);
            let first = Product { activation: Some(self.activation), ..Product::new("mlp, first half", self.first) };
            first.push(builder, slice.of(x), between)?;
            let second = Product { residual: Some(slice.of(residual)), ..Product::new("mlp, second half", self.second) };
            second.push(builder, between, slice.of(y))?;
        }
        builder.release(&[hidden.buffer()])
    }
}
