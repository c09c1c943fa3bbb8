//! `orthoformer compare`, and approximations in the other commands, as a user meets them.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::program::{folder, json, orthoformer, shipped, text};

/// A comparison that takes little time; `more` are further arguments.
fn small<'a>(clip: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let sizes = ["--size", "64", "--counts", "8,2", "--features", "16,8", "--seeds", "2", "--stride", "1", "--queries", "5"];
    [&["compare", clip, "--out", out], &sizes[..], more].concat()
}

#[test]
fn compare_measures_every_method_and_draws_it() {
    let folder = folder();
    let (clip, out) = (shipped("clips/ball.gif"), text(folder.path().join("out")));
    let report = json(orthoformer(&small(&clip, &out, &["--json"])).success());
    let rows = report["clips"][0]["rows"].as_array().expect("rows");
    // Exact, seven methods with two counts, Performer with one more.
    assert_eq!(rows.len(), 1 + 8 * 2 + 1);
    assert_eq!((rows[0]["token_error"].as_f64(), rows[0]["peak_agreement"].as_f64()), (Some(0.0), Some(1.0)));
    assert_eq!((rows[0]["scratch_bytes"].as_u64(), rows[0]["method"].is_null()), (Some(0), true));
    for row in &rows[1..] {
        let number = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        assert!(number("token_error") > 0.0 && number("layer_error") > 0.0, "{row}");
        assert!(number("token_cosine") <= 1.0 && (0.0..=1.0).contains(&number("peak_agreement")), "{row}");
        assert!(number("multiply_adds") > 0.0 && number("scratch_bytes") > 0.0 && number("milliseconds") > 0.0, "{row}");
    }
    let counts: Vec<u64> = rows.iter().filter_map(|row| row["count"].as_u64()).collect();
    assert_eq!(counts[..5], [0, 2, 8, 2, 8], "counts are sorted");
    assert_eq!(counts[counts.len() - 3..], [2, 8, 16], "a count of features that is there already is not repeated");
    assert_eq!(report["claims"].as_array().expect("two selections").len(), 2);
    let file: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("out/compare.json")).expect("written")).expect("JSON");
    assert_eq!(file["clips"], report["clips"]);
    let svg = std::fs::read_to_string(folder.path().join("out/compare.svg")).expect("written");
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && svg.contains("spherical k-means"));
    // A point in each of two charts for every row but exact attention.
    assert_eq!(svg.matches("<circle").count(), 2 * (rows.len() - 1));
}

#[test]
fn compare_prints_a_table_of_several_clips() {
    let folder = folder();
    let (clip, out) = (shipped("clips/ball.gif"), text(folder.path().join("out")));
    let other = shipped("clips/ball.y4m");
    let printed = orthoformer(&small(&clip, &out, &[&other])).success();
    printed.stdout(
        contains("ball.gif: ")
            .and(contains("ball.y4m: "))
            .and(contains("orthogonal, max against random at equal R"))
            .and(contains("compare.svg")),
    );
}

#[test]
fn compare_counts_long_sequences() {
    let found = json(orthoformer(&["compare", "--long", "1024,32,2", "--json"]).success());
    let rows = found[0]["rows"].as_array().expect("rows");
    let names: Vec<_> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, ["exact", "Performer-256", "Nystrom-128", "Orthoformer-64"]);
    // Every query with every key, and the weights with the values, in 2 heads of 32.
    assert_eq!(rows[0]["operations"][0].as_u64(), Some(2 * 2 * 1024 * 1024 * 32 * 2));
    assert_eq!(rows[0]["tokens"], serde_json::json!([1024, 2048, 4096]));
    assert_eq!(rows[0]["operations_linear"], false);
    for row in &rows[1..] {
        assert_eq!((row["operations_linear"].as_bool(), row["bytes_linear"].as_bool()), (Some(true), Some(true)), "{row}");
    }
    let operations = |row: usize| rows[row]["operations"][2].as_u64();
    assert!(operations(3) < operations(2) && operations(2) < operations(1) && operations(1) < operations(0));
    orthoformer(&["compare", "--long", "1024,32,2"]).success().stdout(contains("4579").and(contains("Orthoformer-64")));
}

#[test]
fn compare_says_what_is_wrong() {
    let folder = folder();
    let (clip, out) = (shipped("clips/ball.gif"), text(folder.path().join("out")));
    orthoformer(&["compare"]).code(2).stderr(contains("required"));
    orthoformer(&["compare", "--long", "1024,32"]).code(2).stderr(contains("expected tokens, head size and heads"));
    orthoformer(&["compare", "--long", "100,32,2"]).code(1).stderr(contains("landmarks is 128").and(contains("100")));
    orthoformer(&["compare", "--long", "2000000000,32,2"]).code(1).stderr(contains("tokens"));
    orthoformer(&["compare", "nowhere.mp4", "--out", &out]).code(1).stderr(contains("nowhere.mp4"));
    let refused = |more: &[&str], message: &str| {
        orthoformer(&small(&clip, &out, more)).code(1).stderr(contains(message));
    };
    refused(&["--temperature", "0"], "temperature: \"0\" is not valid; expected a number above 0");
    refused(&["--frames", "1"], "the clip has fewer frames than a patch is deep");
    refused(&["--frames", "0"], "frames is 0");
    // One patch has nothing to attend to.
    let single = orthoformer(&["compare", &clip, "--out", &out, "--size", "16"]).code(1);
    single.stderr(contains("scaled to 16 x 16, have 1 x 1 patches of 16 x 16").and(contains("--size")).and(contains("--patch")));
    // Nothing runs, and nothing is written, if a count does not fit.
    assert!(!folder.path().join("out/compare.json").exists());
    let alone = [
        ("--queries", "0", "queries is 0"),
        ("--counts", "0", "--counts: \"0\" is"),
        ("--counts", "9999", "--counts: \"9999\" is"),
    ];
    for (flag, value, message) in alone {
        orthoformer(&["compare", &clip, "--out", &out, "--size", "64", flag, value]).code(1).stderr(contains(message));
    }
}

#[test]
fn run_writes_indices_as_integers_and_takes_another_approximation() {
    let folder = folder();
    let out = text(folder.path().join("out.safetensors"));
    orthoformer(&["run", &shipped("cases/prototypes_degenerate.safetensors"), "--out", &out]).success();
    let bytes = std::fs::read(&out).expect("written");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let indices = file.tensor("indices").expect("picks");
    assert_eq!((indices.dtype(), indices.shape()), (Dtype::I32, [1, 12].as_slice()));
    assert_eq!(indices.data()[..12], [3, 0, 0, 0, 9, 0, 0, 0, 6, 0, 0, 0]);
    let case = shipped("cases/layer_trajectory_1_projected.safetensors");
    for (name, flag) in [("orthoformer", "--prototypes"), ("nystrom", "--prototypes"), ("performer", "--features")] {
        let flags = ["--approximation", name, flag, "4"];
        orthoformer(&[&["run", &case, "--out", &out], &flags[..]].concat()).success().stdout(contains("y ["));
    }
    orthoformer(&["run", &case, "--out", &out, "--prototypes", "4"]).code(2).stderr(contains("--approximation"));
    let idle = ["--approximation", "performer", "--prototypes", "4"];
    let refused = orthoformer(&[&["run", &case, "--out", &out], &idle[..]].concat());
    refused.code(1).stderr(contains(
        "--prototypes: \"given with --approximation performer\" is not valid; expected it with orthoformer or nystrom only",
    ));
    let many = ["--approximation", "orthoformer", "--prototypes", "5000"];
    orthoformer(&[&["run", &case, "--out", &out], &many[..]].concat()).code(1).stderr(contains("prototypes is 5000"));
    let prototypes = shipped("cases/prototypes_0_sum.safetensors");
    let refused = orthoformer(&["run", &prototypes, "--out", &out, "--approximation", "nystrom"]);
    refused.code(1).stderr(contains("a case of trajectories, attention, a layer or a Motionformer"));
}

#[test]
fn track_follows_through_an_approximation() {
    let folder = folder();
    let out = text(folder.path().join("out"));
    let clip = shipped("clips/ball.gif");
    let flags = ["--approximation", "orthoformer", "--prototypes", "16", "--criterion", "max", "--json"];
    let report = json(orthoformer(&[&["track", &clip, "--at", "52,20", "--out", &out], &flags[..]].concat()).success());
    assert_eq!(report["attention"], "orthoformer, 16 prototypes (greedy, max)");
    let per_frame = ["--approximation", "orthoformer", "--per-frame"];
    let refused = orthoformer(&[&["track", &clip, "--out", &out], &per_frame[..]].concat());
    refused.code(1).stderr(contains("shared by all frames"));
}

#[test]
fn compare_measures_the_answers_of_the_shipped_network() {
    let run = |more: &[&str]| orthoformer(&[&["compare", "--trained", "--clips", "4", "--counts", "4"], more].concat());
    let report = json(run(&["--json"]).success());
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!((report["clips"].as_u64(), rows.len()), (Some(4), 1 + 8));
    assert_eq!((rows[0]["agreement"].as_f64(), rows[0]["logit_difference"].as_f64()), (Some(1.0), Some(0.0)));
    for row in &rows[1..] {
        assert!(row["logit_difference"].as_f64().expect("a number") > 0.0, "{row}");
        assert!(row["multiply_adds"].as_u64() < rows[0]["multiply_adds"].as_u64(), "{row}");
    }
    run(&["--seeds", "2"]).code(2).stderr(contains("cannot be used with"));
    orthoformer(&["compare", "--clips", "4", &shipped("clips/ball.gif")]).code(2).stderr(contains("cannot be used with"));
}
