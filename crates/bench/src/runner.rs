//! Who runs plans, and how a run is timed: a GPU engine here; another executor is another `impl` of these traits.

use orthoformer::gpu::{Engine, Granularity, Prepared, RunOptions};
use orthoformer::plan::{Plan, Role};
use orthoformer::variant::Variant;
use orthoformer::{PlanLimits, Result, Tensors};

use super::calibration::{self, Calibrator};
use super::chosen::chosen;
use super::clock::Clock;

/// Most bind groups of all sets of inputs together.
const MOST_BIND_GROUPS: u64 = 4_096;

/// Runs plans.
pub(super) trait Runner {
    /// Limits of the plans that it runs.
    fn plan_limits(&self) -> PlanLimits {
        PlanLimits::default()
    }

    /// Runs a plan once and hands out its outputs, which are NaN where no kernel writes.
    fn run(&self, plan: &Plan, inputs: &Tensors, variant: Option<Variant>) -> Result<Tensors>;

    /// Makes a plan ready to be timed. `sets` copies of the inputs are taken in turn, as far as there is room.
    fn ready<'r>(&'r self, plan: &'r Plan, inputs: &Tensors, variant: Option<Variant>, sets: u64) -> Result<Box<dyn Ready + 'r>>;

    /// Why no dispatch of a plan runs as a variant, if so.
    fn unsupported(&self, plan: &Plan, variant: Variant) -> Option<String>;

    /// The variants that a plan runs as where nothing is asked for.
    fn chosen(&self, plan: &Plan) -> String;

    /// Why stages cannot be timed by themselves, if so.
    fn no_stages(&self) -> Option<&'static str>;

    /// What tells how fast the machine is in a round.
    fn calibrators(&self) -> Result<Vec<Calibrator<'_>>>;
}

/// A plan that is ready to be timed.
pub(super) trait Ready {
    /// Seconds of a run; `number` chooses the set of inputs.
    fn seconds(&self, number: usize) -> Result<f64>;

    /// Seconds of each dispatch of a run; `None` where the clock failed.
    fn dispatches(&self, number: usize) -> Result<Option<Vec<f64>>>;

    /// Bytes that the plan takes for one set of inputs.
    fn device_bytes(&self) -> u64;

    /// Bytes that are held with all sets.
    fn held_bytes(&self) -> u64;

    /// How each dispatch runs; those that are not told of run alone.
    fn stage_runs(&self) -> Vec<StageRun> {
        Vec::new()
    }
}

/// How a dispatch runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StageRun {
    /// As a kernel of its own.
    Alone,
    /// As a part of an earlier dispatch, whose time holds its own.
    WithAnother,
    /// As the reference does.
    ByReference,
}

/// Runs plans on an adapter.
pub(super) struct GpuRunner<'e> {
    pub engine: &'e Engine,
    pub clock: &'e Clock,
}

impl Runner for GpuRunner<'_> {
    fn run(&self, plan: &Plan, inputs: &Tensors, variant: Option<Variant>) -> Result<Tensors> {
        let options = RunOptions { poison: true, variant, ..RunOptions::default() };
        Ok(self.engine.run(plan, inputs, options)?.outputs)
    }

    fn ready<'r>(&'r self, plan: &'r Plan, inputs: &Tensors, variant: Option<Variant>, sets: u64) -> Result<Box<dyn Ready + 'r>> {
        // What is timed is not poisoned: scratch shares memory then, as it does for users.
        let mut prepared = self.engine.prepare(plan, RunOptions { variant, ..RunOptions::default() })?;
        prepared.upload(inputs)?;
        let sets = sets.min(MOST_BIND_GROUPS / (plan.dispatches().count() as u64).max(1)).max(2);
        prepared.multiply_inputs(sets as usize)?;
        let held_bytes = prepared.device_bytes() + (sets - 1) * input_bytes(plan);
        Ok(Box::new(OnGpu { clock: self.clock, prepared, held_bytes }))
    }

    fn unsupported(&self, plan: &Plan, variant: Variant) -> Option<String> {
        self.engine.unsupported(plan, variant)
    }

    fn chosen(&self, plan: &Plan) -> String {
        chosen(self.engine, plan)
    }

    fn no_stages(&self) -> Option<&'static str> {
        match self.clock {
            Clock::Timestamps => None,
            Clock::Wall(_) => Some("a stage by itself can only be timed by timestamps on the device"),
        }
    }

    fn calibrators(&self) -> Result<Vec<Calibrator<'_>>> {
        calibration::of_adapter(self.engine, self.clock)
    }
}

/// Bytes of a plan's inputs.
pub(super) fn input_bytes(plan: &Plan) -> u64 {
    plan.buffers().iter().filter(|spec| spec.role == Role::Input).map(|spec| spec.bytes()).sum()
}

struct OnGpu<'r> {
    clock: &'r Clock,
    prepared: Prepared<'r>,
    held_bytes: u64,
}

impl Ready for OnGpu<'_> {
    fn seconds(&self, number: usize) -> Result<f64> {
        Ok(self.clock.seconds(&self.prepared.time(Granularity::Whole, number)?))
    }

    fn dispatches(&self, number: usize) -> Result<Option<Vec<f64>>> {
        let timing = self.prepared.time(Granularity::Dispatches, number)?;
        Ok(timing.passes.map(|passes| passes.iter().map(|pass| pass.as_secs_f64()).collect()))
    }

    fn device_bytes(&self) -> u64 {
        self.prepared.device_bytes()
    }

    fn held_bytes(&self) -> u64 {
        self.held_bytes
    }
}
