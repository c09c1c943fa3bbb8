//! What networks cost.

use orthoformer::Result;
use orthoformer::plan::{Element, Plan, PlanLimits};

use crate::config::Config;
use crate::weights::{weights_of, whole_plan};

/// What one clip costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Cost {
    /// Multiply-adds in the published order, where there is one.
    pub published_multiply_adds: Option<u64>,
    /// Multiply-adds of the whole network here: every token of every block.
    pub multiply_adds: u64,
    /// Multiply-adds that logits need: of the last block, only what the class token sees; of a network without classifier all.
    pub multiply_adds_for_logits: u64,
    /// Bytes of the weights as they are stored on the device.
    pub weight_bytes: u64,
    /// Most bytes on the device at a time for the logits of one clip, weights included.
    pub device_bytes: u64,
    /// What every further clip of a batch adds to that.
    pub bytes_a_clip: u64,
}

impl Cost {
    /// The cost of one clip, counted from the plans.
    ///
    /// # Errors
    /// Those of [`crate::networks::Network::plan`].
    pub fn of(config: &Config, element: Element) -> Result<Self> {
        let limits = PlanLimits::default();
        let logits = |batch| -> Result<Plan> {
            let network = &config.network;
            Ok(network.plan(batch, &network.usual_outputs(), limits)?.stored_as(element))
        };
        let (one, two) = (logits(1)?, logits(2)?);
        Ok(Self {
            published_multiply_adds: config.network.published_multiply_adds()?,
            multiply_adds: whole_plan(config, limits)?.multiply_adds(),
            multiply_adds_for_logits: one.multiply_adds(),
            weight_bytes: weights_of(&one, config).map(orthoformer::plan::BufferSpec::bytes).sum(),
            device_bytes: one.peak_bytes(),
            bytes_a_clip: two.peak_bytes().saturating_sub(one.peak_bytes()),
        })
    }
}
