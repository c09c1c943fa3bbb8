//! A benchmark that is followed, and one that is stopped.

use std::ops::ControlFlow;

use orthoformer::Result;
use orthoformer::gpu::AdapterChoice;
use orthoformer::variant::Variant;
use orthoformer_bench::{BenchAdapter, BenchReport, BenchShape, Case, Ceilings, Effort, Observer, Request, Row, measure};

/// Counts what it is told, and stops at a step.
struct Counter {
    stops_at: usize,
    steps: usize,
    row_calls: usize,
    rows: Vec<Row>,
}

impl Observer for Counter {
    fn step(&mut self, _: &str) -> ControlFlow<()> {
        self.steps += 1;
        if self.steps >= self.stops_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn adapter(&mut self, _: &BenchAdapter, _: &Ceilings) -> Result<()> {
        assert_eq!(self.row_calls, 0, "ahead of the rows");
        Ok(())
    }

    fn rows(&mut self, rows: &[Row]) -> Result<()> {
        self.row_calls += 1;
        self.rows.extend_from_slice(rows);
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

#[test]
fn every_row_is_told_as_it_is_in_the_report() {
    let request = request(false);
    let (report, counter) = measured(&request, usize::MAX);
    assert_eq!((counter.steps, counter.row_calls), (request.steps(), request.rows()));
    assert!(!report.interrupted && report.rows == counter.rows && report.rows.len() >= 2, "{report:?}");
    let json = serde_json::to_value(&report).expect("serialises");
    assert!(json.get("interrupted").is_none(), "a whole report is what it always was");
}

#[test]
fn a_stopped_benchmark_keeps_what_it_has() {
    // The clock, a row, and no more.
    let (report, counter) = measured(&request(false), 3);
    assert!(report.interrupted && report.rows == counter.rows, "{report:?}");
    assert_eq!((report.rows.len(), counter.row_calls), (1, 1));
    let json = serde_json::to_vec(&report).expect("serialises");
    let again = orthoformer_bench::parse_report("part.json".as_ref(), &json).expect("its own report");
    assert!(again.interrupted && again.rows.len() == 1, "{again:?}");
    // The first ceiling, and no more.
    let (report, _) = measured(&request(true), 2);
    assert!(report.interrupted && report.rows.is_empty(), "{report:?}");
    assert_eq!(report.ceilings.multiply_add_f32.status, "ok");
    assert_eq!(report.ceilings.empty_submission.status, "skipped");
}
