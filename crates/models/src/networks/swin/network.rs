//! What a Swin or Video Swin says of itself.

use orthoformer::Result;
use orthoformer::plan::{Plan, PlanLimits};
use orthoformer::shape::product;

use super::{Architecture, Dimensions, attribution};
use crate::attribution::{Attribution, Patch};
use crate::model::Model;
use crate::networks::{Features, InputOrder, Network, NetworkOutputs, TokenAxes, only_logits};

impl Network for Architecture {
    fn name(&self) -> &'static str {
        match self.dimensions {
            Dimensions::Two => "Swin",
            Dimensions::Three => "Video Swin",
        }
    }

    fn describe(&self) -> String {
        "attention within shifted windows".to_owned()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let list = |sizes: &[u32]| sizes.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        vec![
            ("channels", self.channels.to_string()),
            ("depths", list(&self.depths)),
            ("heads", list(&self.heads)),
            ("hidden", list(&self.hidden)),
            ("window", list(&self.window)),
        ]
    }

    fn check(&self) -> Result<()> {
        self.stages(1).map(drop)
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
        self.blocks()
    }

    /// Blocks are counted through all stages. Those beyond have the heads of the last stage.
    fn heads_of(&self, block: u32) -> u32 {
        let mut first = 0u32;
        let stage = self.depths.iter().zip(&self.heads).find(|(depth, _)| {
            first = first.saturating_add(**depth);
            block < first
        });
        stage.map(|(_, heads)| *heads).or(self.heads.last().copied()).unwrap_or(0)
    }

    fn logits(&self) -> Vec<(String, u32)> {
        only_logits(Some(self.classes))
    }

    fn tokens(&self, after: Features) -> Result<TokenAxes> {
        let (grid, channels) = self.tokens_after(after)?;
        Ok(TokenAxes { class_token: false, grid: grid.to_vec(), channels })
    }

    /// All matrix products, as they are published: with padded positions.
    fn published_multiply_adds(&self) -> Result<Option<u64>> {
        let stages = self.stages(1)?;
        let mut total = 0u64;
        let mut add = |factors: &[u64]| -> Result<()> {
            total = total.saturating_add(product("multiply-adds", factors)?);
            Ok(())
        };
        for (number, stage) in stages.iter().enumerate() {
            let (c, tokens) = (stage.channels, stage.tokens());
            match number {
                0 => add(&[tokens, c, self.patch_elements()])?,
                // Four tokens of half the channels.
                _ => add(&[tokens, 2 * c, c])?,
            }
            for block in 0..stage.depth {
                let size = self.windows(stage.grid, block % 2 == 1).size;
                let padded = [0, 1, 2].map(|axis| u64::from(stage.grid[axis].next_multiple_of(size[axis])));
                let padded = product("padded tokens", &padded)?;
                // Queries, keys, values and the projection behind them; scores and what they weigh; the two halves of the mlp.
                add(&[padded, 4 * c, c])?;
                add(&[padded, 2 * c, product("positions of a window", &size.map(u64::from))?])?;
                add(&[tokens, 2 * c, stage.hidden])?;
            }
        }
        let last = stages.last().map_or(0, |stage| stage.channels);
        add(&[last, self.classes.into()])?;
        Ok(Some(total))
    }

    fn plan(&self, batch: u32, outputs: &NetworkOutputs, limits: PlanLimits) -> Result<Plan> {
        super::plan(self, batch, outputs, limits)
    }

    fn library_order(&self) -> InputOrder {
        match self.dimensions {
            Dimensions::Two => InputOrder::Picture,
            Dimensions::Three => InputOrder::ChannelsFirst,
        }
    }

    /// Each stage has squares of four of the one before.
    fn patch_side(&self, block: u32) -> Result<u32> {
        Ok(self.patch[1].saturating_mul(1 << self.block(block)?.stage))
    }

    fn attribution(&self, patch: &Patch, model: &Model<'_>) -> Result<Attribution> {
        attribution::attribution(self, patch, model)
    }
}
