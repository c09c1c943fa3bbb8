//! Verdicts of runs that were recorded: one program, twice on a quiet machine, twice while others used it too, twice beside three busy loops.

use std::path::Path;

use orthoformer_bench::{BenchReport, Verdict, compare_reports, parse_report};

fn recorded(name: &str) -> BenchReport {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recorded/{name}.json"));
    parse_report(&path, &std::fs::read(&path).expect("reads")).expect("a report")
}

/// The report of a program that takes so many times as long.
fn slower(mut report: BenchReport, factor: f64) -> BenchReport {
    for row in &mut report.rows {
        row.median_ms = row.median_ms.map(|ms| ms * factor);
        row.samples_ms.iter_mut().for_each(|ms| *ms *= factor);
    }
    report
}

fn count(old: &BenchReport, new: &BenchReport, verdict: Verdict) -> usize {
    compare_reports(old, new).rows.iter().filter(|row| row.verdict == verdict).count()
}

#[test]
fn one_program_is_neither_faster_nor_slower_than_itself() {
    let reports = ["quiet", "quiet_again", "first", "second", "busy", "busy_again"].map(recorded);
    for (old, new) in reports.iter().flat_map(|old| reports.iter().map(move |new| (old, new))) {
        let comparison = compare_reports(old, new);
        assert!(comparison.rows.len() >= 12 && comparison.same_adapter && comparison.machine.is_some(), "{comparison:?}");
        let decided: Vec<_> =
            comparison.rows.iter().filter(|row| matches!(row.verdict, Verdict::Faster | Verdict::Slower)).collect();
        assert!(decided.is_empty(), "{:?}: {decided:?}", comparison.machine);
    }
}

/// The older rule took quartiles alone: it is what these records fail.
#[test]
fn quartiles_alone_would_have_taken_the_machine_for_the_program() {
    let [first, busy] = ["first", "busy"].map(recorded);
    let rows = first.rows.iter().filter_map(|then| Some((then, busy.rows.iter().find(|now| now.key() == then.key())?)));
    let is_slower = |(then, now): &(&orthoformer_bench::Row, &orthoformer_bench::Row)| {
        let part = |row: &orthoformer_bench::Row| Some((row.median_ms?, row.iqr_ms? / row.median_ms?));
        let (Some((old, old_noise)), Some((new, new_noise))) = (part(then), part(now)) else { return false };
        new / old > 1.0 + old_noise.hypot(new_noise).max(0.02)
    };
    assert!(rows.filter(is_slower).count() > 3);
}

#[test]
fn a_program_that_is_far_slower_is_found_all_the_same() {
    let [first, second] = ["first", "second"].map(recorded);
    let rows = compare_reports(&first, &second).rows.len();
    assert!(count(&first, &slower(second.clone(), 10.0), Verdict::Slower) > rows / 2);
    assert!(count(&slower(first.clone(), 10.0), &second, Verdict::Faster) > rows / 2);
    // A quiet machine needs less.
    let [quiet, again] = ["quiet", "quiet_again"].map(recorded);
    assert_eq!(count(&quiet, &slower(again, 2.0), Verdict::Slower), quiet.rows.len());
}
