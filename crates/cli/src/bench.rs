//! `orthoformer bench`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use orthoformer::gpu::AdapterChoice;
use orthoformer::ops::Approximation;
use orthoformer::plan::Element;
use orthoformer::variant::Variant;
use orthoformer::{Error, Result};
use orthoformer_bench::{
    BenchOperation, BenchReport, BenchShape, Case, Changed, Comparison, Effort, Request, Row, Verdict, compare_reports, html,
    measure, parse_report,
};
use orthoformer_video::files::{make_sure_of_folder, write_whole};
use serde::Serialize;

use super::approximation::ApproximationArgs;
use super::side_by_side::SideArgs;
use super::terminal::{bytes, complain, print_json, print_line, progress, table};

/// Measure the adapter's ceilings, then the operations against them.
///
/// Without further flags: all operations, exact and approximated, in all variants at a small shape (8x49x96x3), and at that of a Motionformer-B layer
/// (8x196x768x12) exact attention and Orthoformer in the variant that the engine uses, batch 1: minutes on a software driver. --all measures everything at all shapes (those, 16x196x768x12
/// and 8x441x768x12) with batches 1 and 4. With --operation, --shape, --batch or --approximation, just those.
///
/// A variant is timed only if its results are right. The columns: GFLOP/s counts two operations for each multiply-add that the
/// algorithm needs, GB/s each number once that a dispatch reads or writes; `of ceiling` is the time that multiply-adds at full rate, or
/// these bytes at the rate of a copy, would take (the longer of the two), as a part of the time taken.
#[derive(Args)]
pub(super) struct BenchArgs {
    /// Measure these operations only.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME,...")]
    operation: Vec<OperationName>,
    /// Measure at these shapes only: frames x patches a frame x channels x heads.
    #[arg(long, value_delimiter = ',', value_name = "FxSxCxH,...")]
    shape: Vec<BenchShape>,
    /// Sequences that are computed together [default: 1].
    #[arg(long, value_delimiter = ',', value_name = "B,...", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Vec<u32>,
    /// Measure these variants only: baseline, blocks, tiles, broadcast, cooperative; `auto` is what the engine chooses, dispatch by dispatch, and goes by its name where it is one variant.
    /// With `-f16`: for numbers that are stored as float16.
    #[arg(long, value_delimiter = ',', value_name = "NAME,...", value_parser = VariantName::parse)]
    variant: Vec<VariantName>,
    /// Everything at every shape, batches 1 and 4. On a software driver this takes hours.
    #[arg(long, conflicts_with_all = ["operation", "shape", "batch", "approximation"])]
    all: bool,
    /// Runs of each.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Seconds after which no further run is started, once there are three.
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    /// Leave out the ceilings, and what is said by them.
    #[arg(long)]
    no_ceilings: bool,
    /// Leave out the stages of operations.
    #[arg(long)]
    whole: bool,
    /// Print the report as JSON.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print the rows as comma-separated values.
    #[arg(long, conflicts_with = "compare")]
    csv: bool,
    /// Compare with an older report, as --json wrote it: ratios, and what of them is noise.
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
    /// Write a page with a roofline plot and tables.
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
    let request = request(args)?;
    let bar = progress("ceilings", request.steps());
    let report = measure(choice, &request, super::tune::adopt, |next| {
        bar.set_message(next.to_owned());
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    let comparison = old.as_ref().map(|old| compare_reports(old, &report));
    if let Some(path) = &args.report {
        write_whole(path, html(&report, comparison.as_ref()).as_bytes())?;
    }
    if args.json {
        print_json(&Printed { report: &report, comparison: comparison.as_ref() })?;
    } else if args.csv {
        print_csv(&report)?;
    } else {
        print_report(&report)?;
        comparison.iter().try_for_each(print_comparison)?;
        args.report.iter().try_for_each(|path| print_line(&format!("wrote {}", path.display())))?;
    }
    let wrong = report.rows.iter().filter(|row| row.status.starts_with("wrong")).count();
    if wrong > 0 {
        complain(&format!("{wrong} rows are wrong: nothing of them was timed"));
        return Ok(ExitCode::FAILURE);
    }
    if !report.rows.iter().any(Row::is_ok) {
        complain("nothing could be measured: every row is unsupported");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn request(args: &BenchArgs) -> Result<Request> {
    let approximation = args.approximation.wanted()?;
    let chosen = !args.operation.is_empty() || !args.shape.is_empty() || !args.batch.is_empty() || approximation.is_some();
    let or = |given: &[BenchShape], usual: &[BenchShape]| if given.is_empty() { usual.to_vec() } else { given.to_vec() };
    let operations: Vec<BenchOperation> = match args.operation.as_slice() {
        [] => BenchOperation::ALL.to_vec(),
        given => given.iter().copied().map(BenchOperation::from).collect(),
    };
    let usual = [BenchShape::SMALL, BenchShape::MOTIONFORMER_B];
    let shapes = or(&args.shape, if args.all { &BenchShape::ALL } else { &usual });
    let batches = match args.batch.as_slice() {
        [] if args.all => vec![1, 4],
        [] => vec![1],
        given => given.to_vec(),
    };
    let mut cases = Vec::new();
    for &shape in &shapes {
        for &batch in &batches {
            for &operation in &operations {
                let approximations = approximations(operation, shape, approximation.as_ref());
                let case = |approximation| Case { operation, shape, batch, approximation, element: Element::F32 };
                cases.extend(approximations.into_iter().map(case));
            }
        }
    }
    if !chosen && !args.all {
        cases.retain(is_usual);
    }
    if cases.is_empty() {
        let given = "no operation that goes through this approximation".to_owned();
        return Err(Error::Argument { what: "operations", given, expected: "at least one".to_owned() });
    }
    let large = |case: &Case| !chosen && !args.all && case.shape != BenchShape::SMALL;
    let variants = |case: &Case, element: Element| match args.variant.as_slice() {
        [] if large(case) => vec![None],
        [] => Variant::ALL.into_iter().map(Some).chain([None]).collect(),
        given => given.iter().filter(|name| name.1 == element).map(|name| name.0).collect::<Vec<_>>(),
    };
    let stored = |case: Case| Element::ALL.map(|element| (Case { element, ..case.clone() }, variants(&case, element)));
    let cases = cases.into_iter().flat_map(stored).filter(|(_, variants)| !variants.is_empty()).collect();
    let effort = Effort { runs: args.runs as usize, seconds: args.seconds, stages: !args.whole };
    Ok(Request { cases, ceilings: !args.no_ceilings, effort })
}

/// The approximations to measure an operation with: those that it has of the kind asked for.
fn approximations(operation: BenchOperation, shape: BenchShape, wanted: Option<&Approximation>) -> Vec<Approximation> {
    let usual = operation.approximations(shape);
    let Some(wanted) = wanted else { return usual };
    let kinds: Vec<&str> = usual.iter().map(Approximation::name).collect();
    if kinds.contains(&wanted.name()) { vec![wanted.clone()] } else { Vec::new() }
}

/// What is measured by default: everything that is small, and of what is large the operations that matter most.
fn is_usual(case: &Case) -> bool {
    let exact_or_paper = matches!(case.approximation, Approximation::Exact | Approximation::Orthoformer(_));
    case.shape == BenchShape::SMALL || (case.operation != BenchOperation::Attention && exact_or_paper)
}

fn print_report(report: &BenchReport) -> Result<()> {
    print_line(&report.adapter.line())?;
    print_line(&format!("times by {}", report.adapter.clock))?;
    let measured = report.ceilings.named().into_iter().filter(|(_, ceiling)| ceiling.status != "skipped");
    let mut ceilings = table(&["ceiling", "", "", "status"]);
    for (name, ceiling) in measured {
        let value = ceiling.value.map_or(String::new(), |value| format!("{value:.2}"));
        ceilings.add_row([name, &value, &ceiling.unit, &bracketed(&ceiling.status)]);
    }
    if !ceilings.is_empty() {
        print_line(&ceilings.to_string())?;
    }
    // Stages of what would not be used are left to the other forms.
    let shown = |row: &&Row| !row.is_stage() || row.best || !report.rows.iter().any(|row| row.best);
    let rows: Vec<&Row> = report.rows.iter().filter(shown).collect();
    let case = |row: &Row| format!("{}, batch {}, {}", row.shape, row.batch, row.approximation);
    for of_case in rows.chunk_by(|a, b| case(a) == case(b)) {
        print_line(&of_case.first().map_or(String::new(), |row| case(row)))?;
        let mut table = table(&["operation", "variant", "ms", "IQR", "GFLOP/s", "GB/s", "of ceiling", "device"]);
        table.add_rows(of_case.iter().map(|row| cells(row)));
        print_line(&table.to_string())?;
        for row in of_case.iter().filter(|row| !row.is_ok()) {
            print_line(&format!("{} as {}: {}", row.operation, row.variant, bracketed(&row.status)))?;
        }
    }
    print_line("* what the engine uses; ms: median, with its interquartile range; two operations a multiply-add")?;
    print_line("stages are timed in runs of their own and need not add up; those of other rows are in --json, --csv and --report")
}

/// `ok` goes without saying; `[unsupported] why` stands out.
fn bracketed(status: &str) -> String {
    match status.split_once(": ") {
        Some((kind, why)) => format!("[{kind}] {why}"),
        None if status == "ok" => String::new(),
        None => format!("[{status}]"),
    }
}

fn cells(row: &Row) -> [String; 8] {
    let number = |number: Option<f64>, digits: usize| number.map_or(String::new(), |number| format!("{number:.digits$}"));
    let percent = row.percent_of_ceiling.map(|percent| format!("{percent:.1} % {}", row.ceiling.as_deref().unwrap_or("")));
    [
        row.operation.clone(),
        if row.best { format!("{} *", row.variant) } else { row.variant.clone() },
        number(row.median_ms, 3),
        number(row.iqr_ms, 3),
        number(row.gflops, 2),
        number(row.gbps, 2),
        percent.unwrap_or_default(),
        row.device_bytes.map_or(String::new(), bytes),
    ]
}

fn print_csv(report: &BenchReport) -> Result<()> {
    let failed =
        |error: String| Error::Argument { what: "report", given: error, expected: "one that CSV can express".to_owned() };
    let mut writer = csv::Writer::from_writer(Vec::new());
    report.rows.iter().try_for_each(|row| writer.serialize(row)).map_err(|error| failed(error.to_string()))?;
    let written = writer.into_inner().map_err(|error| failed(error.to_string()))?;
    print_line(String::from_utf8_lossy(&written).trim_end())
}

fn print_comparison(comparison: &Comparison) -> Result<()> {
    print_line(&format!("against {}", comparison.old_adapter))?;
    if !comparison.same_adapter {
        print_line("note: measured on another adapter, driver or clock; the ratios say little")?;
    }
    if let Some(ratio) = comparison.multiply_add_ratio {
        print_line(&format!("multiply-adds at full rate: {ratio:.2} times as fast as then, whatever the kernels"))?;
    }
    let case = |row: &Changed| format!("{}, batch {}, {}", row.shape, row.batch, row.approximation);
    for of_case in comparison.rows.chunk_by(|a, b| case(a) == case(b)) {
        print_line(&of_case.first().map_or(String::new(), case))?;
        let mut rows = table(&["operation", "variant", "old ms", "new ms", "ratio", "noise", "verdict"]);
        for Changed { operation, variant, old_ms, new_ms, ratio, noise, verdict, .. } in of_case {
            let verdict = match verdict {
                Verdict::Faster => "faster",
                Verdict::Slower => "slower",
                Verdict::Same => "",
                Verdict::Unclear => "too few runs",
            };
            let numbers = [old_ms, new_ms, ratio, noise].map(|number| format!("{number:.3}"));
            rows.add_row([operation.clone(), variant.clone()].into_iter().chain(numbers).chain([verdict.to_owned()]));
        }
        print_line(&rows.to_string())?;
    }
    if comparison.rows.is_empty() {
        print_line("no row of the two was timed in both")?;
    }
    let Comparison { only_new, only_old, .. } = comparison;
    print_line(&format!(
        "ratio: new to old; slower above 1 + noise, faster below 1 / (1 + noise); {only_new} rows are new, {only_old} are gone"
    ))
}
