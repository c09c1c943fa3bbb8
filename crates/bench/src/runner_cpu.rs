//! The CPU engine in the benchmark: the same cases, rounds and rows, with the processor's own ceilings.

use std::cell::RefCell;
use std::ops::ControlFlow;

use orthoformer::gpu::{Granularity, RunOptions};
use orthoformer::plan::Plan;
use orthoformer::variant::Variant;
use orthoformer::{PlanLimits, Result, Tensors};
use orthoformer_cpu::{CpuEngine, CpuPrepared};

use super::calibration::{Calibrator, of_host};
use super::ceilings::{Ceiling, CeilingKind, Ceilings};
use super::clock::Clock;
use super::measure::{Measured, measured};
use super::request::{Observer, Progress, Request};
use super::rows::{BenchAdapter, BenchReport};
use super::runner::{Ready, Runner, StageRun};

/// Measures the CPU engine, which has no variants: its own choice alone is timed.
///
/// # Errors
/// Those of the observer, and [`orthoformer::Error::OutOfMemory`] for the ceilings. Whatever else goes wrong is said in the row concerned.
pub fn measure_on_cpu(engine: &CpuEngine, request: &Request, observer: &mut dyn Observer) -> Result<BenchReport> {
    let ceilings = if request.ceilings { ceilings(engine, observer)? } else { Ceilings::skipped() };
    let adapter = BenchAdapter::of_cpu(engine.describe(), Clock::Wall("the engine runs on the host".to_owned()));
    observer.adapter(&adapter, &ceilings)?;
    let Measured { rows, calibrations, rounds, interrupted } = measured(&CpuRunner { engine }, request, &ceilings, observer)?;
    Ok(BenchReport { rounds, calibrations, interrupted, ..BenchReport::of(adapter, ceilings, rows) })
}

/// The ceilings that a processor has here; the others are skipped.
fn ceilings(engine: &CpuEngine, observer: &mut dyn Observer) -> Result<Ceilings> {
    let mut step = |part| -> ControlFlow<()> { observer.step(Progress { next: "ceilings", part, left: None }) };
    let mut all = Ceilings::skipped();
    let mut found = |kind, value: f64| {
        if let Some(Ceiling { value: found, samples, status, .. }) = all.0.get_mut(&kind) {
            (*found, *samples, *status) = (Some(value), vec![value], "ok".to_owned());
        }
    };
    if step(0.0).is_continue() {
        found(CeilingKind::MultiplyAddF32, 2e-9 * engine.multiply_add_rate());
    }
    if step(0.5).is_continue() {
        found(CeilingKind::MemoryCopy, 1e-9 * engine.copy_rate()?);
    }
    Ok(all)
}

/// Runs plans on the CPU.
struct CpuRunner<'e> {
    engine: &'e CpuEngine,
}

impl Runner for CpuRunner<'_> {
    fn plan_limits(&self) -> PlanLimits {
        self.engine.plan_limits()
    }

    fn run(&self, plan: &Plan, inputs: &Tensors, _: Option<Variant>) -> Result<Tensors> {
        // There is no baseline: a run is held against another one, and the reduced case against the reference.
        Ok(self.engine.run(plan, inputs, RunOptions { poison: true, ..RunOptions::default() })?.outputs)
    }

    /// One set of inputs: another would need its own packed weights.
    fn ready<'r>(&'r self, plan: &'r Plan, inputs: &Tensors, _: Option<Variant>, _: u64) -> Result<Box<dyn Ready + 'r>> {
        let mut prepared = self.engine.prepare(plan, RunOptions::default())?;
        prepared.upload(inputs)?;
        Ok(Box::new(OnCpu(RefCell::new(prepared))))
    }

    fn unsupported(&self, _: &Plan, _: Variant) -> Option<String> {
        Some("the CPU engine has no variants".to_owned())
    }

    fn chosen(&self, _: &Plan) -> String {
        "cpu".to_owned()
    }

    fn no_stages(&self) -> Option<&'static str> {
        None
    }

    fn calibrators(&self) -> Result<Vec<Calibrator<'_>>> {
        let multiply_adds = Box::new(|| Ok(self.engine.multiply_add_rate()));
        Ok(vec![Calibrator { name: "multiply_add", rate: multiply_adds }, of_host()])
    }
}

struct OnCpu<'r>(RefCell<CpuPrepared<'r>>);

impl Ready for OnCpu<'_> {
    fn seconds(&self, _: usize) -> Result<f64> {
        Ok(self.0.borrow_mut().time(Granularity::Whole)?.wall.as_secs_f64())
    }

    fn dispatches(&self, _: usize) -> Result<Option<Vec<f64>>> {
        let timing = self.0.borrow_mut().time(Granularity::Dispatches)?;
        Ok(timing.passes.map(|passes| passes.iter().map(|pass| pass.as_secs_f64()).collect()))
    }

    fn device_bytes(&self) -> u64 {
        self.0.borrow().bytes()
    }

    fn held_bytes(&self) -> u64 {
        self.device_bytes()
    }

    fn stage_runs(&self) -> Vec<StageRun> {
        let prepared = self.0.borrow();
        let of = |dispatch| match (prepared.is_part_of_another(dispatch), prepared.is_by_reference(dispatch)) {
            (true, _) => StageRun::WithAnother,
            (false, true) => StageRun::ByReference,
            (false, false) => StageRun::Alone,
        };
        (0..prepared.dispatches()).map(of).collect()
    }
}
