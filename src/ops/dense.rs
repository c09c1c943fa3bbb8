//! Linear layers over rows of tokens, as layers and networks are made of them.

use crate::error::Result;
use crate::params::{Activation, LinearParams};
use crate::plan::{Binding, PlanBuilder, Role};

/// A weight matrix and its bias.
#[derive(Clone, Copy)]
pub(super) struct Projection {
    pub weight: Binding,
    pub bias: Option<Binding>,
}

/// Adds the weights `NAME.weight [outputs, inputs]` and, if there is one, `NAME.bias [outputs]`.
pub(super) fn projection(builder: &mut PlanBuilder, name: &str, outputs: u64, inputs: u64, has_bias: bool) -> Result<Projection> {
    let weight = builder.buffer(&format!("{name}.weight"), &[outputs, inputs], Role::Input)?;
    let bias = match has_bias {
        true => Some(builder.buffer(&format!("{name}.bias"), &[outputs], Role::Input)?),
        false => None,
    };
    Ok(Projection { weight: builder.bind_all(weight)?, bias: bias.map(|bias| builder.bind_all(bias)).transpose()? })
}

/// Rows of several batch items: what is bound, the elements ahead of the first, and the strides.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub binding: Binding,
    pub offset: u32,
    pub batch_stride: u32,
    pub row_stride: u32,
}

/// `y = act(x W' + b) + residual` over rows.
#[derive(Clone, Copy)]
pub(super) struct Dense {
    /// Batch items.
    pub items: u32,
    /// Rows of an item.
    pub rows: u32,
    pub inputs: u32,
    /// The first of the projection's outputs that is computed.
    pub first: u32,
    pub outputs: u32,
    pub projection: Projection,
    /// The bias has a row for each row of `x`, instead of one for all.
    pub bias_per_row: bool,
    pub activation: Option<Activation>,
    pub residual: Option<Rows>,
}

impl Dense {
    /// The whole projection, plain.
    pub fn new((items, rows): (u32, u32), (inputs, outputs): (u32, u32), projection: Projection) -> Self {
        Self { items, rows, inputs, first: 0, outputs, projection, bias_per_row: false, activation: None, residual: None }
    }

    /// Appends the product.
    pub fn push(&self, builder: &mut PlanBuilder, label: &'static str, x: Rows, y: Rows) -> Result<()> {
        let weight = self.projection.weight;
        let added = self.residual.unwrap_or(Rows { binding: weight, offset: 0, batch_stride: 0, row_stride: 0 });
        let params = LinearParams {
            batch: self.items,
            groups: 1,
            rows: self.rows,
            inputs: self.inputs,
            outputs: self.outputs,
            has_bias: self.projection.bias.is_some().into(),
            activation: self.activation.map_or(0, Activation::number),
            has_residual: self.residual.is_some().into(),
            x_offset: x.offset,
            x_batch_stride: x.batch_stride,
            x_row_stride: x.row_stride,
            w_offset: self.first * self.inputs,
            w_output_stride: self.inputs,
            w_input_stride: 1,
            bias_offset: self.first,
            bias_row_stride: if self.bias_per_row { self.outputs } else { 0 },
            residual_offset: added.offset,
            residual_batch_stride: added.batch_stride,
            residual_row_stride: added.row_stride,
            y_offset: y.offset,
            y_batch_stride: y.batch_stride,
            y_row_stride: y.row_stride,
            ..LinearParams::plain()
        };
        let bias = self.projection.bias.unwrap_or(weight);
        builder.push(label, params, &[x.binding, weight, bias, added.binding, y.binding])
    }
}
