//! Operations on arrays.

use std::sync::Arc;

use orthoformer::ops::{Approximation, Operation, PrototypesSpec};
use orthoformer::shape::{divided, fits_u32};
use orthoformer::{Result, Shape, Tensor, Tensors};
use orthoformer_cpu::Executor;
use pyo3::prelude::*;

use super::approximation::{ApproximationArgument, Orthoformer};
use super::arrays::{Array, array, axes, tensor};
use super::engine::Engine;
use super::failure::Failure;
use super::waiting::interruptible;

type Outcome<T> = std::result::Result<T, Failure>;

/// Trajectory tokens `[B,H,N,F,D]` of `q`, `k`, `v` `[B,H,N,D]`.
#[pyfunction]
#[pyo3(signature = (engine, q, k, v, frames, approximation = None))]
pub fn trajectory_attention<'py>(
    py: Python<'py>,
    engine: &Engine,
    q: &Bound<'py, Array>,
    k: &Bound<'py, Array>,
    v: &Bound<'py, Array>,
    frames: u32,
    approximation: Option<ApproximationArgument<'py>>,
) -> Outcome<Bound<'py, Array>> {
    let inputs = inputs([("q", q), ("k", k), ("v", v)])?;
    let [batch, heads, tokens, size] = axes("q", &inputs["q"], "[batch, heads, tokens, head size]")?;
    let patches = divided("tokens", fits_u32("tokens", tokens as u64)?, "frames", frames)?;
    let shape = Shape::new(batch, heads, frames as usize, patches as usize, size)?;
    let operation = Operation::Trajectories(shape, wanted(approximation));
    only(py, run(py, engine, operation, inputs)?, "tokens")
}

/// Attention `[B,H,N,D]` of `q`, `k`, `v` `[B,H,N,D]` over all tokens.
#[pyfunction]
#[pyo3(signature = (engine, q, k, v, approximation = None))]
pub fn attention<'py>(
    py: Python<'py>,
    engine: &Engine,
    q: &Bound<'py, Array>,
    k: &Bound<'py, Array>,
    v: &Bound<'py, Array>,
    approximation: Option<ApproximationArgument<'py>>,
) -> Outcome<Bound<'py, Array>> {
    let inputs = inputs([("q", q), ("k", k), ("v", v)])?;
    let [batch, heads, tokens, size] = axes("q", &inputs["q"], "[batch, heads, tokens, head size]")?;
    let operation = Operation::Attention(Shape::new(batch, heads, 1, tokens, size)?, wanted(approximation));
    only(py, run(py, engine, operation, inputs)?, "out")
}

/// Prototypes `[G,R,D]` of the rows `x [G,N,D]`, and where they are picked rows their numbers `[G,R]`.
#[pyfunction]
pub fn select_prototypes<'py>(
    py: Python<'py>,
    engine: &Engine,
    x: &Bound<'py, Array>,
    prototypes: PyRef<'py, Orthoformer>,
) -> Outcome<(Bound<'py, Array>, Option<Bound<'py, Array>>)> {
    let inputs = inputs([("x", x)])?;
    let [groups, rows, size] = axes("x", &inputs["x"], "[groups, rows, row size]")?;
    let spec = PrototypesSpec { groups, rows, size, prototypes: prototypes.prototypes.clone() };
    let mut outputs = run(py, engine, Operation::Prototypes(spec), inputs)?;
    let indices = outputs.remove("indices").map(|indices| array(py, indices)).transpose()?;
    Ok((only(py, outputs, "prototypes")?, indices))
}

fn inputs<const COUNT: usize>(arrays: [(&str, &Bound<'_, Array>); COUNT]) -> Outcome<Tensors> {
    arrays.into_iter().map(|(name, array)| Ok((name.to_owned(), tensor(array)?))).collect()
}

fn wanted(approximation: Option<ApproximationArgument<'_>>) -> Approximation {
    approximation.map_or(Approximation::Exact, |given| given.approximation())
}

/// Plans and runs an operation.
fn run(py: Python<'_>, engine: &Engine, operation: Operation, inputs: Tensors) -> Outcome<Tensors> {
    let executor: Arc<Executor> = engine.executor.clone();
    let work = move || -> Result<Tensors> {
        let plan = operation.plan(executor.plan_limits())?;
        Ok(executor.run(&plan, &inputs)?.outputs)
    };
    interruptible(py, work)
}

/// The output of this name.
fn only<'py>(py: Python<'py>, mut outputs: Tensors, name: &str) -> Outcome<Bound<'py, Array>> {
    let found: Option<Tensor> = outputs.remove(name);
    let found = found.ok_or_else(|| orthoformer::tensor::missing(name, &outputs))?;
    Ok(array(py, found)?)
}
