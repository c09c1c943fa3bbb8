//! The page of a report.

use std::path::Path;

use orthoformer_bench::{html, merge, merged_html, parse_report};
use serde_json::{Value, json};

/// A recorded report, changed.
fn changed(change: impl Fn(&mut Value)) -> orthoformer_bench::BenchReport {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/first.json");
    let mut report = serde_json::from_slice(&std::fs::read(&path).expect("reads")).expect("JSON");
    change(&mut report);
    parse_report(&path, report.to_string().as_bytes()).expect("a report")
}

/// Ceilings of an adapter whose packed float16 is twice as fast as its float32.
fn ceilings(report: &mut Value) {
    let of = |value: f64, unit: &str| json!({"value": value, "unit": unit, "samples": [value], "status": "ok"});
    report["ceilings"] = json!({
        "multiply_add_f32": of(100.0, "GFLOP/s"), "multiply_add_f16_packed": of(200.0, "GFLOP/s"), "memory_copy": of(10.0, "GB/s"),
    });
}

#[test]
fn float16_has_a_roof_of_its_own() {
    let single = html(&changed(ceilings), None);
    assert!(single.contains("multiply-add f32, 100 GFLOP/s") && !single.contains("float16: multiply-add"), "{single}");
    let half = changed(|report| {
        ceilings(report);
        report["rows"][0]["variant"] = "auto-f16".into();
    });
    let page = html(&half, None);
    assert!(page.contains("float16: multiply-add f16, packed, 200 GFLOP/s"), "{page}");
}

#[test]
fn what_is_wrong_is_the_headline() {
    let wrong = changed(|report| {
        ceilings(report);
        report["rows"][0]["status"] = "wrong: y: 7 of 8 <values>".into();
    });
    for page in [html(&wrong, None), merged_html(&merge(std::slice::from_ref(&wrong)))] {
        let alarm = page.find("Something is computed wrong").expect("said");
        assert!(alarm < page.find("<table").expect("a table"), "{page}");
        assert!(page.contains("7 of 8 &lt;values&gt;") && !page.contains("<values>"), "{page}");
        assert!(page.contains("@media print") && !page.contains("<script") && !page.contains("{{"), "{page}");
    }
    assert!(!html(&changed(ceilings), None).contains("computed wrong"));
}
