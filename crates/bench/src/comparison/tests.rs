//! Verdicts of reports that are made up.

use serde_json::{Value, json};

use super::*;

/// A report of one row with these times and rates of calibrators.
fn report(samples: &[f64], rates: &[f64]) -> BenchReport {
    let row = json!({
        "operation": "layer", "shape": "2x9x24x3", "batch": 1, "variant": "auto", "chosen": "tiles", "approximation": "exact",
        "median_ms": crate::Summary::of(samples).map(|summary| summary.median), "iqr_ms": 0.1, "runs": samples.len(),
        "samples_ms": samples, "operations": 1, "bytes": 1, "best": true, "status": "ok",
    });
    let adapter = json!({
        "name": "a", "backend": "vulkan", "kind": "cpu", "driver": "d", "clock": "timestamps", "orthoformer": "0", "wgpu": "30",
    });
    let host = json!({"cpu": "c", "cores": 2, "memory_bytes": 1, "os": "o"});
    let made = json!({"date": "2026-11-30", "commit": null, "arguments": [], "host": host});
    let calibrations = json!({"multiply_add": rates, "host": rates});
    let report: Value = json!({
        "made": made, "adapter": adapter, "ceilings": {}, "rounds": samples.len(), "calibrations": calibrations, "rows": [row],
    });
    serde_json::from_value(report).expect("a report")
}

/// Samples around a middle, one to nine thousandths apart.
fn around(middle: f64) -> Vec<f64> {
    (1..=9).map(|step| middle * (1.0 + f64::from(step - 5) / 1000.0)).collect()
}

fn verdict_of(old: &BenchReport, new: &BenchReport) -> Verdict {
    let comparison = compare_reports(old, new);
    let [row] = comparison.rows.as_slice() else { panic!("one row: {comparison:?}") };
    assert!(row.interval.low <= row.ratio && row.ratio <= row.interval.high, "{row:?}");
    row.verdict
}

#[test]
fn a_quiet_machine_tells_them_apart() {
    let steady = around(100.0);
    let of = |ms| report(&around(ms), &steady);
    assert_eq!(verdict_of(&of(10.0), &of(10.0)), Verdict::Same);
    assert_eq!(verdict_of(&of(10.0), &of(15.0)), Verdict::Slower);
    assert_eq!(verdict_of(&of(15.0), &of(10.0)), Verdict::Faster);
    assert_eq!(verdict_of(&of(10.0), &of(10.3)), Verdict::Undecided, "on the edge of what counts");
}

#[test]
fn a_machine_that_is_slower_decides_nothing_unless_the_row_is_far_slower() {
    let of = |ms, rate| report(&around(ms), &around(rate));
    // As much slower as the machine, not at all, or twice as much: all of that is the machine.
    for ms in [10.0, 20.0, 39.0] {
        assert_eq!(verdict_of(&of(10.0, 100.0), &of(ms, 50.0)), Verdict::Undecided, "{ms}");
        assert_eq!(verdict_of(&of(ms, 50.0), &of(10.0, 100.0)), Verdict::Undecided, "{ms}");
    }
    assert_eq!(verdict_of(&of(10.0, 100.0), &of(60.0, 50.0)), Verdict::Slower);
    assert_eq!(verdict_of(&of(60.0, 50.0), &of(10.0, 100.0)), Verdict::Faster);
    assert_eq!(verdict_of(&of(10.0, 100.0), &of(5.0, 50.0)), Verdict::Faster, "though the machine is slower");
}

#[test]
fn rounds_that_part_decide_nothing() {
    let steady = around(100.0);
    let noisy = [10.0, 30.0, 11.0, 25.0, 10.0, 30.0, 12.0, 28.0, 10.0];
    assert_eq!(verdict_of(&report(&around(10.0), &steady), &report(&noisy, &steady)), Verdict::Undecided);
    // So do calibrators that part: one says as fast, the other half as fast.
    let mut new = report(&around(15.0), &steady);
    new.calibrations.insert("memory_copy".to_owned(), around(50.0));
    let mut old = report(&around(10.0), &steady);
    old.calibrations.insert("memory_copy".to_owned(), around(100.0));
    assert_eq!(verdict_of(&old, &new), Verdict::Undecided);
}

#[test]
fn without_samples_or_calibrators_nothing_is_decided() {
    let steady = around(100.0);
    let (whole, four) = (report(&around(10.0), &steady), report(&[20.0; 4], &steady));
    assert_eq!(verdict_of(&whole, &four), Verdict::Undecided);
    assert_eq!(verdict_of(&whole, &report(&[20.0; 5], &steady)), Verdict::Slower);
    let mut old = whole.clone();
    old.calibrations.clear();
    assert_eq!(verdict_of(&old, &report(&around(20.0), &steady)), Verdict::Undecided);
    assert_eq!(compare_reports(&old, &whole).machine, None);
}

#[test]
fn another_adapter_is_no_other_machine() {
    let (mut old, new) = (report(&around(10.0), &around(100.0)), report(&around(20.0), &around(50.0)));
    old.adapter.backend = "gl".to_owned();
    old.calibrations.insert("host".to_owned(), around(50.0));
    let comparison = compare_reports(&old, &new);
    assert!(!comparison.same_adapter && comparison.rows[0].verdict == Verdict::Slower, "the host is as fast: {comparison:?}");
    // On another host nothing says how fast either is.
    if let Some(made) = &mut old.made {
        made.host.cpu = "another".to_owned();
    }
    assert_eq!((compare_reports(&old, &new).machine, verdict_of(&old, &new)), (None, Verdict::Undecided));
}

#[test]
fn rows_are_paired_by_what_was_asked_for() {
    let steady = around(100.0);
    let (old, mut new) = (report(&around(10.0), &steady), report(&around(10.0), &steady));
    new.rows[0].chosen = Some("broadcast".to_owned());
    let comparison = compare_reports(&old, &new);
    assert_eq!(comparison.rows[0].chosen, ["tiles", "broadcast"].map(|name| Some(name.to_owned())));
    new.rows[0].variant = "broadcast".to_owned();
    let comparison = compare_reports(&old, &new);
    assert_eq!((comparison.rows.len(), comparison.only_new, comparison.only_old), (0, 1, 1));
}

#[test]
fn times_that_are_none_are_refused() {
    let good = serde_json::to_value(report(&around(10.0), &around(1.0))).expect("serialises");
    let parse = |report: &Value| parse_report(Path::new("r.json"), report.to_string().as_bytes());
    assert!(parse(&good).is_ok());
    for (field, value) in [("median_ms", json!(-1.0)), ("samples_ms", json!([1.0, -2.0])), ("iqr_ms", json!(-0.5))] {
        let mut bad = good.clone();
        bad["rows"][0][field] = value;
        assert!(parse(&bad).is_err(), "{field}");
    }
}
