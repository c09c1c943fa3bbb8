//! Running a plan once: inputs in, outputs out.

use std::time::Duration;

use web_time::Instant;

use super::engine::Engine;
use super::waiting::Waiting;
use crate::error::Result;
use crate::kernel::Kernel;
use crate::plan::Plan;
use crate::tensor::Tensors;
use crate::variant::Variant;

/// How to run a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Fill outputs and scratch with NaN first, so that an element that no kernel writes shows.
    pub poison: bool,
    /// Hand out scratch buffers too, under their names in the plan.
    pub read_scratch: bool,
    /// Run every dispatch that can as this variant and the others as the baseline. `None`: what suits the device best.
    pub variant: Option<Variant>,
    /// With a variant: in this tile size of its row's, where a dispatch can; `None` leaves it to the variant.
    pub tile: Option<usize>,
    /// With a variant: only for dispatches of this kernel, the baseline for all others.
    pub kernel: Option<Kernel>,
}

/// What a run made and took.
#[derive(Clone, Debug)]
pub struct Run {
    /// Output tensors by name.
    pub outputs: Tensors,
    /// Bytes allocated on the device for this run: the plan's buffers, params and read-back. What wgpu stages uploads in is not
    /// counted: as much again as the inputs, for a moment.
    pub device_bytes: u64,
    /// From the first allocation to the last result, pipelines that had to be compiled included.
    pub wall: Duration,
    /// How much of that went by until everything was compiled, allocated and uploaded.
    pub ready: Duration,
}

impl Engine {
    /// Runs a plan and blocks until its outputs are there.
    ///
    /// # Errors
    /// [`crate::Error::MissingTensor`] and [`crate::Error::WrongShape`] for the inputs, and those of [`Engine::prepare`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run(&self, plan: &Plan, inputs: &Tensors, options: RunOptions) -> Result<Run> {
        pollster::block_on(self.run_by(plan, inputs, options, Waiting::Polling))
    }

    /// [`Engine::run`] as a future.
    ///
    /// # Errors
    /// Those of [`Engine::run`].
    pub async fn run_async(&self, plan: &Plan, inputs: &Tensors, options: RunOptions) -> Result<Run> {
        self.run_by(plan, inputs, options, Waiting::Future).await
    }

    async fn run_by(&self, plan: &Plan, inputs: &Tensors, options: RunOptions, waiting: Waiting) -> Result<Run> {
        let start = Instant::now();
        // Before anything is allocated.
        plan.inputs(inputs)?;
        let mut prepared = self.prepare_async(plan, options).await?;
        prepared.upload_async(inputs).await?;
        let ready = start.elapsed();
        let outputs = prepared.run_by(waiting).await?;
        Ok(Run { outputs, device_bytes: prepared.device_bytes(), wall: start.elapsed(), ready })
    }
}
