//! The benchmark as a user meets it: forms of the report, comparison, wrong input. Small shapes only.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use crate::program::{folder, json, orthoformer, text, without_adapters};

const SMALL: [&str; 7] = ["bench", "--shape", "2x9x24x3", "--runs", "5", "--backend", "vulkan"];

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
fn the_cpu_engine_is_measured_without_an_adapter() {
    let flags = ["bench", "--shape", "2x9x24x3", "--runs", "5", "--operation", "layer", "--approximation", "exact", "--json"];
    let on = |executor| [&flags[..], &["--executor", executor]].concat();
    for executor in ["cpu", "auto"] {
        let report = json(without_adapters(&on(executor)).success());
        assert_eq!(report["adapter"]["backend"], "cpu", "{report}");
        for name in ["multiply_add_f32", "memory_copy"] {
            assert!(report["ceilings"][name]["value"].as_f64() > Some(0.0), "{name}: {report}");
        }
        let whole: Vec<&Value> = rows(&report).iter().filter(|row| row["operation"] == "layer").collect();
        assert!(whole.iter().all(|row| is_ok(row) && row["chosen"] == "cpu"), "{whole:?}");
        let float32: Vec<&&Value> = whole.iter().filter(|row| row["variant"] == "auto").collect();
        assert!(float32.len() == 1 && float32[0]["best"] == true, "{whole:?}");
    }
    without_adapters(&on("reference")).failure().stderr(contains("auto, gpu or cpu"));
    let sweep = ["bench", "attention", "--executor", "cpu", "--tokens", "64", "--head-size", "16", "--heads", "2", "--json"];
    let report = json(without_adapters(&sweep).success());
    assert!(!rows(&report).is_empty() && rows(&report).iter().all(|row| row["chosen"] == "cpu"), "{report}");
    without_adapters(&["bench", "--attentions", "--executor", "cpu"]).failure().stderr(contains("cannot be used with"));
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
        assert!(ceiling["samples"].as_array().is_some_and(|samples| samples.len() > 1), "{name}: {ceiling}");
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
    let auto = whole.iter().find(|row| row["variant"] == "auto").expect("what was asked for");
    assert!(auto["best"] == true && auto["chosen"].is_string(), "{auto}");
    let best: Vec<&&Value> = whole.iter().filter(|row| row["best"] == true).collect();
    assert!(best.iter().all(|row| row["chosen"] == auto["chosen"]), "{best:?}");
    assert!(baseline["samples_ms"].as_array().is_some_and(|samples| samples.len() == 5), "{baseline}");
    assert!(baseline["error"].as_f64().is_some_and(|error| (0.0..=1.0).contains(&error)), "{baseline}");
    let made = &report["made"];
    assert!(made["date"].is_string() && made["host"]["cores"].as_u64() > Some(0), "{made}");
    assert!(made["arguments"].as_array().is_some_and(|arguments| arguments[0] == "bench"), "{made}");
    for name in ["multiply_add", "memory_copy", "short_dispatches", "host"] {
        assert_eq!(report["calibrations"][name].as_array().map(Vec::len), Some(5), "{name}");
    }
    assert!(
        rows(&report)
            .iter()
            .all(|row| row["status"] == "ok" || row["status"].as_str().is_some_and(|s| s.starts_with("unsupported: ")))
    );
    // Stages: what the layer is made of, none of it longer than the layer by far.
    for stage in ["layer/qkv", "layer/trajectory tokens", "layer/proj"] {
        assert!(rows(&report).iter().any(|row| row["operation"] == stage), "{stage}");
    }

    // Against itself with other times.
    std::fs::write(&old, slower(&report, 1000.0).to_string()).expect("a place to write");
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
    assert!(
        changed
            .iter()
            .all(|row| row["ratio"].as_f64() < Some(0.1) && row["verdict"] == "faster" && row["interval"]["high"].is_number()),
        "{changed:?}"
    );
    assert_eq!(second["ceilings"]["memory_copy"]["status"], "skipped");
    let page = std::fs::read_to_string(page).expect("written");
    assert!(page.contains("<table>") && page.contains("Against an older report") && !page.contains("{{"), "{page}");
    assert!(!page.contains("http://") || page.contains("http://www.w3.org/2000/svg"), "nothing from elsewhere");
}

/// A report whose rows took so many times as long.
fn slower(report: &Value, factor: f64) -> Value {
    let mut report = report.clone();
    let times = |value: &mut Value| *value = value.as_f64().map(|ms| ms * factor).into();
    for row in report["rows"].as_array_mut().expect("rows") {
        times(&mut row["median_ms"]);
        row["samples_ms"].as_array_mut().expect("runs").iter_mut().for_each(times);
    }
    report
}

#[test]
fn reports_that_have_no_row_in_common_do_not_compare() {
    let folder = folder();
    let old = text(folder.path().join("old.json"));
    let flags = ["--operation", "linear", "--variant", "auto", "--no-ceilings"];
    let first = orthoformer(&[small(&flags), vec!["--json"]].concat()).success();
    std::fs::write(&old, &first.get_output().stdout).expect("a place to write");
    let compare = |flags: &[&str]| orthoformer(&[small(flags), vec!["--no-ceilings", "--compare", &old]].concat());
    let other = compare(&["--operation", "trajectories", "--variant", "auto", "--approximation", "exact"]);
    other.code(1).stderr(contains("nothing compares")).stdout(contains("1 rows are new, 1 are gone"));
    // OpenGL, where there is an adapter of it, or the same adapter as if it lacked something: keys are what was asked for.
    let other = compare(&["--operation", "linear", "--variant", "auto", "--without", "subgroups,timestamps"]);
    other.success().stdout(contains("another adapter, driver or clock").and(contains("0 rows are new, 0 are gone")));
}

#[test]
fn reports_are_merged_side_by_side() {
    let folder = folder();
    let file = |name: &str| text(folder.path().join(name));
    let flags =
        ["--operation", "linear,layer", "--approximation", "exact", "--variant", "auto,baseline", "--json", "--no-ceilings"];
    let report = json(orthoformer(&small(&flags)).success());
    let mut other = slower(&report, 10.0);
    other["adapter"]["name"] = "Another | <GPU>".into();
    other["rows"].as_array_mut().expect("rows").retain(|row| row["operation"] == "layer");
    let mut wrong = report.clone();
    wrong["rows"][0]["status"] = "wrong: y: 7 of 8 values are wrong".into();
    wrong["rows"][0]["median_ms"] = Value::Null;
    let mut paths = Vec::new();
    for (name, report) in [("a.json", &report), ("b.json", &other), ("wrong.json", &wrong)] {
        std::fs::write(file(name), report.to_string()).expect("a place to write");
        paths.push(file(name));
    }
    let merged = json(orthoformer(&["bench", "--merge", &paths[0], &paths[1], "--json"]).success());
    let rows = merged["rows"].as_array().expect("rows");
    assert!(!rows.is_empty() && merged["reports"].as_array().is_some_and(|reports| reports.len() == 2), "{merged}");
    for row in rows {
        assert!(row["cells"][0]["median_ms"].is_number(), "{row}");
        assert_eq!(row["cells"][1].is_null(), row["key"][0] != "layer", "{row}");
    }
    let (page, markdown) = (file("merged.html"), file("merged.md"));
    orthoformer(&["bench", "--merge", &paths[0], &paths[1], "--report", &page]).success().stdout(contains("B: Another | <GPU>"));
    let html = std::fs::read_to_string(&page).expect("written");
    assert!(html.contains("B: Another | &lt;GPU&gt;") && !html.contains("{{") && !html.contains("<script"), "{html}");
    orthoformer(&["bench", "--merge", &paths[0], &paths[1], "--report", &markdown]).success();
    let text = std::fs::read_to_string(&markdown).expect("written");
    assert!(text.contains("| operation | variant | A | B |\n| --- | --- | ---: | ---: |\n"), "{text}");
    // What is wrong comes first, in all forms.
    let alarmed = orthoformer(&["bench", "--merge", &paths[2], &paths[0], "--report", &markdown]).code(1);
    let said = String::from_utf8(alarmed.get_output().stdout.clone()).expect("UTF-8");
    assert!(said.starts_with("WRONG A: "), "{said}");
    assert!(std::fs::read_to_string(&markdown).expect("written").starts_with("# Benchmarks side by side\n\n- **wrong** A: "));
    orthoformer(&["bench", "--merge", &page]).code(1).stderr(contains("expected a report of `orthoformer bench --json`"));
}

/// Every report of the record is in the format of today, and on the page of all of them.
#[test]
fn all_records_are_on_their_page() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let entries = std::fs::read_dir(root.join("benches/record")).expect("a folder");
    let mut paths: Vec<String> = entries.map(|entry| text(entry.expect("reads").path())).collect();
    paths.retain(|path| path.ends_with(".json"));
    paths.sort();
    assert!(paths.len() >= 2, "{paths:?}");
    let folder = folder();
    let page = text(folder.path().join("records.md"));
    let merge: Vec<&str> = ["bench", "--merge"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    orthoformer(&[&merge[..], &["--report", &page]].concat()).success();
    let made = std::fs::read_to_string(&page).expect("written");
    let kept = std::fs::read_to_string(root.join("docs/records.md")).expect("reads");
    let command = "orthoformer bench --merge benches/record/*.json --report docs/records.md";
    assert!(kept == made, "docs/records.md is not what this makes: {command}");
}

#[test]
fn attention_is_swept_over_tokens_and_heads() {
    let flags = ["--tokens", "16,20", "--head-size", "8", "--heads", "2", "--frames", "4", "--runs", "5", "--no-ceilings"];
    let sweep = |more: &[&str]| orthoformer(&[&["bench", "attention", "--backend", "vulkan"], &flags[..], more].concat());
    let report = json(sweep(&["--json"]).success());
    let whole: Vec<&Value> = rows(&report).iter().filter(|row| !row["operation"].as_str().unwrap_or("").contains('/')).collect();
    // Two numbers of tokens; joint and trajectory attention, exact and three approximations; float32 and float16.
    assert_eq!(whole.len(), 2 * 2 * 4 * 2, "{report}");
    assert!(whole.iter().all(|row| row["shape"] == "4x4x16x2" || row["shape"] == "4x5x16x2"), "{report}");
    let single = whole.iter().filter(|row| row["variant"] == "auto");
    assert!(single.clone().count() == 16 && single.clone().all(|row| row["status"] == "ok"), "{report}");
    sweep(&[]).success().stdout(contains("TFLOP/s").and(contains("trajectories over 4 frames")).and(contains("float16")));
    orthoformer(&["bench", "attention", "--tokens", "17", "--frames", "4"]).code(1).stderr(contains("17"));
    orthoformer(&["bench", "attention", "--tokens", "0"]).code(2);
    orthoformer(&["bench", "--all", "attention"]).code(2);
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
    assert!(records.iter().all(|record| !record[column("adapter")].is_empty() && !record[column("driver")].is_empty()));
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
