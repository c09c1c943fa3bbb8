//! Where a plan runs: on a GPU, on the CPU, or in the reference.

use std::time::Duration;

use orthoformer::gpu::{AdapterChoice, Engine, EngineOptions, Granularity, Prepared, Run, RunOptions, Timing};
use orthoformer::reference::{self, Route};
use orthoformer::{Error, Plan, PlanLimits, Result, Tensor, Tensors};
use web_time::Instant;

use super::engine::{CpuEngine, CpuOptions};
use super::prepared::CpuPrepared;

/// Where plans run.
#[derive(Debug)]
pub enum Executor {
    /// On a device.
    Gpu(Box<Engine>),
    /// On the CPU, in float32.
    Cpu(CpuEngine),
    /// In the CPU reference: plain loops, in float64 between the plan's buffers.
    Reference,
}

impl Executor {
    /// Opens a GPU; the second value is `None`. Where adapters are software or there are none, it returns the CPU engine and the reason.
    ///
    /// # Errors
    /// Those of [`Engine::new`] and [`CpuEngine::new`]; [`Error::NoAdapter`] only if the options name a backend or an adapter, which must be
    /// there then.
    pub fn best(options: &EngineOptions) -> Result<(Self, Option<String>)> {
        let on_cpu = |reason| Ok((Self::Cpu(CpuEngine::new(&CpuOptions::default())?), Some(reason)));
        match Engine::new(options) {
            Ok(engine) if engine.adapter().is_software() && !options.choice.is_said() => {
                on_cpu(format!("{} is no GPU", engine.adapter().name))
            }
            Ok(engine) => Ok((Self::Gpu(Box::new(engine)), None)),
            Err(reason @ Error::NoAdapter { .. }) if options.choice == AdapterChoice::default() => on_cpu(reason.to_string()),
            Err(error) => Err(error),
        }
    }

    /// The executor, borrowed.
    pub fn placed(&self) -> Placed<'_> {
        match self {
            Self::Gpu(engine) => Placed::Gpu(engine),
            Self::Cpu(engine) => Placed::Cpu(engine),
            Self::Reference => Placed::Reference,
        }
    }

    /// Runs a plan.
    ///
    /// # Errors
    /// Those of [`Engine::run`], [`CpuEngine::run`] and [`reference::run`].
    pub fn run(&self, plan: &Plan, inputs: &Tensors) -> Result<Run> {
        self.placed().run(plan, inputs, RunOptions::default())
    }

    /// Limits of plans for it.
    pub fn plan_limits(&self) -> PlanLimits {
        self.placed().plan_limits()
    }

    /// Adapter, driver and backend, and whether it was tuned; or what it is on the CPU.
    pub fn describe(&self) -> String {
        self.placed().describe()
    }
}

/// A borrowed executor.
#[derive(Clone, Copy, Debug)]
pub enum Placed<'e> {
    /// On a device.
    Gpu(&'e Engine),
    /// On the CPU.
    Cpu(&'e CpuEngine),
    /// In the CPU reference.
    Reference,
}

impl<'e> From<&'e Executor> for Placed<'e> {
    fn from(executor: &'e Executor) -> Self {
        executor.placed()
    }
}

impl Placed<'_> {
    /// Runs a plan. The reference takes the direct route, and no options.
    ///
    /// # Errors
    /// Those of [`Engine::run`], [`CpuEngine::run`] and [`reference::run`].
    pub fn run(self, plan: &Plan, inputs: &Tensors, options: RunOptions) -> Result<Run> {
        match self {
            Self::Gpu(engine) => engine.run(plan, inputs, options),
            Self::Cpu(engine) => engine.run(plan, inputs, options),
            Self::Reference => {
                let start = Instant::now();
                let outputs = reference::run(plan, inputs, Route::Direct)?;
                Ok(Run { outputs, device_bytes: 0, wall: start.elapsed(), ready: Duration::ZERO })
            }
        }
    }

    /// Limits of plans for it.
    pub fn plan_limits(self) -> PlanLimits {
        match self {
            Self::Gpu(engine) => engine.plan_limits(),
            Self::Cpu(engine) => engine.plan_limits(),
            Self::Reference => PlanLimits { loop_iterations: None, ..PlanLimits::default() },
        }
    }

    /// Adapter, driver and backend, and whether it was tuned; or what it is on the CPU.
    pub fn describe(self) -> String {
        match self {
            Self::Gpu(engine) => engine.describe(),
            Self::Cpu(engine) => engine.describe(),
            Self::Reference => "the CPU reference".to_owned(),
        }
    }
}

/// A plan ready to run again and again, on a device or on the CPU.
#[derive(Debug)]
pub enum PreparedPlan<'e> {
    /// On a device.
    Gpu(Prepared<'e>),
    /// On the CPU.
    Cpu(CpuPrepared<'e>),
}

impl PreparedPlan<'_> {
    /// Takes one input.
    ///
    /// # Errors
    /// Those of [`Prepared::feed`] and [`CpuPrepared::feed`].
    pub fn feed(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        match self {
            Self::Gpu(prepared) => prepared.feed(name, tensor),
            Self::Cpu(prepared) => prepared.feed(name, tensor),
        }
    }

    /// Runs the plan and hands out its outputs.
    ///
    /// # Errors
    /// Those of [`Prepared::run`] and [`CpuPrepared::run`].
    pub fn run(&mut self) -> Result<Tensors> {
        match self {
            Self::Gpu(prepared) => prepared.run(),
            Self::Cpu(prepared) => prepared.run(),
        }
    }

    /// Runs the plan without handing anything out. `number` chooses a device's set of inputs.
    ///
    /// # Errors
    /// Those of [`Prepared::time`] and [`CpuPrepared::time`].
    pub fn time(&mut self, granularity: Granularity, number: usize) -> Result<Timing> {
        match self {
            Self::Gpu(prepared) => prepared.time(granularity, number),
            Self::Cpu(prepared) => prepared.time(granularity),
        }
    }

    /// Bytes of this plan alone, without shared inputs.
    pub fn own_bytes(&self) -> u64 {
        match self {
            Self::Gpu(prepared) => prepared.own_bytes(),
            Self::Cpu(prepared) => prepared.own_bytes(),
        }
    }
}
