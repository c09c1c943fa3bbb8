//! `cargo xtask fuzz [--seconds N]`: every fuzz target for a while, under limits of time and memory.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::{Outcome, root, run};

/// Files of `fuzz/fuzz_targets/`, each with a folder of the same name in `fuzz/corpus/`.
const TARGETS: [&str; 3] = ["case", "checkpoint", "clip"];
/// For each target, if nothing else is said.
const SECONDS: u32 = 60;
/// What counts as a finding beside a panic: a run that takes longer, seconds; memory beyond this, MiB, in all and in one piece. The largest
/// piece that is allowed to be asked for is a frame of 16,384 x 16,384 pixels.
const LIMITS: [&str; 4] = ["-timeout=20", "-rss_limit_mb=4096", "-malloc_limit_mb=1100", "-max_len=65536"];
/// Lines shown of what a target said before it failed.
const LAST_WORDS: usize = 40;

/// Fuzzes every target; fails if there is any finding.
pub fn fuzz(arguments: &[String]) -> Outcome {
    let seconds = seconds(arguments)?;
    check_tools()?;
    run(cargo_fuzz("build").current_dir(root()))?;
    let mut failed = Vec::new();
    for target in TARGETS {
        let (line, found) = fuzz_target(target, seconds)?;
        println!("xtask: {line}");
        failed.extend(found.then_some(target));
    }
    match failed.as_slice() {
        [] => Ok(()),
        _ => Err(format!("fuzzing found something in: {}", failed.join(", "))),
    }
}

fn seconds(arguments: &[String]) -> Result<u32, String> {
    match arguments {
        [] => Ok(SECONDS),
        [option, number] if option == "--seconds" => match number.parse() {
            Ok(seconds) if seconds > 0 => Ok(seconds),
            _ => Err(format!("--seconds takes a whole number above 0, not {number:?}")),
        },
        _ => Err(format!("unknown arguments {arguments:?}; there is: cargo xtask fuzz [--seconds N]")),
    }
}

fn check_tools() -> Outcome {
    if !succeeds(nightly().arg("--version")) {
        return Err("fuzzing needs the nightly toolchain, for its sanitizers: rustup toolchain install nightly".to_owned());
    }
    if !succeeds(&mut cargo_fuzz("--version")) {
        return Err("fuzzing needs cargo-fuzz: cargo install cargo-fuzz".to_owned());
    }
    Ok(())
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Cargo of the nightly toolchain, whichever toolchain runs this.
fn nightly() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]).env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTDOC");
    command
}

fn cargo_fuzz(task: &str) -> Command {
    let mut command = nightly();
    command.args(["fuzz", task]);
    command
}

/// A line about how it went, and whether there was a finding. New inputs go to `fuzz/found/`, beside the repository's corpus.
fn fuzz_target(target: &str, seconds: u32) -> Result<(String, bool), String> {
    let (found, corpus) = (format!("fuzz/found/{target}"), format!("fuzz/corpus/{target}"));
    std::fs::create_dir_all(root().join(&found)).map_err(|error| format!("cannot make {found}: {error}"))?;
    let mut command = cargo_fuzz("run");
    command.args([target, &found, &corpus, "--", &format!("-max_total_time={seconds}"), "-print_final_stats=1"]);
    println!("xtask: fuzzing {target} for {seconds} seconds");
    let failed = |error| format!("cannot fuzz {target}: {error}");
    let mut child = command.args(LIMITS).current_dir(root()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let mut report = Report::default();
    for line in child.stderr.take().map(BufReader::new).into_iter().flat_map(|said| said.split(b'\n')) {
        // A target may print what is no text.
        report.hear(String::from_utf8_lossy(&line.map_err(failed)?).into_owned());
    }
    let succeeded = child.wait().map_err(failed)?.success();
    if !succeeded {
        report.last_words.iter().for_each(|line| eprintln!("{line}"));
    }
    Ok((format!("{target}: {}", report.summary(succeeded)), !succeeded))
}

/// What libFuzzer says on the way.
#[derive(Default)]
struct Report {
    executions: String,
    coverage: String,
    artifact: Option<String>,
    last_words: Vec<String>,
}

impl Report {
    fn hear(&mut self, line: String) {
        let word_after = |key: &str| line.split_once(key)?.1.split_whitespace().next().map(str::to_owned);
        // "#4096 pulse cov: 812 ft: 2630 ..." on the way, "stat::number_of_executed_units: 5000" at the end.
        if let Some(coverage) = word_after(" cov: ") {
            self.coverage = coverage;
        }
        let counted = line.strip_prefix('#').and_then(|rest| rest.split_whitespace().next());
        if let Some(count) = word_after("stat::number_of_executed_units: ").or_else(|| counted.map(str::to_owned)) {
            self.executions = count;
        }
        if let Some(path) = word_after("Test unit written to ") {
            self.artifact = Some(path);
        }
        if self.last_words.len() == LAST_WORDS {
            self.last_words.remove(0);
        }
        self.last_words.push(line);
    }

    fn summary(&self, succeeded: bool) -> String {
        let known = |count: &str| if count.is_empty() { "unknown".to_owned() } else { count.to_owned() };
        let done = format!("{} executions, {} edges covered", known(&self.executions), known(&self.coverage));
        match (succeeded, &self.artifact) {
            (true, _) => format!("{done}, no findings"),
            (false, Some(artifact)) => format!("{done}, a finding: {artifact}"),
            (false, None) => format!("{done}, failed without an input (see above)"),
        }
    }
}
