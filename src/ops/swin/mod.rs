//! Swin and Video Swin: attention within windows, which every other block shifts (Liu et al., ICCV 2021 and CVPR 2022; torchvision's
//! `SwinTransformer` and `SwinTransformer3d`).
//!
//! ```text
//! x       = LN(cuboids W_e' + b_e)
//! x'      = x + windows(LN(x));    x'' = x' + W_2' gelu(W_1' LN(x') + b_1) + b_2        depth times
//! x       = LN([four neighbours of x'']) W_r'                                         between stages
//! logits  = W_h' mean(LN(x)) + b_h
//! ```
//!
//! Inputs: `clip [B,3,T,H,W]`, normalised, with one frame for pictures, and all weights under torchvision's names. Outputs: `logits [B,classes]`
//! and `features [B,N,C]`, the tokens of a block in order of frames, rows and columns, with the grid and the channels of its stage; as operands of a block,
//! counted through all stages, the queries, keys and values of its tokens next to each other, `operands [B,N,3C]`. Those of padded places are the biases of
//! `attn.qkv` and are not among them.

mod blocks;
pub mod layer;
mod spec;

pub use spec::{Architecture, Block, Dimensions, Windows};

use super::dense::{Projection, projection};
use super::motionformer::{CHANNELS, Features, NetworkOutputs};
use super::tokens::{Embedding, Product, Tokens, items_at_once, mean, norm, parts};
use crate::error::Result;
use crate::params::CuboidsParams;
use crate::plan::{Plan, PlanBuilder, PlanLimits, Role};
use spec::Stage;

/// The published networks' layer normalisations add this to the variance.
const EPSILON: f32 = 1e-5;

/// Plans a network for `batch` clips.
///
/// # Errors
/// [`crate::Error::ZeroSize`], [`crate::Error::TooLarge`], [`crate::Error::SizeOverflow`], [`crate::Error::DoesNotDivide`] and
/// [`crate::Error::Argument`] for sizes that do not fit each other or that kernels are not built for, [`crate::Error::OutOfRange`] for blocks that
/// there are not, [`crate::Error::BindingTooLarge`] for clips that devices of these limits cannot see whole.
pub fn plan(architecture: &Architecture, batch: u32, outputs: &NetworkOutputs, limits: PlanLimits) -> Result<Plan> {
    let stages = architecture.stages(batch)?;
    outputs.refuse_trajectories("Swin")?;
    outputs.check(architecture.blocks())?;
    let last = outputs.last_block(architecture.blocks());
    let mut network = NetworkPlan { architecture, outputs, batch, builder: PlanBuilder::new(limits) };
    let mut stream = None;
    for (number, stage) in stages.iter().enumerate().take_while(|(_, stage)| stage.first_block <= last) {
        let first = match stream {
            None => network.embed(stage)?,
            Some(before) => network.merge(number, &stages[number - 1], stage, before)?,
        };
        stream = Some(network.push_stage(number, stage, first, last)?);
    }
    if let (Some(stream), Some(stage)) = (stream, stages.last()) {
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
    /// The axes of a stage's tokens.
    fn axes(&self, stage: &Stage) -> [u32; 3] {
        [self.batch, stage.tokens(), stage.channels]
    }

    /// Scratch for tokens, which stay float32: what blocks add to them is small beside what is there.
    fn stream(&mut self, stage: &Stage, name: &str) -> Result<Tokens> {
        let axes = self.axes(stage);
        let tokens = Tokens::new(&mut self.builder, name, axes, Role::Scratch)?;
        self.builder.keep_exact(&[tokens.buffer])?;
        Ok(tokens)
    }

    /// Cuboids, their embedding and its normalisation.
    fn embed(&mut self, stage: &Stage) -> Result<Tokens> {
        let a = self.architecture;
        let sizes = [CHANNELS, a.frames, a.height, a.width];
        let clip_axes: Vec<u64> = [self.batch].into_iter().chain(sizes).map(u64::from).collect();
        let clip = self.builder.buffer("clip", &clip_axes, Role::Input)?;
        let kernel = [stage.channels, CHANNELS, a.patch[0], a.patch[1], a.patch[2]].map(u64::from);
        let flat = [kernel[0], kernel[1], kernel[3], kernel[4]];
        let (kernel, [name, norm_name]): (&[u64], _) = match a.dimensions {
            Dimensions::Two => (&flat, ["features.0.0", "features.0.2"]),
            Dimensions::Three => (&kernel, ["patch_embed.proj", "patch_embed.norm"]),
        };
        let weight = self.builder.buffer(&format!("{name}.weight"), kernel, Role::Input)?;
        let bias = self.builder.buffer(&format!("{name}.bias"), &kernel[..1], Role::Input)?;
        let projection = Projection { weight: self.builder.bind_all(weight)?, bias: Some(self.builder.bind_all(bias)?) };
        let embedded = self.stream(stage, "embedded tokens")?;
        let embedding = Embedding { clip, sizes, cuboid: a.patch, grid: stage.grid, skip: 0, projection, bias_per_row: false };
        embedding.push(&mut self.builder, embedded)?;
        let tokens = self.stream(stage, "tokens of stage 0")?;
        norm(&mut self.builder, norm_name, stage.channels, EPSILON)?.push(&mut self.builder, embedded, tokens)?;
        self.builder.release(&[embedded.buffer])?;
        Ok(tokens)
    }

    /// Each token of the stage `number` from a square of four of the stage `from`; there are zeros beyond an odd edge.
    fn merge(&mut self, number: usize, from: &Stage, stage: &Stage, x: Tokens) -> Result<Tokens> {
        let (c, [frames, rows, columns]) = (from.channels, stage.grid);
        let wide = [self.batch, stage.tokens(), 4 * c];
        let squares = Tokens::new(&mut self.builder, &format!("squares of stage {number}"), wide, Role::Scratch)?;
        let normed = Tokens::new(&mut self.builder, &format!("normed squares of stage {number}"), wide, Role::Scratch)?;
        let item = u64::from(stage.tokens()) * u64::from(4 * c);
        for (first, items) in parts(self.batch, items_at_once(self.builder.limits(), self.batch, item)) {
            let (clip, to) =
                (x.batch_items(first, items).rows(&self.builder)?, squares.batch_items(first, items).rows(&self.builder)?);
            let cut = CuboidsParams {
                batch: items,
                channels: c,
                frames,
                grid_rows: rows,
                grid_columns: columns,
                depth: 1,
                height: 2,
                width: 2,
                clip_frames: from.grid[0],
                clip_rows: from.grid[1],
                clip_columns: from.grid[2],
                clip_offset: clip.offset,
                rows_offset: to.offset,
                ..CuboidsParams::default()
            };
            // Token by token, the lower of two ahead of the one to the right.
            let cut = CuboidsParams { channel_step: 1, row_step: c, column_step: 2 * c, ..cut.of_tokens() };
            self.builder.push("squares of four tokens", cut, &[clip.binding, to.binding])?;
        }
        self.builder
            .name_under(&format!("features.{}.", 2 * number - usize::from(self.architecture.dimensions == Dimensions::Three)));
        norm(&mut self.builder, "norm", 4 * c, EPSILON)?.push(&mut self.builder, squares, normed)?;
        let reduction = projection(&mut self.builder, "reduction", stage.channels.into(), (4 * c).into(), false)?;
        self.builder.name_under("");
        let tokens = self.stream(stage, &format!("tokens of stage {number}"))?;
        Product::new("merging", reduction).push(&mut self.builder, normed, tokens)?;
        self.builder.release(&[squares.buffer, normed.buffer])?;
        Ok(tokens)
    }

    fn features(&mut self, stage: &Stage) -> Result<Tokens> {
        let axes = self.axes(stage);
        Tokens::new(&mut self.builder, "features", axes, Role::Output)
    }

    /// The final norm, of what is wanted, and the head on the mean of all tokens.
    fn finish(&mut self, stage: &Stage, stream: Tokens) -> Result<()> {
        let wants_final = self.outputs.features == Some(Features::Final);
        if !self.outputs.logits && !wants_final {
            return Ok(());
        }
        let normed = if wants_final { self.features(stage)? } else { self.stream(stage, "normed tokens")? };
        norm(&mut self.builder, "norm", stage.channels, EPSILON)?.push(&mut self.builder, stream, normed)?;
        if !self.outputs.logits {
            return Ok(());
        }
        let (batch, c, classes) = (self.batch, stage.channels, self.architecture.classes);
        let pooled = self.builder.buffer("mean token", &[batch, 1, c].map(u64::from), Role::Scratch)?;
        mean(&mut self.builder, "mean of all tokens", normed, Tokens::all(pooled, [batch, 1, c]))?;
        let head = projection(&mut self.builder, "head", classes.into(), c.into(), true)?;
        let logits = self.builder.buffer("logits", &[batch, classes].map(u64::from), Role::Output)?;
        let (x, y) = (Tokens::all(pooled, [1, batch, c]), Tokens::all(logits, [1, batch, classes]));
        Product::new("head", head).push(&mut self.builder, x, y)
    }
}
