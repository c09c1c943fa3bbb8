//! What a network is made of.

use crate::networks::{CHANNELS, Features};
use orthoformer::shape::{at_most, fits_u32, in_range, product};
use orthoformer::{Error, Result};

/// Most stages, and blocks of one.
const MAX_STAGES: u32 = 1 << 4;
const MAX_DEPTH: u32 = 1 << 10;
/// Most pixels or frames along an axis of a clip, and positions along an axis of a window.
const MAX_SIDE: u32 = 1 << 14;
const MAX_WINDOW: u32 = 1 << 10;
/// Most elements of a token, a patch and the hidden layer of an MLP, and most classes.
const MAX_WIDTH: u32 = 1 << 20;

/// Which of the published networks it is like: they differ in the names of their tensors and in what they do at edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dimensions {
    /// Pictures: a clip of one frame. Pixels that make no whole patch are left off; grids are padded to whole windows.
    Two,
    /// Clips. They are padded with zeros to whole patches; where a grid is no longer than a window along an axis, the window is as long as the grid.
    Three,
}

/// A network's structure: everything but the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Pictures or clips.
    pub dimensions: Dimensions,
    /// Frames of a clip; one for pictures.
    pub frames: u32,
    /// Height of a clip, pixels.
    pub height: u32,
    /// Width of a clip, pixels.
    pub width: u32,
    /// Frames, height and width of a patch; one frame for pictures.
    pub patch: [u32; 3],
    /// Elements of a token of the first stage; twice as many in each that follows.
    pub channels: u32,
    /// Blocks of each stage.
    pub depths: Vec<u32>,
    /// Attention heads of each stage.
    pub heads: Vec<u32>,
    /// Frames, rows and columns of a window; one frame for pictures.
    pub window: [u32; 3],
    /// Elements of the hidden layer of each stage's MLPs.
    pub hidden: Vec<u32>,
    /// Classes.
    pub classes: u32,
}

/// The sizes of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    /// Frames, rows and columns of tokens.
    pub grid: [u32; 3],
    /// Elements of a token.
    pub channels: u64,
    /// Attention heads.
    pub heads: u64,
    /// Elements of the hidden layer of an MLP.
    pub hidden: u64,
    /// Blocks.
    pub depth: u32,
    /// The stage's first block, counted through all stages.
    pub first_block: u32,
}

impl Stage {
    /// Tokens of a batch item.
    pub fn tokens(&self) -> u64 {
        self.sides().iter().product()
    }

    /// Frames, rows and columns of tokens.
    pub fn sides(&self) -> [u64; 3] {
        self.grid.map(u64::from)
    }

    /// Elements of a query, key or value of one head.
    pub fn head_size(&self) -> u64 {
        self.channels / self.heads
    }
}

/// Where a block is in a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its stage, from 0.
    pub stage: u32,
    /// How it cuts its grid.
    pub windows: Windows,
    /// What names of its tensors begin with.
    pub name: String,
}

/// How a block cuts its grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Frames, rows and columns of a window.
    pub size: [u32; 3],
    /// How far windows are shifted along each axis.
    pub shift: [u32; 3],
    /// Whether windows go beyond the grid.
    pub padded: bool,
}

impl Architecture {
    /// The prefix of a stage's tensors: patches are embedded by the first of the features in two dimensions, mergings are between stages.
    pub(super) fn stage_name(&self, number: usize) -> String {
        format!("features.{}.", 2 * number + usize::from(self.dimensions == Dimensions::Two))
    }

    /// Where a block is, counted through all stages.
    ///
    /// # Errors
    /// Those of [`Architecture::tokens_after`].
    pub fn block(&self, block: u32) -> Result<Block> {
        let (number, stage) = self.stage_of(block)?;
        let own = block - stage.first_block;
        let name = format!("{}{own}.", self.stage_name(number));
        Ok(Block { stage: number as u32, windows: self.windows(stage.grid, own % 2 == 1), name })
    }

    /// The windows of a block, which is shifted by half a window if its number in its stage is odd.
    pub(super) fn windows(&self, grid: [u32; 3], shifted: bool) -> Windows {
        let fits = [0, 1, 2].map(|axis| grid[axis] > self.window[axis]);
        let half = |axis: usize| if shifted && fits[axis] { self.window[axis] / 2 } else { 0 };
        let clipped = |axis: usize| if fits[axis] || self.dimensions == Dimensions::Two { self.window[axis] } else { grid[axis] };
        let size = [0, 1, 2].map(clipped);
        Windows { size, shift: [0, 1, 2].map(half), padded: (0..3).any(|axis| !grid[axis].is_multiple_of(size[axis])) }
    }

    /// Elements of a patch: what one token is embedded from.
    pub fn patch_elements(&self) -> u64 {
        self.patch.iter().fold(CHANNELS.into(), |elements: u64, &side| elements.saturating_mul(side.into()))
    }

    /// Blocks of all stages together.
    pub fn blocks(&self) -> u32 {
        self.depths.iter().fold(0, |all, &depth| all.saturating_add(depth))
    }

    /// The grid of tokens after a part of the network, frames, rows and columns, and the elements of each token.
    ///
    /// # Errors
    /// Those of [`check`](crate::networks::Network::check), and [`Error::OutOfRange`] for a block that there is not.
    pub fn tokens_after(&self, part: Features) -> Result<([u32; 3], u32)> {
        let (_, stage) = self.stage_of(match part {
            Features::Block(block) => block,
            Features::Final => self.blocks().saturating_sub(1),
        })?;
        Ok((stage.grid, fits_u32("channels", stage.channels)?))
    }

    /// The stage of a block, counted through all stages, and its number.
    fn stage_of(&self, block: u32) -> Result<(usize, Stage)> {
        let found = self.stages(1)?.into_iter().enumerate().find(|(_, stage)| block < stage.first_block + stage.depth);
        found.ok_or(Error::OutOfRange { what: "layer", index: block.into(), count: self.blocks().into() })
    }

    /// The sizes of all stages for so many clips, all of them checked.
    pub(super) fn stages(&self, batch: u32) -> Result<Vec<Stage>> {
        self.check_sides(batch)?;
        self.check_lists()?;
        let ceil = |size: u32, side: u32| if self.dimensions == Dimensions::Two { size / side } else { size.div_ceil(side) };
        let mut grid = [0, 1, 2].map(|axis| ceil([self.frames, self.height, self.width][axis], self.patch[axis]));
        if grid.contains(&0) {
            return Err(Error::ZeroSize { what: "whole patches of a picture" });
        }
        let mut stages: Vec<Stage> = Vec::new();
        let mut channels: u64 = self.channels.into();
        for (number, ((&depth, &heads), &hidden)) in self.depths.iter().zip(&self.heads).zip(&self.hidden).enumerate() {
            let [heads, hidden] = [heads, hidden].map(u64::from);
            if number > 0 {
                grid = [grid[0], grid[1].div_ceil(2), grid[2].div_ceil(2)];
                channels = at_most("channels of a stage", 2 * channels, MAX_WIDTH)?;
            }
            if !channels.is_multiple_of(heads) {
                return Err(Error::DoesNotDivide { what: "channels", given: channels, divisor_name: "heads", divisor: heads });
            }
            // Rows of four tokens meet where neighbours are merged, rows of three in front of attention; one more is for padding.
            let widest = (4 * channels).max(hidden);
            let tokens = product("tokens", &grid.map(u64::from))?;
            fits_u32(
                "elements of a clip's tokens",
                product("elements of a clip's tokens", &[tokens.saturating_add(1), widest])?,
            )?;
            fits_u32("tokens of a batch", product("tokens of a batch", &[tokens, batch.into()])?)?;
            let of_logits = channels.max(self.classes.into());
            fits_u32("elements of a batch's logits", product("elements of a batch's logits", &[batch.into(), of_logits])?)?;
            let first_block = stages.last().map_or(0, |stage| stage.first_block + stage.depth);
            stages.push(Stage { grid, channels, heads, hidden, depth, first_block });
        }
        Ok(stages)
    }

    fn check_sides(&self, batch: u32) -> Result<()> {
        let [depth, patch_height, patch_width] = self.patch;
        let [window_frames, window_rows, window_columns] = self.window;
        let sides = [
            ("batch", batch, u32::MAX),
            ("frames", self.frames, MAX_SIDE),
            ("height", self.height, MAX_SIDE),
            ("width", self.width, MAX_SIDE),
            ("frames of a patch", depth, MAX_SIDE),
            ("height of a patch", patch_height, MAX_SIDE),
            ("width of a patch", patch_width, MAX_SIDE),
            ("frames of a window", window_frames, MAX_WINDOW),
            ("rows of a window", window_rows, MAX_WINDOW),
            ("columns of a window", window_columns, MAX_WINDOW),
            ("channels", self.channels, MAX_WIDTH),
            ("classes", self.classes, MAX_WIDTH),
        ];
        in_range(&sides)?;
        at_most("elements of a patch", self.patch_elements(), MAX_WIDTH)?;
        let clip = [CHANNELS, self.frames, self.height, self.width].map(u64::from);
        fits_u32("elements of a clip", product("elements of a clip", &clip)?)?;
        for (what, size) in
            [("frames of a picture", self.frames), ("frames of a patch", depth), ("frames of a window", window_frames)]
        {
            if self.dimensions == Dimensions::Two && size != 1 {
                return Err(Error::Argument { what, given: size.to_string(), expected: "1 in two dimensions".to_owned() });
            }
        }
        Ok(())
    }

    fn check_lists(&self) -> Result<()> {
        let count = fits_u32("stages", self.depths.len() as u64)?;
        in_range(&[("stages", count, MAX_STAGES)])?;
        for (what, list) in [("heads of stages", &self.heads), ("hidden layers of stages", &self.hidden)] {
            if list.len() != self.depths.len() {
                let expected = format!("one for each of {count} stages");
                return Err(Error::Argument { what, given: format!("{} of them", list.len()), expected });
            }
        }
        for ((&depth, &heads), &hidden) in self.depths.iter().zip(&self.heads).zip(&self.hidden) {
            let depth = ("depth (blocks of a stage)", depth, MAX_DEPTH);
            in_range(&[depth, ("heads", heads, MAX_WIDTH), ("elements of the hidden layer of the mlp", hidden, MAX_WIDTH)])?;
        }
        Ok(())
    }
}
