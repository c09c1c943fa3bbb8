//! Params of the matrix product.

use super::{Extent, any, count, extent, looped, params};
use crate::kernel::{Kernel, KernelParams};

params! {
    /// Matrix product (`linear`): `y[b,g,r,o] = act(product_scale * sum_i x[b,g,r,i] w[b,g,o,i] + bias_scale * bias[b,g,r,o]) + residual[b,g,r,o]`,
    /// where `act` is an [`Activation`] or nothing.
    LinearParams {
        /// Batch items.
        batch: u32,
        /// Groups: each has its own `x`, `w`, `bias` and `y`.
        groups: u32,
        /// Rows of `x` and `y` in a group.
        rows: u32,
        /// Numbers in a row of `x`.
        inputs: u32,
        /// Numbers in a row of `y`.
        outputs: u32,
        /// 1 if `bias` is added, 0 if what is bound there is not read.
        has_bias: u32,
        /// [`Activation::number`], 0 for none.
        activation: u32,
        /// 1 if `residual` is added, 0 if what is bound there is not read.
        has_residual: u32,
        /// First element of `x`.
        x_offset: u32,
        /// From a batch item of `x` to the next.
        x_batch_stride: u32,
        /// From a group of `x` to the next.
        x_group_stride: u32,
        /// From a row of `x` to the next.
        x_row_stride: u32,
        /// From an input of `x` to the next.
        x_input_stride: u32,
        /// First element of `w`.
        w_offset: u32,
        /// From a batch item of `w` to the next; 0 where all share it.
        w_batch_stride: u32,
        /// From a group of `w` to the next.
        w_group_stride: u32,
        /// From an output's weights to the next output's.
        w_output_stride: u32,
        /// From an input's weight to the next input's.
        w_input_stride: u32,
        /// First element of `bias`.
        bias_offset: u32,
        /// From a batch item of `bias` to the next; 0 where all share it.
        bias_batch_stride: u32,
        /// From a group of `bias` to the next.
        bias_group_stride: u32,
        /// From a row of `bias` to the next; 0 where all share it.
        bias_row_stride: u32,
        /// First element of `residual`.
        residual_offset: u32,
        /// From a batch item of `residual` to the next.
        residual_batch_stride: u32,
        /// From a group of `residual` to the next.
        residual_group_stride: u32,
        /// From a row of `residual` to the next.
        residual_row_stride: u32,
        /// First element of `y`.
        y_offset: u32,
        /// From a batch item of `y` to the next.
        y_batch_stride: u32,
        /// From a group of `y` to the next.
        y_group_stride: u32,
        /// From a row of `y` to the next.
        y_row_stride: u32,
        /// Factor on the product.
        product_scale: f32,
        /// Factor on the bias.
        bias_scale: f32,
    }
}

/// What a product may end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// By the error function: `x (1 + erf(x / sqrt 2)) / 2`.
    Gelu,
    /// GELU by the hyperbolic tangent: `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
    GeluFast,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Gelu, Self::GeluFast, Self::Tanh, Self::Relu];

    /// Its number in [`LinearParams::activation`].
    pub fn number(self) -> u32 {
        match self {
            Self::Gelu => 1,
            Self::GeluFast => 2,
            Self::Tanh => 3,
            Self::Relu => 4,
        }
    }

    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gelu => "gelu",
            Self::GeluFast => "gelu_fast",
            Self::Tanh => "tanh",
            Self::Relu => "relu",
        }
    }

    /// The function, in float64. NaN stays NaN.
    pub(crate) fn of(self, x: f64) -> f64 {
        match self {
            // 1 + erf(x), without taking from one what is nearly all of it.
            Self::Gelu => x * 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
            Self::GeluFast => {
                let inside = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                // (1 + tanh u) / 2, without taking from one what is nearly all of it.
                x / (1.0 + (-2.0 * inside).exp())
            }
            Self::Tanh => x.tanh(),
            Self::Relu if x < 0.0 => 0.0,
            Self::Relu => x,
        }
    }
}

impl LinearParams {
    /// Nothing to multiply yet: rows of `x` and `w` without gaps, factors of one, all else zero.
    pub fn plain() -> Self {
        Self { x_input_stride: 1, w_input_stride: 1, product_scale: 1.0, bias_scale: 1.0, ..Self::default() }
    }
}

impl KernelParams for LinearParams {
    const KERNEL: Kernel = Kernel::Linear;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let (batch, group) = ((p.batch, p.x_batch_stride), (p.groups, p.x_group_stride));
        let x = [batch, group, (p.rows, p.x_row_stride), (p.inputs, p.x_input_stride)];
        let w = [
            (p.batch, p.w_batch_stride),
            (p.groups, p.w_group_stride),
            (p.outputs, p.w_output_stride),
            (p.inputs, p.w_input_stride),
        ];
        let y = [(p.batch, p.y_batch_stride), (p.groups, p.y_group_stride), (p.rows, p.y_row_stride)];
        let bias = [(p.batch, p.bias_batch_stride), (p.groups, p.bias_group_stride), (p.rows, p.bias_row_stride)];
        let residual = [(p.batch, p.residual_batch_stride), (p.groups, p.residual_group_stride), (p.rows, p.residual_row_stride)];
        vec![
            extent(p.x_offset, &x, 1u32),
            extent(p.w_offset, &w, 1u32),
            if p.has_bias == 0 { Extent::NONE } else { extent(p.bias_offset, &bias, p.outputs) },
            if p.has_residual == 0 { Extent::NONE } else { extent(p.residual_offset, &residual, p.outputs) },
            extent(p.y_offset, &y, p.outputs),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let outer = [("batch", self.batch), ("groups", self.groups), ("rows", self.rows)];
        any(&[outer.as_slice(), &[("inputs", self.inputs), ("outputs", self.outputs)]].concat())
    }

    fn iterations(&self) -> u64 {
        looped(self.inputs.div_ceil(16).into(), looped(2, 0) + looped(16, 0))
    }

    fn workgroups(&self) -> u64 {
        count(&[self.rows.div_ceil(32), self.outputs.div_ceil(32), self.groups, self.batch])
    }

    fn multiply_adds(&self) -> u64 {
        count(&[self.batch, self.groups, self.rows, self.inputs, self.outputs])
    }
}
