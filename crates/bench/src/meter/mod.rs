//! The shaders behind the ceilings: how much each of them does, and whether it did. Rates come run by run.

mod arithmetic;
mod memory;
mod overhead;
mod workgroup;

use std::time::Instant;

use orthoformer::gpu::{Engine, Program, ProgramSpec, Timing};
use orthoformer::{Error, Result};

use super::clock::Clock;
use super::programs::{MULTIPLY_ADD_TURNS, multiply_adds};

/// Seconds that a run of a ceiling's shader should take: long against what a submission costs.
const LONG_ENOUGH: f64 = 0.02;
/// Runs of each.
const RUNS: usize = 5;
/// Most workgroups of one dispatch, and as many invocations as every workgroup has.
const MOST_WORKGROUPS: u32 = 65_535;
const WORKGROUP: u32 = 64;
const MOST_DISPATCHES: u32 = 1_024;

/// A rate that is measured again and again.
pub(super) type Rate<'e> = Box<dyn Fn() -> Result<f64> + 'e>;

/// The clock to take times by on this engine: tried on work that is long enough for either.
pub(super) fn find_clock(engine: &Engine) -> Result<Clock> {
    let Some((_, source)) = multiply_adds("f32", MULTIPLY_ADD_TURNS).into_iter().next() else {
        return Ok(Clock::Wall("nothing to try it on".to_owned()));
    };
    let sums = u64::from(MOST_WORKGROUPS * WORKGROUP) * 4;
    let program =
        engine.program(&ProgramSpec { name: "multiply_add", source: &source, buffers: &[(512, false), (sums, true)] })?;
    let wall = Clock::Wall(String::new());
    let meter = Meter { engine, clock: &wall };
    let workgroups = meter.grown(&program, MOST_WORKGROUPS)?.count;
    let timings = (0..RUNS).map(|_| program.time(workgroups, 1)).collect::<Result<Vec<_>>>()?;
    Ok(Clock::of(engine.has_timestamps(), &timings))
}

/// Measures on one engine, by one clock.
#[derive(Clone, Copy)]
pub(super) struct Meter<'e> {
    pub engine: &'e Engine,
    pub clock: &'e Clock,
}

/// Runs of something that was grown until it took long enough.
struct Runs {
    /// How much of it there was in each run.
    count: u32,
    seconds: Vec<f64>,
}

impl Runs {
    /// Rates of work of which each run has so much.
    fn rates(&self, of_run: f64) -> Vec<f64> {
        self.seconds.iter().map(|seconds| of_run / seconds).collect()
    }
}

impl<'e> Meter<'e> {
    /// Grows a dispatch until it takes long enough: more workgroups.
    fn grown(&self, program: &Program<'_>, most: u32) -> Result<Runs> {
        self.runs([WORKGROUP.min(most), most], |workgroups| program.time(workgroups, 1))
    }

    /// Repeats a dispatch until that takes long enough.
    fn repeated(&self, program: &Program<'_>, workgroups: u32) -> Result<Runs> {
        self.runs([1, MOST_DISPATCHES], |dispatches| program.time(workgroups, dispatches))
    }

    /// Rates of work that the host waits for, of which each run has so much. The first run is none of them.
    fn host_rates(&self, of_run: f64, run: impl Fn() -> Result<()>) -> Result<Vec<f64>> {
        run()?;
        let timed = |_| {
            let start = Instant::now();
            run()?;
            Ok(of_run / start.elapsed().as_secs_f64())
        };
        (0..RUNS).map(timed).collect()
    }

    fn runs(&self, [first, most]: [u32; 2], run: impl Fn(u32) -> Result<Timing>) -> Result<Runs> {
        let time = |count| Ok::<_, Error>(self.clock.seconds(&run(count)?));
        let mut count = first;
        time(count)?;
        while time(count)? < LONG_ENOUGH && count < most {
            count = count.saturating_mul(2).min(most);
        }
        let seconds = (0..RUNS).map(|_| time(count)).collect::<Result<Vec<_>>>()?;
        Ok(Runs { count, seconds })
    }
}

/// The largest of some rates.
pub(super) fn best(rates: &[f64]) -> f64 {
    rates.iter().copied().fold(0.0, f64::max)
}

/// A ceiling whose shader did not do what it should is no ceiling.
fn all_are(what: &str, found: &[f32], expected: impl Fn(usize) -> f32) -> Result<()> {
    let wrong = found.iter().enumerate().find(|(number, found)| **found != expected(*number));
    match wrong {
        None => Ok(()),
        Some((number, found)) => {
            let (name, found) = (format!("result of {what}"), format!("{found} at {number}"));
            Err(Error::WrongNumber { name, found, expected: expected(number).to_string() })
        }
    }
}
