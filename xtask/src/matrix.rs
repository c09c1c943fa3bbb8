//! `cargo xtask matrix`: kernels and cases on every adapter that this machine has, with and without each optional feature.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{Outcome, cargo, cargo_command};

/// Test programs that run kernels, from quick to thorough.
const QUICK: [&str; 1] = ["kernels"];
const THOROUGH: [&str; 9] =
    ["kernels", "products", "weights", "layers", "selections", "performer", "approximations", "networks", "guest"];
/// What an adapter can be used without: names of `orthoformer::gpu::OptionalFeature`.
const FEATURES: [&str; 4] = ["subgroups", "f16", "timestamps", "matrices"];
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

/// Runs all targets and prints the table; fails if one of them does, or if there is none.
pub fn matrix(thorough: bool) -> Outcome {
    let programs: &[&str] = if thorough { &THOROUGH } else { &QUICK };
    let targets = targets();
    let tests = programs.iter().flat_map(|program| ["--test", program]);
    let build: Vec<&str> = ["test", "--all-features", "--no-run"].into_iter().chain(tests.clone()).collect();
    cargo(&build)?;
    let mut rows = Vec::new();
    for target in &targets {
        println!("xtask: {}", target.name);
        rows.push(row(target, tests.clone().collect()));
        if let Some(row) = rows.last() {
            println!("xtask: {}: cases {}, tests {}", row.name, row.cases, row.tests);
        }
    }
    print_table(&rows);
    let failed: Vec<&str> = rows.iter().filter(|row| row.failed).map(|row| row.name.as_str()).collect();
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(format!("failed: {}", failed.join(", "))),
    }
}

/// The default adapter with all its features, without each, and without any; then the other drivers there are.
fn targets() -> Vec<Target> {
    let without = |features: &str| Target {
        name: format!("vulkan without {}", features.replace(',', ", ")),
        environment: vec![("WGPU_BACKEND", "vulkan".to_owned()), ("ORTHOFORMER_WITHOUT", features.to_owned())],
    };
    let all = Target { name: "vulkan".to_owned(), environment: vec![("WGPU_BACKEND", "vulkan".to_owned())] };
    let mut targets = vec![all];
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
        }),
        None => println!("xtask: skipped SwiftShader, which comes with Chromium (Debian: apt-get install chromium)"),
    }
    targets.push(Target { name: "OpenGL".to_owned(), environment: vec![("WGPU_BACKEND", "gl".to_owned())] });
    targets
}

fn row(target: &Target, tests: Vec<&str>) -> Row {
    let start = Instant::now();
    let environment = || target.environment.iter().map(|(name, value)| (*name, value.as_str()));
    // Tuning of another machine's adapter says nothing here.
    let mut check = Command::new(program());
    check.args(["check", "--json", "--cache", "/nonexistent"]).envs(environment());
    let (passed, said) = output(&mut check);
    let report: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
    let all = report["cases"].as_array().map_or(&[][..], Vec::as_slice);
    let right = all.iter().filter(|case| case["passed"] == true).count();
    let cases = format!("{right} of {}", all.len());
    let passed = passed && right > 0 && right == all.len();
    let adapter = report["adapter"].as_str().unwrap_or("none").to_owned();
    let mut test = cargo_command(&["test", "--all-features", "--no-fail-fast"]);
    let (good, said) = output(test.args(tests).envs(environment()));
    let numbers = |word: &str| -> u32 {
        let results = said.lines().filter(|line| line.starts_with("test result"));
        let count = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let position = words.iter().position(|found| found.trim_end_matches(';') == word)?;
            words.get(position.checked_sub(1)?)?.parse::<u32>().ok()
        };
        results.filter_map(count).sum()
    };
    let (ran, wrong) = (numbers("passed"), numbers("failed"));
    if !passed || !good {
        println!("{said}");
    }
    Row {
        name: target.name.clone(),
        adapter,
        cases: if passed { cases } else { format!("FAILED: {cases}") },
        tests: if wrong == 0 { ran.to_string() } else { format!("FAILED: {wrong} of {}", ran + wrong) },
        failed: !passed || !good || ran == 0,
        took: start.elapsed(),
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
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    target.join("debug").join(format!("orthoformer{}", std::env::consts::EXE_SUFFIX))
}

fn print_table(rows: &[Row]) {
    println!("\n| target | adapter | cases right | tests passed | seconds |\n| --- | --- | --- | --- | --- |");
    for row in rows {
        let seconds = row.took.as_secs();
        println!("| {} | {} | {} | {} | {seconds} |", row.name, row.adapter, row.cases, row.tests);
    }
    println!();
}
