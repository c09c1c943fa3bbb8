//! Networks in words and numbers.

use super::config::Config;
use super::weights::{weights_of, whole_plan};
use crate::error::Result;
use crate::ops::motionformer::{self, Architecture, BlockAttention, MotionformerSpec, NetworkOutputs};
use crate::ops::{Approximation, TemporalValue};
use crate::plan::{Element, Plan, PlanLimits};

impl Architecture {
    /// Kind of attention, for people.
    pub fn describe(&self) -> String {
        let kind = match self.attention {
            BlockAttention::Trajectory(TemporalValue::Identity) => "trajectory attention, values identity",
            BlockAttention::Trajectory(TemporalValue::Projected) => "trajectory attention, values projected",
            BlockAttention::Joint => "joint attention",
            BlockAttention::Divided => "divided attention",
        };
        match &self.approximation {
            Approximation::Exact => kind.to_owned(),
            approximation => format!("{kind}, by {approximation}"),
        }
    }

    /// Multiply-adds of a clip in the published order: every score, every trajectory token projected to a key and a value, every token of every
    /// block, with exact attention.
    ///
    /// # Errors
    /// Those of [`Architecture::shape`].
    pub fn published_multiply_adds(&self) -> Result<u64> {
        let shape = self.shape(1)?;
        let [n, f, s, c] = [shape.tokens(), shape.frames(), shape.patches(), shape.channels()].map(u128::from);
        let (t, class) = (n + 1, 2 * (n + 1) * c);
        let (qkv, proj) = (3 * t * c * c, t * c * c);
        let attention = match self.attention {
            BlockAttention::Trajectory(_) => qkv + 2 * n * n * c + n * c * c + 2 * n * f * c * c + 2 * n * f * c + class + proj,
            BlockAttention::Joint => qkv + 2 * t * t * c + proj,
            BlockAttention::Divided => 2 * (qkv + proj + class) + 2 * n * (f + 1) * c + 2 * n * (s + 1) * c,
        };
        let mlp = 2 * t * c * u128::from(self.hidden);
        let classes: u128 = self.head.classes.iter().map(|&classes| u128::from(classes)).sum();
        let head = c * classes + if self.head.hidden.is_some() { c * c } else { 0 };
        let embedding = n * u128::from(self.cuboid_numbers()) * c;
        let all = u128::from(self.depth) * (attention + mlp) + embedding + head;
        Ok(u64::try_from(all).unwrap_or(u64::MAX))
    }
}

/// What one clip costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Cost {
    /// Multiply-adds in the published order.
    pub published_multiply_adds: u64,
    /// Multiply-adds of the whole network here: every token of every block.
    pub multiply_adds: u64,
    /// Multiply-adds that logits need: of the last block, only what the class token sees.
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
    /// Those of [`motionformer::plan`].
    pub fn of(config: &Config, element: Element) -> Result<Self> {
        let limits = PlanLimits::default();
        let logits = |batch| -> Result<Plan> {
            let architecture = config.architecture.clone();
            let spec = MotionformerSpec { batch, architecture, outputs: NetworkOutputs::LOGITS };
            Ok(motionformer::plan(&spec, limits)?.stored_as(element))
        };
        let (one, two) = (logits(1)?, logits(2)?);
        Ok(Self {
            published_multiply_adds: config.architecture.published_multiply_adds()?,
            multiply_adds: whole_plan(config, limits)?.multiply_adds(),
            multiply_adds_for_logits: one.multiply_adds(),
            weight_bytes: weights_of(&one).map(crate::plan::BufferSpec::bytes).sum(),
            device_bytes: one.peak_bytes(),
            bytes_a_clip: two.peak_bytes().saturating_sub(one.peak_bytes()),
        })
    }
}
