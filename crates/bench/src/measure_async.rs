//! The benchmark where nothing may block: in browsers, and in programs with an executor of their own.

use orthoformer::gpu::{Engine, Granularity, Prepared, RunOptions, Timing};
use orthoformer::plan::Plan;
use orthoformer::variant::Variant;
use orthoformer::{Error, Result, Tensors};
use web_time::Instant;

use super::cases::{Case, Checked, inputs};
use super::ceilings::Ceilings;
use super::chosen::chosen;
use super::clock::Clock;
use super::effort::{Effort, FEWEST_RUNS};
use super::gate::{check_large_async, check_reduced_async};
use super::rows::{BenchAdapter, BenchReport, Row};
use super::statistics::Summary;
use super::timed::{Timed, empty_row};

const SEED: u64 = 2;
/// Seconds of work that tells whether timestamps can be believed: next to that a submission costs little.
const LONG_ENOUGH: f64 = 0.02;

/// Measures cases as the engine runs them. Wrong ones are not timed, as in `measure`; there are no ceilings, and inputs stay where they are.
/// `step` is told what comes next.
///
/// # Errors
/// [`Error::DeviceLost`]. Whatever else goes wrong is said in the row concerned.
pub async fn measure_async(engine: &Engine, cases: &[Case], effort: Effort, step: impl Fn(&str)) -> Result<BenchReport> {
    let mut measured = Vec::new();
    for case in cases {
        step(&format!("{} {} {}", case.operation.name(), case.shape, case.approximation_name()));
        let outcome = match case.plan() {
            Ok(plan) => measure_case(engine, case, &plan, effort).await.map(|outcome| (Some(plan), outcome)),
            Err(error) => Err(error),
        };
        measured.push(match outcome {
            Ok((plan, outcome)) => (case, plan, outcome),
            Err(error @ Error::DeviceLost { .. }) => return Err(error),
            Err(error) => (case, None, Outcome::Not(format!("unsupported: {error}"), None)),
        });
    }
    let timings = |outcome: &Outcome| match outcome {
        Outcome::Timings { whole, .. } => whole.clone(),
        Outcome::Not(..) => Vec::new(),
    };
    let clock = clock_of(engine, measured.iter().map(|(.., outcome)| timings(outcome)));
    let rows =
        measured.into_iter().flat_map(|(case, plan, outcome)| rows(engine, case, plan.as_ref(), outcome, &clock, effort));
    let rows = rows.collect();
    Ok(BenchReport::of(BenchAdapter::of(engine, clock), Ceilings::skipped(), rows))
}

/// What became of a case.
enum Outcome {
    /// Why it was not timed, and its error.
    Not(String, Option<f64>),
    /// Times of runs, and of runs with their dispatches apart; the largest error of what is right.
    Timings { whole: Vec<Timing>, apart: Vec<Timing>, device_bytes: u64, error: f64 },
}

async fn measure_case(engine: &Engine, case: &Case, plan: &Plan, effort: Effort) -> Result<Outcome> {
    let run = async |plan: &Plan, inputs: &Tensors, variant| {
        let options = RunOptions { poison: true, variant, ..RunOptions::default() };
        Ok::<_, Error>(engine.run_async(plan, inputs, options).await?.outputs)
    };
    let wrong = |why: String, error| Ok(Outcome::Not(format!("wrong: {why}"), Some(error)));
    let reduced = check_reduced_async(case, async |plan: &Plan, inputs: &Tensors| run(plan, inputs, None).await).await?;
    if let Some(why) = reduced.why {
        return wrong(why, reduced.error);
    }
    let inputs = inputs(plan, SEED)?;
    let found = run(plan, &inputs, None).await?;
    let baseline = run(plan, &inputs, Some(Variant::Baseline)).await?;
    let along = async |plan: &Plan| run(plan, &inputs, Some(Variant::Baseline)).await;
    let Checked { error, why } = reduced.and(check_large_async(case, &found, &baseline, along).await?);
    if let Some(why) = why {
        return wrong(why, error);
    }
    let mut prepared = engine.prepare_async(plan, RunOptions::default()).await?;
    prepared.upload_async(&inputs).await?;
    let whole = timings(&prepared, Granularity::Whole, effort).await?;
    let has_stages = effort.stages && engine.has_timestamps() && prepared.dispatches() > 1;
    let apart = if has_stages { timings(&prepared, Granularity::Dispatches, effort).await? } else { Vec::new() };
    Ok(Outcome::Timings { whole, apart, device_bytes: prepared.device_bytes(), error })
}

/// Times as many runs as the effort allows. The first is none of them.
async fn timings(prepared: &Prepared<'_>, granularity: Granularity, effort: Effort) -> Result<Vec<Timing>> {
    prepared.time_async(granularity, 0).await?;
    let (start, mut all) = (Instant::now(), Vec::new());
    while all.len() < FEWEST_RUNS.min(effort.runs) || (all.len() < effort.runs && start.elapsed().as_secs_f64() < effort.seconds)
    {
        all.push(prepared.time_async(granularity, 0).await?);
    }
    Ok(all)
}

/// The clock to believe, by the case that took longest.
fn clock_of(engine: &Engine, timings: impl Iterator<Item = Vec<Timing>>) -> Clock {
    let median = |timings: &Vec<Timing>| {
        let walls: Vec<f64> = timings.iter().map(|timing| timing.wall.as_secs_f64()).collect();
        Summary::of(&walls).map_or(0.0, |summary| summary.median)
    };
    match timings.max_by(|a, b| median(a).total_cmp(&median(b))) {
        Some(longest) if median(&longest) >= LONG_ENOUGH => Clock::of(engine.has_timestamps(), &longest),
        _ if !engine.has_timestamps() => Clock::of(false, &[]),
        _ => Clock::Wall("no case took long enough to try the timestamps on".to_owned()),
    }
}

/// The row of a case and those of its stages.
fn rows(engine: &Engine, case: &Case, plan: Option<&Plan>, outcome: Outcome, clock: &Clock, effort: Effort) -> Vec<Row> {
    let (plan, whole, apart, device_bytes, error) = match (plan, outcome) {
        (Some(plan), Outcome::Timings { whole, apart, device_bytes, error }) => (plan, whole, apart, device_bytes, error),
        (None, Outcome::Timings { .. }) => return Vec::new(),
        (plan, Outcome::Not(status, error)) => return vec![Row { error, ..empty_row(case, plan, None, None, status) }],
    };
    let of_run = |timing: &Timing| Some(timing.passes.as_ref()?.iter().map(|pass| pass.as_secs_f64()).collect());
    let apart: Vec<Vec<f64>> = apart.iter().filter_map(of_run).collect();
    let dispatches = match clock {
        Clock::Timestamps if !apart.is_empty() => Ok(apart),
        _ => Err("a stage by itself can only be timed by timestamps on the device"),
    };
    let rounds = (0..whole.len()).collect();
    let timed = Timed { rounds, whole: whole.iter().map(|timing| clock.seconds(timing)).collect(), dispatches, device_bytes };
    let mut rows = timed.rows(case, plan, None, &Ceilings::skipped(), effort.stages);
    let chosen = chosen(engine, plan);
    rows.iter_mut().for_each(|row| (row.best, row.chosen) = (true, Some(chosen.clone())));
    if let Some(row) = rows.first_mut() {
        row.error = Some(error);
    }
    rows
}
