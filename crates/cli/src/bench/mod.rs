//! `orthoformer bench`.

mod live;
mod merge;
mod print;
mod request;
mod sweep;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use orthoformer::gpu::{AdapterChoice, EngineOptions};
use orthoformer::plan::Element;
use orthoformer::variant::Variant;
use orthoformer::{Error, Result};
use orthoformer_bench::{
    BenchOperation, BenchReport, BenchShape, Comparison, Effort, Made, Request, Row, compare_reports, html, measure,
    measure_on_cpu, merge as merge_reports, parse_report,
};
use orthoformer_cpu::{CpuEngine, Executor};
use serde::Serialize;

use super::ExecutorArg;
use super::approximation::ApproximationArgs;
use super::side_by_side::SideArgs;
use super::terminal::{complain, print_json, print_line};
use super::{interrupt, outputs};
use live::Live;
use sweep::AttentionArgs;

/// Measure the adapter's ceilings, then the operations against them.
///
/// Without further flags: all operations, exact and approximated, in all variants at a small shape (8x49x96x3), and at that of a Motionformer-B layer
/// (8x196x768x12) exact attention and Orthoformer in the variant that the engine uses, batch 1: minutes on a software driver. --all measures everything at all shapes (those, 16x196x768x12
/// and 8x441x768x12) with batches 1 and 4. With --operation, --shape, --batch or --approximation, just those.
///
/// A variant is timed only if its results are right. The columns: GFLOP/s counts two operations for each multiply-add that the
/// algorithm needs, GB/s each number once that a dispatch reads or writes; `of ceiling` is the time that multiply-adds at full rate, or
/// these bytes at the rate of a copy, would take (the longer of the two), as a part of the time taken.
///
/// Everything is checked first, and each row printed with its first run. Then all rows run once a round, so that a slow minute is one of all rows.
/// Ctrl-C ends after the current run, and what was measured is reported; a second Ctrl-C ends at once.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    sweep: Option<Sweep>,
    /// Measure these operations only.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME,...")]
    operation: Vec<OperationName>,
    /// At these shapes only.
    ///
    /// Frames x patches a frame x channels x heads.
    #[arg(long, value_delimiter = ',', value_name = "FxSxCxH,...")]
    shape: Vec<BenchShape>,
    /// Sequences that are computed together [default: 1].
    #[arg(long, value_delimiter = ',', value_name = "B,...", value_parser = clap::value_parser!(u32).range(1..), hide_short_help = true)]
    batch: Vec<u32>,
    /// These variants only, such as auto or tiles.
    ///
    /// baseline, blocks, tiles, broadcast, cooperative, rows; `auto` is what the engine chooses, dispatch by dispatch, and goes by its name where it is one
    /// variant. With `-f16`: for elements that are stored as float16.
    #[arg(long, value_delimiter = ',', value_name = "NAME,...", value_parser = VariantName::parse)]
    variant: Vec<VariantName>,
    /// Everything at every shape: hours on a CPU.
    ///
    /// With batches of 1 and 4.
    #[arg(long, conflicts_with_all = ["operation", "shape", "batch", "approximation"])]
    all: bool,
    /// Put reports of --json side by side.
    ///
    /// Nothing is measured. As text, or with --json; --report writes a page or Markdown of it.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = [
        "operation", "shape", "batch", "variant", "all", "csv", "compare", "approximation", "attentions", "network", "executor",
    ])]
    merge: Vec<PathBuf>,
    #[command(flatten)]
    how: HowArgs,
    #[command(flatten)]
    side: SideArgs,
    #[command(flatten)]
    approximation: ApproximationArgs,
}

#[derive(Subcommand)]
enum Sweep {
    Attention(AttentionArgs),
}

/// How to measure, and what becomes of it.
#[derive(Args)]
struct HowArgs {
    /// What to measure: the adapter, or the CPU engine, which has no variants.
    #[arg(long, value_enum, default_value_t = ExecutorArg::Gpu, hide_short_help = true)]
    pub executor: ExecutorArg,
    /// Rounds, in which everything runs once.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..), hide_short_help = true)]
    pub runs: u32,
    /// Seconds for the runs of a row; what takes longer runs in fewer rounds, but in five at least.
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds, hide_short_help = true)]
    pub seconds: f64,
    /// Leave out the ceilings, and what is said by them.
    #[arg(long, hide_short_help = true)]
    pub no_ceilings: bool,
    /// Leave out the stages of operations.
    #[arg(long, hide_short_help = true)]
    pub whole: bool,
    /// Print the report as JSON.
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print comma-separated values.
    #[arg(long, conflicts_with = "compare")]
    pub csv: bool,
    /// Compare with an older report of --json.
    ///
    /// Says of each row whether it is faster, slower, the same or undecided.
    #[arg(long, value_name = "OLD.json")]
    pub compare: Option<PathBuf>,
    /// Write a page with a plot and tables, or Markdown.
    ///
    /// Markdown if the name ends in .md.
    #[arg(long, value_name = "OUT.html")]
    pub report: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OperationName {
    Trajectories,
    Attention,
    Prototypes,
    Layer,
    Linear,
}

impl From<OperationName> for BenchOperation {
    fn from(name: OperationName) -> Self {
        match name {
            OperationName::Trajectories => Self::Trajectories,
            OperationName::Attention => Self::Attention,
            OperationName::Prototypes => Self::Prototypes,
            OperationName::Layer => Self::Layer,
            OperationName::Linear => Self::Linear,
        }
    }
}

/// A variant, or `None` for the engine's choice, and what numbers are stored as.
#[derive(Clone, Copy, PartialEq, Eq)]
struct VariantName(Option<Variant>, Element);

impl VariantName {
    fn parse(text: &str) -> std::result::Result<Self, String> {
        let (name, element) = match text.strip_suffix("-f16") {
            Some(name) => (name, Element::F16),
            None => (text, Element::F32),
        };
        let named = || Variant::ALL.into_iter().find(|variant| variant.name() == name);
        match name {
            "auto" => Ok(Self(None, element)),
            _ => named().map(|variant| Self(Some(variant), element)).ok_or_else(|| {
                let names: Vec<_> = Variant::ALL.into_iter().map(Variant::name).collect();
                format!("expected auto or one of {}; with -f16 for numbers that are stored as float16", names.join(", "))
            }),
        }
    }
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds: &f64| seconds.is_finite() && *seconds > 0.0)
        .ok_or_else(|| "expected a number above 0".to_owned())
}

/// The report, with its comparison with an older one if there is one.
#[derive(Serialize)]
struct Printed<'r> {
    #[serde(flatten)]
    report: &'r BenchReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<&'r Comparison>,
}

pub(super) fn main(args: &BenchArgs, choice: &AdapterChoice) -> Result<ExitCode> {
    if let Some(Sweep::Attention(sweep)) = &args.sweep {
        return measured(&sweep.how, |_| sweep.request(), choice, sweep::print);
    }
    if !args.merge.is_empty() {
        return merge::main(&args.merge, args.how.report.as_deref(), args.how.json);
    }
    if args.side.attentions || !args.side.network.is_empty() {
        return super::side_by_side::main(&args.side, choice, Effort { stages: false, ..args.how.effort() }, args.how.json);
    }
    measured(&args.how, |on_cpu| request::request(args, on_cpu), choice, print::report)
}

impl HowArgs {
    fn effort(&self) -> Effort {
        Effort { runs: self.runs as usize, seconds: self.seconds, stages: !self.whole }
    }

    /// The CPU engine, if that is what to measure.
    fn cpu(&self, choice: &AdapterChoice) -> Result<Option<CpuEngine>> {
        match self.executor {
            ExecutorArg::Gpu => Ok(None),
            ExecutorArg::Reference => {
                let (what, given) = ("--executor of bench", "reference".to_owned());
                let expected = "auto, gpu or cpu: the reference is not meant to be fast".to_owned();
                Err(Error::Argument { what, given, expected })
            }
            other => match other.open_untuned(&EngineOptions { choice: choice.clone(), ..EngineOptions::default() })? {
                Executor::Cpu(engine) => Ok(Some(engine)),
                Executor::Gpu(_) | Executor::Reference => Ok(None),
            },
        }
    }
}

/// Measures what is asked for, and reports it; `request` is told whether on the CPU, and `print` prints the tables.
fn measured(
    how: &HowArgs,
    request: impl FnOnce(bool) -> Result<Request>,
    choice: &AdapterChoice,
    print: impl FnOnce(&BenchReport) -> Result<()>,
) -> Result<ExitCode> {
    // What can be wrong is found before the work rather than after it.
    let old = how.compare.as_deref().map(read_report).transpose()?;
    let cpu = how.cpu(choice)?;
    let request = request(cpu.is_some())?;
    let page = how.report.as_deref().map(|path| Ok((path, outputs::open(path)?))).transpose()?;
    let made = made();
    interrupt::listen();
    let mut live = Live::new(!how.json && !how.csv);
    let mut report = match &cpu {
        Some(engine) => measure_on_cpu(engine, &request, &mut live)?,
        None => measure(choice, &request, super::tune::adopt, &mut live)?,
    };
    report.made = Some(made);
    let checked = live.finish();
    let comparison = old.as_ref().map(|old| compare_reports(old, &report));
    if let Some((path, page)) = page {
        let markdown = || merge_reports(std::slice::from_ref(&report)).markdown();
        page.write(if is_markdown(path) { markdown() } else { html(&report, comparison.as_ref()) }.as_bytes())?;
    }
    if how.json {
        print_json(&Printed { report: &report, comparison: comparison.as_ref() })?;
    } else if how.csv {
        print::csv(&report)?;
    } else {
        print::wrong(&report)?;
        print(&report)?;
        comparison.iter().try_for_each(print::comparison)?;
        how.report.iter().try_for_each(|path| print_line(&format!("wrote {}", path.display())))?;
    }
    if report.interrupted {
        return Ok(interrupted((checked, request.rows()), (report.rounds, request.effort.runs)));
    }
    Ok(verdict(&report, comparison.as_ref()))
}

fn read_report(path: &Path) -> Result<BenchReport> {
    parse_report(path, &std::fs::read(path).map_err(Error::file("read", path))?)
}

/// Whether a page is to be Markdown rather than HTML.
fn is_markdown(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("md"))
}

/// How this run came to be.
pub(super) fn made() -> Made {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    Made::now(option_env!("ORTHOFORMER_COMMIT").map(str::to_owned), arguments.collect())
}

/// Says how far it came before Ctrl-C: so many rows and rounds of so many.
pub(super) fn interrupted((checked, rows): (usize, usize), (done, rounds): (usize, usize)) -> ExitCode {
    if checked < rows {
        complain(&format!("interrupted: {checked} of {rows} rows measured, in their first run"));
    } else {
        complain(&format!("interrupted: {done} of {rounds} rounds measured"));
    }
    interrupt::exit_code()
}

/// What the exit code says of a report, with a line on stderr where that is no success.
fn verdict(report: &BenchReport, comparison: Option<&Comparison>) -> ExitCode {
    let wrong = report.rows.iter().filter(|row| row.is_wrong()).count();
    let nothing_compares = comparison.is_some_and(|comparison| comparison.rows.is_empty());
    if wrong > 0 {
        complain(&format!("{wrong} rows are wrong: nothing of them was timed"));
    } else if !report.rows.iter().any(Row::is_ok) {
        complain("nothing could be measured: every row is unsupported");
    } else if nothing_compares {
        complain("nothing compares: no row was timed in both reports");
    } else {
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}
