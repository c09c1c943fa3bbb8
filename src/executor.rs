//! Where a plan runs: on a GPU, or in the CPU reference.

use std::time::Duration;

use web_time::Instant;

use crate::error::{Error, Result};
use crate::gpu::{AdapterChoice, Engine, EngineOptions, Run, RunOptions};
use crate::plan::{Plan, PlanLimits};
use crate::reference::{self, Route};
use crate::tensor::Tensors;

/// Where plans run.
#[derive(Debug)]
pub enum Executor {
    /// On a device.
    Gpu(Box<Engine>),
    /// On the CPU, in float64 between the plan's buffers.
    Reference,
}

impl Executor {
    /// Opens a device; the second value is `None`. Without any adapter it returns the reference and the reason.
    ///
    /// # Errors
    /// Those of [`Engine::new`]; [`Error::NoAdapter`] only if the options name a backend or an adapter, which must be there then.
    pub fn best(options: &EngineOptions) -> Result<(Self, Option<Error>)> {
        match Engine::new(options) {
            Ok(engine) => Ok((Self::Gpu(Box::new(engine)), None)),
            Err(reason @ Error::NoAdapter { .. }) if options.choice == AdapterChoice::default() => {
                Ok((Self::Reference, Some(reason)))
            }
            Err(error) => Err(error),
        }
    }

    /// Runs a plan.
    ///
    /// # Errors
    /// Those of [`Engine::run`] and [`reference::run`].
    pub fn run(&self, plan: &Plan, inputs: &Tensors) -> Result<Run> {
        match self {
            Self::Gpu(engine) => engine.run(plan, inputs, RunOptions::default()),
            Self::Reference => {
                let start = Instant::now();
                let outputs = reference::run(plan, inputs, Route::Direct)?;
                Ok(Run { outputs, device_bytes: 0, wall: start.elapsed(), ready: Duration::ZERO })
            }
        }
    }

    /// Limits of plans for it.
    pub fn plan_limits(&self) -> PlanLimits {
        match self {
            Self::Gpu(engine) => engine.plan_limits(),
            Self::Reference => PlanLimits { loop_iterations: None, ..PlanLimits::default() },
        }
    }

    /// Adapter, driver and backend, and whether it was tuned; or that it is the reference.
    pub fn describe(&self) -> String {
        match self {
            Self::Gpu(engine) => engine.describe(),
            Self::Reference => "the CPU reference".to_owned(),
        }
    }
}
