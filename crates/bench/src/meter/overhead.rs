//! What comes with every dispatch and every submission.

use orthoformer::Result;
use orthoformer::gpu::ProgramSpec;

use super::super::programs::{EMPTY, multiply_adds};
use super::{Meter, Rate, WORKGROUP};

const EMPTY_RUNS: usize = 51;
const EMPTY_DISPATCHES: u32 = 256;
/// Workgroups of a short dispatch, and how many of them follow each other.
const SHORT_WORKGROUPS: u32 = 16;
const SHORT_DISPATCHES: u32 = 256;
const SHORT_TURNS: u32 = 10;

impl<'e> Meter<'e> {
    /// Microseconds of a dispatch that does nothing, among many.
    pub fn empty_dispatch(&self) -> Result<Vec<f64>> {
        let program = self.engine.program(&ProgramSpec { name: "empty", source: EMPTY, buffers: &[] })?;
        microseconds(|| Ok(self.clock.seconds(&program.time(1, EMPTY_DISPATCHES)?) / f64::from(EMPTY_DISPATCHES)))
    }

    /// Microseconds from submitting nothing to knowing that it is done, on the host's clock.
    pub fn empty_submission(&self) -> Result<Vec<f64>> {
        microseconds(|| Ok(self.engine.time_empty_submission()?.wall.as_secs_f64()))
    }

    /// Microseconds from submitting a dispatch that does nothing to knowing that it is done, on the host's clock.
    pub fn kernel_launch(&self) -> Result<Vec<f64>> {
        let program = self.engine.program(&ProgramSpec { name: "empty", source: EMPTY, buffers: &[] })?;
        microseconds(|| Ok(program.time(1, 1)?.wall.as_secs_f64()))
    }

    /// Thousands of short dispatches a second, each waiting for the one before it, some of them at a time.
    pub fn short_dispatches(self) -> Result<Rate<'e>> {
        let sums = u64::from(SHORT_WORKGROUPS * WORKGROUP) * 4;
        let Some((_, source)) = multiply_adds("f32", SHORT_TURNS).into_iter().next() else { return Ok(Box::new(|| Ok(0.0))) };
        let spec = ProgramSpec { name: "short dispatches", source: &source, buffers: &[(512, false), (sums, true)] };
        let program = self.engine.program(&spec)?;
        let rate = move || {
            let seconds = self.clock.seconds(&program.time(SHORT_WORKGROUPS, SHORT_DISPATCHES)?);
            Ok(f64::from(SHORT_DISPATCHES) / 1e3 / seconds)
        };
        rate()?;
        Ok(Box::new(rate))
    }
}

/// Times of many runs after one that does not count.
fn microseconds(time: impl Fn() -> Result<f64>) -> Result<Vec<f64>> {
    time()?;
    (0..EMPTY_RUNS).map(|_| Ok(time()? * 1e6)).collect()
}
