//! Any of the networks there are: what they have in common, and which plan each has.

use super::motionformer::{self, CHANNELS, Features, MotionformerSpec, NetworkOutputs};
use super::{deformable, perceiver, swin, vit};
use crate::error::{Error, Result};
use crate::plan::{Plan, PlanLimits};

/// A network's structure: everything but the batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Architecture {
    /// Trajectory attention, and what was published beside it: [`motionformer`].
    Motionformer(motionformer::Architecture),
    /// TimeSformer and ViViT: [`vit`].
    Vit(vit::Architecture),
    /// Swin and Video Swin: [`swin`].
    Swin(swin::Architecture),
    /// Perceiver: [`perceiver`].
    Perceiver(perceiver::Architecture),
    /// Deformable Video Transformer: [`deformable`].
    Deformable(deformable::Architecture),
}

/// A network with everything needed to plan it.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkSpec {
    /// `B`: clips that go through together.
    pub batch: u32,
    /// The network.
    pub architecture: Architecture,
    /// What it hands out.
    pub outputs: NetworkOutputs,
}

impl NetworkSpec {
    /// The network's plan.
    ///
    /// # Errors
    /// Those of the network's own `plan`.
    pub fn plan(&self, limits: PlanLimits) -> Result<Plan> {
        let Self { batch, outputs, .. } = self;
        match &self.architecture {
            Architecture::Motionformer(a) => {
                let spec = MotionformerSpec { batch: *batch, architecture: a.clone(), outputs: outputs.clone() };
                motionformer::plan(&spec, limits)
            }
            Architecture::Vit(a) => vit::plan(a, *batch, outputs, limits),
            Architecture::Swin(a) => swin::plan(a, *batch, outputs, limits),
            Architecture::Perceiver(a) => perceiver::plan(a, *batch, outputs, limits),
            Architecture::Deformable(a) => deformable::plan(a, *batch, outputs, limits),
        }
    }
}

/// What a network's input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkInput {
    /// The name of the plan's input.
    pub name: &'static str,
    /// Its axes without the batch.
    pub axes: Vec<u32>,
}

/// The tokens that features are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAxes {
    /// Whether a class token comes first.
    pub class_token: bool,
    /// The axes of all others: frames, rows and columns of patches, or the number of latents.
    pub grid: Vec<u32>,
    /// Numbers in a token.
    pub channels: u32,
}

impl TokenAxes {
    /// All tokens, the class token among them.
    pub fn count(&self) -> u32 {
        self.grid.iter().product::<u32>() + u32::from(self.class_token)
    }
}

impl Architecture {
    /// The network's name, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Motionformer(_) => "Motionformer",
            Self::Vit(a) => match a.kind {
                vit::Kind::TimeSformerDivided | vit::Kind::TimeSformerJoint => "TimeSformer",
                vit::Kind::Vivit => "ViViT",
            },
            Self::Swin(a) => match a.dimensions {
                swin::Dimensions::Two => "Swin",
                swin::Dimensions::Three => "Video Swin",
            },
            Self::Perceiver(_) => "Perceiver",
            Self::Deformable(_) => "Deformable Video Transformer",
        }
    }

    /// Kind of attention, for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Motionformer(a) => a.describe(),
            Self::Vit(a) => a.kind.describe().to_owned(),
            Self::Swin(_) => "attention within shifted windows".to_owned(),
            Self::Perceiver(_) => "latents attend to the inputs, then to themselves".to_owned(),
            Self::Deformable(a) => a.describe(),
        }
    }

    /// Name and kind of attention, for people.
    pub fn title(&self) -> String {
        format!("{}: {}", self.name(), self.describe())
    }

    /// What else is to know of its structure: names and values.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Motionformer(a) => a.facts(),
            Self::Vit(a) => a.facts(),
            Self::Swin(a) => a.facts(),
            Self::Perceiver(a) => a.facts(),
            Self::Deformable(a) => a.facts(),
        }
    }

    /// Whether sizes fit each other.
    ///
    /// # Errors
    /// Those of the network's own `shape` or `check`.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Motionformer(a) => a.shape(1).map(drop),
            Self::Vit(a) => a.shape(1).map(drop),
            Self::Swin(a) => a.check(),
            Self::Perceiver(a) => a.check(1),
            Self::Deformable(a) => a.check(1),
        }
    }

    /// What it is given.
    pub fn input(&self) -> NetworkInput {
        if let Self::Perceiver(a) = self {
            return NetworkInput { name: "inputs", axes: vec![a.inputs, a.input_channels] };
        }
        let [frames, height, width] = self.clip();
        NetworkInput { name: "clip", axes: vec![CHANNELS, frames, height, width] }
    }

    /// Frames, height and width of the clips that it sees, pixels; of a Perceiver those that its inputs can be made of, or nothing.
    pub fn clip(&self) -> [u32; 3] {
        match self {
            Self::Motionformer(a) => [a.frames, a.crop, a.crop],
            Self::Vit(a) => [a.frames, a.height, a.width],
            Self::Swin(a) => [a.frames, a.height, a.width],
            Self::Perceiver(a) => a.pixels().map_or([0; 3], |pixels| pixels.clip()),
            Self::Deformable(a) => [a.frames, a.crop, a.crop],
        }
    }

    /// Sets the size of the clips that it sees: frames, height and width.
    ///
    /// # Errors
    /// [`Error::DoesNotDivide`] and the like for sizes that it cannot see, and [`Error::Argument`] for frames that are not square where they have to be.
    pub fn set_clip(&mut self, [frames, height, width]: [u32; 3]) -> Result<()> {
        match self {
            Self::Motionformer(_) | Self::Deformable(_) if height != width => {
                let (given, expected) = (format!("{height} x {width}"), "as high as wide".to_owned());
                return Err(Error::Argument { what: "size of frames", given, expected });
            }
            Self::Motionformer(a) => (a.frames, a.crop) = (frames, height),
            Self::Deformable(a) => (a.frames, a.crop) = (frames, height),
            Self::Vit(a) => (a.frames, a.height, a.width) = (frames, height, width),
            Self::Swin(a) => (a.frames, a.height, a.width) = (frames, height, width),
            Self::Perceiver(a) => {
                let seen = a.pixels().map_or([0; 3], |pixels| pixels.clip());
                if seen != [frames, height, width] {
                    let (given, expected) =
                        (format!("{frames} x {height} x {width}"), format!("{seen:?}, as its inputs are made"));
                    return Err(Error::Argument { what: "size of clips", given, expected });
                }
            }
        }
        self.check()
    }

    /// Frames, height and width of its patches, pixels.
    pub fn patch(&self) -> [u32; 3] {
        match self {
            Self::Motionformer(a) => [a.patch_depth, a.patch, a.patch],
            Self::Vit(a) => a.patch,
            Self::Swin(a) => a.patch,
            Self::Perceiver(a) => a.pixels().map_or([1; 3], |pixels| pixels.patch()),
            Self::Deformable(a) => [a.patch_depth, a.patch, a.patch],
        }
    }

    /// Blocks, after each of which there are features.
    pub fn depth(&self) -> u32 {
        match self {
            Self::Motionformer(a) => a.depth,
            Self::Vit(a) => a.depth,
            Self::Swin(a) => a.blocks(),
            Self::Perceiver(a) => a.blocks.saturating_mul(a.layers),
            Self::Deformable(a) => a.depth,
        }
    }

    /// Attention heads of a block.
    pub fn heads_of(&self, block: u32) -> u32 {
        match self {
            Self::Motionformer(a) => a.heads,
            Self::Vit(a) => a.heads,
            Self::Swin(a) => a.heads_of(block),
            Self::Perceiver(a) => a.cross.heads,
            Self::Deformable(a) => a.attention.heads,
        }
    }

    /// Names of the outputs that are logits, with their classes; none if there is no classifier.
    pub fn heads(&self) -> Vec<(String, u32)> {
        let only = |classes: Option<u32>| classes.map(|classes| ("logits".to_owned(), classes)).into_iter().collect();
        match self {
            Self::Motionformer(a) => {
                a.head.classes.iter().enumerate().map(|(head, &classes)| (format!("logits{head}"), classes)).collect()
            }
            Self::Vit(a) => only(a.classes),
            Self::Swin(a) => only(Some(a.classes)),
            Self::Perceiver(a) => only(a.decoder.map(|decoder| decoder.classes)),
            Self::Deformable(a) => only(Some(a.classes)),
        }
    }

    /// What is usually wanted of it: logits, or features where it has no classifier.
    pub fn usual_outputs(&self) -> NetworkOutputs {
        match self.heads().is_empty() {
            false => NetworkOutputs::LOGITS,
            true => NetworkOutputs { features: Some(Features::Final), ..NetworkOutputs::NOTHING },
        }
    }

    /// The tokens after a part of the network.
    ///
    /// # Errors
    /// Those of [`Architecture::check`].
    pub fn tokens(&self, after: Features) -> Result<TokenAxes> {
        Ok(match self {
            Self::Motionformer(a) => {
                let (shape, side) = (a.shape(1)?, a.crop.checked_div(a.patch).unwrap_or(0));
                TokenAxes { class_token: true, grid: vec![shape.frames(), side, side], channels: shape.channels() }
            }
            Self::Vit(a) => {
                a.shape(1)?;
                TokenAxes { class_token: true, grid: a.grid()?.to_vec(), channels: a.channels }
            }
            Self::Swin(a) => {
                let (grid, channels) = a.tokens_after(after)?;
                TokenAxes { class_token: false, grid: grid.to_vec(), channels }
            }
            Self::Perceiver(a) => TokenAxes { class_token: false, grid: vec![a.latents], channels: a.channels },
            Self::Deformable(a) => {
                let grid = a.grid()?;
                TokenAxes { class_token: false, grid: vec![grid.frames, grid.rows, grid.columns], channels: a.channels }
            }
        })
    }

    /// The name of the output that holds features.
    pub fn features_name(&self) -> &'static str {
        match self {
            Self::Perceiver(_) => "latents",
            _ => "features",
        }
    }

    /// Multiply-adds of a clip in the published order; `None` where none is published.
    ///
    /// # Errors
    /// Those of [`Architecture::check`].
    pub fn published_multiply_adds(&self) -> Result<Option<u64>> {
        match self {
            Self::Motionformer(a) => a.published_multiply_adds().map(Some),
            Self::Vit(a) => a.published_multiply_adds().map(Some),
            Self::Swin(a) => a.published_multiply_adds().map(Some),
            Self::Perceiver(a) => a.published_multiply_adds().map(Some),
            Self::Deformable(_) => Ok(None),
        }
    }
}
