//! Measuring several ways to do something side by side: operations, bytes, time and device memory.

use std::ops::ControlFlow;

use orthoformer::compare::{Tolerance, compare};
use orthoformer::gpu::{AdapterChoice, Engine, EngineOptions, RunOptions};
use orthoformer::plan::Plan;
use orthoformer::reference::{self, Route};
use orthoformer::{Result, Tensors};
use serde::Serialize;

use super::cases::inputs;
use super::ceilings::Ceilings;
use super::choices::{Choice, ChoiceSize};
use super::effort::Effort;
use super::measure::Session;
use super::meter;
use super::rows::BenchAdapter;
use super::statistics::Summary;
use super::timed::bytes_of;

const SEED: u64 = 3;

/// Something to measure.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What it is.
    pub name: String,
    /// Plans that run one after the other.
    pub plans: Vec<Plan>,
    /// The same, small enough for the reference, which it is checked against first; none where it is checked elsewhere.
    pub reduced: Vec<Plan>,
}

impl Subject {
    /// A way to attend at this size.
    ///
    /// # Errors
    /// Those of [`Choice::plans`].
    pub fn attention(choice: Choice, size: ChoiceSize) -> Result<Self> {
        let name = format!("{} ({})", choice.name(size), choice.network());
        Ok(Self { name, plans: choice.plans(size)?, reduced: choice.plans(ChoiceSize::REDUCED)? })
    }
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SideRow {
    /// What was measured.
    pub name: String,
    /// Multiplications with their additions.
    pub multiply_adds: u64,
    /// Bytes that dispatches read and write, each counted once a dispatch.
    pub bytes: u64,
    /// Most bytes on the device at a time.
    pub device_bytes: u64,
    /// Median, milliseconds.
    pub median_ms: Option<f64>,
    /// From the first quartile to the third, milliseconds.
    pub iqr_ms: Option<f64>,
    /// Runs that were timed.
    pub runs: usize,
    /// `ok`, or `wrong: ` and why it was not timed.
    pub status: String,
}

/// Several subjects on one adapter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SideBySide {
    /// What they were measured on.
    pub adapter: BenchAdapter,
    /// In the order of the subjects.
    pub rows: Vec<SideRow>,
    /// Whether measuring was stopped before the last subject.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}

/// Measures subjects, each checked against the reference before it is timed. `adopt` may give the engine what was tuned for it. `step` is told what comes next:
/// if it breaks, the report holds what was measured so far. `done` is told each row.
///
/// # Errors
/// Those of [`Engine::new`] and of `done`, and what the device reports.
pub fn side_by_side(
    choice: &AdapterChoice,
    subjects: &[Subject],
    effort: Effort,
    adopt: impl Fn(&Engine),
    mut step: impl FnMut(&str) -> ControlFlow<()>,
    mut done: impl FnMut(&SideRow) -> Result<()>,
) -> Result<SideBySide> {
    let all = || subjects.iter().flat_map(|subject| subject.plans.iter().chain(&subject.reduced));
    let engine = Engine::new(&EngineOptions::for_plans(choice.clone(), all()))?;
    adopt(&engine);
    let clock = meter::find_clock(&engine)?;
    let ceilings = Ceilings::skipped();
    let session = Session { engine: &engine, clock: &clock, ceilings: &ceilings, effort };
    let (mut rows, mut interrupted) = (Vec::new(), false);
    for subject in subjects {
        if step(&subject.name).is_break() {
            interrupted = true;
            break;
        }
        let row = measure(&session, subject)?;
        done(&row)?;
        rows.push(row);
    }
    Ok(SideBySide { adapter: BenchAdapter::of(&engine, clock), rows, interrupted })
}

fn measure(session: &Session<'_>, subject: &Subject) -> Result<SideRow> {
    let dispatches = || subject.plans.iter().flat_map(Plan::dispatches);
    let mut row = SideRow {
        name: subject.name.clone(),
        multiply_adds: dispatches().map(|dispatch| dispatch.multiply_adds).sum(),
        bytes: dispatches().map(bytes_of).sum(),
        device_bytes: subject.plans.iter().map(Plan::peak_bytes).max().unwrap_or(0),
        median_ms: None,
        iqr_ms: None,
        runs: 0,
        status: "ok".to_owned(),
    };
    for plan in &subject.reduced {
        if let Some(why) = difference(session.engine, plan)? {
            row.status = format!("wrong: {why}");
            return Ok(row);
        }
    }
    // Plans take turns in no run: times of a run of each are added up, in the order in which they came.
    let mut seconds: Vec<f64> = Vec::new();
    for (number, plan) in subject.plans.iter().enumerate() {
        let mut prepared = session.engine.prepare(plan, RunOptions::default())?;
        prepared.upload(&inputs(plan, SEED)?)?;
        if let Some(why) = not_finite(&prepared.run()?) {
            row.status = format!("wrong: {why}");
            return Ok(row);
        }
        let timed = session.time(plan, &mut prepared)?.whole;
        match number {
            0 => seconds = timed,
            _ => {
                seconds.truncate(timed.len());
                seconds.iter_mut().zip(timed).for_each(|(sum, more)| *sum += more);
            }
        }
    }
    if let Some(Summary { median, iqr }) = Summary::of(&seconds) {
        (row.median_ms, row.iqr_ms, row.runs) = (Some(1e3 * median), Some(1e3 * iqr), seconds.len());
    }
    Ok(row)
}

/// Where the adapter and the reference part, if they do.
fn difference(engine: &Engine, plan: &Plan) -> Result<Option<String>> {
    let inputs = inputs(plan, SEED)?;
    let found = engine.run(plan, &inputs, RunOptions { poison: true, ..RunOptions::default() })?.outputs;
    let expected = reference::run(plan, &inputs, Route::Direct)?;
    Ok(expected.iter().find_map(|(name, expected)| {
        let found = found.get(name)?;
        compare(found, expected, Tolerance::LAYER).complaint().map(|why| format!("{name}: {why}"))
    }))
}

fn not_finite(outputs: &Tensors) -> Option<String> {
    let wrong = |(name, tensor): (&String, &orthoformer::tensor::Tensor)| {
        tensor.data().iter().find(|number| !number.is_finite()).map(|number| format!("{name} has {number} in it"))
    };
    outputs.iter().find_map(wrong)
}

/// Subjects for all attentions.
///
/// # Errors
/// Those of [`Choice::plans`].
pub fn attentions(size: ChoiceSize) -> Result<Vec<Subject>> {
    Choice::ALL.into_iter().map(|choice| Subject::attention(choice, size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_attentions_are_planned_at_both_sizes() {
        for subject in attentions(ChoiceSize::BASE).expect("plans") {
            assert!(!subject.plans.is_empty() && subject.plans.len() == subject.reduced.len(), "{}", subject.name);
        }
        assert!(attentions(ChoiceSize { grid: [8, 0, 14], ..ChoiceSize::BASE }).is_err());
        assert!(attentions(ChoiceSize { heads: 0, ..ChoiceSize::BASE }).is_err());
    }
}
