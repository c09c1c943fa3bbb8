//! What ends a product: on a part of a row that is finished and still in the first cache.

use pulp::Simd;

use super::activation::Activation;
use super::lanes::{map, map2};
use super::matrix::Rows;

/// Ends a product.
pub trait Epilogue {
    /// Whether there is nothing to do.
    fn is_none(&self) -> bool {
        false
    }

    /// Ends `values`, a part of a row from a column on.
    fn finish<S: Simd>(&self, simd: S, row: usize, column: usize, values: &mut [f32]);
}

/// The product itself.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Epilogue for Plain {
    #[inline(always)]
    fn is_none(&self) -> bool {
        true
    }

    #[inline(always)]
    fn finish<S: Simd>(&self, _: S, _: usize, _: usize, _: &mut [f32]) {}
}

/// `act(product_scale * product + bias_scale * bias) + residual`.
#[derive(Clone, Copy, Debug)]
pub struct LinearEpilogue<'e> {
    pub product_scale: f32,
    /// A row for each, or one (stride 0).
    pub bias: Option<Rows<'e>>,
    pub bias_scale: f32,
    pub activation: Option<Activation>,
    pub residual: Option<Rows<'e>>,
}

impl Default for LinearEpilogue<'_> {
    fn default() -> Self {
        Self { product_scale: 1.0, bias: None, bias_scale: 1.0, activation: None, residual: None }
    }
}

impl Epilogue for LinearEpilogue<'_> {
    #[inline(always)]
    fn is_none(&self) -> bool {
        self.product_scale == 1.0 && self.bias.is_none() && self.activation.is_none() && self.residual.is_none()
    }

    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, row: usize, column: usize, values: &mut [f32]) {
        let (scale, bias_scale) = (simd.splat_f32s(self.product_scale), simd.splat_f32s(self.bias_scale));
        match self.bias {
            Some(bias) => {
                let bias = bias.part(row, column, values.len());
                map2!(simd, values, bias, |sum, bias| simd.mul_add_e_f32s(scale, sum, simd.mul_f32s(bias_scale, bias)));
            }
            None if self.product_scale != 1.0 => map!(simd, values, |sum| simd.mul_f32s(scale, sum)),
            None => {}
        }
        if let Some(activation) = self.activation {
            activation.apply(simd, values);
        }
        if let Some(residual) = self.residual {
            let residual = residual.part(row, column, values.len());
            map2!(simd, values, residual, |sum, residual| simd.add_f32s(sum, residual));
        }
    }
}
