//! Any of the networks there are: what they have in common, and which plan each has.

use super::motionformer::{self, CHANNELS, Features, MotionformerSpec, NetworkOutputs};
use super::vit;
use crate::error::{Error, Result};
use crate::plan::{Plan, PlanLimits};

/// A network's structure: everything but the batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Architecture {
    /// Trajectory attention, and what was published beside it: [`motionformer`].
    Motionformer(motionformer::Architecture),
    /// TimeSformer and ViViT: [`vit`].
    Vit(vit::Architecture),
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
        }
    }

    /// Kind of attention, for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Motionformer(a) => a.describe(),
            Self::Vit(a) => a.kind.describe().to_owned(),
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
        }
    }

    /// What it is given.
    pub fn input(&self) -> NetworkInput {
        let [frames, height, width] = self.clip();
        NetworkInput { name: "clip", axes: vec![CHANNELS, frames, height, width] }
    }

    /// Frames, height and width of the clips that it sees, pixels.
    pub fn clip(&self) -> [u32; 3] {
        match self {
            Self::Motionformer(a) => [a.frames, a.crop, a.crop],
            Self::Vit(a) => [a.frames, a.height, a.width],
        }
    }

    /// Sets the size of the clips that it sees: frames, height and width.
    ///
    /// # Errors
    /// [`Error::DoesNotDivide`] and the like for sizes that it cannot see, and [`Error::Argument`] for frames that are not square where they have to be.
    pub fn set_clip(&mut self, [frames, height, width]: [u32; 3]) -> Result<()> {
        match self {
            Self::Motionformer(_) if height != width => {
                let (given, expected) = (format!("{height} x {width}"), "as high as wide".to_owned());
                return Err(Error::Argument { what: "size of frames", given, expected });
            }
            Self::Motionformer(a) => (a.frames, a.crop) = (frames, height),
            Self::Vit(a) => (a.frames, a.height, a.width) = (frames, height, width),
        }
        self.check()
    }

    /// Frames, height and width of its patches, pixels.
    pub fn patch(&self) -> [u32; 3] {
        match self {
            Self::Motionformer(a) => [a.patch_depth, a.patch, a.patch],
            Self::Vit(a) => a.patch,
        }
    }

    /// Blocks, after each of which there are features.
    pub fn depth(&self) -> u32 {
        match self {
            Self::Motionformer(a) => a.depth,
            Self::Vit(a) => a.depth,
        }
    }

    /// Attention heads of a block.
    pub fn heads_of(&self, _block: u32) -> u32 {
        match self {
            Self::Motionformer(a) => a.heads,
            Self::Vit(a) => a.heads,
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
    pub fn tokens(&self, _after: Features) -> Result<TokenAxes> {
        let (class_token, shape, grid) = match self {
            Self::Motionformer(a) => {
                let side = a.crop.checked_div(a.patch).unwrap_or(0);
                let shape = a.shape(1)?;
                (true, shape, vec![shape.frames(), side, side])
            }
            Self::Vit(a) => (true, a.shape(1)?, a.grid()?.to_vec()),
        };
        Ok(TokenAxes { class_token, grid, channels: shape.channels() })
    }

    /// Multiply-adds of a clip in the published order; `None` where none is published.
    ///
    /// # Errors
    /// Those of [`Architecture::check`].
    pub fn published_multiply_adds(&self) -> Result<Option<u64>> {
        match self {
            Self::Motionformer(a) => a.published_multiply_adds().map(Some),
            Self::Vit(a) => a.published_multiply_adds().map(Some),
        }
    }
}
