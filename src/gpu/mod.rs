//! The only place that knows wgpu: adapters and limits, pipelines, running plans and timing them.

mod adapter;
mod choice;
mod engine;
mod memory;
mod pipeline;
mod pipeline_cache;
mod prepared;
mod program;
mod run;
mod shared;
mod slices;
mod timing;

pub use adapter::{AdapterChoice, AdapterSummary, KernelLimits, MatrixUnit, Tier, Tiers, adapters};
pub use engine::{Engine, EngineOptions};
pub use prepared::{Granularity, Prepared};
pub use program::{Program, ProgramSpec};
pub use run::{Run, RunOptions};
pub use shared::SharedInputs;
pub use timing::Timing;
