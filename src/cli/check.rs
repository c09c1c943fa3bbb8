//! `orthoformer check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use include_dir::{Dir, include_dir};
use serde::Serialize;

use super::terminal::{complain, print_json, print_line, progress, table};
use crate::case::{self, Case, CaseReport};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::gpu::{AdapterChoice, Engine, EngineOptions, RunOptions};
use crate::plan::{Plan, PlanLimits};
use crate::tensor::Tensors;

/// The cases that ship inside the crate.
static SHIPPED: Dir = include_dir!("$CARGO_MANIFEST_DIR/tests/cases");

/// Models with their checkpoints, likewise.
static MODELS: Dir = include_dir!("$CARGO_MANIFEST_DIR/tests/models");

#[derive(Args)]
pub(super) struct CheckArgs {
    /// Case files, or folders of them; without any, the cases that ship inside the program.
    cases: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    adapter: String,
    passed: bool,
    cases: Vec<CaseReport>,
}

pub(super) fn main(args: &CheckArgs, choice: AdapterChoice) -> Result<ExitCode> {
    let sources: Vec<_> =
        sources(&args.cases)?.into_iter().map(|(path, bytes)| (name_of(&path), planned(&path, bytes))).collect();
    let plans = sources.iter().filter_map(|(_, planned)| planned.as_ref().ok()).map(|(_, plan)| plan);
    let engine = Engine::new(&super::tune::with_pipelines(&EngineOptions::for_plans(choice, plans)))?;
    super::tune::adopt(&engine);
    let bar = progress("checking", sources.len());
    let mut cases = Vec::new();
    let run = async |plan: &Plan, inputs: &Tensors, options: RunOptions| Ok(engine.run(plan, inputs, options)?.outputs);
    for (case, planned) in sources {
        cases.push(pollster::block_on(case::check(case, planned, run)));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let report = Report { adapter: engine.describe(), passed: cases.iter().all(|case| case.passed), cases };
    if args.json {
        print_json(&report)?;
    } else {
        print_report(&report)?;
    }
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Paths of cases, with their bytes where they ship inside the program.
type Sources = Vec<(PathBuf, Option<&'static [u8]>)>;

fn sources(named: &[PathBuf]) -> Result<Sources> {
    let mut sources: Sources = Vec::new();
    if named.is_empty() {
        let is_case = |file: &&include_dir::File<'_>| file.path().extension().is_some_and(|extension| extension == "safetensors");
        let files = SHIPPED.files().chain(MODELS.files()).filter(is_case);
        sources.extend(files.map(|file| (file.path().to_owned(), Some(file.contents()))));
    }
    for path in named {
        if !path.is_dir() {
            sources.push((path.clone(), None));
            continue;
        }
        let before = sources.len();
        for entry in std::fs::read_dir(path).map_err(Error::file("read the folder", path))? {
            let file = entry.map_err(Error::file("read the folder", path))?.path();
            if file.extension().is_some_and(|extension| extension == "safetensors") {
                sources.push((file, None));
            }
        }
        if sources.len() == before {
            return Err(Error::Contents { path: path.clone(), reason: "the folder has no .safetensors files".to_owned() });
        }
    }
    sources.sort();
    Ok(sources)
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn planned(path: &Path, bytes: Option<&[u8]>) -> Result<(Case, Plan)> {
    let case = match bytes {
        Some(bytes) => Case::parse_beside(path, bytes, &shipped_checkpoint)?,
        None => Case::read(path)?,
    };
    let plan = case.operation.plan(PlanLimits::default())?;
    Ok((case, plan))
}

/// A checkpoint that ships inside the program.
fn shipped_checkpoint(name: &str) -> Result<Checkpoint> {
    let file = MODELS.get_file(name).ok_or_else(|| Error::Metadata {
        key: "checkpoint",
        found: format!("{name:?}"),
        expected: "a checkpoint that ships inside the program".to_owned(),
    })?;
    Checkpoint::parse(file.path(), file.contents().to_vec())
}

fn print_report(report: &Report) -> Result<()> {
    print_line(&format!("adapter: {}", report.adapter))?;
    let mut rows = table(&["case", "output", "reference", "adapter", "used", "verdict"]);
    for case in &report.cases {
        for output in &case.outputs {
            let share = [&output.reference, &output.adapter, &output.between].map(|outcome| outcome.share_of_tolerance);
            rows.add_row([
                case.case.clone(),
                output.output.clone(),
                format!("{:.1e}", output.reference.worst_error),
                format!("{:.1e}", output.adapter.worst_error),
                format!("{:.1} %", 100.0 * share.into_iter().fold(0.0, f64::max)),
                if output.passed() { "ok" } else { "WRONG" }.to_owned(),
            ]);
        }
        if case.outputs.is_empty() {
            let blank = || "-".to_owned();
            rows.add_row([case.case.clone(), blank(), blank(), blank(), blank(), "FAILED".to_owned()]);
        }
    }
    print_line(&rows.to_string())?;
    print_line(
        "reference, adapter: largest error against what is expected; used: share of the tolerance, their difference included",
    )?;
    for case in report.cases.iter().filter(|case| !case.passed) {
        complain(&format!("{}: {}", case.case, case.trouble.as_deref().unwrap_or("differs from what is expected")));
    }
    for (case, note) in report.cases.iter().filter_map(|case| Some((&case.case, case.note.as_ref()?))) {
        print_line(&format!("{case}: {note}"))?;
    }
    let passed = report.cases.iter().filter(|case| case.passed).count();
    print_line(&format!("{passed} of {} cases passed", report.cases.len()))
}
