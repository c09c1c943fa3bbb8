//! How fast the machine is, round by round: fixed work that no change of a kernel touches.
//!
//! Other work slows long runs, traffic with memory, runs that start often, and the host each in its own way, so that there is one of each.

use std::hint::black_box;
use std::time::Instant;

use orthoformer::Result;
use orthoformer::gpu::Engine;

use super::clock::Clock;
use super::meter::Meter;

/// Multiplications of a run on the host: some ten milliseconds.
const HOST_STEPS: u32 = 8_000_000;

/// The name of the one that is measured on the host, whatever the adapter.
pub(super) const HOST: &str = "host";

/// Fixed work.
pub(super) struct Calibrator<'r> {
    /// What it is, as reports have it.
    pub name: &'static str,
    /// Runs it once: how much of it is done a second.
    pub rate: Box<dyn Fn() -> Result<f64> + 'r>,
}

/// Calibrators of an adapter: multiply-adds, a copy larger than caches, short dispatches one after the other, and the host.
pub(super) fn of_adapter<'e>(engine: &'e Engine, clock: &'e Clock) -> Result<Vec<Calibrator<'e>>> {
    let meter = Meter { engine, clock };
    let [multiply_adds, copies, dispatches] = [meter.steady_multiply_adds()?, meter.steady_copies()?, meter.short_dispatches()?];
    Ok(vec![
        Calibrator { name: "multiply_add", rate: multiply_adds },
        Calibrator { name: "memory_copy", rate: copies },
        Calibrator { name: "short_dispatches", rate: dispatches },
        of_host(),
    ])
}

/// One thread of the host, busy with multiplications that wait for each other.
pub(super) fn of_host() -> Calibrator<'static> {
    let rate = || {
        let start = Instant::now();
        let product = (0..HOST_STEPS).fold(1u64, |product, step| black_box(product.wrapping_mul(u64::from(step) | 1)));
        black_box(product);
        Ok(f64::from(HOST_STEPS) / start.elapsed().as_secs_f64())
    };
    Calibrator { name: HOST, rate: Box::new(rate) }
}
