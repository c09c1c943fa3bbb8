//! The tuner: which variant of each kernel is the fastest on a device for the work of given shapes, and which computes something wrong.
//!
//! A variant is verified against the reference before it may win ([`verify`]): on a small shape, one kernel at a time, with everything
//! else in its baseline. Then the plans of the shapes are run in all variants; one whose outputs are not the baseline's at full size, where
//! tiles may be larger than at the small one, is as wrong. The others are timed by turns, and for each kind of work ([`TuningKey`](orthoformer::variant::TuningKey)) the one
//! with the lowest median wins, if it is clearly faster than what would run anyway. [`save`] and [`load`] keep that in a file that belongs to one adapter, driver and version of this crate.

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

/// What layers to tune for, and how long to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TuneOptions {
    /// Sequences that are computed together.
    pub batch: u32,
    /// What numbers are stored as.
    pub element: Element,
    /// Timed runs of each variant, one at the least.
    pub rounds: usize,
    /// Look again at what was found wrong before, for these elements. Not for a later part of the same tuning: what is wrong at one shape is not
    /// used at another.
    pub look_again: bool,
}

impl Default for TuneOptions {
    fn default() -> Self {
        Self { batch: 1, element: Element::F32, rounds: 5, look_again: true }
    }
}

/// One kind of work, timed in the variants that suit it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timed {
    /// The kernel's name.
    pub kernel: &'static str,
    /// Its sizes, as `name=count`.
    pub sizes: String,
    /// Median milliseconds of a dispatch in each variant and tile size, the fastest first.
    pub median_ms: Vec<(String, f64)>,
    /// Variants and tile sizes that took over three times as long as the fastest at all work in the first two rounds, and were not timed again;
    /// never what runs without tuning.
    pub given_up: Vec<String>,
    /// What runs without tuning.
    pub untuned: String,
    /// How many times as long that takes as the fastest; no number if it is wrong here, or too short to be timed.
    pub untuned_ratio: f64,
}

/// What the tuner found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Adapter, driver and backend.
    pub adapter: String,
    /// Kinds of work, in the order in which the plans come to them.
    pub work: Vec<Timed>,
    /// Variants that are not used here.
    pub wrong: Vec<Wrong>,
    /// Variants that there was not enough memory for at some shape: not timed there.
    pub too_large: Vec<String>,
}

/// Times the variants and their tile sizes on the layers of these shapes, after verifying them; from now on the engine takes the fastest,
/// and none that is wrong. `step` is told what comes next.
///
/// # Errors
/// Those of planning and running; sizes that make no layer.
pub fn tune(engine: &Engine, shapes: &[BenchShape], options: TuneOptions, step: impl Fn(&str)) -> Result<Report> {
    let mut tuning = engine.tuning();
    step("multiply-add rate");
    tuning.multiply_adds_per_second = Ceilings::multiply_add_rate(engine)?.or(tuning.multiply_adds_per_second);
    if options.look_again {
        tuning.wrong.retain(|trial, _| trial.element != options.element);
    }
    let (mut wrong, mut too_large, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for &shape in shapes {
        let case = Case { element: options.element, ..Case::layer(shape, options.batch) };
        step("verifying");
        let verified = verify(engine, &case)?;
        note(&mut tuning, &mut wrong, verified.wrong);
        step("timing");
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
        let kernel = measured.work.kernel;
        Self {
            kernel: kernel.row().stem,
            sizes: measured.work.sizes.clone(),
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

/// How much faster another variant has to be than what would run anyway: less may be noise.
const CLEAR_WIN: f64 = 1.05;

fn take_the_best(tuning: &mut Tuning, timed: &[(measure::Measured, measure::Medians)]) {
    for (measured, measure::Medians { timed: medians, .. }) in timed {
        let Some(&(fastest, ms)) = medians.iter().min_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
        let untuned = medians.iter().find(|(choice, untuned)| *choice == measured.untuned && *untuned <= CLEAR_WIN * ms);
        tuning.best.insert(measured.work.clone(), untuned.map_or(fastest, |&(choice, _)| choice));
    }
}
