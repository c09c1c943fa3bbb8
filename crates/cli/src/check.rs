//! `orthoformer check`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use orthoformer::gpu::{AdapterChoice, Engine, EngineOptions, RunOptions};
use orthoformer::plan::Plan;
use orthoformer::{Result, Tensors};
use orthoformer_bench::case::{self, CaseReport};
use serde::Serialize;

use super::case_files::sources;
use super::terminal::{complain, print_json, print_line, progress, table};

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
    let sources: Vec<_> = sources(&args.cases)?.into_iter().map(|source| (source.name(), source.planned())).collect();
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
