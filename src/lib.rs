//! Trajectory attention and Orthoformer as WGSL compute shaders on wgpu, with a CPU reference for every kernel.
//!
//! See `ARCHITECTURE.md` for the way through the crate.
#![warn(missing_docs)]

#[cfg(feature = "files")]
pub mod case;
pub mod compare;
pub mod error;
mod extents;
pub mod gpu;
pub mod kernel;
pub mod ops;
pub mod params;
pub mod plan;
pub mod reference;
pub mod shape;
pub mod tensor;
pub mod wgsl;

pub use error::{Error, Result};
pub use ops::Operation;
pub use plan::{Plan, PlanLimits};
pub use shape::Shape;
pub use tensor::{Tensor, Tensors};
