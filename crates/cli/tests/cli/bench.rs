//! The benchmark as a user meets it: forms of the report, comparison, wrong input. Small shapes only.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use crate::program::{folder, json, orthoformer, text};

const SMALL: [&str; 7] = ["bench", "--shape", "2x9x24x3", "--runs", "3", "--backend", "vulkan"];

/// The benchmark at a small shape, with further flags.
fn small<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    SMALL.iter().copied().chain(flags.iter().copied()).collect()
}

fn rows(report: &Value) -> &[Value] {
    report["rows"].as_array().expect("rows")
}

fn is_ok(row: &&Value) -> bool {
    row["status"] == "ok"
}

#[test]
fn the_report_has_ceilings_and_rows_and_can_be_compared() {
    let folder = folder();
    let (old, page) = (text(folder.path().join("old.json")), text(folder.path().join("page.html")));
    let first = orthoformer(&small(&["--operation", "layer", "--approximation", "exact", "--json"])).success();
    std::fs::write(&old, &first.get_output().stdout).expect("a place to write");
    let report = json(first);
    assert!(report["adapter"]["name"].is_string() && report["adapter"]["driver"].is_string(), "{report}");
    for name in ["multiply_add_f32", "memory_read", "memory_write", "memory_copy", "workgroup_load", "empty_submission"] {
        let ceiling = &report["ceilings"][name];
        assert!(ceiling["status"] == "ok" && ceiling["value"].as_f64() > Some(0.0), "{name}: {ceiling}");
    }
    let whole: Vec<&Value> = rows(&report).iter().filter(|row| row["operation"] == "layer").collect();
    let baseline = whole.iter().find(|row| row["variant"] == "baseline").expect("there is one everywhere");
    assert_eq!(
        (&baseline["shape"], &baseline["batch"], &baseline["approximation"]),
        (&"2x9x24x3".into(), &1.into(), &"exact".into())
    );
    for number in ["median_ms", "iqr_ms", "gflops", "gbps", "percent_of_ceiling", "device_bytes"] {
        assert!(baseline[number].as_f64() > Some(0.0), "{number}: {baseline}");
    }
    assert_eq!(whole.iter().filter(|row| row["best"] == true).count(), 1, "{report}");
    assert!(
        rows(&report)
            .iter()
            .all(|row| row["status"] == "ok" || row["status"].as_str().is_some_and(|s| s.starts_with("unsupported: ")))
    );
    // Stages: what the layer is made of, none of it longer than the layer by far.
    for stage in ["layer/qkv", "layer/trajectory tokens", "layer/proj"] {
        assert!(rows(&report).iter().any(|row| row["operation"] == stage), "{stage}");
    }

    // Against itself with other medians.
    let mut doctored = report.clone();
    for row in doctored["rows"].as_array_mut().expect("rows") {
        row["median_ms"] = row["median_ms"].as_f64().map(|ms| ms * 1000.0).into();
    }
    std::fs::write(&old, doctored.to_string()).expect("a place to write");
    let flags =
        ["--operation", "layer", "--approximation", "exact", "--json", "--no-ceilings", "--compare", &old, "--report", &page];
    let second = json(orthoformer(&small(&flags)).success());
    let changed = second["comparison"]["rows"].as_array().expect("a comparison");
    // On a busy machine one of the two may go by the host's clock, which cannot time stages.
    let names = |row: &Value| ["operation", "shape", "batch", "variant", "approximation"].map(|name| row[name].to_string());
    let timed = |of: &Value| rows(of).iter().filter(is_ok).map(names).collect::<Vec<_>>();
    let (first, second_rows) = (timed(&report), timed(&second));
    assert_eq!(changed.len(), first.iter().filter(|row| second_rows.contains(row)).count());
    assert!(changed.iter().any(|row| row["operation"] == "layer"), "{changed:?}");
    assert!(changed.iter().all(|row| row["ratio"].as_f64() < Some(0.1) && row["verdict"] == "faster"), "{changed:?}");
    assert_eq!(second["ceilings"]["memory_copy"]["status"], "skipped");
    let page = std::fs::read_to_string(page).expect("written");
    assert!(page.contains("<table>") && page.contains("Against an older report") && !page.contains("{{"), "{page}");
    assert!(!page.contains("http://") || page.contains("http://www.w3.org/2000/svg"), "nothing from elsewhere");
}

#[test]
fn rows_come_as_a_table_and_as_csv() {
    let page = folder();
    let page = text(page.path().join("page.html"));
    let all = small(&["--operation", "linear,prototypes", "--whole", "--report", &page]);
    orthoformer(&all).success().stdout(contains("multiply-add f32").and(contains("linear")).and(contains("orthoformer-18")));
    let page = std::fs::read_to_string(page).expect("written");
    assert!(page.contains("<svg") && page.contains("prefers-color-scheme"), "{page}");

    let flags = [
        "--operation",
        "trajectories",
        "--approximation",
        "performer",
        "--features",
        "8",
        "--csv",
        "--no-ceilings",
        "--batch",
        "2",
    ];
    let csv = orthoformer(&small(&flags)).success();
    let mut reader = csv::Reader::from_reader(csv.get_output().stdout.as_slice());
    let header = reader.headers().expect("a header").clone();
    let column = |name: &str| header.iter().position(|column| column == name).expect("a column");
    let records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("as long as the header")).collect();
    assert!(records.iter().all(|record| &record[column("approximation")] == "performer-8" && &record[column("batch")] == "2"));
    let baseline = records.iter().find(|record| &record[column("variant")] == "baseline").expect("there is one everywhere");
    assert!(baseline[column("median_ms")].parse::<f64>().expect("a number") > 0.0);
}

#[test]
fn variants_that_do_not_exist_here_are_said_so() {
    let refused = orthoformer(&small(&["--operation", "prototypes", "--variant", "tiles", "--json", "--no-ceilings"]));
    let report = json(refused.code(1).stderr(contains("nothing could be measured")));
    let [row] = rows(&report) else { panic!("one row: {report}") };
    assert!(row["status"].as_str().is_some_and(|status| status.starts_with("unsupported: ")), "{row}");
    assert!(row["median_ms"].is_null());
}

#[test]
fn numbers_stored_as_float16_are_rows_of_their_own() {
    let flags = ["--operation", "linear", "--variant", "baseline,baseline-f16", "--json", "--no-ceilings"];
    let report = json(orthoformer(&small(&flags)).success());
    let [single, half] = rows(&report) else { panic!("two rows: {report}") };
    assert_eq!((&single["variant"], &half["variant"]), (&"baseline".into(), &"baseline-f16".into()));
    if half["status"] != "ok" {
        println!("skipped: {}", half["status"]);
        return;
    }
    assert!(half["bytes"].as_u64() < single["bytes"].as_u64(), "{report}");
    assert_eq!(half["best"], false);
}

#[test]
fn wrong_input_is_said_before_anything_is_measured() {
    let folder = folder();
    let file = |name: &str, contents: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, contents).expect("a place to write");
        text(path)
    };
    for (given, said) in [
        ("8x196", "FRAMESxPATCHESxCHANNELSxHEADS"),
        ("8x196x770x12", "not a multiple of heads"),
        ("8x196x768x0", "heads is 0"),
        ("99999999x1x4x1", "FRAMESxPATCHESxCHANNELSxHEADS"),
        ("-1x1x4x1", "FRAMESxPATCHESxCHANNELSxHEADS"),
    ] {
        orthoformer(&["bench", &format!("--shape={given}")]).code(2).stderr(contains(said));
    }
    for flags in [["--batch", "0"], ["--runs", "0"], ["--seconds", "nan"], ["--variant", "fastest"], ["--operation", "all"]] {
        orthoformer(&small(&flags)).code(2);
    }
    orthoformer(&small(&["--json", "--csv"])).code(2);
    orthoformer(&small(&["--operation", "linear", "--approximation", "nystrom"]))
        .code(1)
        .stderr(contains("expected at least one"));
    for (name, contents) in [
        ("truncated.json", r#"{"adapter": {"name": "x", "#),
        ("text.json", "not JSON"),
        ("other.json", r#"{"executor": "a report of compare"}"#),
        ("empty.json", ""),
        ("list.json", "[]"),
    ] {
        let refused = orthoformer(&small(&["--compare", &file(name, contents)])).code(1);
        refused.stderr(contains(name).and(contains("expected a report of `orthoformer bench --json`")));
    }
    orthoformer(&small(&["--compare", "nowhere.json"])).code(1).stderr(contains("cannot read nowhere.json"));
    let nowhere = text(folder.path().join("nowhere/page.html"));
    orthoformer(&small(&["--report", &nowhere])).code(1).stderr(contains("cannot write into"));
    orthoformer(&small(&["--report", &text(folder.path())])).code(1).stderr(contains("cannot write"));
}
