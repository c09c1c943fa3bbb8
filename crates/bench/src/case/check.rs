//! Checking a case: an adapter, the CPU engine and the reference against what the case expects, and the first two against the last.

use orthoformer::compare::{Comparison, Tolerance, compare, compare_values};
use orthoformer::gpu::RunOptions;
use orthoformer::picks::{self, replay_all, with_picks};
use orthoformer::plan::{Plan, PlanLimits, Role};
use orthoformer::reference::direct::Replay;
use orthoformer::reference::{self, Route};
use orthoformer::tensor::missing;
use orthoformer::{Error, Result, Tensor, Tensors};
use orthoformer_cpu::CpuEngine;
use serde::Serialize;

use super::Case;
use crate::json::ComparisonFields;

/// Name of the output that holds the picks of a greedy selection.
const PICKS: &str = "indices";

/// What came out of a case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// The case's name.
    pub case: String,
    /// Whether everything was compared and right.
    pub passed: bool,
    /// Why the case could not be run, or the first buffer of its plan in which adapter and reference part.
    pub trouble: Option<String>,
    /// What to know of a comparison that was made.
    pub note: Option<String>,
    /// One entry for each output that was compared.
    pub outputs: Vec<OutputReport>,
}

/// How an output compares.
#[derive(Clone, Debug, Serialize)]
pub struct OutputReport {
    /// The output's name.
    pub output: String,
    /// What is tolerated whatever is expected.
    pub absolute_tolerance: f64,
    /// What is tolerated for each unit of what is expected.
    pub relative_tolerance: f64,
    /// Reference against expected.
    #[serde(with = "ComparisonFields")]
    pub reference: Comparison,
    /// Adapter against expected.
    #[serde(with = "ComparisonFields")]
    pub adapter: Comparison,
    /// Adapter against reference.
    #[serde(with = "ComparisonFields")]
    pub between: Comparison,
    /// The CPU engine, if it was checked too.
    pub cpu: Option<CpuOutput>,
}

/// How an output of the CPU engine compares.
#[derive(Clone, Debug, Serialize)]
pub struct CpuOutput {
    /// Against expected.
    #[serde(with = "ComparisonFields")]
    pub expected: Comparison,
    /// Against the reference.
    #[serde(with = "ComparisonFields")]
    pub reference: Comparison,
}

impl OutputReport {
    /// All that was compared.
    pub fn comparisons(&self) -> impl Iterator<Item = &Comparison> {
        let on_cpu = self.cpu.iter().flat_map(|cpu| [&cpu.expected, &cpu.reference]);
        [&self.reference, &self.adapter, &self.between].into_iter().chain(on_cpu)
    }

    /// Whether all comparisons are right.
    pub fn passed(&self) -> bool {
        self.comparisons().all(Comparison::passed)
    }
}

/// Runs a case, poisoned, by `run`, on the CPU if there is an engine, and by the reference, and compares all with what the case expects and with
/// the last. `planned` is the case with its plan, or why there is none.
pub async fn check(
    name: String,
    planned: Result<(Case, Plan)>,
    run: impl AsyncFn(&Plan, &Tensors, RunOptions) -> Result<Tensors>,
    cpu: Option<&CpuEngine>,
) -> CaseReport {
    let compared = match planned {
        Ok((case, plan)) => compare_all(&case, &plan, &run, cpu).await,
        Err(error) => Err(error),
    };
    match compared {
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

async fn compare_all(
    case: &Case,
    plan: &Plan,
    run: &impl AsyncFn(&Plan, &Tensors, RunOptions) -> Result<Tensors>,
    cpu: Option<&CpuEngine>,
) -> Result<Outcome> {
    if let Some((name, found)) = case.unread.iter().find(|(name, _)| name.starts_with("expected.")) {
        return Err(Error::WrongType { name: name.clone(), found: found.clone(), expected: "floats, or integers for indices" });
    }
    // The adapter first: it knows its limits, and refuses what the host could only fail to allocate.
    let poisoned = RunOptions { poison: true, ..RunOptions::default() };
    let by_adapter = run(plan, &case.inputs, poisoned).await?;
    let by_reference = reference::run(plan, &case.inputs, Route::Direct)?;
    let Some(engine) = cpu else { return compare_case(case, plan, by_adapter, by_reference, run).await };
    let mut outcome = compare_case(case, plan, by_adapter, by_reference.clone(), run).await?;
    let on_cpu = async |plan: &Plan, inputs: &Tensors, options| Ok(engine.run(plan, inputs, options)?.outputs);
    let by_cpu = on_cpu(plan, &case.inputs, poisoned).await?;
    let other = compare_case(case, plan, by_cpu, by_reference, &on_cpu).await?;
    for output in &mut outcome.outputs {
        let found = other.outputs.iter().find(|own| own.output == output.output);
        output.cpu = found.map(|own| CpuOutput { expected: own.adapter, reference: own.between });
    }
    outcome.trouble = outcome.trouble.or(other.trouble.map(|trouble| format!("the CPU engine as adapter: {trouble}")));
    Ok(outcome)
}

/// Compares what an adapter and the reference made.
async fn compare_case(
    case: &Case,
    plan: &Plan,
    by_adapter: Tensors,
    mut by_reference: Tensors,
    run: &impl AsyncFn(&Plan, &Tensors, RunOptions) -> Result<Tensors>,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut expected = case.expected.clone();
    if let (Some(found), Some(operation)) = (by_adapter.get(PICKS), case.operation.core()) {
        let (in_file, by_other) = (expected.remove(PICKS), by_reference.get(PICKS).cloned());
        let report = compare_picks((case, operation), found, [in_file.as_ref(), by_other.as_ref()])?;
        let all_right = report.as_ref().is_none_or(OutputReport::passed);
        outcome.outputs.extend(report);
        let differs = |other: Option<&Tensor>| other.is_some_and(|other| other.data() != found.data());
        // What follows from other picks is other. Where both are right, the reference takes the adapter's; what the file expects still
        // holds unless its own picks, or the reference's where it has none, are others than those.
        if all_right && (differs(by_other.as_ref()) || differs(in_file.as_ref())) {
            let given = with_picks(operation, found).plan(PlanLimits::default())?;
            by_reference = reference::run(&given, &case.inputs, Route::Direct)?;
            if differs(in_file.as_ref().or(by_other.as_ref())) {
                outcome.note =
                    Some("picks differ where scores are all but equal; the rest is compared along the adapter's".to_owned());
                expected.retain(|name, _| by_reference.contains_key(name));
                expected.iter_mut().for_each(|(name, expected)| expected.clone_from(&by_reference[name]));
            }
        }
    }
    let tolerance = case.operation.tolerance();
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
            cpu: None,
        });
    }
    outcome.trouble = match (case.expected.is_empty(), outcome.outputs.iter().all(|output| output.between.passed())) {
        (true, _) => Some("the file has no expected tensors: nothing was compared".to_owned()),
        (false, true) => None,
        (false, false) => parting(plan, case, run, tolerance).await?,
    };
    Ok(outcome)
}

/// The picks of adapter, reference and file, replayed; `None` if there is nothing to replay.
fn compare_picks(
    (case, operation): (&Case, &orthoformer::Operation),
    found: &Tensor,
    [in_file, by_reference]: [Option<&Tensor>; 2],
) -> Result<Option<OutputReport>> {
    let replayed = |picks: &Tensor| replay_all(operation, &case.inputs, picks);
    let Some(of_adapter) = replayed(found)? else { return Ok(None) };
    let of_reference = by_reference.map_or(Ok(None), replayed)?.unwrap_or_default();
    let of_file = in_file.map_or(Ok(None), replayed)?.unwrap_or_default();
    let tolerance = picks::tolerance(operation);
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
        cpu: None,
    }))
}

/// The first buffer, in the order in which they are last written, in which adapter and reference differ.
async fn parting(
    plan: &Plan,
    case: &Case,
    run: &impl AsyncFn(&Plan, &Tensors, RunOptions) -> Result<Tensors>,
    tolerance: Tolerance,
) -> Result<Option<String>> {
    let reference = reference::run_buffers(plan, &case.inputs, Route::Kernels)?;
    let options = RunOptions { poison: true, read_scratch: true, ..RunOptions::default() };
    let adapter = run(plan, &case.inputs, options).await?;
    let written: Vec<_> = plan.dispatches().filter_map(|dispatch| Some((dispatch, dispatch.bindings.last()?))).collect();
    for (index, (dispatch, binding)) in written.iter().enumerate() {
        // Only what is in a buffer at the end can be read.
        if written[index + 1..].iter().any(|(_, later)| later.buffer() == binding.buffer()) {
            continue;
        }
        let spec = &plan.buffers()[binding.buffer().index()];
        let Some(found) = adapter.get(&spec.name).filter(|_| spec.is_output() || spec.role == Role::Scratch) else { continue };
        let outcome = compare_values(found.data(), &reference[binding.buffer().index()], tolerance);
        if !outcome.passed() {
            let (label, stem, wrong) = (dispatch.label, dispatch.kernel.row().stem, outcome.wrong);
            return Ok(Some(format!("adapter and reference part at {label:?} (shaders/{stem}.wgsl): {wrong} numbers differ")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use orthoformer_cpu::CpuOptions;

    use super::*;

    fn report(change: impl Fn(&mut Tensors)) -> CaseReport {
        let bytes = include_bytes!("../../../cli/shipped/cases/trajectories_1.safetensors");
        let case = Case::parse("trajectories_1".as_ref(), bytes).expect("what ships is sound");
        let plan = case.operation.plan(PlanLimits::default()).expect("plans");
        let run = async |plan: &Plan, inputs: &Tensors, _| {
            let mut outputs = reference::run(plan, inputs, Route::Kernels)?;
            change(&mut outputs);
            Ok(outputs)
        };
        let cpu = CpuEngine::new(&CpuOptions { threads: Some(1) }).expect("a thread");
        pollster::block_on(check("trajectories_1".to_owned(), Ok((case, plan)), run, Some(&cpu)))
    }

    #[test]
    fn a_wrong_number_and_a_missing_output_are_found() {
        let right = report(|_| ());
        assert!(right.passed && !right.outputs.is_empty(), "{right:?}");
        assert!(right.outputs.iter().all(|output| output.cpu.is_some()), "{right:?}");
        let wrong = report(|outputs| {
            let tensor = outputs.get_mut("tokens").expect("trajectories have them");
            let mut data = tensor.data().to_vec();
            data[0] += 1e-3;
            *tensor = Tensor::new(tensor.shape().to_vec(), data).expect("the same shape");
        });
        assert!(!wrong.passed && wrong.outputs.iter().any(|output| output.adapter.wrong == 1), "{wrong:?}");
        let missing = report(|outputs| drop(outputs.remove("tokens")));
        assert!(!missing.passed && missing.trouble.as_ref().is_some_and(|trouble| trouble.contains("tokens")), "{missing:?}");
    }
}
