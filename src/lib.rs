//! Trajectory attention and Orthoformer as WGSL compute shaders on wgpu, with a CPU reference for every kernel.
//!
//! Sizes make a [`Plan`], an [`Engine`] runs it on a GPU, and [`mod@reference`] runs the same plan on the CPU; `examples/quickstart.rs` is the shortest
//! program. [`ops`] has the operations, [`embedding`] is for applications with a device of their own, [`portability`] says which kernel runs
//! where. `ARCHITECTURE.md` in the repository shows the way through the crate.
// What a caller or a file can influence becomes an `Error`, never a panic.
#![warn(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]

#[cfg(feature = "measure")]
pub mod bench;
#[cfg(feature = "cases")]
pub mod case;
#[cfg(feature = "models")]
pub mod checkpoint;
#[cfg(feature = "cli")]
pub mod cli;
pub mod compare;
mod draw;
#[doc = include_str!("embedding.md")]
pub mod embedding {}
mod element;
pub mod error;
#[cfg(not(target_arch = "wasm32"))]
pub mod executor;
#[cfg(any(feature = "files", feature = "video"))]
mod files;
pub mod gpu;
pub mod kernel;
#[cfg(feature = "models")]
pub mod model;
pub mod ops;
pub mod params;
pub mod picks;
pub mod plan;
#[doc = include_str!("portability.md")]
pub mod portability {}
pub mod reference;
pub mod shape;
#[cfg(feature = "video")]
pub mod study;
pub mod tensor;
#[cfg(feature = "bench")]
pub mod tune;
pub mod variant;
#[cfg(feature = "frames")]
pub mod video;
pub mod view;
pub mod wgsl;

pub use error::{Error, Result};
#[cfg(not(target_arch = "wasm32"))]
pub use executor::Executor;
pub use gpu::{Engine, optional_features, required_features, required_limits};
pub use ops::Operation;
pub use plan::{Plan, PlanLimits};
pub use shape::Shape;
pub use tensor::{Tensor, Tensors};

/// The version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
