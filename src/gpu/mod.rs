//! The only place that knows wgpu: adapters and limits, pipelines, running a plan.

mod adapter;
mod choice;
mod engine;
mod pipeline;
mod run;

pub use adapter::{AdapterChoice, AdapterSummary, KernelLimits, Tier, Tiers, adapters};
pub use engine::{Engine, EngineOptions};
pub use run::{Run, RunOptions};
