//! Cases of networks as their libraries save them: `model.safetensors` and `config.json` lie beside the case.

use orthoformer::tensor::missing;
use orthoformer::{Result, Tensors};
use orthoformer_models::{Config, NetworkSpec, Overrides, weights};

use super::{Beside, Operation};

/// The checkpoint beside the case.
const CHECKPOINT: &str = "model.safetensors";

/// What cases call the features of a network without a classifier, whatever its plan does.
const TOKENS: &str = "tokens";

/// A case's network, with its weights among the inputs, and its input in the order of the plan's; what is expected under the names of its outputs.
pub(super) fn operation(inputs: &mut Tensors, expected: &mut Tensors, beside: Beside) -> Result<Operation> {
    let input = inputs.remove("input").ok_or_else(|| missing("input", inputs))?;
    let checkpoint = beside(CHECKPOINT)?;
    let mut config = Config::of(&checkpoint, &Overrides::default())?;
    let input = config.network.take(input)?;
    let batch = orthoformer::shape::fits_u32("batch", input.shape().first().copied().unwrap_or(0) as u64)?;
    inputs.insert(config.network.input().name.to_owned(), input);
    inputs.extend(weights(&checkpoint, &config)?);
    let outputs = config.network.usual_outputs();
    if let Some(tokens) = expected.remove(TOKENS) {
        expected.insert(config.network.features_name().to_owned(), tokens);
    }
    Ok(Operation::Network(NetworkSpec { batch, network: config.network, outputs }))
}
