//! Measuring the ceilings.

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

    /// Measures all of them. `engine` should have been opened with everything that the adapter has; `done` is called after each.
    ///
    /// # Errors
    /// [`Error::DeviceLost`]. Whatever else goes wrong is the status of the ceiling concerned.
    pub fn measure(engine: &Engine, clock: &Clock, done: impl Fn()) -> Result<Self> {
        let meter = Meter { engine, clock };
        let noted = |unit: &str, measured: Result<f64>| {
            done();
            noted(unit, measured)
        };
        let unsupported = |unit: &str, why: &str| {
            done();
            unsupported(unit, why)
        };
        Ok(Self {
            multiply_add_f32: noted("GFLOP/s", meter.multiply_add("f32"))?,
            multiply_add_f16: match engine.adapter().tiers.f16.on {
                true => noted("GFLOP/s", meter.multiply_add("f16"))?,
                false => unsupported("GFLOP/s", &engine.adapter().tiers.f16.detail),
            },
            cooperative_matrix: match engine.matrix_units() {
                [] => unsupported("GFLOP/s", &engine.adapter().tiers.cooperative_matrix.detail),
                units => noted("GFLOP/s", meter.cooperative_matrix(units))?,
            },
            memory_read: noted("GB/s", meter.memory_read())?,
            memory_write: noted("GB/s", meter.memory_write())?,
            memory_copy: noted("GB/s", meter.memory_copy())?,
            workgroup_load: noted("GB/s", meter.workgroup_load())?,
            empty_dispatch: noted("us", meter.empty_dispatch())?,
            empty_submission: noted("us", meter.empty_submission())?,
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
