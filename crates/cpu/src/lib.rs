//! The CPU engine: the plans of orthoformer in float32, with vector code and threads, for machines without a GPU.
//!
//! [`CpuEngine`] walks the same [`Plan`](orthoformer::Plan) as the GPU engine and the reference: a file a kernel, by the shader's stem. Kernels
//! without a fast version run as the reference does, which the stages of a benchmark say. [`Executor`] is either of the three.
//!
//! Weights are packed once, buffers are kept, and a run allocates nothing but what it hands out. Results do not depend on the
//! number of threads, bit for bit.
// What a caller or a file can influence becomes an `Error`, never a panic.
#![warn(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]

mod ceilings;
mod context;
mod engine;
#[cfg(not(target_arch = "wasm32"))]
mod executor;
mod kernels;
mod memory;
mod packs;
mod prepared;
mod shared;
mod simd;
mod split;

pub use engine::{CpuEngine, CpuOptions};
#[cfg(not(target_arch = "wasm32"))]
pub use executor::{Executor, Placed, PreparedPlan};
pub use prepared::CpuPrepared;
pub use shared::CpuWeights;

/// The program of a page of the documentation, which is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/cpu.md")]
mod page {}
