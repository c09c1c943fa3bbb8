//! Cases of networks as their libraries save them: `model.safetensors` and `config.json` lie beside the case.

use orthoformer::ops::{NetworkSpec, Operation};
use orthoformer::tensor::missing;
use orthoformer::{Result, Tensors};
use orthoformer_models::{Config, Known, weights};

use super::Beside;

/// The checkpoint beside the case.
const CHECKPOINT: &str = "model.safetensors";

/// A case's network, with its weights among the inputs, and its input in the order of the plan's.
pub(super) fn operation(inputs: &mut Tensors, beside: Beside) -> Result<Operation> {
    let input = inputs.remove("input").ok_or_else(|| missing("input", inputs))?;
    let checkpoint = beside(CHECKPOINT)?;
    let mut config = Config::of(&checkpoint, &Known::default())?;
    let input = config.take(input)?;
    let batch = orthoformer::shape::fits_u32("batch", input.shape().first().copied().unwrap_or(0) as u64)?;
    inputs.insert(config.architecture.input().name.to_owned(), input);
    inputs.extend(weights(&checkpoint, &config)?);
    let outputs = config.architecture.usual_outputs();
    Ok(Operation::Network(NetworkSpec { batch, architecture: config.architecture, outputs }))
}
