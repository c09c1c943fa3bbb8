//! `orthoformer run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use orthoformer::gpu::{AdapterChoice, EngineOptions};
use orthoformer::ops::approximation::Selection;
use orthoformer::ops::{Approximation, LayerAttention, Operation as CoreOperation};
use orthoformer::plan::{Element, PlanLimits};
use orthoformer::{Error, Result};
use orthoformer_bench::case::{self, Case, Operation};
use orthoformer_video::files::make_sure_of_folder;
use serde::Serialize;

use super::ExecutorArg;
use super::approximation::ApproximationArgs;
use super::element;
use super::terminal::{on_device, print_json, print_line, print_text};

#[derive(Args)]
pub(super) struct RunArgs {
    /// Case file: safetensors whose metadata names the operation.
    case: PathBuf,
    /// Where to write the outputs (safetensors).
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where to run.
    #[arg(long, value_enum, default_value_t = ExecutorArg::Gpu)]
    executor: ExecutorArg,
    /// What elements are stored as: f32 or f16.
    ///
    /// f16 takes nearly half the memory, and is right to about 5e-3 of the outputs' norm for logits up to some tens.
    #[arg(long, value_name = "TYPE", value_parser = element, default_value_t = Element::F32)]
    storage: Element,
    /// Also write the temporal weights of a layer.
    ///
    /// `temporal_weights [B,H,N,F]`, of trajectory layers.
    #[arg(long)]
    temporal_weights: bool,
    /// Also write the attention of these queries.
    ///
    /// `attention [B,H,Q,F,S]`, of trajectory layers. Queries are numbers of tokens without the class token.
    #[arg(long, value_delimiter = ',', value_name = "N,...")]
    queries: Vec<u32>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    // Last, as its heading goes on to whatever follows.
    #[command(flatten)]
    approximation: ApproximationArgs,
}

#[derive(Serialize)]
struct Report {
    case: PathBuf,
    out: PathBuf,
    executor: String,
    outputs: Vec<Output>,
    dispatches: usize,
    device_bytes: u64,
    milliseconds: f64,
    /// Of these: until shaders were compiled and inputs uploaded.
    ready_milliseconds: f64,
}

#[derive(Serialize)]
struct Output {
    name: String,
    shape: Vec<usize>,
}

pub(super) fn main(args: &RunArgs, choice: AdapterChoice) -> Result<ExitCode> {
    let mut case = Case::read(&args.case).map_err(|error| in_file(&args.case, error))?;
    if let Some(approximation) = args.approximation.wanted()? {
        approximate(&mut case, approximation, args)?;
    }
    ask_for_more(&mut case.operation, args)?;
    let plan = case.operation.plan(PlanLimits::default())?.stored_as(args.storage);
    plan.inputs(&case.inputs).map_err(|error| in_file(&args.case, error))?;
    make_sure_of_folder(&args.out)?;
    let executor = args.executor.open(&EngineOptions::for_plans(choice, [&plan]))?;
    let run = executor.run(&plan, &case.inputs)?;
    case::write(&args.out, &run.outputs)?;
    let outputs = run.outputs.iter().map(|(name, tensor)| Output { name: name.clone(), shape: tensor.shape().to_vec() });
    let report = Report {
        case: args.case.clone(),
        out: args.out.clone(),
        executor: executor.describe(),
        outputs: outputs.collect(),
        dispatches: plan.dispatches().count(),
        device_bytes: run.device_bytes,
        milliseconds: run.wall.as_secs_f64() * 1e3,
        ready_milliseconds: run.ready.as_secs_f64() * 1e3,
    };
    if args.json {
        print_json(&report)?;
    } else {
        print_report(&report)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Names the file in an error that does not.
fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::File { .. } | Error::Contents { .. } => error,
        other => Error::contents(path)(other),
    }
}

/// Takes the approximation of the flags instead of the case's own, with the first picks that the case holds.
fn approximate(case: &mut Case, mut approximation: Approximation, args: &RunArgs) -> Result<()> {
    if let (Approximation::Orthoformer(prototypes), Some(start)) = (&mut approximation, case.inputs.get("start"))
        && let (Selection::Greedy(greedy), true) = (&mut prototypes.selection, start.is_indices())
    {
        greedy.start = Some(start.data().iter().map(|&start| start as u32).collect());
    }
    let own = match &mut case.operation {
        Operation::Core(CoreOperation::Trajectories(_, own) | CoreOperation::Attention(_, own)) => Some(own),
        Operation::Core(CoreOperation::Layer(spec)) => Some(&mut spec.approximation),
        Operation::Core(CoreOperation::Prototypes(_) | CoreOperation::Deformable(_)) => None,
        Operation::Network(spec) => spec.network.approximation_mut(),
    };
    let Some(own) = own else {
        let expected = "a case of trajectories, attention, a layer or a Motionformer".to_owned();
        return Err(Error::Argument { what: "--approximation", given: args.case.display().to_string(), expected });
    };
    *own = approximation;
    Ok(())
}

/// Turns the flags for extra outputs into wishes of the operation.
fn ask_for_more(operation: &mut Operation, args: &RunArgs) -> Result<()> {
    if !args.temporal_weights && args.queries.is_empty() {
        return Ok(());
    }
    match operation {
        Operation::Core(CoreOperation::Layer(spec)) if matches!(spec.attention, LayerAttention::Trajectory(_)) => {
            spec.outputs.temporal_weights = args.temporal_weights;
            spec.outputs.queries.clone_from(&args.queries);
            Ok(())
        }
        _ => Err(Error::Argument {
            what: "--temporal-weights and --queries",
            given: args.case.display().to_string(),
            expected: "a case of a trajectory layer".to_owned(),
        }),
    }
}

fn print_report(report: &Report) -> Result<()> {
    print_text(&format!("{} on {}", report.case.display(), report.executor))?;
    for output in &report.outputs {
        print_line(&format!("  {} {:?}", output.name, output.shape))?;
    }
    let memory = on_device(report.device_bytes);
    let Report { dispatches, milliseconds, ready_milliseconds, .. } = report;
    let ready = match *ready_milliseconds > 0.0 {
        true => format!(", of which {ready_milliseconds:.1} to compile shaders and upload"),
        false => String::new(),
    };
    let dispatches = if *dispatches == 1 { "1 dispatch".to_owned() } else { format!("{dispatches} dispatches") };
    print_text(&format!("{dispatches}{memory}, {milliseconds:.1} ms{ready}"))?;
    print_line(&format!("wrote {}", report.out.display()))
}
