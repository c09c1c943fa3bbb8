//! Measuring the CPU engine: the same cases and rows, with the processor's own ceilings.

use std::time::Instant;

use orthoformer::gpu::{Granularity, RunOptions};
use orthoformer::{Error, Plan, Result};
use orthoformer_cpu::{CpuEngine, CpuPrepared};

use super::cases::{Case, inputs};
use super::ceilings::{Ceiling, Ceilings};
use super::clock::Clock;
use super::effort::{Effort, FEWEST_RUNS};
use super::gate::check_reduced;
use super::request::{Observer, Request};
use super::rows::{BenchAdapter, BenchReport, Row};
use super::timed::{Timed, empty_row};

const SEED: u64 = 2;
/// What rows call this engine where others have a variant.
const VARIANT: &str = "cpu";

/// Measures the CPU engine. Variants of the request say nothing here: there is a row a case.
///
/// # Errors
/// Those of the observer. Whatever else goes wrong is said in the row concerned.
pub fn measure_on_cpu(engine: &CpuEngine, request: &Request, observer: &mut dyn Observer) -> Result<BenchReport> {
    let ceilings = match request.ceilings && observer.step("ceilings").is_continue() {
        true => ceilings(engine)?,
        false => Ceilings::skipped(),
    };
    let adapter = BenchAdapter::of_cpu(engine.describe(), Clock::Wall("the engine runs on the host".to_owned()));
    observer.adapter(&adapter, &ceilings)?;
    let (mut rows, mut interrupted) = (Vec::new(), false);
    for (case, _) in &request.cases {
        if observer.step(&format!("{} {}", case.operation.name(), case.shape)).is_break() {
            interrupted = true;
            break;
        }
        let mut found = match measured(engine, case, &ceilings, request.effort) {
            Ok(rows) => rows,
            Err(error) => vec![empty_row(case, None, None, None, format!("unsupported: {error}"))],
        };
        for row in &mut found {
            row.variant = case.variant_name(None).replacen("auto", VARIANT, 1);
            row.best = row.is_ok();
        }
        observer.rows(&found)?;
        rows.extend(found);
    }
    Ok(BenchReport { adapter, ceilings, rows, interrupted })
}

fn ceilings(engine: &CpuEngine) -> Result<Ceilings> {
    let ceiling = |value: f64, unit: &str| Ceiling { value: Some(value), unit: unit.to_owned(), status: "ok".to_owned() };
    Ok(Ceilings {
        multiply_add_f32: ceiling(2e-9 * engine.multiply_add_rate(), "GFLOP/s"),
        memory_copy: ceiling(1e-9 * engine.copy_rate()?, "GB/s"),
        ..Ceilings::skipped()
    })
}

/// The row of a case, and those of its stages.
fn measured(engine: &CpuEngine, case: &Case, ceilings: &Ceilings, effort: Effort) -> Result<Vec<Row>> {
    let plan = case.plan_for(engine.plan_limits())?;
    let poisoned = RunOptions { poison: true, ..RunOptions::default() };
    let wrong = |why: String| Ok(vec![empty_row(case, Some(&plan), None, None, format!("wrong: {why}"))]);
    if let Some(why) = check_reduced(case, |plan, inputs| Ok(engine.run(plan, inputs, poisoned)?.outputs))? {
        return wrong(why);
    }
    let inputs = inputs(&plan, SEED)?;
    let outputs = engine.run(&plan, &inputs, poisoned)?.outputs;
    if let Some((name, _)) = outputs.iter().find(|(_, tensor)| tensor.data().iter().any(|element| element.is_nan())) {
        return wrong(format!("{name} holds NaN"));
    }
    let mut prepared = engine.prepare(&plan, RunOptions::default())?;
    prepared.upload(&inputs)?;
    let whole = timings(&mut prepared, Granularity::Whole, FEWEST_RUNS, effort)?.concat();
    let dispatches = match effort.stages {
        true => Ok(timings(&mut prepared, Granularity::Dispatches, 1, effort)?),
        false => Ok(Vec::new()),
    };
    let mut rows = Timed { whole, dispatches, device_bytes: prepared.bytes() }.rows(case, &plan, None, ceilings, effort.stages);
    for row in rows.iter_mut().filter(|row| row.is_stage()) {
        note(row, &plan, &prepared);
    }
    Ok(rows)
}

/// Seconds of some runs: of each a single one, or one a dispatch.
fn timings(prepared: &mut CpuPrepared<'_>, granularity: Granularity, fewest: usize, effort: Effort) -> Result<Vec<Vec<f64>>> {
    // Nothing is cold in the first run that counts.
    prepared.time(granularity)?;
    let (start, mut all) = (Instant::now(), Vec::new());
    while all.len() < fewest.min(effort.runs) || (all.len() < effort.runs && start.elapsed().as_secs_f64() < effort.seconds) {
        let timing = prepared.time(granularity)?;
        let passes = timing.passes.unwrap_or_else(|| vec![timing.wall]);
        all.push(passes.iter().map(|pass| pass.as_secs_f64()).collect());
    }
    Ok::<_, Error>(all)
}

/// Says which stages run as one with the stage before, and which as the reference does.
fn note(row: &mut Row, plan: &Plan, prepared: &CpuPrepared<'_>) {
    let label = row.operation.split_once('/').map_or("", |(_, label)| label).to_owned();
    let own = || plan.dispatches().enumerate().filter(|(_, dispatch)| dispatch.label == label);
    if own().all(|(number, _)| prepared.is_part_of_another(number)) {
        (row.median_ms, row.iqr_ms, row.gflops, row.gbps, row.percent_of_ceiling, row.ceiling) = Default::default();
        row.status = "unsupported: timed with the stage that it runs in".to_owned();
    } else if own().any(|(number, _)| prepared.is_by_reference(number)) {
        row.operation.push_str(" (as the reference)");
    }
}
