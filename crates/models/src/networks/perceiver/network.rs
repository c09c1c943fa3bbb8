//! What a Perceiver says of itself.

use orthoformer::plan::{Plan, PlanLimits};
use orthoformer::shape::fits_u32;
use orthoformer::{Error, Result, Tensor};

use super::{Architecture, attribution, inputs};
use crate::attribution::{Attribution, Patch};
use crate::model::Model;
use crate::networks::{Features, Network, NetworkInput, NetworkOutputs, TokenAxes, facts_of, only_logits};

impl Network for Architecture {
    fn name(&self) -> &'static str {
        "Perceiver"
    }

    fn describe(&self) -> String {
        "latents attend to the inputs, then to themselves".to_owned()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let sizes = [
            ("inputs", self.inputs),
            ("input_channels", self.input_channels),
            ("latents", self.latents),
            ("channels", self.channels),
            ("cross_heads", self.cross.heads),
            ("heads", self.own.heads),
            ("hidden", self.own.hidden),
            ("blocks", self.blocks),
            ("layers", self.layers),
        ];
        let mut facts = facts_of(&sizes);
        facts.push(("activation", self.activation.name().to_owned()));
        facts
    }

    fn check(&self) -> Result<()> {
        self.check_batch(1)
    }

    /// Those that its inputs can be made of.
    fn clip(&self) -> [u32; 3] {
        self.pixels().map_or([0; 3], |pixels| pixels.clip())
    }

    fn set_clip(&mut self, clip: [u32; 3]) -> Result<()> {
        let own = self.clip();
        if own != clip {
            let [frames, height, width] = clip;
            let (given, expected) = (format!("{frames} x {height} x {width}"), format!("{own:?}, as its inputs are made"));
            return Err(Error::Argument { what: "size of clips", given, expected });
        }
        self.check()
    }

    fn patch(&self) -> [u32; 3] {
        self.pixels().map_or([1; 3], |pixels| pixels.patch())
    }

    fn depth(&self) -> u32 {
        self.blocks.saturating_mul(self.layers)
    }

    /// Of the attention to the inputs.
    fn heads_of(&self, _: u32) -> u32 {
        self.cross.heads
    }

    fn logits(&self) -> Vec<(String, u32)> {
        only_logits(self.decoder.map(|decoder| decoder.classes))
    }

    fn tokens(&self, _: Features) -> Result<TokenAxes> {
        Ok(TokenAxes { class_token: false, grid: vec![self.latents], channels: self.channels })
    }

    fn features_name(&self) -> &'static str {
        "latents"
    }

    /// Every projection, score and weighted value.
    fn published_multiply_adds(&self) -> Result<Option<u64>> {
        self.check()?;
        let [l, d] = [self.latents, self.channels].map(u128::from);
        let cross = self.cross.multiply_adds([l, d], [self.inputs, self.input_channels].map(u128::from));
        let own = self.own.multiply_adds([l, d], [l, d]);
        let decoded =
            self.decoder.map_or(0, |decoder| decoder.layer.multiply_adds([1, d], [l, d]) + d * u128::from(decoder.classes));
        let all = cross + u128::from(self.all_layers()?) * own + decoded;
        Ok(Some(u64::try_from(all).unwrap_or(u64::MAX)))
    }

    fn plan(&self, batch: u32, outputs: &NetworkOutputs, limits: PlanLimits) -> Result<Plan> {
        super::plan(self, batch, outputs, limits)
    }

    fn input(&self) -> NetworkInput {
        NetworkInput { name: "inputs", axes: vec![self.inputs, self.input_channels] }
    }

    fn check_sees_clips(&self) -> Result<()> {
        inputs::pixels_of(self).map(drop)
    }

    fn inputs_of(&self, clips: &Tensor) -> Result<Option<Tensor>> {
        match clips.shape().len() {
            5 => inputs::of_clips(clips, self).map(Some),
            _ => Ok(None),
        }
    }

    /// `[B,M,C]`.
    fn take(&mut self, input: Tensor) -> Result<Tensor> {
        let channels = self.input_channels;
        match *input.shape() {
            [_, inputs, width] if width == channels as usize => self.inputs = fits_u32("inputs", inputs as u64)?,
            ref found => {
                let (found, expected) = (found.to_vec(), format!("[batch, inputs, {channels}]"));
                return Err(Error::WrongShape { name: "input".to_owned(), found, expected });
            }
        }
        self.check()?;
        Ok(input)
    }

    /// Inputs are attended to once, ahead of all layers, whichever is asked for.
    fn check_attribution(&self, block: u32) -> Result<u32> {
        let outputs = NetworkOutputs { operands: Some(block), ..NetworkOutputs::NOTHING };
        outputs.check(self.depth())?;
        self.check_sees_clips()?;
        self.plan(1, &outputs, PlanLimits::default())?;
        Ok(0)
    }

    fn attribution(&self, patch: &Patch, model: &Model<'_>) -> Result<Attribution> {
        attribution::attribution(self, patch, model)
    }
}
