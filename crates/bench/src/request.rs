//! What to measure, and measuring it.

use orthoformer::Result;
use orthoformer::gpu::{AdapterChoice, Engine, EngineOptions};
use orthoformer::plan::Plan;
use orthoformer::variant::Variant;

use super::cases::Case;
use super::ceilings::Ceilings;
use super::effort::Effort;
use super::measure::Session;
use super::meter;
use super::rows::{BenchAdapter, BenchReport};

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
    /// How often `step` is called in [`measure`].
    pub fn steps(&self) -> usize {
        1 + if self.ceilings { Ceilings::COUNT } else { 0 } + self.cases.iter().map(|(_, variants)| variants.len()).sum::<usize>()
    }
}

/// Measures an adapter. `adopt` may give the engine what was tuned for it; `step` is told what comes next, whenever something is done.
///
/// # Errors
/// Those of [`Engine::new`], and [`orthoformer::Error::DeviceLost`]. Whatever else goes wrong is said in the row concerned.
pub fn measure(choice: &AdapterChoice, request: &Request, adopt: impl Fn(&Engine), step: impl Fn(&str)) -> Result<BenchReport> {
    step("ceilings");
    let (clock, ceilings) = {
        let options = EngineOptions { choice: choice.clone(), matrix_units: true, ..EngineOptions::default() };
        let engine = Engine::new(&options)?;
        let clock = meter::find_clock(&engine)?;
        let ceilings = match request.ceilings {
            true => Ceilings::measure(&engine, &clock, || step("ceilings"))?,
            false => Ceilings::skipped(),
        };
        (clock, ceilings)
    };
    let plans: Vec<Plan> = request.cases.iter().filter_map(|(case, _)| case.plan().ok()).collect();
    let engine = Engine::new(&EngineOptions::for_plans(choice.clone(), &plans))?;
    drop(plans);
    adopt(&engine);
    let session = Session { engine: &engine, clock: &clock, ceilings: &ceilings, effort: request.effort };
    let mut rows = Vec::new();
    for (case, variants) in &request.cases {
        let name = format!("{} {}", case.operation.name(), case.shape);
        rows.extend(session.measure(case, variants, || step(&name))?);
    }
    Ok(BenchReport { adapter: BenchAdapter::of(&engine, clock), ceilings, rows })
}
