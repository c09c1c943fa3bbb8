//! Trajectory attention and Orthoformer as WGSL compute shaders on wgpu, with a CPU reference for every kernel.
//!
//! Sizes make a [`Plan`], an [`Engine`] runs it on a GPU, and [`mod@reference`] runs the same plan on the CPU:
//!
//! ```
#![doc = include_str!("../examples/quickstart.rs")]
//! ```
//!
//! [`ops`] has the operations, [`embedding`] is for applications with a device of their own, [`portability`] says which kernel runs
//! where. `ARCHITECTURE.md` in the repository shows the way through the crate.
//!
//! There are no cargo features, and nothing here reads clips or checkpoints: `orthoformer-video` and `orthoformer-models` do, `orthoformer-cpu` runs plans
//! without a GPU, `orthoformer-bench` measures and tunes, and `orthoformer-cli` is the program.
// What a caller or a file can influence becomes an `Error`, never a panic.
#![warn(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]

pub mod compare;
pub mod draw;
#[doc = include_str!("embedding.md")]
pub mod embedding {}
pub mod element;
pub mod error;
pub mod gpu;
pub mod kernel;
pub mod ops;
pub mod picks;
pub mod plan;
#[doc = include_str!("portability.md")]
pub mod portability {}
pub mod reference;
pub mod shape;
pub mod tensor;
pub mod variant;
pub mod view;
pub mod wgsl;

pub use error::{Error, Result};
pub use gpu::{Engine, optional_features, required_features, required_limits};
pub use ops::Operation;
pub use plan::{Plan, PlanLimits};
pub use shape::Shape;
pub use tensor::{Tensor, Tensors};
/// The version of wgpu that is part of the interface.
pub use wgpu;

/// The version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
