//! What deformable attention and its networks are made of.

use orthoformer::kernel::{MAX_MATCHED_VALUES, MAX_RADIUS};
use orthoformer::ops::sampling::Grid;
use orthoformer::shape::{MAX_HEAD_SIZE, Shape, at_most, divided, fits_u32, in_range, product};
use orthoformer::{Error, Result};

use crate::networks::CHANNELS;

/// Most scales of a block.
const MAX_SCALES: u32 = 16;

/// Where the logits of samples come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Logits {
    /// From the motion alone, through a layer of so many elements.
    Motion {
        /// `E`: elements that motion is embedded in.
        hidden: u32,
    },
    /// Products of queries with keys where the samples lie.
    Dot,
}

/// How the tokens of several scales become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fusion {
    /// An MLP over what all scales say of a position.
    Mlp,
    /// A block of an MLP-Mixer over the scales, and their mean.
    Mixer,
}

impl Fusion {
    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mlp => "mlp",
            Self::Mixer => "mixer",
        }
    }
}

/// D-MS-A: attention at several scales.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MultiScale {
    /// Strides of each scale along time, from top to bottom and from left to right: the kernels of its convolution too.
    pub strides: Vec<[u32; 3]>,
    /// How they become one.
    pub fusion: Fusion,
}

impl MultiScale {
    /// What the names of a scale's tensors begin with, of the layer's inputs and outputs.
    pub fn prefix(scale: usize) -> String {
        format!("scales.{scale}.")
    }
}

/// Deformable attention: everything but the sizes of its input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttentionSpec {
    /// `H`: heads.
    pub heads: u32,
    /// `P`: samples of a query in each frame of its sub-clip.
    pub samples: u32,
    /// Where logits come from.
    pub logits: Logits,
    /// Whether the projection to queries, keys and values has a bias; all others have.
    pub qkv_bias: bool,
    /// Several scales (D-MS-A), or one (D-ST-A).
    pub scales: Option<MultiScale>,
}

impl AttentionSpec {
    /// The grid of each scale.
    ///
    /// # Errors
    /// Those of [`Grid::coarser`]; [`Error::ZeroSize`] and [`Error::TooLarge`] for how many scales there are.
    pub fn grids(&self, grid: Grid) -> Result<Vec<Grid>> {
        let Some(scales) = &self.scales else { return Ok(vec![grid]) };
        in_range(&[("scales", u32::try_from(scales.strides.len()).unwrap_or(u32::MAX), MAX_SCALES)])?;
        scales.strides.iter().map(|&strides| grid.coarser(strides)).collect()
    }

    /// Whether all sizes fit each other, and how many elements a head has.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::TooLarge`], [`Error::DoesNotDivide`] and [`Error::SizeOverflow`].
    pub fn check(&self, grid: Grid, channels: u32) -> Result<u32> {
        grid.check()?;
        in_range(&[("samples", self.samples, 1 << 10), ("channels", channels, 1 << 16)])?;
        if let Logits::Motion { hidden } = self.logits {
            in_range(&[("elements that motion is embedded in", hidden, 1 << 16)])?;
            let elements = [grid.tokens(), grid.sub_clip, hidden].map(u64::from);
            fits_u32("embedded motion of one clip", product("embedded motion of one clip", &elements)?)?;
        }
        let head_size = divided("channels", channels, "heads", self.heads)?;
        at_most("head size", head_size.into(), MAX_HEAD_SIZE)?;
        let displacements = [self.heads, grid.tokens(), grid.sub_clip, 2 * self.samples].map(u64::from);
        fits_u32("displacements of one clip", product("displacements of one clip", &displacements)?)?;
        let scales = self.grids(grid)?.len() as u64;
        let packed = product("elements of one packed sequence", &[u64::from(grid.tokens()), u64::from(channels), scales.max(3)])?;
        fits_u32("elements of one packed sequence", packed)?;
        for &[depth, height, width] in self.scales.iter().flat_map(|scales| &scales.strides) {
            let cell = product("elements that a position of a scale covers", &[channels, depth, height, width].map(u64::from))?;
            at_most("elements that a position of a scale covers", cell, 1 << 20)?;
        }
        Ok(head_size)
    }
}

/// Where the motion of patches comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MotionSource {
    /// From the clip, by block matching. Blocks are compared by the whole numbers 0 to 255 that `(value * deviation + mean) * 255` of the normalised
    /// clip comes to.
    Blocks {
        /// Farthest shift, pixels.
        radius: u32,
        /// What was taken from each channel when the clip was normalised, of values from 0 to 1.
        mean: [f32; 3],
        /// What each channel was divided by then.
        deviation: [f32; 3],
    },
    /// An input `motion [B,F,Y,X,G,2]`: (dx, dy) of each patch to each frame of its sub-clip, in patches. From a codec, for example.
    Given,
}

/// A network's structure: everything but the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// Frames of a clip.
    pub frames: u32,
    /// Height and width of a clip, pixels.
    pub crop: u32,
    /// Height and width of a patch, pixels.
    pub patch: u32,
    /// Frames of a patch.
    pub patch_depth: u32,
    /// `C`: elements of a token.
    pub channels: u32,
    /// Blocks.
    pub depth: u32,
    /// Elements of the hidden layer of a block's MLP.
    pub hidden: u32,
    /// `G`: frames of patches in a sub-clip.
    pub sub_clip: u32,
    /// The attention of each block.
    pub attention: AttentionSpec,
    /// Where motion comes from.
    pub motion: MotionSource,
    /// Classes.
    pub classes: u32,
}

impl Architecture {
    /// The patches of a clip.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] and [`Error::DoesNotDivide`] for patches that do not fill the clip, and those of [`Grid::check`].
    pub fn grid(&self) -> Result<Grid> {
        let side = divided("crop", self.crop, "patch side", self.patch)?;
        let frames = divided("frames", self.frames, "frames of a patch", self.patch_depth)?;
        let grid = Grid { frames, rows: side, columns: side, sub_clip: self.sub_clip };
        grid.check()?;
        Ok(grid)
    }

    /// Whether all sizes fit each other, for so many clips.
    ///
    /// # Errors
    /// Those of [`Architecture::grid`], [`AttentionSpec::check`] and [`Shape::new`]; [`Error::ZeroSize`] and [`Error::TooLarge`].
    pub fn check_batch(&self, batch: u32) -> Result<()> {
        let grid = self.grid()?;
        let head_size = self.attention.check(grid, self.channels)?;
        in_range(&[
            ("depth (blocks)", self.depth, 1 << 10),
            ("elements of the hidden layer of the mlp", self.hidden, 1 << 20),
            ("classes", self.classes, 1 << 20),
            // So that no product of two of them, nor a row of either, exceeds 32 bits.
            ("crop", self.crop, 1 << 14),
            ("frames", self.frames, 1 << 14),
        ])?;
        at_most("elements of a patch", self.patch_elements(), 1 << 20)?;
        if let MotionSource::Blocks { radius, mean, deviation } = self.motion {
            let matched = product("values of a matched patch", &[CHANNELS, self.patch, self.patch].map(u64::from))?;
            at_most("values of a matched patch", matched, MAX_MATCHED_VALUES)?;
            in_range(&[("farthest motion, pixels", radius, MAX_RADIUS)])?;
            if let Some(value) = mean.into_iter().chain(deviation).find(|value| !value.is_finite()) {
                let expected = "finite means and deviations".to_owned();
                return Err(Error::Argument { what: "normalisation of the clip", given: value.to_string(), expected });
            }
        }
        let sizes = [batch, self.attention.heads, grid.frames, grid.rows * grid.columns, head_size].map(|size| size as usize);
        let [batch, heads, frames, patches, head_size] = sizes;
        Shape::new(batch, heads, frames, patches, head_size)?;
        Ok(())
    }

    /// Elements of a patch's pixels.
    pub fn patch_elements(&self) -> u64 {
        [CHANNELS, self.patch_depth, self.patch, self.patch].iter().fold(1u64, |all, &size| all.saturating_mul(size.into()))
    }
}
