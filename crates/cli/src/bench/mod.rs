//! `orthoformer bench`.

mod live;
mod print;
mod request;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use orthoformer::gpu::AdapterChoice;
use orthoformer::plan::Element;
use orthoformer::variant::Variant;
use orthoformer::{Error, Result};
use orthoformer_bench::{
    BenchOperation, BenchReport, BenchShape, Comparison, Effort, Row, compare_reports, html, measure, measure_on_cpu,
    parse_report,
};
use orthoformer_cpu::{CpuEngine, CpuOptions};
use orthoformer_video::files::{make_sure_of_folder, write_whole};
use serde::Serialize;

use super::ExecutorArg;
use super::approximation::ApproximationArgs;
use super::interrupt;
use super::side_by_side::SideArgs;
use super::terminal::{complain, print_json, print_line};
use live::{Form, Live};

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
/// Rows are printed as they are measured. Ctrl-C ends after the current row, and what was measured is reported; a second Ctrl-C ends at once.
#[derive(Args)]
pub(super) struct BenchArgs {
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
    /// What to measure: the adapter, or the CPU engine, which has no variants.
    #[arg(long, value_enum, default_value_t = ExecutorArg::Gpu)]
    executor: ExecutorArg,
    /// These variants only, such as auto or tiles.
    ///
    /// baseline, blocks, tiles, broadcast, cooperative; `auto` is what the engine chooses, dispatch by dispatch, and goes by its name where it is one
    /// variant. With `-f16`: for elements that are stored as float16.
    #[arg(long, value_delimiter = ',', value_name = "NAME,...", value_parser = VariantName::parse)]
    variant: Vec<VariantName>,
    /// Everything at every shape: hours on a CPU.
    ///
    /// With batches of 1 and 4.
    #[arg(long, conflicts_with_all = ["operation", "shape", "batch", "approximation"])]
    all: bool,
    /// Runs of each.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..), hide_short_help = true)]
    runs: u32,
    /// Seconds after which no further run is started, once there are three.
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds, hide_short_help = true)]
    seconds: f64,
    /// Leave out the ceilings, and what is said by them.
    #[arg(long, hide_short_help = true)]
    no_ceilings: bool,
    /// Leave out the stages of operations.
    #[arg(long, hide_short_help = true)]
    whole: bool,
    /// Print the report as JSON.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values.
    #[arg(long, conflicts_with = "compare")]
    csv: bool,
    /// Compare with an older report of --json.
    ///
    /// Ratios, and what of them is noise.
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
    /// Write a page with a plot and tables.
    #[arg(long, value_name = "OUT.html")]
    report: Option<PathBuf>,
    #[command(flatten)]
    side: SideArgs,
    #[command(flatten)]
    approximation: ApproximationArgs,
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
    if args.side.attentions || !args.side.network.is_empty() {
        let effort = Effort { runs: args.runs as usize, seconds: args.seconds, stages: false };
        return super::side_by_side::main(&args.side, choice, effort, args.json);
    }
    // What can be wrong is found before the work rather than after it.
    let old = match &args.compare {
        Some(path) => Some(parse_report(path, &std::fs::read(path).map_err(Error::file("read", path))?)?),
        None => None,
    };
    if let Some(path) = &args.report {
        make_sure_of_folder(path)?;
    }
    let request = request::request(args)?;
    let form = match (args.json, args.csv) {
        (true, _) => Form::Json,
        (_, true) => Form::Csv,
        _ => Form::Text,
    };
    interrupt::listen();
    let mut live = Live::new(form, request.steps());
    let report = match args.executor {
        ExecutorArg::Cpu => measure_on_cpu(&CpuEngine::new(&CpuOptions::default())?, &request, &mut live)?,
        ExecutorArg::Auto | ExecutorArg::Gpu => measure(choice, &request, super::tune::adopt, &mut live)?,
        ExecutorArg::Reference => {
            let (what, given) = ("--executor of bench", "reference".to_owned());
            return Err(Error::Argument {
                what,
                given,
                expected: "gpu or cpu: the reference is not meant to be fast".to_owned(),
            });
        }
    };
    let measured = live.finish();
    let comparison = old.as_ref().map(|old| compare_reports(old, &report));
    if let Some(path) = &args.report {
        write_whole(path, html(&report, comparison.as_ref()).as_bytes())?;
    }
    match form {
        Form::Json => print_json(&Printed { report: &report, comparison: comparison.as_ref() })?,
        // Every row is there already.
        Form::Csv => {}
        Form::Text => {
            print::report(&report)?;
            comparison.iter().try_for_each(print::comparison)?;
            args.report.iter().try_for_each(|path| print_line(&format!("wrote {}", path.display())))?;
        }
    }
    Ok(verdict(&report, measured, request.rows()))
}

/// What the exit code says of a report, with a line on stderr where that is no success. So many of so many rows were measured.
fn verdict(report: &BenchReport, measured: usize, of: usize) -> ExitCode {
    let wrong = report.rows.iter().filter(|row| row.status.starts_with("wrong")).count();
    if wrong > 0 {
        complain(&format!("{wrong} rows are wrong: nothing of them was timed"));
    }
    if report.interrupted {
        complain(&format!("interrupted: {measured} of {of} rows measured"));
        return interrupt::exit_code();
    }
    if wrong == 0 && !report.rows.iter().any(Row::is_ok) {
        complain("nothing could be measured: every row is unsupported");
        return ExitCode::FAILURE;
    }
    if wrong > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
