//! What to measure, and measuring it.

use std::ops::ControlFlow;

use orthoformer::Result;
use orthoformer::gpu::{AdapterChoice, Engine, EngineOptions};
use orthoformer::plan::Plan;
use orthoformer::variant::Variant;

use super::cases::Case;
use super::ceilings::Ceilings;
use super::effort::Effort;
use super::measure::Session;
use super::meter;
use super::rows::{BenchAdapter, BenchReport, Row};

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
    /// How often [`Observer::step`] is called in [`measure`].
    pub fn steps(&self) -> usize {
        1 + if self.ceilings { Ceilings::COUNT } else { 0 } + self.rows()
    }

    /// How often [`Observer::rows`] is called in [`measure`].
    pub fn rows(&self) -> usize {
        self.cases.iter().map(|(_, variants)| variants.len()).sum()
    }
}

/// Follows [`measure`], and may stop it.
pub trait Observer {
    /// Called ahead of each step with what it is about. `Break` stops: the report holds what was measured so far.
    fn step(&mut self, next: &str) -> ControlFlow<()>;

    /// Called once, ahead of the first row.
    ///
    /// # Errors
    /// Any error ends the measuring.
    fn adapter(&mut self, adapter: &BenchAdapter, ceilings: &Ceilings) -> Result<()>;

    /// Called for each case and variant with its row, followed by those of its stages. There are none if the variant is an earlier one under another name.
    ///
    /// # Errors
    /// Any error ends the measuring.
    fn rows(&mut self, rows: &[Row]) -> Result<()>;
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
        let goes_on = observer.step("ceilings").is_continue();
        let options = EngineOptions { choice: choice.clone(), matrix_units: true, ..EngineOptions::default() };
        let engine = Engine::new(&options)?;
        let clock = meter::find_clock(&engine)?;
        let ceilings = match request.ceilings && goes_on {
            true => Ceilings::measure(&engine, &clock, || observer.step("ceilings"))?,
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
    let session = Session { engine: &engine, clock: &clock, ceilings: &ceilings, effort: request.effort };
    let (mut rows, mut interrupted) = (Vec::new(), false);
    for (case, variants) in &request.cases {
        if session.measure(case, variants, observer, &mut rows)?.is_break() {
            interrupted = true;
            break;
        }
    }
    Ok(BenchReport { adapter, ceilings, rows, interrupted })
}
