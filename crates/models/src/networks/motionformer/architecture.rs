//! What a Motionformer is made of.

use orthoformer::kernel::Activation;
use orthoformer::ops::approximation::Approximation;
use orthoformer::ops::layer::TemporalValue;
use orthoformer::shape::{Shape, divided, in_range};
use orthoformer::{Error, Result};

use crate::networks::{CHANNELS, NetworkOutputs};

/// Which tokens attend to which in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockAttention {
    /// Trajectory attention with these temporal values.
    Trajectory(TemporalValue),
    /// Every token attends to every token.
    Joint,
    /// First along time, then within a frame, each with weights of its own.
    Divided,
}

impl BlockAttention {
    /// The temporal values of trajectory attention.
    pub fn temporal_value(self) -> Option<TemporalValue> {
        match self {
            Self::Trajectory(value) => Some(value),
            Self::Joint | Self::Divided => None,
        }
    }
}

/// What follows the last block on the class token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// The activation of a hidden layer `[C, C]`, if there is one.
    pub hidden: Option<Activation>,
    /// Classes of each classifier: one, or verbs and nouns.
    pub classes: Vec<u32>,
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
    /// `H`: attention heads.
    pub heads: u32,
    /// Blocks.
    pub depth: u32,
    /// Elements of the hidden layer of a block's MLP.
    pub hidden: u32,
    /// Kind of attention.
    pub attention: BlockAttention,
    /// How trajectory tokens are computed.
    pub approximation: Approximation,
    /// Whether the projections to queries, keys and values have biases; all others have.
    pub qkv_bias: bool,
    /// Classifiers.
    pub head: Head,
}

impl Architecture {
    /// Elements of a patch: what a token is embedded from.
    pub fn patch_elements(&self) -> u32 {
        CHANNELS.saturating_mul(self.patch_depth).saturating_mul(self.patch).saturating_mul(self.patch)
    }

    /// Name of the projection that embeds patches: the published code embeds those of one frame in two dimensions.
    pub fn embedding(&self) -> &'static str {
        if self.patch_depth == 1 { "patch_embed.proj" } else { "patch_embed_3d.proj" }
    }

    /// Sizes of the attention problem for so many clips.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::TooLarge`] and [`Error::DoesNotDivide`] for sizes that do not fit each other; those of [`Shape::new`].
    pub fn shape(&self, batch: u32) -> Result<Shape> {
        let side = divided("crop", self.crop, "patch side", self.patch)?;
        let frames = divided("frames", self.frames, "frames of a patch", self.patch_depth)?;
        let head_size = divided("channels", self.channels, "heads", self.heads)?;
        // So that no product of two of them, nor a row of either, exceeds 32 bits.
        in_range(&[
            ("patch side", self.patch, 1 << 14),
            ("frames of a patch", self.patch_depth, 1 << 14),
            ("crop", self.crop, 1 << 14),
            ("elements of a patch", self.patch_elements(), 1 << 20),
            ("elements of the hidden layer of the mlp", self.hidden, 1 << 20),
            ("depth (blocks)", self.depth, 1 << 10),
        ])?;
        if self.head.classes.is_empty() || self.head.classes.contains(&0) {
            return Err(Error::ZeroSize { what: "classes" });
        }
        let patches = side.saturating_mul(side) as usize;
        Shape::new(batch as usize, self.heads as usize, frames as usize, patches, head_size as usize)
    }
}

/// A network with everything needed to plan it.
#[derive(Clone, Debug, PartialEq)]
pub struct MotionformerSpec {
    /// `B`: clips that go through together.
    pub batch: u32,
    /// The network.
    pub architecture: Architecture,
    /// What it hands out.
    pub outputs: NetworkOutputs,
}

impl MotionformerSpec {
    /// Sizes of the attention problem.
    ///
    /// # Errors
    /// Those of [`Architecture::shape`].
    pub fn shape(&self) -> Result<Shape> {
        self.architecture.shape(self.batch)
    }

    /// The last block that what is handed out needs.
    pub(super) fn last_block(&self) -> u32 {
        self.outputs.last_block(self.architecture.depth)
    }

    /// Whether this block is asked for nothing but the class token.
    pub(super) fn is_class_only(&self, block: u32) -> bool {
        self.outputs.is_class_only(block, self.architecture.depth)
    }

    /// Whether what is handed out is there.
    pub(super) fn check(&self) -> Result<()> {
        self.outputs.check(self.architecture.depth)
    }
}
