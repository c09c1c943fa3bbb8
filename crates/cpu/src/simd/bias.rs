//! What is added to logits.

use pulp::Simd;

use super::lanes::map2;
use super::matrix::Rows;

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
