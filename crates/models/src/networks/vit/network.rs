//! What a TimeSformer or ViViT says of itself.

use orthoformer::plan::{Plan, PlanLimits};
use orthoformer::{Result, Tensor};

use super::{Architecture, Kind, attribution, positions};
use crate::attribution::{Attribution, Patch};
use crate::checkpoint::Checkpoint;
use crate::model::Model;
use crate::networks::{Features, InputOrder, Network, NetworkOutputs, TokenAxes, facts_of, only_logits};

impl Network for Architecture {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::TimeSformerDivided | Kind::TimeSformerJoint => "TimeSformer",
            Kind::Vivit => "ViViT",
        }
    }

    fn describe(&self) -> String {
        self.kind.describe().to_owned()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let sizes = [("channels", self.channels), ("heads", self.heads), ("depth", self.depth), ("hidden", self.hidden)];
        let mut facts = facts_of(&sizes);
        facts.push(("activation", self.activation.name().to_owned()));
        facts.push(("qkv_bias", self.qkv_bias.to_string()));
        facts
    }

    fn check(&self) -> Result<()> {
        self.shape(1).map(drop)
    }

    fn clip(&self) -> [u32; 3] {
        [self.frames, self.height, self.width]
    }

    fn set_clip(&mut self, clip: [u32; 3]) -> Result<()> {
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
        Ok(TokenAxes { class_token: true, grid: self.grid()?.to_vec(), channels: self.channels })
    }

    /// Every score and every token of every block.
    fn published_multiply_adds(&self) -> Result<Option<u64>> {
        let shape = self.shape(1)?;
        let [n, f, s, c] = [shape.tokens(), shape.frames(), shape.patches(), shape.channels()].map(u128::from);
        let t = n + 1;
        let block = match self.kind {
            // Time: qkv, scores and values, proj and one more; space: the class token is repeated in every frame.
            Kind::TimeSformerDivided => n * 5 * c * c + 2 * n * f * c + f * (s + 1) * 4 * c * c + 2 * f * (s + 1) * (s + 1) * c,
            Kind::TimeSformerJoint | Kind::Vivit => t * 4 * c * c + 2 * t * t * c,
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
}
