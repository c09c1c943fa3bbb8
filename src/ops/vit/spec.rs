//! What these networks are made of.

use crate::error::Result;
use crate::kernel::Activation;
use crate::shape::{Shape, at_most, divided, in_range};

/// Which network it is, and which tokens attend to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// TimeSformer with divided attention: along time, then within a frame.
    TimeSformerDivided,
    /// TimeSformer with joint attention.
    TimeSformerJoint,
    /// ViViT, the model that attends jointly and factors nothing.
    Vivit,
}

impl Kind {
    /// What names of tensors begin with, but for the classifier's.
    pub fn family(self) -> &'static str {
        match self {
            Self::TimeSformerDivided | Self::TimeSformerJoint => "timesformer",
            Self::Vivit => "vivit",
        }
    }
}

/// A network's structure: everything but the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// Which network.
    pub kind: Kind,
    /// Whether names of tensors begin with [`Kind::family`] and a dot, as where there is a classifier.
    pub has_family_names: bool,
    /// Frames of a clip.
    pub frames: u32,
    /// Height of a clip, pixels.
    pub height: u32,
    /// Width of a clip, pixels.
    pub width: u32,
    /// Frames, height and width of a patch (ViViT's tubelet); of one frame in a TimeSformer.
    pub patch: [u32; 3],
    /// `C`: elements of a token.
    pub channels: u32,
    /// `H`: attention heads.
    pub heads: u32,
    /// Blocks.
    pub depth: u32,
    /// Elements of the hidden layer of a block's MLP.
    pub hidden: u32,
    /// What is between the two layers of the MLP.
    pub activation: Activation,
    /// Added to the variance by layer normalisations.
    pub epsilon: f32,
    /// Whether the projections to queries, keys and values have biases; all others have.
    pub qkv_bias: bool,
    /// Classes, where there is a classifier.
    pub classes: Option<u32>,
}

impl Kind {
    /// Kind of attention, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::TimeSformerDivided => "divided attention, class token in every frame",
            Self::TimeSformerJoint | Self::Vivit => "joint attention",
        }
    }
}

impl Architecture {
    /// What is to know beside sizes of the clip: names and values.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let sizes = [("channels", self.channels), ("heads", self.heads), ("depth", self.depth), ("hidden", self.hidden)];
        let mut facts: Vec<_> = sizes.into_iter().map(|(name, size)| (name, size.to_string())).collect();
        facts.push(("activation", self.activation.name().to_owned()));
        facts.push(("qkv_bias", self.qkv_bias.to_string()));
        facts
    }

    /// What names of tensors begin with, but for the classifier's.
    pub fn prefix(&self) -> String {
        if self.has_family_names { format!("{}.", self.kind.family()) } else { String::new() }
    }

    /// Patches along time, from top to bottom and from left to right.
    ///
    /// # Errors
    /// [`crate::Error::ZeroSize`] and [`crate::Error::DoesNotDivide`] for patches that do not fill the clip.
    pub fn grid(&self) -> Result<[u32; 3]> {
        let [depth, height, width] = self.patch;
        Ok([
            divided("frames", self.frames, "frames of a patch", depth)?,
            divided("height", self.height, "height of a patch", height)?,
            divided("width", self.width, "width of a patch", width)?,
        ])
    }

    /// Sizes of the attention problem for so many clips: frames of patches, and the patches of each.
    ///
    /// # Errors
    /// Those of [`Architecture::grid`]; [`crate::Error::ZeroSize`], [`crate::Error::TooLarge`] and [`crate::Error::DoesNotDivide`] for other sizes; those of [`Shape::new`].
    pub fn shape(&self, batch: u32) -> Result<Shape> {
        let [frames, rows, columns] = self.grid()?;
        // So that no product of two of them, nor a row of either, exceeds 32 bits.
        in_range(&[
            ("height", self.height, 1 << 14),
            ("width", self.width, 1 << 14),
            ("frames", self.frames, 1 << 14),
            ("depth (blocks)", self.depth, 1 << 10),
            ("elements of the hidden layer of the mlp", self.hidden, 1 << 20),
            ("classes", self.classes.unwrap_or(1), 1 << 20),
        ])?;
        at_most("elements of a patch", self.patch_elements(), 1 << 20)?;
        let head_size = divided("channels", self.channels, "heads", self.heads)?;
        let patches = rows.saturating_mul(columns) as usize;
        Shape::new(batch as usize, self.heads as usize, frames as usize, patches, head_size as usize)
    }

    /// Elements of a patch: what a token is embedded from.
    pub fn patch_elements(&self) -> u64 {
        [super::CHANNELS].iter().chain(&self.patch).fold(1u64, |all, &size| all.saturating_mul(size.into()))
    }

    /// Multiply-adds of a clip in the published order: every score and every token of every block.
    ///
    /// # Errors
    /// Those of [`Architecture::shape`].
    pub fn published_multiply_adds(&self) -> Result<u64> {
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
        Ok(u64::try_from(u128::from(self.depth) * (block + mlp) + ends).unwrap_or(u64::MAX))
    }
}
