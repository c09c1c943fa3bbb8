//! How long kernels take.

use orthoformer::gpu::{Engine, Granularity, RunOptions};
use orthoformer::{Plan, Result};
use serde::Serialize;
use web_time::Duration;

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
    /// Milliseconds from the click to the heat maps: allocating, compiling, describing and reading back included.
    pub run_ms: f64,
}

/// Times the kernels of a plan, whatever its inputs are. Returns the bytes that it takes on the device too.
pub(crate) async fn timed(engine: &Engine, plan: &Plan) -> Result<(KernelTimes, u64)> {
    let prepared = engine.prepare_async(plan, RunOptions::default()).await?;
    let timing = prepared.time_async(Granularity::Dispatches, 0).await?;
    let mut times = KernelTimes { wall_ms: milliseconds(timing.wall), ..KernelTimes::default() };
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
                variant: engine.variant_of(dispatch).name(),
                dispatches: 1,
                device_ms: passed,
            }),
        }
    }
    Ok((times, prepared.device_bytes()))
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
