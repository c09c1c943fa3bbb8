//! Measuring several ways to do something side by side: operations, bytes, time and device memory.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use orthoformer::compare::{Tolerance, compare};
use orthoformer::gpu::{AdapterChoice, Engine, EngineOptions, RunOptions};
use orthoformer::plan::Plan;
use orthoformer::reference::{self, Route};
use orthoformer::{Result, Tensors};
use serde::Serialize;

use super::cases::inputs;
use super::choices::{Choice, ChoiceSize};
use super::effort::Effort;
use super::made::Made;
use super::measure::sets;
use super::meter;
use super::request::Progress;
use super::rounds::{Contender, Rounds};
use super::rows::BenchAdapter;
use super::runner::{GpuRunner, Runner as _, input_bytes};
use super::statistics::Summary;
use super::timed::{bytes_of, nanoseconds};

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
    /// Each of them, milliseconds.
    pub samples_ms: Vec<f64>,
    /// `ok`, or `wrong: ` and why it was not timed.
    pub status: String,
}

/// Several subjects on one adapter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SideBySide {
    /// When, where and by which command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// What they were measured on.
    pub adapter: BenchAdapter,
    /// Rounds that were completed.
    pub rounds: usize,
    /// As a [`super::BenchReport`] has them.
    pub calibrations: BTreeMap<String, Vec<f64>>,
    /// In the order of the subjects.
    pub rows: Vec<SideRow>,
    /// Whether measuring was stopped before the last subject.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}

/// Follows [`side_by_side`], and may stop it.
pub trait SideObserver {
    /// Called ahead of each step with what it is about. `Break` stops: the report holds what was measured so far.
    fn step(&mut self, progress: Progress<'_>) -> ControlFlow<()>;

    /// Called for each subject once it is checked, with the row of its first run.
    ///
    /// # Errors
    /// Any error ends the measuring.
    fn checked(&mut self, row: &SideRow) -> Result<()>;
}

/// Measures subjects in rounds, each checked against the reference before it is timed. `adopt` may give the engine what was tuned for it.
///
/// # Errors
/// Those of [`Engine::new`] and of the observer, and what the device reports.
pub fn side_by_side(
    choice: &AdapterChoice,
    subjects: &[Subject],
    effort: Effort,
    adopt: impl Fn(&Engine),
    observer: &mut dyn SideObserver,
) -> Result<SideBySide> {
    let all = || subjects.iter().flat_map(|subject| subject.plans.iter().chain(&subject.reduced));
    let engine = Engine::new(&EngineOptions::for_plans(choice.clone(), all()))?;
    adopt(&engine);
    let clock = meter::find_clock(&engine)?;
    let runner = GpuRunner { engine: &engine, clock: &clock };
    let sets = sets(subjects.iter().flat_map(|subject| &subject.plans).map(input_bytes).sum());
    let (mut rounds, mut rows, mut interrupted) = (Rounds::new(effort, runner.calibrators()?), Vec::new(), false);
    for (number, subject) in subjects.iter().enumerate() {
        let (next, part) = (format!("checking {}", subject.name), number as f64 / subjects.len() as f64);
        interrupted = observer.step(Progress { next: &next, part, left: None }).is_break();
        if interrupted {
            break;
        }
        let mut row = SideRow::of(subject);
        match wrong(&runner, subject)? {
            Some(why) => row.status = format!("wrong: {why}"),
            None => {
                let runner = &runner;
                let ready = move |plan| runner.ready(plan, &inputs(plan, SEED)?, None, sets);
                rounds.add(Box::new(move || subject.plans.iter().map(ready).collect()), false)?;
                row.time(rounds.contenders.last());
            }
        }
        observer.checked(&row)?;
        rows.push(row);
    }
    interrupted = interrupted || rounds.run(|progress| observer.step(progress))?.is_break();
    let mut contenders = rounds.contenders.iter();
    rows.iter_mut().filter(|row| row.status == "ok").for_each(|row| row.time(contenders.next()));
    let Rounds { calibrations, done, .. } = rounds;
    let adapter = BenchAdapter::of(&engine, clock.clone());
    Ok(SideBySide { made: None, adapter, rounds: done, calibrations, rows, interrupted })
}

impl SideRow {
    /// What is known before anything runs.
    fn of(subject: &Subject) -> Self {
        let dispatches = || subject.plans.iter().flat_map(Plan::dispatches);
        Self {
            name: subject.name.clone(),
            multiply_adds: dispatches().map(|dispatch| dispatch.multiply_adds).sum(),
            bytes: dispatches().map(bytes_of).sum(),
            device_bytes: subject.plans.iter().map(Plan::peak_bytes).max().unwrap_or(0),
            median_ms: None,
            iqr_ms: None,
            runs: 0,
            samples_ms: Vec::new(),
            status: "ok".to_owned(),
        }
    }

    /// Fills in the times.
    fn time(&mut self, contender: Option<&Contender<'_>>) {
        let Some(contender) = contender else { return };
        let seconds: Vec<f64> = contender.known().iter().map(|sample| sample.seconds).collect();
        if let Some(Summary { median, iqr }) = Summary::of(&seconds) {
            (self.median_ms, self.iqr_ms, self.runs) = (Some(nanoseconds(median)), Some(nanoseconds(iqr)), seconds.len());
        }
        self.samples_ms = seconds.into_iter().map(nanoseconds).collect();
        if let Some(why) = &contender.failure {
            self.status = format!("unsupported: {why}");
        }
    }
}

/// What is wrong with a subject: its reduced plans against the reference, and elements that are not finite at full size.
fn wrong(runner: &GpuRunner<'_>, subject: &Subject) -> Result<Option<String>> {
    for plan in &subject.reduced {
        if let Some(why) = difference(runner.engine, plan)? {
            return Ok(Some(why));
        }
    }
    for plan in &subject.plans {
        let outputs = runner.engine.run(plan, &inputs(plan, SEED)?, RunOptions::default())?.outputs;
        if let Some(why) = not_finite(&outputs) {
            return Ok(Some(why));
        }
    }
    Ok(None)
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
