//! What a TimeSformer, ViViT or VideoMAE says of itself.

use orthoformer::plan::{Plan, PlanLimits};
use orthoformer::{Error, Result, Tensor};

use super::{Architecture, Kind, Pooling, attribution, positions};
use crate::attribution::{Attribution, Patch};
use crate::checkpoint::Checkpoint;
use crate::model::Model;
use crate::networks::{Features, InputOrder, Network, NetworkOutputs, TokenAxes, facts_of, only_logits};

impl Network for Architecture {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::TimeSformerDivided | Kind::TimeSformerJoint => "TimeSformer",
            Kind::Vivit => "ViViT",
            Kind::VideoMae(_) => "VideoMAE",
        }
    }

    fn describe(&self) -> String {
        self.kind.describe().to_owned()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let sizes = [("channels", self.channels), ("heads", self.heads), ("depth", self.depth), ("hidden", self.hidden)];
        let mut facts = facts_of(&sizes);
        facts.push(("activation", self.activation.name().to_owned()));
        facts.push(("qkv_bias", self.qkv_bias.name().to_owned()));
        if let Kind::VideoMae(pooling) = self.kind {
            let classified = if pooling == Pooling::Mean { "mean of all tokens" } else { "first token" };
            facts.push(("pooling", classified.to_owned()));
        }
        facts
    }

    fn check(&self) -> Result<()> {
        self.shape(1).map(drop)
    }

    fn clip(&self) -> [u32; 3] {
        [self.frames, self.height, self.width]
    }

    /// A VideoMAE's positions are a formula of the number of all patches: with others they mean something else, and the library refuses that.
    fn set_clip(&mut self, clip: [u32; 3]) -> Result<()> {
        if matches!(self.kind, Kind::VideoMae(_)) && clip != self.clip() {
            let said = |[frames, height, width]: [u32; 3]| format!("{frames} frames of {height} x {width} pixels");
            let expected = format!("{}, which its positions are for", said(self.clip()));
            return Err(Error::Argument { what: "clip", given: said(clip), expected });
        }
        [self.frames, self.height, self.width] = clip;
        self.check()
    }

    fn patch(&self) -> [u32; 3] {
        self.patch
    }

    fn depth(&self) -> u32 {
        self.depth
    }

    fn heads_of(&self, _: u32) -> u32 {
        self.heads
    }

    fn logits(&self) -> Vec<(String, u32)> {
        only_logits(self.classes)
    }

    fn tokens(&self, _: Features) -> Result<TokenAxes> {
        self.check()?;
        let class_token = self.kind.class_tokens() > 0;
        Ok(TokenAxes { class_token, grid: self.grid()?.to_vec(), channels: self.channels })
    }

    /// Every score and every token of every block.
    fn published_multiply_adds(&self) -> Result<Option<u64>> {
        let shape = self.shape(1)?;
        let [n, f, s, c] = [shape.tokens(), shape.frames(), shape.patches(), shape.channels()].map(u128::from);
        let t = n + u128::from(self.kind.class_tokens());
        let block = match self.kind {
            // Time: qkv, scores and values, proj and one more; space: the class token is repeated in every frame.
            Kind::TimeSformerDivided => n * 5 * c * c + 2 * n * f * c + f * (s + 1) * 4 * c * c + 2 * f * (s + 1) * (s + 1) * c,
            Kind::TimeSformerJoint | Kind::Vivit | Kind::VideoMae(_) => t * 4 * c * c + 2 * t * t * c,
        };
        let mlp = 2 * t * c * u128::from(self.hidden);
        let ends = n * u128::from(self.patch_elements()) * c + c * u128::from(self.classes.unwrap_or(0));
        Ok(Some(u64::try_from(u128::from(self.depth) * (block + mlp) + ends).unwrap_or(u64::MAX)))
    }

    fn plan(&self, batch: u32, outputs: &NetworkOutputs, limits: PlanLimits) -> Result<Plan> {
        super::plan(self, batch, outputs, limits)
    }

    fn library_order(&self) -> InputOrder {
        InputOrder::FramesFirst
    }

    fn positions(&self, checkpoint: &Checkpoint) -> Result<Tensor> {
        positions::table(checkpoint, self)
    }

    fn position_tensors(&self, _: &Checkpoint) -> Vec<String> {
        let own = ["cls_token", "position_embeddings", "time_embeddings", "patch_embeddings.projection.bias"];
        own.iter().map(|name| format!("{}embeddings.{name}", self.prefix())).collect()
    }

    fn attribution(&self, patch: &Patch, model: &Model<'_>) -> Result<Attribution> {
        attribution::attribution(self, patch, model)
    }

    fn check_rollout(&self) -> Result<()> {
        Ok(())
    }

    fn roll_out(&self, row: &[f64], patch: &Patch, model: &Model<'_>) -> Result<Vec<f64>> {
        attribution::roll_out(self, row, patch, model)
    }
}
