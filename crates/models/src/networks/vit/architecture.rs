//! What these networks are made of.

use orthoformer::Result;
use orthoformer::kernel::Activation;
use orthoformer::shape::{Shape, at_most, divided, in_range};

use crate::networks::CHANNELS;

/// Which network it is, and which tokens attend to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// TimeSformer with divided attention: along time, then within a frame.
    TimeSformerDivided,
    /// TimeSformer with joint attention.
    TimeSformerJoint,
    /// ViViT, the model that attends jointly and factors nothing.
    Vivit,
    /// VideoMAE, which attends jointly and has no class token, and what it classifies.
    VideoMae(Pooling),
}

/// What is classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// The first token after the final norm: the class token, where there is one.
    First,
    /// The mean of all tokens, which has a norm of its own in place of the final one.
    Mean,
}

/// Which of the projections to queries, keys and values have biases; all others have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QkvBias {
    /// None of them.
    None,
    /// All, under `NAME.bias`.
    All,
    /// Those to queries and values, under `query.bias` and `value.bias`.
    QueryAndValue,
    /// The same under `q_bias` and `v_bias`, as VideoMAEs are published.
    Published,
}

impl QkvBias {
    /// Which have one, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "false",
            Self::All => "true",
            Self::QueryAndValue | Self::Published => "queries and values",
        }
    }

    /// What the bias of a projection is called, beside `PROJECTION.weight`.
    pub(super) fn of(self, projection: &str) -> Option<String> {
        match (self, projection) {
            (Self::None, _) | (Self::QueryAndValue | Self::Published, "key") => None,
            (Self::Published, "query") => Some("q_bias".to_owned()),
            (Self::Published, "value") => Some("v_bias".to_owned()),
            _ => Some(format!("{projection}.bias")),
        }
    }
}

impl Kind {
    /// What names of tensors begin with, but for the classifier's.
    pub fn family(self) -> &'static str {
        match self {
            Self::TimeSformerDivided | Self::TimeSformerJoint => "timesformer",
            Self::Vivit => "vivit",
            Self::VideoMae(_) => "videomae",
        }
    }

    /// Whether it embeds each frame by itself.
    pub(super) fn is_timesformer(self) -> bool {
        matches!(self, Self::TimeSformerDivided | Self::TimeSformerJoint)
    }

    /// Tokens ahead of the patches'.
    pub fn class_tokens(self) -> u32 {
        u32::from(!matches!(self, Self::VideoMae(_)))
    }

    /// What is classified.
    pub fn pooling(self) -> Pooling {
        match self {
            Self::VideoMae(pooling) => pooling,
            _ => Pooling::First,
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
    /// Frames, height and width of a patch (a tubelet); of one frame in a TimeSformer.
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
    /// Which of the projections to queries, keys and values have biases.
    pub qkv_bias: QkvBias,
    /// Classes, where there is a classifier.
    pub classes: Option<u32>,
}

impl Kind {
    /// Kind of attention, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::TimeSformerDivided => "divided attention, class token in every frame",
            Self::TimeSformerJoint | Self::Vivit | Self::VideoMae(_) => "joint attention",
        }
    }
}

impl Architecture {
    /// What names of tensors begin with, but for the classifier's.
    pub fn prefix(&self) -> String {
        if self.has_family_names { format!("{}.", self.kind.family()) } else { String::new() }
    }

    /// Patches along time, from top to bottom and from left to right.
    ///
    /// # Errors
    /// [`orthoformer::Error::ZeroSize`] and [`orthoformer::Error::DoesNotDivide`] for patches that do not fill the clip.
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
    /// Those of [`Architecture::grid`]; [`orthoformer::Error::ZeroSize`], [`orthoformer::Error::TooLarge`] and [`orthoformer::Error::DoesNotDivide`] for other sizes; those of [`Shape::new`].
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
        [CHANNELS].iter().chain(&self.patch).fold(1u64, |all, &size| all.saturating_mul(size.into()))
    }
}
