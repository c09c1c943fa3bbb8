//! The benchmark.

use orthoformer::gpu::Engine;
use orthoformer::ops::Approximation;
use orthoformer_bench::{BenchOperation, BenchReport, BenchShape, Case, Effort, measure_async};
use wasm_bindgen::JsValue;

use crate::Answer;

/// What is measured at each shape: exact attention, Orthoformer, and the matrix product that a layer is made of.
fn cases_at(shape: BenchShape) -> Vec<Case> {
    let case = |operation, approximation| Case { operation, approximation, ..Case::layer(shape, 1) };
    let of_operation = |operation: BenchOperation| {
        let wanted =
            |approximation: &Approximation| matches!(approximation, Approximation::Exact | Approximation::Orthoformer(_));
        operation.approximations(shape).into_iter().filter(wanted).map(move |approximation| case(operation, approximation))
    };
    [BenchOperation::Linear, BenchOperation::Trajectories, BenchOperation::Layer].into_iter().flat_map(of_operation).collect()
}

/// Measures at these shapes, so many runs or seconds each.
pub(crate) async fn run(
    engine: &Engine,
    shapes: &[String],
    (runs, seconds): (usize, f64),
    step: &js_sys::Function,
) -> Answer<BenchReport> {
    let shapes = shapes.iter().map(|shape| shape.parse()).collect::<Result<Vec<BenchShape>, _>>()?;
    let cases: Vec<Case> = shapes.into_iter().flat_map(cases_at).collect();
    let say = |name: &str, steps: usize| {
        // Nobody who listens is no reason to stop measuring.
        let _ = step.call2(&JsValue::NULL, &name.into(), &steps.into());
    };
    Ok(measure_async(engine, &cases, Effort { runs, seconds, stages: true }, say).await?)
}
