//! Conformance cases.

use std::path::Path;

use orthoformer::gpu::{Engine, RunOptions};
use orthoformer::{Plan, PlanLimits, Result, Tensors};
use orthoformer_bench::case::{Case, CaseReport, check as check_case};

/// Checks a case on the device against the reference and against what its file expects.
pub(crate) async fn check(engine: &Engine, name: String, bytes: &[u8]) -> CaseReport {
    let planned = Case::parse(Path::new(&name), bytes).and_then(|case| {
        let plan = case.operation.plan(PlanLimits::default())?;
        Ok((case, plan))
    });
    let run = async |plan: &Plan, inputs: &Tensors, options: RunOptions| -> Result<Tensors> {
        Ok(engine.run_async(plan, inputs, options).await?.outputs)
    };
    check_case(name, planned, run, None).await
}
