//! Softmax of rows.

use pulp::Simd;

use super::exp::exp;
use super::lanes::{first_of, fold, map};

/// The largest element, minus infinity for none. NaN elements may be left out: their exponential is NaN anyway.
#[inline(always)]
pub fn row_max<S: Simd>(simd: S, row: &[f32]) -> f32 {
    simd.reduce_max_f32s(fold!(simd, row, f32::NEG_INFINITY, |max, x| simd.max_f32s(max, x), |a, b| simd.max_f32s(a, b)))
}

/// The sum of a row.
#[inline(always)]
pub fn row_sum<S: Simd>(simd: S, row: &[f32]) -> f32 {
    simd.reduce_sum_f32s(fold!(simd, row, 0.0, |sum, x| simd.add_f32s(sum, x), |a, b| simd.add_f32s(a, b)))
}

/// What to subtract for a maximum: itself, or 0 for minus infinity, so that minus infinity becomes a weight of 0.
#[inline(always)]
pub fn shift_of(max: f32) -> f32 {
    if max == f32::NEG_INFINITY { 0.0 } else { max }
}

/// Turns each element into `exp(scale * (element - shift))`; returns their sum.
#[inline(always)]
pub fn exp_row<S: Simd>(simd: S, row: &mut [f32], shift: f32, scale: f32) -> f32 {
    let (shift, scale) = (simd.splat_f32s(shift), simd.splat_f32s(scale));
    map!(simd, row, |x| exp(simd, simd.mul_f32s(simd.sub_f32s(x, shift), scale)));
    row_sum(simd, row)
}

/// Turns a row of scores into softmax weights; returns the logarithm of the sum of exponentials. A NaN or only minus infinities make NaN.
#[inline(always)]
pub fn softmax_row<S: Simd>(simd: S, row: &mut [f32]) -> f32 {
    let max = row_max(simd, row);
    let shift = shift_of(max);
    let sum = exp_row(simd, row, shift, 1.0);
    let divisor = simd.splat_f32s(sum);
    map!(simd, row, |weight| simd.div_f32s(weight, divisor));
    if max == f32::NEG_INFINITY { f32::NAN } else { shift + sum.ln() }
}

/// The largest sum of both parts of a score.
#[inline(always)]
pub fn max_of_sums<S: Simd>(simd: S, coarse: &[f32], fine: &[f32], sign: S::f32s) -> f32 {
    let mut max = simd.splat_f32s(f32::NEG_INFINITY);
    let (vectors, rest) = S::as_simd_f32s(coarse);
    let (others, other_rest) = S::as_simd_f32s(fine);
    for (&coarse, &fine) in vectors.iter().zip(others) {
        max = simd.max_f32s(max, simd.mul_add_e_f32s(sign, fine, coarse));
    }
    let sign = first_of::<S>(sign);
    rest.iter().zip(other_rest).fold(simd.reduce_max_f32s(max), |max, (&coarse, &fine)| max.max(coarse + sign * fine))
}
