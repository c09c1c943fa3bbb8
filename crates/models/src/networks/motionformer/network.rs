//! What a Motionformer says of itself.

use orthoformer::ops::{Approximation, TemporalValue};
use orthoformer::plan::{Plan, PlanLimits};
use orthoformer::{Error, Result, Tensor};

use super::{Architecture, BlockAttention, MotionformerSpec, attribution, positions};
use crate::attribution::{Attribution, Patch};
use crate::checkpoint::Checkpoint;
use crate::model::Model;
use crate::networks::{Features, Network, NetworkOutputs, TokenAxes, check_square, facts_of};

impl Network for Architecture {
    fn name(&self) -> &'static str {
        "Motionformer"
    }

    fn describe(&self) -> String {
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

    fn facts(&self) -> Vec<(&'static str, String)> {
        let sizes = [("channels", self.channels), ("heads", self.heads), ("depth", self.depth), ("hidden", self.hidden)];
        let mut facts = facts_of(&sizes);
        facts.push(("qkv_bias", self.qkv_bias.to_string()));
        let value = self.attention.temporal_value().map(|value| ("temporal_values", value.name().to_owned()));
        let hidden = self.head.hidden.map(|activation| ("head_activation", activation.name().to_owned()));
        facts.extend(value.into_iter().chain(hidden));
        facts
    }

    fn check(&self) -> Result<()> {
        self.shape(1).map(drop)
    }

    /// Its own `cfg` says it.
    fn takes_processor(&self) -> bool {
        false
    }

    fn clip(&self) -> [u32; 3] {
        [self.frames, self.crop, self.crop]
    }

    fn set_clip(&mut self, [frames, height, width]: [u32; 3]) -> Result<()> {
        check_square(height, width)?;
        (self.frames, self.crop) = (frames, height);
        self.check()
    }

    fn patch(&self) -> [u32; 3] {
        [self.patch_depth, self.patch, self.patch]
    }

    fn depth(&self) -> u32 {
        self.depth
    }

    fn heads_of(&self, _: u32) -> u32 {
        self.heads
    }

    fn logits(&self) -> Vec<(String, u32)> {
        self.head.classes.iter().enumerate().map(|(head, &classes)| (format!("logits{head}"), classes)).collect()
    }

    fn tokens(&self, _: Features) -> Result<TokenAxes> {
        let (shape, side) = (self.shape(1)?, self.crop.checked_div(self.patch).unwrap_or(0));
        Ok(TokenAxes { class_token: true, grid: vec![shape.frames(), side, side], channels: shape.channels() })
    }

    /// Every score, every trajectory token projected to a key and a value, every token of every block, with exact attention.
    fn published_multiply_adds(&self) -> Result<Option<u64>> {
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
        Ok(Some(u64::try_from(all).unwrap_or(u64::MAX)))
    }

    fn plan(&self, batch: u32, outputs: &NetworkOutputs, limits: PlanLimits) -> Result<Plan> {
        super::plan(&MotionformerSpec { batch, architecture: self.clone(), outputs: outputs.clone() }, limits)
    }

    fn approximation_mut(&mut self) -> Option<&mut Approximation> {
        Some(&mut self.approximation)
    }

    fn has_configuration(&self, checkpoint: &Checkpoint) -> Result<bool> {
        Ok(checkpoint.config().is_some())
    }

    fn positions(&self, checkpoint: &Checkpoint) -> Result<Tensor> {
        positions::table(checkpoint, self)
    }

    fn position_tensors(&self, checkpoint: &Checkpoint) -> Vec<String> {
        let mut names = ["cls_token", "temp_embed", "st_embed"].map(str::to_owned).to_vec();
        // Joint positions are in one table, beside which the published code leaves the one it was started from.
        names.extend(checkpoint.info("st_embed").is_none().then(|| "pos_embed".to_owned()));
        names.push(format!("{}.bias", self.embedding()));
        names
    }

    fn check_attribution(&self, block: u32) -> Result<u32> {
        let refused = |expected: &str| {
            let expected = expected.to_owned();
            Err(Error::Argument { what: "network", given: self.describe(), expected })
        };
        if self.attention.temporal_value().is_none() {
            return refused("trajectory attention: of this code no other can be looked into");
        }
        if self.approximation != Approximation::Exact {
            return refused("exact attention: in an approximation patches do not attend to single patches");
        }
        NetworkOutputs { operands: Some(block), ..NetworkOutputs::NOTHING }.check(self.depth)?;
        Ok(block)
    }

    fn attribution(&self, patch: &Patch, model: &Model<'_>) -> Result<Attribution> {
        attribution::attribution(patch, model)
    }
}
