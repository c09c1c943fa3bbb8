//! `orthoformer check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use include_dir::{Dir, include_dir};
use serde::Serialize;

use super::terminal::{complain, print_json, print_line, progress, table};
use crate::case::Case;
use crate::checkpoint::Checkpoint;
use crate::compare::{Comparison, Tolerance, compare, compare_numbers};
use crate::error::{Error, Result};
use crate::gpu::{AdapterChoice, Engine, EngineOptions, RunOptions};
use crate::picks::{self, replay_all, with_picks};
use crate::plan::{Plan, PlanLimits, Role};
use crate::reference::direct::Replay;
use crate::reference::{self, Route};
use crate::tensor::{Tensor, missing};

/// The cases that ship inside the crate.
static SHIPPED: Dir = include_dir!("$CARGO_MANIFEST_DIR/tests/cases");

/// Models with their checkpoints, likewise.
static MODELS: Dir = include_dir!("$CARGO_MANIFEST_DIR/tests/models");

/// Name of the output that holds the picks of a greedy selection.
const PICKS: &str = "indices";

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

#[derive(Serialize)]
struct CaseReport {
    case: String,
    passed: bool,
    /// Why the case could not be run, or the first buffer of its plan in which adapter and reference part.
    trouble: Option<String>,
    /// What to know of a comparison that was made.
    note: Option<String>,
    outputs: Vec<OutputReport>,
}

#[derive(Serialize)]
struct OutputReport {
    output: String,
    absolute_tolerance: f64,
    relative_tolerance: f64,
    /// Reference against expected.
    reference: Comparison,
    /// Adapter against expected.
    adapter: Comparison,
    /// Adapter against reference.
    between: Comparison,
}

impl OutputReport {
    fn passed(&self) -> bool {
        self.reference.passed() && self.adapter.passed() && self.between.passed()
    }
}

pub(super) fn main(args: &CheckArgs, choice: AdapterChoice) -> Result<ExitCode> {
    let sources: Vec<_> =
        sources(&args.cases)?.into_iter().map(|(path, bytes)| (name_of(&path), planned(&path, bytes))).collect();
    let plans = sources.iter().filter_map(|(_, planned)| planned.as_ref().ok()).map(|(_, plan)| plan);
    let engine = Engine::new(&super::tune::with_pipelines(&EngineOptions::for_plans(choice, plans)))?;
    super::tune::adopt(&engine);
    let bar = progress("checking", sources.len());
    let mut cases = Vec::new();
    for (case, planned) in sources {
        cases.push(check(case, planned, &engine));
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

fn check(name: String, planned: Result<(Case, Plan)>, engine: &Engine) -> CaseReport {
    match planned.and_then(|(case, plan)| compare_case(&case, &plan, engine)) {
        Ok(Outcome { outputs, trouble, note }) => {
            let passed = trouble.is_none() && !outputs.is_empty() && outputs.iter().all(OutputReport::passed);
            CaseReport { case: name, passed, trouble, note, outputs }
        }
        Err(error) => {
            let trouble = Some(error.to_string());
            CaseReport { case: name, passed: false, trouble, note: None, outputs: Vec::new() }
        }
    }
}

/// A case that could be run.
#[derive(Default)]
struct Outcome {
    outputs: Vec<OutputReport>,
    trouble: Option<String>,
    note: Option<String>,
}

fn compare_case(case: &Case, plan: &Plan, engine: &Engine) -> Result<Outcome> {
    if let Some((name, found)) = case.unread.iter().find(|(name, _)| name.starts_with("expected.")) {
        return Err(Error::WrongType { name: name.clone(), found: found.clone(), expected: "floats, or integers for indices" });
    }
    // The adapter first: it knows its limits, and refuses what the host could only fail to allocate.
    let by_adapter = engine.run(plan, &case.inputs, RunOptions { poison: true, ..RunOptions::default() })?.outputs;
    let mut by_reference = reference::run(plan, &case.inputs, Route::Direct)?;
    let mut outcome = Outcome::default();
    let mut expected = case.expected.clone();
    if let Some(found) = by_adapter.get(PICKS) {
        let (in_file, by_other) = (expected.remove(PICKS), by_reference.get(PICKS).cloned());
        let report = compare_picks(case, found, [in_file.as_ref(), by_other.as_ref()])?;
        let all_right = report.as_ref().is_none_or(OutputReport::passed);
        outcome.outputs.extend(report);
        let differs = |other: Option<&Tensor>| other.is_some_and(|other| other.data() != found.data());
        // What follows from other picks is other. Where both are right, the reference takes the adapter's; what the file expects still
        // holds unless its own picks, or the reference's where it has none, are others than those.
        if all_right && (differs(by_other.as_ref()) || differs(in_file.as_ref())) {
            let given = with_picks(&case.operation, found).plan(PlanLimits::default())?;
            by_reference = reference::run(&given, &case.inputs, Route::Direct)?;
            if differs(in_file.as_ref().or(by_other.as_ref())) {
                outcome.note =
                    Some("picks differ where scores are all but equal; the rest is compared along the adapter's".to_owned());
                expected.retain(|name, _| by_reference.contains_key(name));
                expected.iter_mut().for_each(|(name, expected)| expected.clone_from(&by_reference[name]));
            }
        }
    }
    let tolerance = Tolerance::of(&case.operation);
    for (name, expected) in &expected {
        let missing = || missing(name, &by_adapter);
        let found = by_adapter.get(name).ok_or_else(missing)?;
        let reference = by_reference.get(name).ok_or_else(missing)?;
        outcome.outputs.push(OutputReport {
            output: name.clone(),
            absolute_tolerance: tolerance.absolute,
            relative_tolerance: tolerance.relative,
            reference: compare(reference, expected, tolerance),
            adapter: compare(found, expected, tolerance),
            between: compare(found, reference, tolerance),
        });
    }
    outcome.trouble = match (case.expected.is_empty(), outcome.outputs.iter().all(|output| output.between.passed())) {
        (true, _) => Some("the file has no expected tensors: nothing was compared".to_owned()),
        (false, true) => None,
        (false, false) => parting(plan, case, engine, tolerance)?,
    };
    Ok(outcome)
}

/// The picks of adapter, reference and file, replayed; `None` if there is nothing to replay.
fn compare_picks(case: &Case, found: &Tensor, [in_file, by_reference]: [Option<&Tensor>; 2]) -> Result<Option<OutputReport>> {
    let replayed = |picks: &Tensor| replay_all(&case.operation, &case.inputs, picks);
    let Some(of_adapter) = replayed(found)? else { return Ok(None) };
    let of_reference = by_reference.map_or(Ok(None), replayed)?.unwrap_or_default();
    let of_file = in_file.map_or(Ok(None), replayed)?.unwrap_or_default();
    let tolerance = picks::tolerance(&case.operation);
    // Each pick as good as the best; and where nothing else comes close, the other's picks are the only right ones.
    let verdict = |picks: Option<&Tensor>, replays: &[Replay], other: Option<&Tensor>, others: &[Replay]| {
        let count = found.data().len() / of_adapter.len().max(1);
        let part = |picks: Option<&Tensor>, group: usize| picks.map(|picks| picks.data()[group * count..][..count].to_vec());
        let is_wrong = |(group, replay): &(usize, &Replay)| {
            let only = others.get(*group).is_some_and(|other| other.margin > tolerance);
            replay.gap > tolerance || (only && part(picks, *group) != part(other, *group))
        };
        let worst_error = replays.iter().map(|replay| replay.gap).fold(0.0, f64::max);
        let wrong = replays.iter().enumerate().filter(is_wrong).count();
        let share_of_tolerance = if wrong > 0 { f64::INFINITY } else { worst_error / tolerance };
        Comparison { worst_error, share_of_tolerance, worst_index: 0, wrong, count: replays.len() }
    };
    Ok(Some(OutputReport {
        output: PICKS.to_owned(),
        absolute_tolerance: tolerance,
        relative_tolerance: 0.0,
        reference: verdict(by_reference, &of_reference, in_file, &of_file),
        adapter: verdict(Some(found), &of_adapter, in_file, &of_file),
        between: verdict(Some(found), &of_adapter, by_reference, &of_reference),
    }))
}

/// The first buffer, in the order in which they are last written, in which adapter and reference differ.
fn parting(plan: &Plan, case: &Case, engine: &Engine, tolerance: Tolerance) -> Result<Option<String>> {
    let reference = reference::run_buffers(plan, &case.inputs, Route::Kernels)?;
    let adapter =
        engine.run(plan, &case.inputs, RunOptions { poison: true, read_scratch: true, ..RunOptions::default() })?.outputs;
    let written: Vec<_> = plan.dispatches().filter_map(|dispatch| Some((dispatch, dispatch.bindings.last()?))).collect();
    for (index, (dispatch, binding)) in written.iter().enumerate() {
        // Only what is in a buffer at the end can be read.
        if written[index + 1..].iter().any(|(_, later)| later.buffer == binding.buffer) {
            continue;
        }
        let spec = &plan.buffers()[binding.buffer.index()];
        let Some(found) = adapter.get(&spec.name).filter(|_| spec.is_output() || spec.role == Role::Scratch) else { continue };
        let outcome = compare_numbers(found.data(), &reference[binding.buffer.index()], tolerance);
        if !outcome.passed() {
            let (label, stem, wrong) = (dispatch.label, dispatch.kernel.row().stem, outcome.wrong);
            return Ok(Some(format!("adapter and reference part at {label:?} (shaders/{stem}.wgsl): {wrong} numbers differ")));
        }
    }
    Ok(None)
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
