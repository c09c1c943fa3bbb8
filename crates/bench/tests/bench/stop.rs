//! A benchmark that is followed, and one that is stopped.

use std::ops::ControlFlow;

use orthoformer::Result;
use orthoformer::gpu::AdapterChoice;
use orthoformer::variant::Variant;
use orthoformer_bench::{
    BenchAdapter, BenchReport, BenchShape, Case, CeilingKind, Ceilings, Effort, Observer, Progress, Request, Row, measure,
    measure_async, measure_on_cpu,
};
use orthoformer_cpu::{CpuEngine, CpuOptions};

/// Counts what it is told, and stops at a step.
struct Counter {
    stops_at: usize,
    steps: usize,
    row_calls: usize,
    rows: Vec<Row>,
}

impl Observer for Counter {
    fn step(&mut self, progress: Progress<'_>) -> ControlFlow<()> {
        assert!((0.0..=1.0).contains(&progress.part), "{progress:?}");
        self.steps += 1;
        if self.steps >= self.stops_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn adapter(&mut self, _: &BenchAdapter, _: &Ceilings) -> Result<()> {
        assert_eq!(self.row_calls, 0, "ahead of the rows");
        Ok(())
    }

    fn checked(&mut self, row: &Row) -> Result<()> {
        self.row_calls += 1;
        self.rows.push(row.clone());
        Ok(())
    }
}

fn request(ceilings: bool) -> Request {
    let shape: BenchShape = "2x9x24x3".parse().expect("a shape");
    let case = |batch| (Case::layer(shape, batch), vec![Some(Variant::Baseline), None]);
    let effort = Effort { runs: 3, seconds: 0.1, stages: false };
    Request { cases: vec![case(1), case(2)], ceilings, effort }
}

fn measured(request: &Request, stops_at: usize) -> (BenchReport, Counter) {
    let mut counter = Counter { stops_at, steps: 0, row_calls: 0, rows: Vec::new() };
    let report = measure(&AdapterChoice::default(), request, |_| {}, &mut counter).expect("the adapter of the other tests");
    (report, counter)
}

/// Rows without what later runs add.
fn keys(rows: &[Row]) -> Vec<([String; 5], &str, Option<f64>)> {
    rows.iter().map(|row| (row.key(), row.status.as_str(), row.error)).collect()
}

#[test]
fn every_row_is_told_once_and_runs_in_every_round() {
    let request = request(false);
    let (report, counter) = measured(&request, usize::MAX);
    assert_eq!(counter.row_calls, request.rows());
    assert!(!report.interrupted && report.rows.len() == 4 && report.rounds == 3, "{report:?}");
    assert_eq!(keys(&report.rows), keys(&counter.rows));
    for row in &report.rows {
        assert!(row.is_ok() && row.error.is_some_and(|error| (0.0..=1.0).contains(&error)), "{row:?}");
        assert_eq!((row.samples_ms.len(), &row.rounds, row.runs), (3, &vec![0, 1, 2], 3));
        assert!(row.chosen.is_some(), "{row:?}");
    }
    // A variant that was asked for twice is timed once, and is there twice.
    let autos: Vec<&Row> = report.rows.iter().filter(|row| row.variant == "auto").collect();
    assert!(autos.len() == 2 && autos.iter().all(|row| row.best), "{report:?}");
    let baseline = |row: &&Row| row.variant == "baseline";
    for (auto, baseline) in autos.iter().zip(report.rows.iter().filter(baseline)) {
        let same = auto.chosen.as_deref() == Some("baseline");
        assert_eq!(auto.samples_ms == baseline.samples_ms, same);
        assert_eq!(report.shown().contains(&baseline), !same);
    }
    let names = ["host", "memory_copy", "multiply_add", "short_dispatches"];
    assert_eq!(report.calibrations.keys().map(String::as_str).collect::<Vec<_>>(), names);
    assert!(report.calibrations.values().all(|rates| rates.len() == 3 && rates.iter().all(|rate| *rate > 0.0)));
    let json = serde_json::to_value(&report).expect("serialises");
    assert!(json.get("interrupted").is_none(), "a whole report is what it always was");
    assert_eq!(serde_json::from_value::<BenchReport>(json).expect("its own report"), report);
}

#[test]
fn the_cpu_engine_runs_in_the_same_rounds() {
    let request = request(false);
    let request = Request { effort: Effort { stages: true, ..request.effort }, ..request };
    let engine = CpuEngine::new(&CpuOptions { threads: Some(2) }).expect("threads");
    let mut counter = Counter { stops_at: usize::MAX, steps: 0, row_calls: 0, rows: Vec::new() };
    let report = measure_on_cpu(&engine, &request, &mut counter).expect("measures");
    assert_eq!((counter.row_calls, report.rounds, report.interrupted), (request.rows(), 3, false));
    assert!(report.calibrations.values().all(|rates| rates.len() == 3 && rates.iter().all(|rate| *rate > 0.0)), "{report:?}");
    let whole = || report.rows.iter().filter(|row| !row.is_stage());
    assert_eq!(whole().count(), request.rows());
    for row in whole() {
        match row.variant.as_str() {
            "auto" => {
                assert!(row.is_ok() && row.best && row.chosen.as_deref() == Some("cpu") && row.rounds == [0, 1, 2], "{row:?}")
            }
            _ => assert!(row.status.contains("no variants") && row.median_ms.is_none(), "{row:?}"),
        }
    }
    let within: Vec<&Row> = report.rows.iter().filter(|row| row.status.contains("timed with the stage")).collect();
    assert!(
        !within.is_empty() && within.iter().all(|row| row.is_stage() && row.median_ms.is_none() && row.samples_ms.is_empty())
    );
    let mut timed = report.rows.iter().filter(|row| row.is_stage() && row.is_ok()).peekable();
    assert!(timed.peek().is_some() && timed.all(|row| row.median_ms.is_some_and(f64::is_finite) && row.runs == 3));
}

#[test]
fn a_stopped_benchmark_keeps_what_it_has() {
    // The ceilings, a row, and no more.
    let (report, counter) = measured(&request(false), 3);
    assert!(report.interrupted && report.rows == counter.rows && report.rounds == 0, "{report:?}");
    assert_eq!((report.rows.len(), counter.row_calls), (1, 1));
    let json = serde_json::to_vec(&report).expect("serialises");
    let again = orthoformer_bench::parse_report("part.json".as_ref(), &json).expect("its own report");
    assert!(again.interrupted && again.rows.len() == 1, "{again:?}");
    // All rows, and a part of the first round: what had no turn yet has its first run.
    let all = request(false);
    let (report, _) = measured(&all, 1 + all.rows() + 2);
    assert!(report.interrupted && report.rounds == 0 && report.rows.len() == 4, "{report:?}");
    assert!(report.rows.iter().all(|row| row.runs == 1), "{report:?}");
    // The first ceiling, and no more.
    let (report, _) = measured(&request(true), 2);
    assert!(report.interrupted && report.rows.is_empty(), "{report:?}");
    let status: Vec<&str> = report.ceilings.named().map(|(_, ceiling)| ceiling.status.as_str()).collect();
    assert_eq!((status.first(), status.last()), (Some(&"ok"), Some(&"skipped")));
    assert!(report.ceilings.value(CeilingKind::MultiplyAddF32) > Some(0.0));
    let samples = report.ceilings.named().map(|(_, ceiling)| ceiling.samples.len()).next();
    assert!(samples > Some(1), "a spread: {samples:?}");
}

/// A browser's way: rounds, without ceilings and calibrators.
#[test]
fn what_waits_for_nothing_measures_the_same_rows() {
    let shape: BenchShape = "2x9x24x3".parse().expect("a shape");
    let cases = [Case::layer(shape, 1), Case::layer(shape, 2)];
    let effort = Effort { runs: 6, seconds: 1000.0, stages: true };
    let steps = std::cell::RefCell::new(Vec::new());
    let step = |name: &str, of: usize| steps.borrow_mut().push((name.to_owned(), of));
    let report = pollster::block_on(measure_async(support::engine(), &cases, effort, step)).expect("measures");
    let steps = steps.into_inner();
    assert!(steps.len() == 8 && steps.iter().all(|(_, of)| *of == 8) && steps[7].0 == "round 6 of 6", "{steps:?}");
    let whole: Vec<&Row> = report.rows.iter().filter(|row| !row.is_stage()).collect();
    assert!(whole.len() == 2 && report.rounds == 6, "{report:?}");
    for row in whole {
        assert!(row.is_ok() && row.variant == "auto" && row.chosen.is_some() && row.samples_ms.len() == 6, "{row:?}");
        assert!(row.error.is_some_and(|error| error <= 1.0), "{row:?}");
    }
}
