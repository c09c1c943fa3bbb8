//! What a V-JEPA 2 is made of.

use orthoformer::kernel::Activation;
use orthoformer::shape::{Shape, at_most, divided, in_range};
use orthoformer::{Error, Result};

use crate::networks::CHANNELS;

/// Elements of the hidden layer of a pooler's MLP for each element of a token, whatever the encoder has.
const POOLER_MLP_RATIO: u32 = 4;
/// What names begin with where there is a classifier, but for the classifier's.
pub(super) const FAMILY: &str = "vjepa2.";
/// Most blocks, and most layers of a pooler.
const MAX_LAYERS: u32 = 1 << 10;
/// Smallest heads that have a pair of elements for each axis.
const LEAST_HEAD_SIZE: u32 = 6;

/// What makes logits of the encoder's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Classifier {
    /// Layers in which all tokens attend to each other, ahead of the one in which a learned query attends to them; may be none.
    pub layers: u32,
    /// Classes.
    pub classes: u32,
}

/// A network's structure: everything but the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// Whether names of tensors begin with `vjepa2.`, as where there is a classifier, whose own names do not.
    pub has_family_names: bool,
    /// Frames of a clip.
    pub frames: u32,
    /// Height and width of a clip, pixels.
    pub crop: u32,
    /// Frames of a patch.
    pub tubelet: u32,
    /// Height and width of a patch, pixels.
    pub patch: u32,
    /// `C`: elements of a token.
    pub channels: u32,
    /// `H`: attention heads.
    pub heads: u32,
    /// Blocks of the encoder.
    pub depth: u32,
    /// Elements of the hidden layer of a block's MLP.
    pub hidden: u32,
    /// What is between the two layers of MLPs.
    pub activation: Activation,
    /// Added to the variance by layer normalisations.
    pub epsilon: f32,
    /// Whether the encoder's projections to queries, keys and values have biases; all others have.
    pub qkv_bias: bool,
    /// The classifier, if there is one.
    pub classifier: Option<Classifier>,
}

impl Architecture {
    /// What the encoder's names begin with.
    pub fn prefix(&self) -> &'static str {
        if self.has_family_names { FAMILY } else { "" }
    }

    /// Patches along time, from top to bottom and from left to right.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] and [`Error::DoesNotDivide`] for patches that do not fill the clip.
    pub fn grid(&self) -> Result<[u32; 3]> {
        let side = divided("height and width", self.crop, "side of a patch", self.patch)?;
        Ok([divided("frames", self.frames, "frames of a patch", self.tubelet)?, side, side])
    }

    /// Sizes of the attention problem for so many clips: frames of patches, and the patches of each.
    ///
    /// # Errors
    /// Those of [`Architecture::grid`]; [`Error::ZeroSize`], [`Error::TooLarge`], [`Error::DoesNotDivide`] and [`Error::Argument`] for other sizes; those
    /// of [`Shape::new`].
    pub fn shape(&self, batch: u32) -> Result<Shape> {
        let [frames, rows, columns] = self.grid()?;
        // So that no product of two of them, nor a row of either, exceeds 32 bits.
        in_range(&[
            ("height and width", self.crop, 1 << 14),
            ("frames", self.frames, 1 << 14),
            ("depth (blocks)", self.depth, MAX_LAYERS),
            ("elements of the hidden layer of the mlp", self.hidden, 1 << 20),
            ("classes", self.classifier.map_or(1, |classifier| classifier.classes), 1 << 20),
        ])?;
        at_most("layers of the pooler", self.classifier.map_or(0, |classifier| classifier.layers).into(), MAX_LAYERS)?;
        at_most("elements of a patch", self.patch_elements(), 1 << 20)?;
        let head_size = divided("channels", self.channels, "heads", self.heads)?;
        if head_size < LEAST_HEAD_SIZE {
            let expected = format!("{LEAST_HEAD_SIZE} or more: a pair of elements turns along each of three axes");
            return Err(Error::Argument { what: "head size", given: head_size.to_string(), expected });
        }
        Shape::new(batch as usize, self.heads as usize, frames as usize, (rows * columns) as usize, head_size as usize)
    }

    /// Elements of a patch: what a token is embedded from.
    pub fn patch_elements(&self) -> u64 {
        [CHANNELS, self.tubelet, self.patch, self.patch].iter().fold(1u64, |all, &size| all.saturating_mul(size.into()))
    }

    /// Elements of the hidden layer of a pooler's MLP.
    pub(super) fn pooler_hidden(&self) -> u32 {
        POOLER_MLP_RATIO.saturating_mul(self.channels)
    }
}
