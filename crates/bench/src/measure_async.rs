//! The benchmark where nothing may block: in browsers, and in programs with an executor of their own.

use orthoformer::gpu::{Engine, Granularity, Prepared, RunOptions, Timing};
use orthoformer::plan::Plan;
use orthoformer::variant::Variant;
use orthoformer::{Error, Result, Tensors};

use super::cases::{Case, Checked, inputs};
use super::ceilings::Ceilings;
use super::chosen::chosen;
use super::clock::Clock;
use super::effort::Effort;
use super::gate::{check_large_async, check_reduced_async};
use super::rows::{BenchAdapter, BenchReport, Row};
use super::statistics::Summary;
use super::timed::{Timed, empty_row};

const SEED: u64 = 2;
/// Bytes of what is kept ready between rounds.
const KEPT_BYTES: u64 = 512 << 20;
/// Seconds of work that tells whether timestamps can be believed: next to that a submission costs little.
const LONG_ENOUGH: f64 = 0.02;

/// Measures cases as the engine runs them, in rounds. Wrong ones are not timed, as in `measure`; there are no ceilings and no calibrators, and
/// inputs stay where they are. `step` is told what comes next, and how many steps there are: a case each, then a round each.
///
/// # Errors
/// [`Error::DeviceLost`]. Whatever else goes wrong is said in the row concerned.
pub async fn measure_async(engine: &Engine, cases: &[Case], effort: Effort, step: impl Fn(&str, usize)) -> Result<BenchReport> {
    let steps = cases.len() + effort.runs;
    let plans: Vec<Result<Plan>> = cases.iter().map(Case::plan).collect();
    let (mut outcomes, mut kept_bytes) = (Vec::new(), 0);
    for (case, plan) in cases.iter().zip(&plans) {
        step(&format!("{} {} {}", case.operation.name(), case.shape, case.approximation_name()), steps);
        let outcome = match plan {
            Ok(plan) => Contender::checked(engine, case, plan, effort).await,
            Err(error) => Ok(Outcome::Not(format!("unsupported: {error}"), None)),
        };
        outcomes.push(match outcome {
            Ok(Outcome::Timed(mut timed)) => {
                kept_bytes += timed.device_bytes;
                timed.prepared = timed.prepared.take().filter(|_| kept_bytes <= KEPT_BYTES);
                Outcome::Timed(timed)
            }
            Ok(outcome) => outcome,
            Err(error @ Error::DeviceLost { .. }) => return Err(error),
            Err(error) => Outcome::Not(format!("unsupported: {error}"), None),
        });
    }
    for round in 0..effort.runs {
        step(&format!("round {} of {}", round + 1, effort.runs), steps);
        for outcome in &mut outcomes {
            let failed = match outcome {
                Outcome::Timed(timed) if effort.takes_part(timed.runs, round) => timed.run(engine, round).await,
                _ => Ok(()),
            };
            match failed {
                Ok(()) => {}
                Err(error @ Error::DeviceLost { .. }) => return Err(error),
                Err(error) => *outcome = Outcome::Not(format!("unsupported: {error}"), None),
            }
        }
    }
    let timings = |outcome: &Outcome<'_>| match outcome {
        Outcome::Timed(timed) => timed.whole.clone(),
        Outcome::Not(..) => Vec::new(),
    };
    let clock = clock_of(engine, outcomes.iter().map(timings));
    let all = cases.iter().zip(&plans).zip(outcomes);
    let rows = all.flat_map(|((case, plan), outcome)| rows(engine, case, plan.as_ref().ok(), outcome, &clock, effort)).collect();
    let report = BenchReport::of(BenchAdapter::of(engine, clock), Ceilings::skipped(), rows);
    Ok(BenchReport { rounds: effort.runs, ..report })
}

/// What became of a case.
enum Outcome<'p> {
    /// Why it was not timed, and its error.
    Not(String, Option<f64>),
    /// Times of its runs.
    Timed(Box<Contender<'p>>),
}
/// A case that is right.
struct Contender<'p> {
    plan: &'p Plan,
    /// What runs; `None` where so much is ready already that it is made ready in each round.
    prepared: Option<Prepared<'p>>,
    device_bytes: u64,
    /// In how many rounds it runs, and which these were.
    runs: usize,
    rounds: Vec<usize>,
    /// Runs as a whole, and with their dispatches apart.
    whole: Vec<Timing>,
    apart: Vec<Timing>,
    has_stages: bool,
    /// Largest error, as a share of the tolerance.
    error: f64,
}

impl<'p> Contender<'p> {
    async fn checked(engine: &'p Engine, case: &Case, plan: &'p Plan, effort: Effort) -> Result<Outcome<'p>> {
        let run = async |plan: &Plan, inputs: &Tensors, variant| {
            let options = RunOptions { poison: true, variant, ..RunOptions::default() };
            Ok::<_, Error>(engine.run_async(plan, inputs, options).await?.outputs)
        };
        let wrong =
            |Checked { error, why }: Checked| Ok(Outcome::Not(format!("wrong: {}", why.unwrap_or_default()), Some(error)));
        let reduced = check_reduced_async(case, async |plan: &Plan, inputs: &Tensors| run(plan, inputs, None).await).await?;
        if reduced.why.is_some() {
            return wrong(reduced);
        }
        let inputs = inputs(plan, SEED)?;
        let found = run(plan, &inputs, None).await?;
        let baseline = run(plan, &inputs, Some(Variant::Baseline)).await?;
        let along = async |plan: &Plan| run(plan, &inputs, Some(Variant::Baseline)).await;
        let checked = reduced.and(check_large_async(case, &found, &baseline, along).await?);
        if checked.why.is_some() {
            return wrong(checked);
        }
        let prepared = ready(engine, plan).await?;
        // How long it takes, once nothing is cold.
        prepared.time_async(Granularity::Whole, 0).await?;
        let first = prepared.time_async(Granularity::Whole, 0).await?.wall.as_secs_f64();
        let has_stages = effort.stages && engine.has_timestamps() && prepared.dispatches() > 1;
        Ok(Outcome::Timed(Box::new(Self {
            plan,
            device_bytes: prepared.device_bytes(),
            prepared: Some(prepared),
            runs: effort.runs_of(first),
            rounds: Vec::new(),
            whole: Vec::new(),
            apart: Vec::new(),
            has_stages,
            error: checked.error,
        })))
    }

    async fn run(&mut self, engine: &'p Engine, round: usize) -> Result<()> {
        let made;
        let prepared = match &self.prepared {
            Some(prepared) => prepared,
            None => {
                made = ready(engine, self.plan).await?;
                made.time_async(Granularity::Whole, 0).await?;
                &made
            }
        };
        self.whole.push(prepared.time_async(Granularity::Whole, 0).await?);
        if self.has_stages {
            self.apart.push(prepared.time_async(Granularity::Dispatches, 0).await?);
        }
        self.rounds.push(round);
        Ok(())
    }
}

async fn ready<'p>(engine: &'p Engine, plan: &'p Plan) -> Result<Prepared<'p>> {
    let mut prepared = engine.prepare_async(plan, RunOptions::default()).await?;
    prepared.upload_async(&inputs(plan, SEED)?).await?;
    Ok(prepared)
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
fn rows(engine: &Engine, case: &Case, plan: Option<&Plan>, outcome: Outcome<'_>, clock: &Clock, effort: Effort) -> Vec<Row> {
    let contender = match outcome {
        Outcome::Timed(contender) => contender,
        Outcome::Not(status, error) => return vec![Row { error, ..empty_row(case, plan, None, None, status) }],
    };
    let Contender { plan, rounds, whole, apart, device_bytes, error, .. } = *contender;
    let of_run = |timing: &Timing| Some(timing.passes.as_ref()?.iter().map(|pass| pass.as_secs_f64()).collect());
    let apart: Option<Vec<Vec<f64>>> = apart.iter().map(of_run).collect();
    let dispatches = match (clock, apart) {
        (Clock::Timestamps, Some(apart)) if !apart.is_empty() => Ok(apart),
        _ => Err("a stage by itself can only be timed by timestamps on the device"),
    };
    let whole = whole.iter().map(|timing| clock.seconds(timing)).collect();
    let timed = Timed { rounds, whole, dispatches, device_bytes };
    let mut rows = timed.rows(case, plan, None, &Ceilings::skipped(), effort.stages);
    let chosen = chosen(engine, plan);
    rows.iter_mut().for_each(|row| (row.best, row.chosen) = (true, Some(chosen.clone())));
    if let Some(row) = rows.first_mut() {
        row.error = Some(error);
    }
    rows
}
