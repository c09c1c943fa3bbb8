//! Measuring the ceilings.

use std::ops::ControlFlow;

use orthoformer::gpu::Engine;
use orthoformer::{Error, Result};

use super::ceilings::{Ceiling, CeilingKind, Ceilings};
use super::clock::Clock;
use super::meter::{Meter, best};
use super::statistics::Summary;

impl Ceilings {
    /// Measures the multiply-adds of 32-bit floats alone, a second; `None` if that cannot be measured.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub fn multiply_add_rate(engine: &Engine) -> Result<Option<f64>> {
        let clock = super::meter::find_clock(engine)?;
        let ceiling = ceiling("GFLOP/s", Meter { engine, clock: &clock }.multiply_add("f32", &[1, 2, 4]))?;
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
        let mut all = Self::skipped();
        for (kind, _, unit) in CeilingKind::ALL {
            let found = match missing(engine, kind) {
                Some(why) => unsupported(unit, why),
                None => ceiling(unit, meter.rates(kind))?,
            };
            all.0.insert(kind, found);
            if done().is_break() {
                break;
            }
        }
        Ok(all)
    }
}

/// What the device lacks for a ceiling.
fn missing(engine: &Engine, kind: CeilingKind) -> Option<&str> {
    let tiers = &engine.adapter().tiers;
    match kind {
        CeilingKind::MultiplyAddF16 | CeilingKind::MultiplyAddF16Packed => (!tiers.f16.on).then_some(&tiers.f16.detail),
        CeilingKind::CooperativeMatrix => engine.matrix_units().is_empty().then_some(&tiers.cooperative_matrix.detail),
        CeilingKind::SubgroupAdd => (!tiers.subgroups.on).then_some(&tiers.subgroups.detail),
        _ => None,
    }
}

impl Meter<'_> {
    /// Rates or times of a kind, run by run.
    fn rates(&self, kind: CeilingKind) -> Result<Vec<f64>> {
        match kind {
            CeilingKind::MultiplyAddF32 => self.multiply_add("f32", &[1, 2, 4]),
            CeilingKind::MultiplyAddF16 => self.multiply_add("f16", &[1]),
            CeilingKind::MultiplyAddF16Packed => self.multiply_add("f16", &[2, 4]),
            CeilingKind::MultiplyAddI32 => self.multiply_add("i32", &[1, 2, 4]),
            CeilingKind::CooperativeMatrix => self.cooperative_matrix(self.engine.matrix_units()),
            CeilingKind::MemoryReadScalar => self.memory_read(1),
            CeilingKind::MemoryReadVec2 => self.memory_read(2),
            CeilingKind::MemoryRead => self.memory_read(4),
            CeilingKind::MemoryWrite => self.memory_write(),
            CeilingKind::MemoryCopy => self.memory_copy(),
            CeilingKind::GlobalAtomic => self.global_atomic(),
            CeilingKind::WorkgroupLoad => self.workgroup_load(),
            CeilingKind::WorkgroupAtomic => self.workgroup_atomic(),
            CeilingKind::WorkgroupBarrier => self.workgroup_barrier(),
            CeilingKind::SubgroupAdd => self.subgroup_add(),
            CeilingKind::Upload => self.upload(),
            CeilingKind::Download => self.download(),
            CeilingKind::EmptyDispatch => self.empty_dispatch(),
            CeilingKind::EmptySubmission => self.empty_submission(),
            CeilingKind::KernelLaunch => self.kernel_launch(),
        }
    }
}

/// A rate is as high as it can be; a time is what it usually is.
fn ceiling(unit: &str, measured: Result<Vec<f64>>) -> Result<Ceiling> {
    match measured {
        Ok(samples) => {
            let value = if unit == "us" { Summary::of(&samples).map(|summary| summary.median) } else { Some(best(&samples)) };
            Ok(Ceiling { value, unit: unit.to_owned(), samples, status: "ok".to_owned() })
        }
        Err(error @ Error::DeviceLost { .. }) => Err(error),
        Err(error @ Error::WrongNumber { .. }) => {
            Ok(Ceiling { value: None, unit: unit.to_owned(), samples: Vec::new(), status: format!("wrong: {error}") })
        }
        Err(error) => Ok(unsupported(unit, &error.to_string())),
    }
}

fn unsupported(unit: &str, why: &str) -> Ceiling {
    Ceiling { value: None, unit: unit.to_owned(), samples: Vec::new(), status: format!("unsupported: {why}") }
}
