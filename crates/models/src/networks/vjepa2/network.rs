//! What a V-JEPA 2 says of itself.

use orthoformer::plan::{Plan, PlanLimits};
use orthoformer::{Error, Result, Tensor};

use super::{Architecture, TOKENS, attribution, positions};
use crate::attribution::{Attribution, Patch};
use crate::checkpoint::Checkpoint;
use crate::model::Model;
use crate::networks::{CHANNELS, Features, InputOrder, Network, NetworkOutputs, TokenAxes, check_square, facts_of, only_logits};

impl Network for Architecture {
    fn name(&self) -> &'static str {
        "V-JEPA 2"
    }

    fn describe(&self) -> String {
        "joint attention, rotary positions".to_owned()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let sizes = [("channels", self.channels), ("heads", self.heads), ("depth", self.depth), ("hidden", self.hidden)];
        let mut facts = facts_of(&sizes);
        facts.extend(self.classifier.map(|classifier| ("pooler_layers", classifier.layers.to_string())));
        facts.push(("activation", self.activation.name().to_owned()));
        facts.push(("qkv_bias", self.qkv_bias.to_string()));
        facts
    }

    fn check(&self) -> Result<()> {
        self.shape(1).map(drop)
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
        [self.tubelet, self.patch, self.patch]
    }

    fn depth(&self) -> u32 {
        self.depth
    }

    fn heads_of(&self, _: u32) -> u32 {
        self.heads
    }

    fn logits(&self) -> Vec<(String, u32)> {
        only_logits(self.classifier.map(|classifier| classifier.classes))
    }

    fn tokens(&self, _: Features) -> Result<TokenAxes> {
        self.check()?;
        Ok(TokenAxes { class_token: false, grid: self.grid()?.to_vec(), channels: self.channels })
    }

    fn features_name(&self) -> &'static str {
        TOKENS
    }

    /// Every score and every token of every block and layer.
    fn published_multiply_adds(&self) -> Result<Option<u64>> {
        let shape = self.shape(1)?;
        let [n, c] = [shape.tokens(), shape.channels()].map(u128::from);
        let layer = |hidden: u32| n * 4 * c * c + 2 * n * n * c + 2 * n * c * u128::from(hidden);
        let embedding = n * u128::from(self.patch_elements()) * c;
        let classifier = self.classifier.map_or(0, |classifier| {
            let wide = self.pooler_hidden();
            // One query: its projection, keys and values of all tokens, scores and values, and the MLP.
            let cross = c * c + 2 * n * c * c + 2 * n * c + 2 * c * u128::from(wide);
            u128::from(classifier.layers) * layer(wide) + cross + c * u128::from(classifier.classes)
        });
        let all = embedding + u128::from(self.depth) * layer(self.hidden) + classifier;
        Ok(Some(u64::try_from(all).unwrap_or(u64::MAX)))
    }

    fn plan(&self, batch: u32, outputs: &NetworkOutputs, limits: PlanLimits) -> Result<Plan> {
        super::plan(self, batch, outputs, limits)
    }

    fn library_order(&self) -> InputOrder {
        InputOrder::FramesFirst
    }

    /// As many frames as there are, but no other size of them: the library takes positions from the configured one, whatever it is given.
    fn take(&mut self, input: Tensor) -> Result<Tensor> {
        let order = self.library_order();
        let [frames, height, width] = order.clip_of(&input)?;
        if [height, width] != [self.crop; 2] {
            let expected = format!("[batch, frames, {CHANNELS}, {0}, {0}], as \"crop_size\" says", self.crop);
            return Err(Error::WrongShape { name: "input".to_owned(), found: input.shape().to_vec(), expected });
        }
        self.set_clip([frames, height, width])?;
        order.channels_first(input)
    }

    /// They follow from sizes alone.
    fn positions(&self, _: &Checkpoint) -> Result<Tensor> {
        positions::table(self)
    }

    /// Of the predictor.
    fn left_out(&self) -> Option<String> {
        Some(format!("{}predictor.", self.prefix()))
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
