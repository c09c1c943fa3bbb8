//! What a Deformable Video Transformer says of itself.

use orthoformer::plan::{Plan, PlanLimits};
use orthoformer::{Result, Tensor};

use super::{Architecture, Logits, MotionSource, attribution, positions};
use crate::attribution::{Attribution, Patch};
use crate::checkpoint::Checkpoint;
use crate::model::Model;
use crate::networks::{Features, Network, NetworkOutputs, TokenAxes, check_square, facts_of, only_logits};

impl Network for Architecture {
    fn name(&self) -> &'static str {
        "Deformable Video Transformer"
    }

    fn describe(&self) -> String {
        let logits = match self.attention.logits {
            Logits::Motion { .. } => "motion",
            Logits::Dot => "dot",
        };
        let scales = match &self.attention.scales {
            None => String::new(),
            Some(scales) => format!(", {} scales fused by {}", scales.strides.len(), scales.fusion.name()),
        };
        format!("deformable attention, logits of {logits}{scales}")
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let sizes = [
            ("channels", self.channels),
            ("heads", self.attention.heads),
            ("depth", self.depth),
            ("hidden", self.hidden),
            ("sub_clip", self.sub_clip),
            ("samples", self.attention.samples),
        ];
        let mut facts = facts_of(&sizes);
        let motion = match self.motion {
            MotionSource::Blocks { radius, .. } => format!("blocks matched within {radius} pixels"),
            MotionSource::Given => "given".to_owned(),
        };
        facts.push(("motion", motion));
        facts
    }

    fn check(&self) -> Result<()> {
        self.check_batch(1)
    }

    /// Its own `config.json` says it.
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
        self.attention.heads
    }

    fn logits(&self) -> Vec<(String, u32)> {
        only_logits(Some(self.classes))
    }

    fn tokens(&self, _: Features) -> Result<TokenAxes> {
        let grid = self.grid()?;
        Ok(TokenAxes { class_token: false, grid: vec![grid.frames, grid.rows, grid.columns], channels: self.channels })
    }

    fn plan(&self, batch: u32, outputs: &NetworkOutputs, limits: PlanLimits) -> Result<Plan> {
        super::plan(self, batch, outputs, limits)
    }

    fn positions(&self, checkpoint: &Checkpoint) -> Result<Tensor> {
        positions::table(checkpoint, self)
    }

    fn position_tensors(&self, _: &Checkpoint) -> Vec<String> {
        ["pos_embed", "time_embed", "patch_embed.proj.bias"].map(str::to_owned).to_vec()
    }

    fn attribution(&self, patch: &Patch, model: &Model<'_>) -> Result<Attribution> {
        attribution::attribution(self, patch, model)
    }
}
