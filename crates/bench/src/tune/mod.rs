//! The tuner: it finds the fastest variant of each kernel on a device for given shapes, and the wrong ones.
//!
//! A variant is first verified against the reference ([`verify`]): on a small shape, one kernel at a time, with everything
//! else in its baseline. Then the plans of the shapes run in all variants. One whose outputs differ from the baseline's at full size, where
//! tiles may be larger, is wrong too. The others are timed interleaved. For each [`TuningKey`](orthoformer::variant::TuningKey) the one
//! with the lowest median wins, if it is clearly faster than the untuned choice. [`save`] and [`load`] keep the result in a file for one
//! adapter, driver and version of this crate.

mod cache;
mod measure;
mod verify;

pub use cache::{default_folder, default_path, is_cache, load, save, save_pipelines};
pub use verify::{Verified, Wrong, verify};

use orthoformer::Result;
use orthoformer::gpu::Engine;
use orthoformer::plan::Element;
use orthoformer::variant::Tuning;
use serde::Serialize;

use crate::{BenchShape, Case, Ceilings};

/// Layers to tune for, and how long to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TuneOptions {
    /// Batch size.
    pub batch: u32,
    /// Storage.
    pub element: Element,
    /// Timed runs of each variant, at least one.
    pub rounds: usize,
    /// Whether variants found wrong earlier, for this storage, are tried again. Not for a later part of the same tuning: a variant that is wrong at
    /// one shape is not used at another.
    pub look_again: bool,
}

impl Default for TuneOptions {
    fn default() -> Self {
        Self { batch: 1, element: Element::F32, rounds: 5, look_again: true }
    }
}

/// Times of a tuning key in all variants that can run it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timed {
    /// The kernel's name.
    pub kernel: &'static str,
    /// Its sizes, as `name=count`.
    pub sizes: String,
    /// Median milliseconds of a dispatch in each variant and tile size, the fastest first.
    pub median_ms: Vec<(String, f64)>,
    /// Variants and tile sizes that took over three times as long as the fastest for all keys in the first two rounds, and were not timed again;
    /// never the untuned choice.
    pub given_up: Vec<String>,
    /// Choice without tuning.
    pub untuned: String,
    /// Its time as a multiple of the fastest one's; NaN if it is wrong here, or too short to be timed.
    pub untuned_ratio: f64,
}

/// Results of the tuner.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Adapter, driver and backend.
    pub adapter: String,
    /// Tuning keys, in order of the plans' dispatches.
    pub work: Vec<Timed>,
    /// Wrong variants, which are not used.
    pub wrong: Vec<Wrong>,
    /// Variants that ran out of memory at some shape, and were not timed there.
    pub too_large: Vec<String>,
}

/// Verifies the variants and times them, in all tile sizes, on the layers of these shapes. From then on the engine chooses the fastest,
/// and no wrong one. `step` is called with the name of each step; an error of its own ends the tuning.
///
/// # Errors
/// Those of planning, running and `step`; sizes that make no layer.
pub fn tune(engine: &Engine, shapes: &[BenchShape], options: TuneOptions, step: impl Fn(&str) -> Result<()>) -> Result<Report> {
    let mut tuning = engine.tuning();
    step("multiply-add rate")?;
    tuning.multiply_adds_per_second = Ceilings::multiply_add_rate(engine)?.or(tuning.multiply_adds_per_second);
    if options.look_again {
        tuning.wrong.retain(|trial, _| trial.element != options.element);
    }
    let (mut wrong, mut too_large, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for &shape in shapes {
        let case = Case { element: options.element, ..Case::layer(shape, options.batch) };
        step("verifying")?;
        let verified = verify(engine, &case)?;
        note(&mut tuning, &mut wrong, verified.wrong);
        step("timing")?;
        engine.set_tuning(tuning.clone());
        let outcome = measure::layer(engine, &case, options.rounds, || step("timing"))?;
        note(&mut tuning, &mut wrong, outcome.wrong);
        take_the_best(&mut tuning, &outcome.timed);
        too_large.extend(outcome.too_large.iter().map(|variant| format!("{variant} at {shape}")));
        all.extend(outcome.timed.into_iter().map(|(measured, medians)| Timed::of(&measured, medians)));
    }
    engine.set_tuning(tuning);
    Ok(Report { adapter: engine.adapter().to_string(), work: all, wrong, too_large })
}

impl Timed {
    fn of(measured: &measure::Measured, medians: measure::Medians) -> Self {
        let measure::Medians { timed: mut medians, given_up } = medians;
        medians.sort_by(|a, b| a.1.total_cmp(&b.1));
        let fastest = medians.first().map_or(f64::NAN, |(_, ms)| *ms);
        let untuned = medians.iter().find(|(choice, _)| *choice == measured.untuned).map_or(f64::NAN, |(_, ms)| *ms);
        let kernel = measured.key.kernel;
        Self {
            kernel: kernel.row().stem,
            sizes: measured.key.sizes.clone(),
            median_ms: medians.into_iter().map(|(choice, ms)| (choice.name(kernel), ms)).collect(),
            given_up: given_up.into_iter().map(|choice| choice.name(kernel)).collect(),
            untuned: measured.untuned.name(kernel),
            untuned_ratio: untuned / fastest,
        }
    }
}

fn note(tuning: &mut Tuning, all: &mut Vec<Wrong>, found: Vec<Wrong>) {
    tuning.wrong.extend(found.iter().map(|wrong| (wrong.trial, wrong.error.clone())));
    all.extend(found);
}

/// Least speed-up over the untuned choice that counts: less may be noise.
const CLEAR_WIN: f64 = 1.05;

fn take_the_best(tuning: &mut Tuning, timed: &[(measure::Measured, measure::Medians)]) {
    for (measured, measure::Medians { timed: medians, .. }) in timed {
        let Some(&(fastest, ms)) = medians.iter().min_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
        let untuned = medians.iter().find(|(choice, untuned)| *choice == measured.untuned && *untuned <= CLEAR_WIN * ms);
        tuning.best.insert(measured.key.clone(), untuned.map_or(fastest, |&(choice, _)| choice));
    }
}
