//! The exponential of what a softmax subtracts.

use pulp::Simd;

/// Below this the result is 0.
const LOWEST: f32 = -104.5;
const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// The logarithm of 2 in two parts: the first is 355 / 512, so its product with an integer up to 2^10 is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// Adding it rounds to an integer; that integer, 191 more, is in the lowest bits.
const ROUND: f32 = 12_582_912.0 + 191.0;
/// Of `(exp(r) - 1 - r) / r^2` between half the logarithm of 2 and its negative: error of the exponential below 3.1e-9.
const COEFFICIENTS: [f32; 5] = [0.499_999_94, 0.166_665_2, 0.041_668_393, 0.008_368_78, 0.001_381_446_7];

/// `exp(x)` for x up to 40, below 1.5 units in the last place, subnormal results too; 0 for minus infinity and below -104; NaN stays NaN.
///
/// `x = n ln 2 + r`; a polynomial of r, times `2^(n + 64)`, times `2^-64`. So subnormal results round once.
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let lowest = simd.splat_f32s(LOWEST);
    let x = simd.select_f32s(simd.less_than_f32s(x, lowest), lowest, x);
    let shifted = simd.mul_add_e_f32s(x, simd.splat_f32s(LOG2_E), simd.splat_f32s(ROUND));
    let n = simd.sub_f32s(shifted, simd.splat_f32s(ROUND));
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2[0]), x);
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2[1]), r);
    let [c2, c3, c4, c5, c6] = COEFFICIENTS.map(|coefficient| simd.splat_f32s(coefficient));
    let p = simd.mul_add_e_f32s(c6, r, c5);
    let p = simd.mul_add_e_f32s(p, r, c4);
    let p = simd.mul_add_e_f32s(p, r, c3);
    let p = simd.mul_add_e_f32s(p, r, c2);
    let p = simd.mul_add_e_f32s(p, simd.mul_f32s(r, r), r);
    let p = simd.add_f32s(p, simd.splat_f32s(1.0));
    let power = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    let scaled = simd.mul_f32s(p, simd.transmute_f32s_u32s(power));
    simd.mul_f32s(scaled, simd.splat_f32s(f32::from_bits((127 - 64) << 23)))
}
