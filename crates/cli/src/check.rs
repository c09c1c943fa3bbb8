//! `orthoformer check`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use orthoformer::gpu::{AdapterChoice, EngineOptions, RunOptions};
use orthoformer::plan::Plan;
use orthoformer::{Result, Tensors};
use orthoformer_bench::case::{self, CaseReport, OutputReport};
use orthoformer_cpu::{CpuEngine, CpuOptions, Executor};
use serde::Serialize;

use super::ExecutorArg;
use super::case_files::sources;
use super::interrupt;
use super::terminal::{Table, complain, print_json, print_line, print_tables, print_text, progress};

#[derive(Args)]
pub(super) struct CheckArgs {
    /// Case files, folders of them, or names of shipped cases.
    ///
    /// Without any, all cases that ship inside the program.
    cases: Vec<PathBuf>,
    /// What to check.
    #[arg(long, value_enum, default_value_t = ExecutorArg::Gpu)]
    executor: ExecutorArg,
    /// Print the names of the cases, no more.
    #[arg(long, conflicts_with = "json")]
    list: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    adapter: String,
    passed: bool,
    cases: Vec<CaseReport>,
    /// Whether checking was stopped before the last case.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    interrupted: bool,
}

pub(super) fn main(args: &CheckArgs, choice: AdapterChoice) -> Result<ExitCode> {
    let sources = sources(&args.cases)?;
    if args.list {
        return sources.iter().try_for_each(|source| print_line(&source.name())).map(|()| ExitCode::SUCCESS);
    }
    let sources: Vec<_> = sources.into_iter().map(|source| (source.name(), source.planned())).collect();
    let plans = sources.iter().filter_map(|(_, planned)| planned.as_ref().ok()).map(|(_, plan)| plan);
    let executor = args.executor.open(&EngineOptions::for_plans(choice, plans))?;
    // An adapter's processor is checked along with it.
    let cpu = match &executor {
        Executor::Gpu(_) => Some(CpuEngine::new(&CpuOptions::default())?),
        Executor::Cpu(_) | Executor::Reference => None,
    };
    if !args.json {
        print_text(&format!("adapter: {}", executor.describe()))?;
    }
    interrupt::listen();
    let count = sources.len();
    let bar = progress("checking", count);
    let mut cases: Vec<CaseReport> = Vec::new();
    let run =
        async |plan: &Plan, inputs: &Tensors, options: RunOptions| Ok(executor.placed().run(plan, inputs, options)?.outputs);
    for (case, planned) in sources {
        if interrupt::flow().is_break() {
            break;
        }
        let case = pollster::block_on(case::check(case, planned, run, cpu.as_ref()));
        if !args.json {
            bar.suspend(|| print_text(&line(&case)))?;
        }
        cases.push(case);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let interrupted = cases.len() < count;
    let passed = !interrupted && cases.iter().all(|case| case.passed);
    let report = Report { adapter: executor.describe(), passed, cases, interrupted };
    if args.json {
        print_json(&report)?;
    } else {
        print_report(&report)?;
    }
    if report.interrupted {
        complain(&format!("interrupted: {} of {count} cases checked", report.cases.len()));
        return Ok(interrupt::exit_code());
    }
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A case in a line.
fn line(case: &CaseReport) -> String {
    let used = case.outputs.iter().map(share_used).fold(0.0, f64::max);
    match case.passed {
        true => format!("{}: ok, {:.1} % of the tolerance used", case.case, 100.0 * used),
        false if case.outputs.is_empty() => format!("{}: FAILED", case.case),
        false => format!("{}: WRONG", case.case),
    }
}

/// The largest error of an output's comparisons, as a share of what is tolerated.
fn share_used(output: &OutputReport) -> f64 {
    output.comparisons().map(|outcome| outcome.share_of_tolerance).fold(0.0, f64::max)
}

fn print_report(report: &Report) -> Result<()> {
    if report.cases.is_empty() {
        return Ok(());
    }
    let rows = Table::new(&["case", "output", "reference", "adapter", "cpu", "used", "verdict"]);
    let mut rows = rows.least(&["reference", "adapter", "cpu", "used"], "--json has all");
    for case in &report.cases {
        for output in &case.outputs {
            rows.add_row([
                case.case.clone(),
                output.output.clone(),
                format!("{:.1e}", output.reference.worst_error),
                format!("{:.1e}", output.adapter.worst_error),
                output.cpu.as_ref().map_or("-".to_owned(), |cpu| format!("{:.1e}", cpu.expected.worst_error)),
                format!("{:.1} %", 100.0 * share_used(output)),
                if output.passed() { "ok" } else { "WRONG" }.to_owned(),
            ]);
        }
        if case.outputs.is_empty() {
            let blank = || "-".to_owned();
            rows.add_row([case.case.clone(), blank(), blank(), blank(), blank(), blank(), "FAILED".to_owned()]);
        }
    }
    print_tables(&[rows])?;
    print_text(
        "reference, adapter, cpu: largest error against what is expected; used: share of the tolerance, their differences included",
    )?;
    for case in report.cases.iter().filter(|case| !case.passed) {
        complain(&format!("{}: {}", case.case, case.trouble.as_deref().unwrap_or("differs from what is expected")));
    }
    for (case, note) in report.cases.iter().filter_map(|case| Some((&case.case, case.note.as_ref()?))) {
        print_text(&format!("{case}: {note}"))?;
    }
    let passed = report.cases.iter().filter(|case| case.passed).count();
    print_line(&format!("{passed} of {} cases passed", report.cases.len()))
}
