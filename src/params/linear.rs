//! The matrix product by offsets and strides.

use crate::kernel::{IntoParams, Sealed};
use crate::view::BoundView;

/// Matrix product by offsets and strides: see [`Linear`](crate::kernel::Linear).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinearParams {
    /// Batch items.
    pub batch: u32,
    /// Groups: each has its own `x`, `w`, `bias` and `y`.
    pub groups: u32,
    /// Rows of `x` and `y` in a group.
    pub rows: u32,
    /// Elements of a row of `x`.
    pub inputs: u32,
    /// Elements of a row of `y`.
    pub outputs: u32,
    /// 1 if `bias` is added, 0 if what is bound there is not read.
    pub has_bias: u32,
    /// [`Activation::number`](crate::kernel::Activation::number), 0 for none.
    pub activation: u32,
    /// 1 if `residual` is added, 0 if what is bound there is not read.
    pub has_residual: u32,
    /// First element of `x`.
    pub x_offset: u32,
    /// From a batch item of `x` to the next.
    pub x_batch_stride: u32,
    /// From a group of `x` to the next.
    pub x_group_stride: u32,
    /// From a row of `x` to the next.
    pub x_row_stride: u32,
    /// From an input of `x` to the next.
    pub x_input_stride: u32,
    /// First element of `w`.
    pub w_offset: u32,
    /// From a batch item of `w` to the next; 0 where all share it.
    pub w_batch_stride: u32,
    /// From a group of `w` to the next.
    pub w_group_stride: u32,
    /// From an output's weights to the next output's.
    pub w_output_stride: u32,
    /// From an input's weight to the next input's.
    pub w_input_stride: u32,
    /// First element of `bias`.
    pub bias_offset: u32,
    /// From a batch item of `bias` to the next; 0 where all share it.
    pub bias_batch_stride: u32,
    /// From a group of `bias` to the next.
    pub bias_group_stride: u32,
    /// From a row of `bias` to the next; 0 where all share it.
    pub bias_row_stride: u32,
    /// First element of `residual`.
    pub residual_offset: u32,
    /// From a batch item of `residual` to the next.
    pub residual_batch_stride: u32,
    /// From a group of `residual` to the next.
    pub residual_group_stride: u32,
    /// From a row of `residual` to the next.
    pub residual_row_stride: u32,
    /// First element of `y`.
    pub y_offset: u32,
    /// From a batch item of `y` to the next.
    pub y_batch_stride: u32,
    /// From a group of `y` to the next.
    pub y_group_stride: u32,
    /// From a row of `y` to the next.
    pub y_row_stride: u32,
    /// Factor on the product.
    pub product_scale: f32,
    /// Factor on the bias.
    pub bias_scale: f32,
}

impl LinearParams {
    /// Nothing to multiply yet: rows of `x` and `w` without gaps, factors of one, all else zero.
    pub fn plain() -> Self {
        Self { x_input_stride: 1, w_input_stride: 1, product_scale: 1.0, bias_scale: 1.0, ..Self::default() }
    }
}

impl Sealed for LinearParams {}

impl IntoParams for LinearParams {
    type Params = crate::kernel::LinearParams;

    fn into_params(self) -> Self::Params {
        let p = self;
        let x = [p.x_batch_stride, p.x_group_stride, p.x_row_stride, p.x_input_stride];
        let w = [p.w_batch_stride, p.w_group_stride, p.w_output_stride, p.w_input_stride];
        let bias = [p.bias_batch_stride, p.bias_group_stride, p.bias_row_stride];
        let residual = [p.residual_batch_stride, p.residual_group_stride, p.residual_row_stride];
        Self::Params {
            x: BoundView::new(p.x_offset, &x),
            w: BoundView::new(p.w_offset, &w),
            bias: BoundView::new(p.bias_offset, &bias),
            residual: BoundView::new(p.residual_offset, &residual),
            y: BoundView::new(p.y_offset, &[p.y_batch_stride, p.y_group_stride, p.y_row_stride]),
            batch: p.batch,
            groups: p.groups,
            rows: p.rows,
            inputs: p.inputs,
            outputs: p.outputs,
            activation: p.activation,
            product_scale: p.product_scale,
            bias_scale: p.bias_scale,
            has_bias: p.has_bias,
            has_residual: p.has_residual,
        }
    }
}
