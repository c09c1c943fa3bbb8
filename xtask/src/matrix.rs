//! `cargo xtask matrix`: kernels and cases on every adapter that this machine has, with and without each optional feature.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::lanes::side_by_side;
use crate::{Outcome, TESTED, cargo, cargo_command, target};

/// The program of the tests that need an adapter.
const PROGRAM: [&str; 2] = ["--test", "device"];
/// Its modules that run here.
const MODULES: [&str; 9] = [
    "kernels::",
    "products::",
    "weights::",
    "layers::",
    "selections::",
    "performer::",
    "approximations::",
    "networks::",
    "borrowed_device::",
];
/// Those that do not, though their names end like one that does.
const NAMESAKES: [&str; 3] = ["approximated_layers::", "deformable_kernels::", "deformable_networks::"];
/// What an adapter can be used without: names of `orthoformer::gpu::OptionalFeature`.
const FEATURES: [&str; 5] = ["subgroups", "f16", "timestamps", "pipelines", "matrices"];
const OPENGL: &str = "OpenGL";
/// Where SwiftShader's manifest lies when Chromium brings it.
const SWIFTSHADER: [&str; 3] = [
    "/usr/lib/chromium/vk_swiftshader_icd.json",
    "/usr/lib/chromium-browser/vk_swiftshader_icd.json",
    "/opt/google/chrome/vk_swiftshader_icd.json",
];

/// One way to run.
struct Target {
    name: String,
    environment: Vec<(&'static str, String)>,
    /// Not every machine has it: where no adapter comes up, it is skipped.
    may_be_missing: bool,
}

/// What came of a target.
struct Row {
    name: String,
    adapter: String,
    cases: String,
    tests: String,
    failed: bool,
    took: Duration,
}

/// Runs all targets and prints the table; fails if one of them does. Cases alone take seconds, tests many minutes.
pub fn matrix(with_tests: bool) -> Outcome {
    let targets = targets();
    // Programs alone would be built anew: tests' dependencies have features that theirs lack.
    cargo(&[&["build"], &TESTED[..], &["--all-targets"]].concat())?;
    let rows = side_by_side(targets, |target| {
        println!("xtask: {}", target.name);
        let row = row(&target, with_tests);
        match &row {
            Some(row) => println!("xtask: {}: cases {}, tests {}", row.name, row.cases, row.tests),
            None => println!("xtask: skipped {}, as no adapter comes up", target.name),
        }
        row
    });
    let rows: Vec<Row> = rows.into_iter().flatten().collect();
    print_table(&rows);
    let failed: Vec<&str> = rows.iter().filter(|row| row.failed).map(|row| row.name.as_str()).collect();
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(format!("failed: {}", failed.join(", "))),
    }
}

/// The default adapter with all its features, without each, and without any; then the other drivers there may be.
fn targets() -> Vec<Target> {
    let without = |features: &str| Target {
        name: format!("without {}", features.replace(',', ", ")),
        environment: vec![("ORTHOFORMER_WITHOUT", features.to_owned())],
        may_be_missing: false,
    };
    // It keeps no compiled shaders and takes longest.
    let environment = vec![("WGPU_BACKEND", "gl".to_owned())];
    let mut targets = vec![Target { name: OPENGL.to_owned(), environment, may_be_missing: true }];
    targets.push(Target { name: "default adapter".to_owned(), environment: Vec::new(), may_be_missing: false });
    targets.extend(FEATURES.iter().map(|feature| without(feature)));
    targets.push(without(&FEATURES.join(",")));
    match SWIFTSHADER.iter().find(|path| Path::new(path).is_file()) {
        Some(manifest) => targets.push(Target {
            name: "SwiftShader".to_owned(),
            environment: vec![
                ("WGPU_BACKEND", "vulkan".to_owned()),
                ("VK_DRIVER_FILES", (*manifest).to_owned()),
                ("VK_ICD_FILENAMES", (*manifest).to_owned()),
            ],
            may_be_missing: true,
        }),
        None => println!("xtask: skipped SwiftShader, which comes with Chromium (cargo xtask drivers)"),
    }
    targets
}

/// Runs a target; `None` if it may be missing and is.
fn row(target: &Target, with_tests: bool) -> Option<Row> {
    let start = Instant::now();
    // Tuning of another machine's adapter says nothing here.
    let mut check = Command::new(program());
    check.args(["check", "--json", "--cache", "/nonexistent"]);
    let (succeeded, said) = output(check.envs(target.environment()));
    let report: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
    if target.may_be_missing && report["adapter"].is_null() {
        return None;
    }
    let all = report["cases"].as_array().map_or(&[][..], Vec::as_slice);
    let right = all.iter().filter(|case| case["passed"] == true).count();
    let passed = succeeded && right > 0 && right == all.len();
    if !passed {
        println!("{said}");
    }
    let cases = format!("{right} of {}", all.len());
    let (tested, good) = if with_tests { run_tests(target) } else { ("not run".to_owned(), true) };
    Some(Row {
        name: target.name.clone(),
        adapter: report["adapter"].as_str().unwrap_or("none").to_owned(),
        cases: if passed { cases } else { format!("FAILED: {cases}") },
        tests: tested,
        failed: !passed || !good,
        took: start.elapsed(),
    })
}

impl Target {
    fn environment(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.environment.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

/// How many tests passed, or that some failed.
fn run_tests(target: &Target) -> (String, bool) {
    let mut test = cargo_command(&[&["test"], &TESTED[..], &PROGRAM, &["--"], &MODULES].concat());
    test.args(NAMESAKES.iter().flat_map(|&name| ["--skip", name]));
    // wgpu's lock on OpenGL panics where a thread has to wait for another's work.
    let threads = if target.name == OPENGL { ["--test-threads", "1"].as_slice() } else { &[] };
    let (good, said) = output(test.args(threads).envs(target.environment()));
    let count = |word: &str| -> u32 {
        let of_line = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let position = words.iter().position(|found| found.trim_end_matches(';') == word)?;
            words.get(position.checked_sub(1)?)?.parse::<u32>().ok()
        };
        said.lines().filter(|line| line.starts_with("test result")).filter_map(of_line).sum()
    };
    let (ran, wrong) = (count("passed"), count("failed"));
    if !good {
        println!("{said}");
    }
    match good && ran > 0 {
        true => (ran.to_string(), true),
        false => (format!("FAILED: {wrong} of {}", ran + wrong), false),
    }
}

/// What a command says on its standard output, and whether it succeeded.
fn output(command: &mut Command) -> (bool, String) {
    match command.output() {
        Ok(output) => (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => (false, format!("cannot start {command:?}: {error}")),
    }
}

/// The program that building the tests has built.
fn program() -> PathBuf {
    target().join("debug").join(format!("orthoformer{}", std::env::consts::EXE_SUFFIX))
}

fn print_table(rows: &[Row]) {
    println!("\n| target | adapter | cases right | tests passed | seconds |\n| --- | --- | --- | --- | --- |");
    for row in rows {
        let seconds = row.took.as_secs();
        println!("| {} | {} | {} | {} | {seconds} |", row.name, row.adapter, row.cases, row.tests);
    }
    println!();
}
