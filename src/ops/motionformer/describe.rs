//! A network in words, and what it cost as published.

use super::{Architecture, BlockAttention};
use crate::error::Result;
use crate::ops::{Approximation, TemporalValue};

impl Architecture {
    /// What is to know beside sizes of the clip: names and values.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let sizes = [("channels", self.channels), ("heads", self.heads), ("depth", self.depth), ("hidden", self.hidden)];
        let mut facts: Vec<_> = sizes.into_iter().map(|(name, size)| (name, size.to_string())).collect();
        facts.push(("qkv_bias", self.qkv_bias.to_string()));
        let value = self.attention.temporal_value().map(|value| ("temporal_values", value.name().to_owned()));
        let hidden = self.head.hidden.map(|activation| ("head_activation", activation.name().to_owned()));
        facts.extend(value.into_iter().chain(hidden));
        facts
    }

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
        let embedding = n * u128::from(self.patch_elements()) * c;
        let all = u128::from(self.depth) * (attention + mlp) + embedding + head;
        Ok(u64::try_from(all).unwrap_or(u64::MAX))
    }
}
