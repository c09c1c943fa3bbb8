//! What an adapter can do at the most: each ceiling by a small shader that does nothing else, and whose result is checked.

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::meter::Meter;
use crate::error::{Error, Result};
use crate::gpu::Engine;

/// A measured ceiling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// The best of some runs; `None` if there is none.
    pub value: Option<f64>,
    /// `GFLOP/s` (two operations a multiply-add), `GB/s` or `us`.
    pub unit: String,
    /// `ok`, `unsupported: why`, `wrong: error` or `skipped`.
    pub status: String,
}

/// The ceilings of an adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// Multiply-adds of 32-bit floats.
    pub multiply_add_f32: Ceiling,
    /// Multiply-adds of 16-bit floats.
    pub multiply_add_f16: Ceiling,
    /// Multiply-adds by matrix units.
    pub cooperative_matrix: Ceiling,
    /// Global memory read.
    pub memory_read: Ceiling,
    /// Global memory written.
    pub memory_write: Ceiling,
    /// Global memory copied: read and written bytes together.
    pub memory_copy: Ceiling,
    /// Workgroup memory read.
    pub workgroup_load: Ceiling,
    /// A dispatch that does nothing, among others.
    pub empty_dispatch: Ceiling,
    /// Submitting nothing and waiting for it, on the host's clock.
    pub empty_submission: Ceiling,
}

impl Ceilings {
    /// Where nobody wants to know.
    pub fn skipped() -> Self {
        let none = |unit: &str| Ceiling { value: None, unit: unit.to_owned(), status: "skipped".to_owned() };
        Self {
            multiply_add_f32: none("GFLOP/s"),
            multiply_add_f16: none("GFLOP/s"),
            cooperative_matrix: none("GFLOP/s"),
            memory_read: none("GB/s"),
            memory_write: none("GB/s"),
            memory_copy: none("GB/s"),
            workgroup_load: none("GB/s"),
            empty_dispatch: none("us"),
            empty_submission: none("us"),
        }
    }

    /// How many there are.
    pub const COUNT: usize = 9;

    /// Names and values in the order of tables.
    pub fn named(&self) -> [(&'static str, &Ceiling); Self::COUNT] {
        [
            ("multiply-add f32", &self.multiply_add_f32),
            ("multiply-add f16", &self.multiply_add_f16),
            ("cooperative matrix", &self.cooperative_matrix),
            ("memory read", &self.memory_read),
            ("memory write", &self.memory_write),
            ("memory copy", &self.memory_copy),
            ("workgroup load", &self.workgroup_load),
            ("empty dispatch", &self.empty_dispatch),
            ("empty submission", &self.empty_submission),
        ]
    }

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
