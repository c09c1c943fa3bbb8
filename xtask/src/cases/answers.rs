//! The answers to a case: from its metadata to the formulas.

use std::collections::BTreeMap;

use super::Result;
use super::approximation::Approximation;
use super::attention::Head;
use super::deformable;
use super::file::{Case, EXPECTED};
use super::layer::{self, query_major};
use super::prototypes::Prototypes;
use super::tensor::Tensor;

/// Operations that are computed here.
const OPERATIONS: &[&str] = &["trajectories", "attention", "prototypes", "deformable", "layer"];

/// Metadata keys that are understood here. Another one may change the answer.
const KEYS: &[&str] = &[
    "op",
    "frames",
    "heads",
    "sub_clip",
    "samples",
    "attention",
    "temporal_value",
    "class_token",
    "approximation",
    "prototypes",
    "count",
    "candidates",
    "per_frame",
    "selection",
    "criterion",
    "normalise",
    "iterations",
];

/// The operation of a case, if it is not computed here.
pub fn other_operation(case: &Case) -> Option<&str> {
    let operation = case.metadata.get("op").map_or("missing", String::as_str);
    (!OPERATIONS.contains(&operation)).then_some(operation)
}

/// The answers to a case, by their names without `expected.`, in float64.
pub fn answers(case: &Case) -> Result<BTreeMap<&'static str, Tensor>> {
    if let Some(key) = case.metadata.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("the metadata key {key:?} is not understood; there are {KEYS:?}"));
    }
    check_finite(case)?;
    match case.choice("op", OPERATIONS, None)? {
        "trajectories" => trajectories(case),
        "attention" => attention(case),
        "prototypes" => Ok(BTreeMap::from([("indices", prototypes(case)?)])),
        "deformable" => Ok(BTreeMap::from([("out", deformable::sample(case)?)])),
        _ => layer::layer(case),
    }
}

/// Whether all inputs are numbers.
fn check_finite(case: &Case) -> Result<()> {
    for (name, tensor) in case.tensors.iter().filter(|(name, _)| !name.starts_with(EXPECTED)) {
        if let Some(index) = tensor.values.iter().position(|value| !value.is_finite()) {
            return Err(format!("the input {name:?} is {} at {index}", tensor.values[index]));
        }
    }
    Ok(())
}

/// `tokens [B,H,N,F,D]`, and the picks of a selection.
fn trajectories(case: &Case) -> Result<BTreeMap<&'static str, Tensor>> {
    let frames = case.count("frames", None)?;
    let (sizes, heads) = Head::of_case(case, frames)?;
    let found = Approximation::of_case(case, sizes.size)?.trajectories(&heads)?;
    let shape = vec![sizes.batch, sizes.heads, sizes.tokens, frames, sizes.size];
    let values = found.heads.iter().flat_map(|by_frame| query_major(by_frame)).collect();
    let mut answers = BTreeMap::from([("tokens", Tensor::floats(shape, values))]);
    answers.extend(found.indices.map(|indices| ("indices", indices)));
    Ok(answers)
}

/// `out [B,H,N,D]`, which is trajectories of one frame, and the picks of a selection.
fn attention(case: &Case) -> Result<BTreeMap<&'static str, Tensor>> {
    let (sizes, heads) = Head::of_case(case, 1)?;
    let found = Approximation::of_case(case, sizes.size)?.trajectories(&heads)?;
    let shape = vec![sizes.batch, sizes.heads, sizes.tokens, sizes.size];
    let mut answers = BTreeMap::from([("out", Tensor::stacked(shape, &found.heads.concat()))]);
    answers.extend(found.indices.map(|indices| ("indices", indices)));
    Ok(answers)
}

/// `indices [groups,R]` of `x [groups,M,D]`.
fn prototypes(case: &Case) -> Result<Tensor> {
    let x = case.tensor("x")?;
    let [groups, ..] = x.sizes::<3>("x")?;
    let prototypes = Prototypes::of_case(case, "count")?;
    let mut picks = Vec::new();
    for (group, candidates) in x.matrices().iter().enumerate() {
        picks.extend(prototypes.select(candidates, group, groups)?);
    }
    Ok(Tensor::indices(vec![groups, prototypes.count], &picks))
}
