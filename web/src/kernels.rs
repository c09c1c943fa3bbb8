//! How long kernels take.

use std::cell::RefCell;

use orthoformer::gpu::{Engine, Granularity, Run, RunOptions, Timing};
use orthoformer::{Plan, Result, Tensors};
use serde::Serialize;
use web_time::{Duration, Instant};

/// The time of a kernel, or of everything.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KernelTime {
    /// What the dispatch computes.
    pub label: &'static str,
    /// The kernel's shader.
    pub kernel: &'static str,
    /// Which variant of it ran.
    pub variant: &'static str,
    /// How many dispatches there were.
    pub dispatches: u32,
    /// Milliseconds on the device by its timestamps, all dispatches together; none where they cannot be believed.
    pub device_ms: Option<f64>,
}

/// Times of everything that was run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct KernelTimes {
    pub kernels: Vec<KernelTime>,
    /// Milliseconds that the host waited for all of it, as submitted a second time to be timed.
    pub wall_ms: f64,
    /// Milliseconds of the runs that made the results: allocating, uploading, compiling and reading back included.
    pub run_ms: f64,
}

/// Runs plans, and times them.
pub(crate) struct Recorder<'e> {
    engine: &'e Engine,
    times: RefCell<KernelTimes>,
}

impl<'e> Recorder<'e> {
    pub fn new(engine: &'e Engine) -> Self {
        Self { engine, times: RefCell::default() }
    }

    /// Runs a plan for its outputs, then once more for its times.
    pub async fn run(&self, plan: &Plan, inputs: &Tensors) -> Result<Run> {
        let start = Instant::now();
        let mut prepared = self.engine.prepare_async(plan, RunOptions::default()).await?;
        prepared.upload_async(inputs).await?;
        let ready = start.elapsed();
        let outputs = prepared.run_async().await?;
        let wall = start.elapsed();
        let timing = prepared.time_async(Granularity::Dispatches, 0).await?;
        self.add(plan, &timing, wall);
        Ok(Run { outputs, device_bytes: prepared.device_bytes(), wall, ready })
    }

    fn add(&self, plan: &Plan, timing: &Timing, wall: Duration) {
        let mut times = self.times.borrow_mut();
        times.wall_ms += milliseconds(timing.wall);
        times.run_ms += milliseconds(wall);
        for (index, dispatch) in plan.dispatches().enumerate() {
            let passed = timing.passes.as_ref().and_then(|passes| passes.get(index)).copied().map(milliseconds);
            match times.kernels.iter_mut().find(|known| known.label == dispatch.label) {
                Some(known) => {
                    known.dispatches += 1;
                    known.device_ms = known.device_ms.zip(passed).map(|(known, more)| known + more);
                }
                None => times.kernels.push(KernelTime {
                    label: dispatch.label,
                    kernel: dispatch.kernel.row().stem,
                    variant: self.engine.variant_of(dispatch).name(),
                    dispatches: 1,
                    device_ms: passed,
                }),
            }
        }
    }

    pub fn times(self) -> KernelTimes {
        self.times.into_inner()
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
