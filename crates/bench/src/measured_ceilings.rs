//! Measuring the ceilings.

use std::ops::ControlFlow;

use orthoformer::gpu::Engine;
use orthoformer::{Error, Result};

use super::ceilings::{Ceiling, Ceilings};
use super::clock::Clock;
use super::meter::Meter;

impl Ceilings {
    /// Measures the multiply-adds of 32-bit floats alone, a second; `None` if that cannot be measured.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub fn multiply_add_rate(engine: &Engine) -> Result<Option<f64>> {
        let clock = super::meter::find_clock(engine)?;
        let ceiling = noted("GFLOP/s", Meter { engine, clock: &clock }.multiply_add("f32"))?;
        // Whole numbers go through JSON unchanged.
        Ok(ceiling.value.map(|gflops| (gflops * 1e9 / 2.0).round()))
    }

    /// Measures all of them. `engine` should have been opened with everything that the adapter has; `done` is called after each, and the
    /// others are skipped if it breaks.
    ///
    /// # Errors
    /// [`Error::DeviceLost`]. Whatever else goes wrong is the status of the ceiling concerned.
    pub fn measure(engine: &Engine, clock: &Clock, mut done: impl FnMut() -> ControlFlow<()>) -> Result<Self> {
        let meter = Meter { engine, clock };
        let tiers = &engine.adapter().tiers;
        let mut stopped = false;
        let mut one = |unit: &str, measure: &dyn Fn(&str) -> Result<Ceiling>| {
            if stopped {
                return Ok(Ceiling::skipped(unit));
            }
            let found = measure(unit)?;
            stopped = done().is_break();
            Ok::<_, Error>(found)
        };
        Ok(Self {
            multiply_add_f32: one("GFLOP/s", &|unit| noted(unit, meter.multiply_add("f32")))?,
            multiply_add_f16: one("GFLOP/s", &|unit| match tiers.f16.on {
                true => noted(unit, meter.multiply_add("f16")),
                false => Ok(unsupported(unit, &tiers.f16.detail)),
            })?,
            cooperative_matrix: one("GFLOP/s", &|unit| match engine.matrix_units() {
                [] => Ok(unsupported(unit, &tiers.cooperative_matrix.detail)),
                units => noted(unit, meter.cooperative_matrix(units)),
            })?,
            memory_read: one("GB/s", &|unit| noted(unit, meter.memory_read()))?,
            memory_write: one("GB/s", &|unit| noted(unit, meter.memory_write()))?,
            memory_copy: one("GB/s", &|unit| noted(unit, meter.memory_copy()))?,
            workgroup_load: one("GB/s", &|unit| noted(unit, meter.workgroup_load()))?,
            empty_dispatch: one("us", &|unit| noted(unit, meter.empty_dispatch()))?,
            empty_submission: one("us", &|unit| noted(unit, meter.empty_submission()))?,
        })
    }
}

fn noted(unit: &str, measured: Result<f64>) -> Result<Ceiling> {
    let unit = unit.to_owned();
    match measured {
        Ok(value) => Ok(Ceiling { value: Some(value), unit, status: "ok".to_owned() }),
        Err(error @ Error::DeviceLost { .. }) => Err(error),
        Err(error @ Error::WrongNumber { .. }) => Ok(Ceiling { value: None, unit, status: format!("wrong: {error}") }),
        Err(error) => Ok(unsupported(&unit, &error.to_string())),
    }
}

fn unsupported(unit: &str, why: &str) -> Ceiling {
    Ceiling { value: None, unit: unit.to_owned(), status: format!("unsupported: {why}") }
}
