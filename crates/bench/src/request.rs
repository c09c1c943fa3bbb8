//! What to measure, and measuring it.

use std::ops::ControlFlow;
use std::time::Duration;

use orthoformer::Result;
use orthoformer::gpu::{AdapterChoice, Engine, EngineOptions};
use orthoformer::plan::Plan;
use orthoformer::variant::Variant;

use super::cases::Case;
use super::ceilings::Ceilings;
use super::effort::Effort;
use super::measure::{Measured, measured};
use super::meter;
use super::rows::{BenchAdapter, BenchReport, Row};
use super::runner::GpuRunner;

/// What to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The cases, in the order of the report, and in which variants; `None` is what the engine chooses, dispatch by dispatch.
    pub cases: Vec<(Case, Vec<Option<Variant>>)>,
    /// Whether to measure the ceilings first; nothing is held against them otherwise.
    pub ceilings: bool,
    /// How long.
    pub effort: Effort,
}

impl Request {
    /// How often [`Observer::checked`] is called in [`measure`].
    pub fn rows(&self) -> usize {
        self.cases.iter().map(|(_, variants)| variants.len()).sum()
    }
}

/// How far the measuring is: ceilings, then checks, then rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress<'p> {
    /// What comes next.
    pub next: &'p str,
    /// How much of the ceilings, the checks or the rounds is done, from 0 to 1.
    pub part: f64,
    /// How long the rounds take from here on; before them nobody knows.
    pub left: Option<Duration>,
}

/// Follows [`measure`], and may stop it.
pub trait Observer {
    /// Called ahead of each step with what it is about. `Break` stops: the report holds what was measured so far.
    fn step(&mut self, progress: Progress<'_>) -> ControlFlow<()>;

    /// Called once, ahead of the first row.
    ///
    /// # Errors
    /// Any error ends the measuring.
    fn adapter(&mut self, adapter: &BenchAdapter, ceilings: &Ceilings) -> Result<()>;

    /// Called for each case and variant once it is checked, with the row of its first run.
    ///
    /// # Errors
    /// Any error ends the measuring.
    fn checked(&mut self, row: &Row) -> Result<()>;
}

/// Measures an adapter. `adopt` may give the engine what was tuned for it.
///
/// # Errors
/// Those of [`Engine::new`] and of the observer, and [`orthoformer::Error::DeviceLost`]. Whatever else goes wrong is said in the row concerned.
pub fn measure(
    choice: &AdapterChoice,
    request: &Request,
    adopt: impl Fn(&Engine),
    observer: &mut dyn Observer,
) -> Result<BenchReport> {
    let (clock, ceilings) = {
        let step = |observer: &mut dyn Observer, done: usize| {
            let part = done as f64 / Ceilings::COUNT as f64;
            observer.step(Progress { next: "ceilings", part, left: None })
        };
        let goes_on = step(observer, 0).is_continue();
        let options = EngineOptions { choice: choice.clone(), matrix_units: true, ..EngineOptions::default() };
        let engine = Engine::new(&options)?;
        let clock = meter::find_clock(&engine)?;
        let mut done = 0;
        let ceilings = match request.ceilings && goes_on {
            true => Ceilings::measure(&engine, &clock, || {
                done += 1;
                step(observer, done)
            })?,
            false => Ceilings::skipped(),
        };
        (clock, ceilings)
    };
    let plans: Vec<Plan> = request.cases.iter().filter_map(|(case, _)| case.plan().ok()).collect();
    let engine = Engine::new(&EngineOptions::for_plans(choice.clone(), &plans))?;
    drop(plans);
    adopt(&engine);
    let adapter = BenchAdapter::of(&engine, clock.clone());
    observer.adapter(&adapter, &ceilings)?;
    let runner = GpuRunner { engine: &engine, clock: &clock };
    let Measured { rows, calibrations, rounds, interrupted } = measured(&runner, request, &ceilings, observer)?;
    Ok(BenchReport { rounds, calibrations, interrupted, ..BenchReport::of(adapter, ceilings, rows) })
}
