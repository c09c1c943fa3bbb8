//! What computes fast on a block, by any instruction set: `pulp` chooses one when the program starts.
//!
//! Functions take the instruction set as `simd` and are inlined into a [`pulp::WithSimd`] that the caller dispatches once a task. They split
//! no work among threads. An output's order of summation depends on sizes alone.

pub mod activation;
pub mod attention;
pub mod bias;
pub mod epilogue;
pub mod exp;
mod lanes;
pub mod matrix;
pub mod norm;
pub mod panels;
pub mod product;
pub mod softmax;

#[cfg(test)]
mod tests;
