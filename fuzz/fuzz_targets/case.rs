//! Whatever the bytes: a case that is planned and, where it is small, checked, or an error. Never a panic, nor much time or memory.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use orthoformer::reference::{Route, self};
use orthoformer::{Plan, PlanLimits};
use orthoformer_bench::case::{Case, Operation, check};
use orthoformer_models::checkpoint::Checkpoint;

/// The checkpoint beside every case, whatever name the case says.
static NETWORK: &[u8] = include_bytes!("../corpus/checkpoint/tiny_network.pyth");

/// What a plan may take for the reference to run it: some milliseconds.
const MOST_MULTIPLY_ADDS: u64 = 1 << 18;
const MOST_BYTES: u64 = 4 << 20;
const MOST_DISPATCHES: usize = 1000;

fuzz_target!(|bytes: &[u8]| {
    let beside = |_: &str| Checkpoint::parse(Path::new("beside"), NETWORK.to_vec());
    let case = match Case::parse_beside(Path::new("fuzzed"), bytes, &beside) {
        Ok(case) => case,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    // Once as on any device, and once in many slices.
    for limits in [PlanLimits::default(), PlanLimits { scratch_bytes: 256, ..PlanLimits::default() }] {
        match plan(&case.operation, limits) {
            Some(plan) => run(case.clone(), plan),
            None => return,
        }
    }
});

/// The plan, if there is one that is small enough to be run.
fn plan(operation: &Operation, limits: PlanLimits) -> Option<Plan> {
    let plan = operation.plan(limits).inspect_err(|error| assert!(!error.to_string().is_empty())).ok()?;
    let bytes = plan.peak_bytes().max(plan.buffer_bytes());
    let few = plan.dispatches().count() <= MOST_DISPATCHES;
    (few && plan.multiply_adds() <= MOST_MULTIPLY_ADDS && bytes <= MOST_BYTES).then_some(plan)
}

/// Checks the case as `orthoformer check` does, with the reference kernel by kernel in the place of a device.
fn run(case: Case, plan: Plan) {
    let kernels = async |plan: &Plan, inputs: &orthoformer::Tensors, _| reference::run(plan, inputs, Route::Kernels);
    let report = pollster::block_on(check("fuzzed".to_owned(), Ok((case, plan)), kernels));
    assert!(report.passed || report.trouble.is_some() || !report.outputs.is_empty(), "a reason: {report:?}");
}
