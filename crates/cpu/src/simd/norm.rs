//! Layer normalisation of rows.

use pulp::Simd;

use super::lanes::{fold, map, map2};
use super::softmax::row_sum;

/// `scales (x - mean) / sqrt(variance + epsilon) + shifts` of a row, into `y`. All rows are as long.
#[inline(always)]
pub fn layer_norm_row<S: Simd>(simd: S, x: &[f32], scales: &[f32], shifts: &[f32], epsilon: f32, y: &mut [f32]) {
    let size = x.len() as f32;
    // The first element goes off first, so that rows far from zero keep their digits.
    let pivot = x.first().copied().unwrap_or(0.0);
    y.copy_from_slice(x);
    let splat = |value: f32| simd.splat_f32s(value);
    map!(simd, y, |x| simd.sub_f32s(x, splat(pivot)));
    let mean = row_sum(simd, y) / size;
    map!(simd, y, |x| simd.sub_f32s(x, splat(mean)));
    let squares = fold!(simd, y, 0.0, |sum, x| simd.mul_add_e_f32s(x, x, sum), |a, b| simd.add_f32s(a, b));
    let variance = simd.reduce_sum_f32s(squares) / size;
    let factor = splat(1.0 / (variance + epsilon).sqrt());
    map2!(simd, y, scales, |x, scale| simd.mul_f32s(simd.mul_f32s(x, factor), scale));
    map2!(simd, y, shifts, |x, shift| simd.add_f32s(x, shift));
}
