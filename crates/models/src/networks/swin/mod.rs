//! Swin and Video Swin: attention within windows, which every other block shifts (Liu et al., ICCV 2021 and CVPR 2022; torchvision's
//! `SwinTransformer` and `SwinTransformer3d`).
//!
//! ```text
//! x       = LN(patches W_e' + b_e)
//! x'      = x + windows(LN(x));    x'' = x' + W_2' gelu(W_1' LN(x') + b_1) + b_2        depth times
//! x       = LN([four neighbours of x'']) W_r'                                         between stages
//! logits  = W_h' mean(LN(x)) + b_h
//! ```
//!
//! Inputs: `clip [B,3,T,H,W]`, normalised, with one frame for pictures, and all weights under torchvision's names. Outputs: `logits [B,classes]`
//! and `features [B,N,C]`, the tokens of a block in order of frames, rows and columns, with the grid and the channels of its stage; as operands of a block,
//! counted through all stages, the queries, keys and values of its tokens next to each other, `operands [B,N,3C]`. Those of padded positions are the biases of
//! `attn.qkv` and are not among them.

mod architecture;
mod attribution;
mod blocks;
mod config;
pub mod layer;
mod names;
mod network;

pub use architecture::{Architecture, Block, Dimensions, Windows};
pub(super) use config::READER;
pub(super) use names::NAMINGS;

use super::{CHANNELS, Features, NetworkOutputs};
use architecture::Stage;
use orthoformer::Result;
use orthoformer::kernel::Patchify;
use orthoformer::ops::kit::{Budget, Clips, Embedding, Product, Projection, as_clip, mean, norm, patch_weight, projection};
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::view::View;

/// The published networks' layer normalisations add this to the variance.
const EPSILON: f32 = 1e-5;

/// Plans a network for `batch` clips.
///
/// # Errors
/// [`orthoformer::Error::ZeroSize`], [`orthoformer::Error::TooLarge`], [`orthoformer::Error::SizeOverflow`], [`orthoformer::Error::DoesNotDivide`] and
/// [`orthoformer::Error::Argument`] for sizes that do not fit each other or that kernels are not built for, [`orthoformer::Error::OutOfRange`] for blocks that
/// there are not, [`orthoformer::Error::BindingTooLarge`] for clips that devices of these limits cannot see whole.
pub fn plan(architecture: &Architecture, batch: u32, outputs: &NetworkOutputs, limits: PlanLimits) -> Result<Plan> {
    let stages = architecture.stages(batch)?;
    outputs.refuse_trajectories("Swin")?;
    outputs.check(architecture.blocks())?;
    let last = outputs.last_block(architecture.blocks());
    let mut network = NetworkPlan { architecture, outputs, batch, builder: PlanBuilder::new(limits) };
    let mut before = None;
    for (number, stage) in stages.iter().enumerate().take_while(|(_, stage)| stage.first_block <= last) {
        let first = match before {
            None => network.embed(stage)?,
            Some((from, tokens)) => network.merge(number, from, stage, tokens)?,
        };
        before = Some((stage, network.push_stage(number, stage, first, last)?));
    }
    if let Some((stage, stream)) = before {
        network.finish(stage, stream)?;
    }
    Ok(network.builder.build())
}

/// A network being planned.
struct NetworkPlan<'a> {
    architecture: &'a Architecture,
    outputs: &'a NetworkOutputs,
    batch: u32,
    builder: PlanBuilder,
}

impl NetworkPlan<'_> {
    /// The axes of a stage's tokens: batch, tokens, channels.
    fn axes(&self, stage: &Stage) -> [u64; 3] {
        [self.batch.into(), stage.tokens(), stage.channels]
    }

    /// Scratch for tokens, which stay float32: what blocks add to them is small beside what is there.
    fn stream(&mut self, stage: &Stage, name: &str) -> Result<View> {
        let axes = self.axes(stage);
        let tokens = self.builder.array(name, &axes, Role::Scratch)?;
        self.builder.keep_exact(&[tokens.buffer()])?;
        Ok(tokens)
    }

    /// Patches, their embedding and its normalisation.
    fn embed(&mut self, stage: &Stage) -> Result<View> {
        let a = self.architecture;
        let clip = [self.batch, CHANNELS, a.frames, a.height, a.width].map(u64::from);
        let clip = self.builder.array("clip", &clip, Role::Input)?;
        let (c, patch) = (stage.channels, a.patch.map(u64::from));
        let [depth, height, width] = patch;
        let [name, norm_name] = match a.dimensions {
            Dimensions::Two => ["features.0.0", "features.0.2"],
            Dimensions::Three => ["patch_embed.proj", "patch_embed.norm"],
        };
        let axes = [c, CHANNELS.into(), depth, height, width];
        let is_flat = a.dimensions == Dimensions::Two;
        let weight = patch_weight(&mut self.builder, &format!("{name}.weight"), axes, is_flat)?;
        let bias = self.builder.array(&format!("{name}.bias"), &[c], Role::Input)?;
        let projection = Projection { weight, bias: Some(bias) };
        let embedded = self.stream(stage, "embedded tokens")?;
        let embedding = Embedding { clip, patch, grid: stage.sides(), skip: 0, projection };
        embedding.push(&mut self.builder, embedded)?;
        let tokens = self.stream(stage, "tokens of stage 0")?;
        norm(&mut self.builder, norm_name, c, EPSILON)?.push(&mut self.builder, embedded, tokens)?;
        self.builder.release(&[embedded.buffer()])?;
        Ok(tokens)
    }

    /// Each token of the stage `number` from a square of four of the stage `from`; there are zeros beyond an odd edge.
    fn merge(&mut self, number: usize, from: &Stage, stage: &Stage, x: View) -> Result<View> {
        let c = from.channels;
        let wide = [self.batch.into(), stage.tokens(), 4 * c];
        let squares = self.builder.array(&format!("squares of stage {number}"), &wide, Role::Scratch)?;
        let normed = self.builder.array(&format!("normed squares of stage {number}"), &wide, Role::Scratch)?;
        let [frames, grid_rows, grid_columns] = stage.grid;
        let together = Budget::of_scratch(self.builder.limits()).items(stage.tokens() * 4 * c, self.batch.into());
        for clips in Clips::parts(self.batch.into(), together) {
            // Token by token, the lower of two ahead of the one to the right: columns, rows, channels.
            let rows = clips.of(squares).join(0).split(1, c).split(1, 2);
            let clip = as_clip(clips.of(x), from.sides());
            let patches = rows.ordered(&[0, 3, 2, 1]).with_axis(2, 1);
            let request = Patchify { clip, patches, frames, grid_rows, grid_columns, skip: 0 };
            self.builder.launch("squares of four tokens", request)?;
        }
        let ahead = usize::from(self.architecture.dimensions == Dimensions::Three);
        self.builder.name_under(&format!("features.{}.", 2 * number - ahead));
        norm(&mut self.builder, "norm", 4 * c, EPSILON)?.push(&mut self.builder, squares, normed)?;
        let reduction = projection(&mut self.builder, "reduction", stage.channels, 4 * c, false)?;
        self.builder.name_under("");
        let tokens = self.stream(stage, &format!("tokens of stage {number}"))?;
        Product::new("merging", reduction).push(&mut self.builder, normed, tokens)?;
        self.builder.release(&[squares.buffer(), normed.buffer()])?;
        Ok(tokens)
    }

    /// `features [B,N,C]`.
    fn features(&mut self, stage: &Stage) -> Result<View> {
        let axes = self.axes(stage);
        self.builder.array("features", &axes, Role::Output)
    }

    /// The final norm, of what is wanted, and the head on the mean of all tokens.
    fn finish(&mut self, stage: &Stage, stream: View) -> Result<()> {
        let wants_final = self.outputs.features == Some(Features::Final);
        if !self.outputs.logits && !wants_final {
            return Ok(());
        }
        let normed = if wants_final { self.features(stage)? } else { self.stream(stage, "normed tokens")? };
        norm(&mut self.builder, "norm", stage.channels, EPSILON)?.push(&mut self.builder, stream, normed)?;
        if !self.outputs.logits {
            return Ok(());
        }
        let (batch, c, classes) = (self.batch.into(), stage.channels, self.architecture.classes.into());
        let pooled = self.builder.array("mean token", &[batch, 1, c], Role::Scratch)?;
        mean(&mut self.builder, "mean of all tokens", normed, pooled)?;
        let head = projection(&mut self.builder, "head", classes, c, true)?;
        let logits = self.builder.buffer("logits", &[batch, classes], Role::Output)?;
        let (x, y) = (View::of(pooled.buffer(), &[1, batch, c]), View::of(logits, &[1, batch, classes]));
        Product::new("head", head).push(&mut self.builder, x, y)
    }
}
