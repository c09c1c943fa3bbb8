//! Linear layers over tokens.

use super::budget::slices;
use crate::error::Result;
use crate::kernel::{Activation, Linear};
use crate::plan::{PlanBuilder, Role};
use crate::view::View;

/// A weight matrix and its bias.
#[derive(Clone, Copy, Debug)]
pub struct Projection {
    /// `[outputs, inputs]`.
    pub weight: View,
    /// `[outputs]`; `[rows, outputs]` where every row has its own.
    pub bias: Option<View>,
}

/// Adds the weights `NAME.weight [outputs, inputs]` and, if there is one, `NAME.bias [outputs]`.
///
/// # Errors
/// Those of [`PlanBuilder::buffer`].
pub fn projection(builder: &mut PlanBuilder, name: &str, outputs: u64, inputs: u64, has_bias: bool) -> Result<Projection> {
    let weight = builder.array(&format!("{name}.weight"), &[outputs, inputs], Role::Input)?;
    let bias = if has_bias { Some(builder.array(&format!("{name}.bias"), &[outputs], Role::Input)?) } else { None };
    Ok(Projection { weight, bias })
}

impl Projection {
    /// Only these outputs.
    #[must_use]
    pub fn outputs(self, first: u64, count: u64) -> Self {
        let last = |bias: View| bias.part(bias.rank() - 1, first, count);
        Self { weight: self.weight.part(0, first, count), bias: self.bias.map(last) }
    }
}

/// `y = act(x W' + b) + residual`.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Name in reports.
    pub label: &'static str,
    /// `W` and `b`.
    pub projection: Projection,
    /// Ahead of the residual.
    pub activation: Option<Activation>,
    /// `[batch, rows, outputs]`.
    pub residual: Option<View>,
}

impl Product {
    /// The product and its bias alone.
    pub fn new(label: &'static str, projection: Projection) -> Self {
        Self { label, projection, activation: None, residual: None }
    }

    /// Multiplies the rows of `x [batch, rows, inputs]` into as many of `y [batch, rows, outputs]`.
    ///
    /// # Errors
    /// Those of [`PlanBuilder::launch`].
    pub fn push(&self, builder: &mut PlanBuilder, x: View, y: View) -> Result<()> {
        let all: Vec<View> = [x, y].into_iter().chain(self.residual).collect();
        for slice in slices(builder.limits(), &all, u64::MAX) {
            let own_row = |bias: View| if bias.rank() == 1 { bias } else { bias.part(0, slice.row, slice.rows) };
            let bias = self.projection.bias.map(own_row);
            let residual = self.residual.map(|residual| slice.of(residual).with_axis(1, 1));
            let (x, y) = (slice.of(x).with_axis(1, 1), slice.of(y).with_axis(1, 1));
            let product = Linear::new(x, self.projection.weight, y).activated(self.activation);
            builder.launch(self.label, Linear { bias, residual, ..product })?;
        }
        Ok(())
    }
}
