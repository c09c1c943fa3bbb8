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
    /// Fill outputs and scratch with NaN first, to show elements that no kernel writes.
    pub poison: bool,
    /// Hand out scratch buffers too, under their names in the plan.
    pub read_scratch: bool,
    /// Variant of every dispatch that can run as it; the others run as the baseline. `None`: the engine's choice.
    pub variant: Option<Variant>,
    /// With a variant: index of its tile size, if a dispatch can use it; `None` leaves it to the variant.
    pub tile: Option<usize>,
    /// With a variant: the only kernel that runs as it; all others run as the baseline.
    pub kernel: Option<Kernel>,
}

/// Outputs and costs of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Output tensors by name.
    pub outputs: Tensors,
    /// Bytes allocated on the device for this run: the plan's buffers, params and read-back. wgpu's staging memory for uploads is not
    /// counted: briefly as much again as the inputs.
    pub device_bytes: u64,
    /// Time from the first allocation to the last result, with compilation.
    pub wall: Duration,
    /// Part of that until all was compiled, allocated and uploaded.
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
