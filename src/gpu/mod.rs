//! All use of wgpu: adapters and limits, pipelines, running plans and timing them.

mod adapter;
mod bindings;
mod choice;
mod device_errors;
mod engine;
mod frame_clock;
mod memory;
mod open;
mod optional;
mod pipeline;
mod pipeline_cache;
mod prepared;
#[cfg(not(target_arch = "wasm32"))]
mod program;
mod read_back;
mod record;
mod run;
mod shared;
mod slices;
mod steps;
mod summary;
mod timing;
mod waiting;
mod within;

pub use adapter::AdapterChoice;
#[cfg(not(target_arch = "wasm32"))]
pub use adapter::adapters;
pub use bindings::Bindings;
pub use engine::Engine;
pub use open::EngineOptions;
pub use optional::{OptionalFeature, optional_features, required_features, required_limits};
pub use prepared::{Granularity, Prepared};
#[cfg(not(target_arch = "wasm32"))]
pub use program::{Program, ProgramSpec};
pub use read_back::ReadBack;
pub use run::{Run, RunOptions};
pub use shared::SharedInputs;
pub use summary::{AdapterSummary, KernelLimits, MatrixUnit, Tier, Tiers};
pub use timing::Timing;
pub use within::Progress;
