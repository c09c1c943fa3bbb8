//! Activations of vectors.

use pulp::Simd;

use super::exp::exp;
use super::lanes::map;

/// What an epilogue may apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// By the error function: `x (1 + erf(x / sqrt 2)) / 2`.
    Gelu,
    /// By the hyperbolic tangent: `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
    GeluFast,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// Applies it to each element.
    #[inline(always)]
    pub fn apply<S: Simd>(self, simd: S, values: &mut [f32]) {
        match self {
            Self::Gelu => map!(simd, values, |x| gelu(simd, x)),
            Self::GeluFast => map!(simd, values, |x| gelu_fast(simd, x)),
            Self::Tanh => map!(simd, values, |x| tanh(simd, x)),
            Self::Relu => map!(simd, values, |x| relu(simd, x)),
        }
    }
}

/// `x (1 + erf(x / sqrt 2)) / 2`, right to 2e-7 of x. Between -1 and 1 by a polynomial (`erf(x / sqrt 2) / 2` to 8e-9); farther off by the
/// tail, `erfc(|x| / sqrt 2)`, which is formula 7.1.26 of Abramowitz and Stegun.
#[inline(always)]
fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value: f32| simd.splat_f32s(value);
    let one = splat(1.0);
    let size = simd.abs_f32s(x);
    let t = simd.div_f32s(one, simd.mul_add_e_f32s(splat(0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2), size, one));
    let p = simd.mul_add_e_f32s(splat(1.061_405_4), t, splat(-1.453_152));
    let p = simd.mul_add_e_f32s(p, t, splat(1.421_413_7));
    let p = simd.mul_add_e_f32s(p, t, splat(-0.284_496_74));
    let p = simd.mul_f32s(simd.mul_add_e_f32s(p, t, splat(0.254_829_6)), t);
    let z = simd.mul_f32s(x, x);
    let bell = exp(simd, simd.mul_f32s(splat(-0.5), z));
    let half_tail = simd.mul_f32s(simd.mul_f32s(splat(0.5), p), bell);
    let positive = simd.greater_than_f32s(x, splat(0.0));
    let far = simd.select_f32s(positive, simd.sub_f32s(one, half_tail), half_tail);
    let q = simd.mul_add_e_f32s(splat(9.251_384e-5), z, splat(-0.001_165_46));
    let q = simd.mul_add_e_f32s(q, z, splat(0.009_964_257));
    let q = simd.mul_add_e_f32s(q, z, splat(-0.066_488_76));
    let q = simd.mul_add_e_f32s(q, z, splat(0.398_942_2));
    let near = simd.mul_add_e_f32s(q, x, splat(0.5));
    let share = simd.select_f32s(simd.less_than_f32s(size, one), near, far);
    // Zero times minus infinity is not what is meant.
    let vanished = simd.less_than_f32s(x, splat(-15.0));
    simd.select_f32s(vanished, splat(0.0), simd.mul_f32s(x, share))
}

/// `x / (1 + exp(-2 u))` with `u = sqrt(2 / pi) (x + 0.044715 x^3)`. The exponential is of `-2 |u|`.
#[inline(always)]
fn gelu_fast<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value: f32| simd.splat_f32s(value);
    let one = splat(1.0);
    let size = simd.abs_f32s(x);
    // 2 |u| = size (a + b size^2), at most 104 or so: exp takes any.
    let twice = simd.mul_f32s(size, simd.mul_add_e_f32s(splat(0.071_354_814), simd.mul_f32s(size, size), splat(1.595_769)));
    let power = exp(simd, simd.neg_f32s(twice));
    let positive = simd.greater_than_f32s(x, splat(0.0));
    let share = simd.div_f32s(simd.select_f32s(positive, one, power), simd.add_f32s(one, power));
    let vanished = simd.less_than_f32s(x, splat(-15.0));
    simd.select_f32s(vanished, splat(0.0), simd.mul_f32s(x, share))
}

/// Below 3 units in the last place. Small sizes by a polynomial, others by `1 - 2 / (exp(2 |x|) + 1)`.
#[inline(always)]
fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value: f32| simd.splat_f32s(value);
    let one = splat(1.0);
    let size = simd.abs_f32s(x);
    let power = exp(simd, simd.mul_f32s(splat(-2.0), size));
    let far = simd.div_f32s(simd.sub_f32s(one, power), simd.add_f32s(one, power));
    let sign = simd.and_f32s(x, splat(-0.0));
    let far = simd.or_f32s(far, sign);
    let z = simd.mul_f32s(x, x);
    let p = simd.mul_add_e_f32s(splat(-0.005_717_045_5), z, splat(0.020_650_588));
    let p = simd.mul_add_e_f32s(p, z, splat(-0.053_743_498));
    let p = simd.mul_add_e_f32s(p, z, splat(0.133_314_91));
    let p = simd.mul_add_e_f32s(p, z, splat(-0.333_332_84));
    let near = simd.mul_add_e_f32s(simd.mul_f32s(p, z), x, x);
    simd.select_f32s(simd.less_than_f32s(size, splat(0.625)), near, far)
}

/// NaN stays NaN.
#[inline(always)]
fn relu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    simd.select_f32s(simd.less_than_f32s(x, zero), zero, x)
}
