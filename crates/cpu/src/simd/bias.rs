//! What is added to logits.

use pulp::Simd;

use super::lanes::{map, map2};
use super::matrix::Rows;
use super::softmax::{exp_row, max_of_sums, shift_of};

/// Added to logits before the softmax: a relative position, a mask.
pub trait LogitBias {
    /// Whether there is none.
    const NONE: bool;

    /// Adds it to all logits of a row of the block.
    fn add<S: Simd>(&self, simd: S, row: usize, logits: &mut [f32]);
}

/// No bias.
#[derive(Clone, Copy, Debug)]
pub struct NoBias;

impl LogitBias for NoBias {
    const NONE: bool = true;

    #[inline(always)]
    fn add<S: Simd>(&self, _: S, _: usize, _: &mut [f32]) {}
}

/// A row of biases for each query row.
impl LogitBias for Rows<'_> {
    const NONE: bool = false;

    #[inline(always)]
    fn add<S: Simd>(&self, simd: S, row: usize, logits: &mut [f32]) {
        let bias = self.part(row, 0, logits.len());
        map2!(simd, logits, bias, |logit, bias| simd.add_f32s(logit, bias));
    }
}

/// A row of scores in two parts, of which the coarse one is exact.
pub struct SplitScores<'e> {
    pub coarse: &'e mut [f32],
    pub fine: &'e mut [f32],
    /// As long a row, for the biases.
    pub spare: &'e mut [f32],
}

impl SplitScores<'_> {
    /// Turns `scale * (coarse + sign * fine) + bias` into weights, in place of the coarse parts; returns their sum. What float32 rounds off in
    /// the product with the scale and in the sum with the bias goes into the fine parts: large logits and biases may cancel.
    #[inline(always)]
    pub fn weigh<S: Simd>(self, simd: S, bias: &impl LogitBias, row: usize, [scale, sign]: [f32; 2]) -> f32 {
        let Self { coarse, fine, spare } = self;
        spare.fill(0.0);
        bias.add(simd, row, spare);
        for ((coarse, fine), &bias) in coarse.iter_mut().zip(&mut *fine).zip(&*spare) {
            let product = scale * *coarse;
            let logit = product + bias;
            let added = logit - product;
            let rounded_off = scale.mul_add(*coarse, -product) + ((product - (logit - added)) + (bias - added));
            // Infinities have no parts.
            *fine = if logit.is_finite() { rounded_off + scale * sign * *fine } else { 0.0 };
            *coarse = logit;
        }
        let shifts = simd.splat_f32s(shift_of(max_of_sums(simd, coarse, fine, simd.splat_f32s(1.0))));
        map!(simd, coarse, |logit| simd.sub_f32s(logit, shifts));
        map2!(simd, coarse, fine, |logit, fine| simd.add_f32s(logit, fine));
        exp_row(simd, coarse, 0.0, 1.0)
    }
}
