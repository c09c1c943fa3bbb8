//! Networks: what clips become. Each is one folder behind one trait, [`Network`].
//!
//! A folder has the network's structure (`architecture`: everything but the batch), its plan (`mod`, with the formulas and the names of tensors), what it
//! says of itself (`network`), the reader of its checkpoints (`config`), and what a patch attends to in it (`attribution`). `READERS` is the only list
//! of all networks: nothing else names them.

pub mod deformable;
pub mod motionformer;
pub mod perceiver;
pub mod swin;
pub mod vit;
pub mod vjepa2;

mod input;
mod object;
mod outputs;
mod reader;
mod unknown;

use std::any::Any;
use std::fmt::Debug;

pub use input::{CHANNELS, InputOrder, NetworkInput, TokenAxes};
pub use object::{NetworkObject, NetworkSpec};
use orthoformer::ops::Approximation;
use orthoformer::plan::{Plan, PlanLimits};
use orthoformer::{Error, Result, Tensor};
pub use outputs::{Features, NetworkOutputs, TrajectoryOutputs};
pub(crate) use reader::{Reader, has_any, is_known, is_otherwise, landmarks, size, square_root};

use crate::attribution::{Attribution, Patch};
use crate::checkpoint::{Checkpoint, Naming};
use crate::model::Model;
use crate::weights::POSITIONS;

/// All networks but the Motionformer, which is told by less than its names: whatever else has some of them is taken for one.
const READERS: [Reader; 5] = [vit::READER, swin::READER, perceiver::READER, deformable::READER, vjepa2::READER];
const OTHERWISE: Reader = motionformer::READER;

/// Other libraries' names for the tensors of these networks.
pub(crate) const NAMINGS: [&[Naming]; 2] = [&vit::NAMINGS, &swin::NAMINGS];

/// A network's structure: everything but the batch. What most networks have in common is the default.
pub trait Network: Any + Debug + Send + Sync + NetworkObject {
    /// The network's name, for people.
    fn name(&self) -> &'static str;

    /// Kind of attention, for people.
    fn describe(&self) -> String;

    /// What else is to know of its structure, beside sizes of the clip: names and values.
    fn facts(&self) -> Vec<(&'static str, String)>;

    /// Name and kind of attention, for people.
    fn title(&self) -> String {
        format!("{}: {}", self.name(), self.describe())
    }

    /// Whether sizes fit each other.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::TooLarge`], [`Error::SizeOverflow`], [`Error::DoesNotDivide`] and [`Error::Argument`].
    fn check(&self) -> Result<()>;

    /// Frames, height and width of the clips that it sees, pixels. Zeros if it sees something else.
    fn clip(&self) -> [u32; 3];

    /// Sets the size of the clips that it sees: frames, height and width.
    ///
    /// # Errors
    /// Those of [`Network::check`] for sizes that it cannot see; [`Error::Argument`] for frames that are not square where they have to be.
    fn set_clip(&mut self, clip: [u32; 3]) -> Result<()>;

    /// Frames, height and width of its patches, pixels.
    fn patch(&self) -> [u32; 3];

    /// Blocks, after each of which there are features.
    fn depth(&self) -> u32;

    /// Attention heads of a block.
    fn heads_of(&self, block: u32) -> u32;

    /// Names of the outputs that are logits, with their classes; none if there is no classifier.
    fn logits(&self) -> Vec<(String, u32)>;

    /// The tokens after a part of the network.
    ///
    /// # Errors
    /// Those of [`Network::check`]; [`Error::OutOfRange`] for a block that there is not.
    fn tokens(&self, after: Features) -> Result<TokenAxes>;

    /// The name of the output that holds features.
    fn features_name(&self) -> &'static str {
        "features"
    }

    /// What is usually wanted of it: logits, or features where it has no classifier.
    fn usual_outputs(&self) -> NetworkOutputs {
        match self.logits().is_empty() {
            false => NetworkOutputs::LOGITS,
            true => NetworkOutputs { features: Some(Features::Final), ..NetworkOutputs::NOTHING },
        }
    }

    /// Multiply-adds of a clip in the published order; `None` where none is published.
    ///
    /// # Errors
    /// Those of [`Network::check`].
    fn published_multiply_adds(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// The plan for so many clips. Its inputs are [`Network::input`] and weights under their published names.
    ///
    /// # Errors
    /// Those of the network's own `plan`.
    fn plan(&self, batch: u32, outputs: &NetworkOutputs, limits: PlanLimits) -> Result<Plan>;

    /// How trajectory tokens are computed, if it has them.
    fn approximation_mut(&mut self) -> Option<&mut Approximation> {
        None
    }

    /// What it is given.
    fn input(&self) -> NetworkInput {
        let [frames, height, width] = self.clip();
        NetworkInput { name: "clip", axes: vec![CHANNELS, frames, height, width] }
    }

    /// Whether clips can be shown to it.
    ///
    /// # Errors
    /// [`Error::Argument`] if its inputs are something else.
    fn check_sees_clips(&self) -> Result<()> {
        Ok(())
    }

    /// Its inputs, made of clips `[B,3,T,H,W]`; `None` if `clips` are its inputs already.
    ///
    /// # Errors
    /// [`Error::Argument`] if its inputs are something else, [`Error::WrongShape`] for clips of another size.
    fn inputs_of(&self, _clips: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// The order of axes in which the network's own library takes clips.
    fn library_order(&self) -> InputOrder {
        InputOrder::ChannelsFirst
    }

    /// Takes an input as the network's own library has it, normalised, and sets itself to inputs of this size: the plan's input.
    ///
    /// # Errors
    /// [`Error::WrongShape`] for other axes; those of [`Network::set_clip`].
    fn take(&mut self, input: Tensor) -> Result<Tensor> {
        let order = self.library_order();
        self.set_clip(order.clip_of(&input)?)?;
        order.channels_first(input)
    }

    /// Whether a `preprocessor_config.json` beside a checkpoint says how clips are made ready for it.
    fn takes_processor(&self) -> bool {
        true
    }

    /// Whether something beside a checkpoint's tensors says what the network is.
    ///
    /// # Errors
    /// Those of [`Checkpoint::description`].
    fn has_configuration(&self, checkpoint: &Checkpoint) -> Result<bool> {
        Ok(checkpoint.description()?.is_some())
    }

    /// The plan's input `positions`, if it has one: what is added to every token ahead of the first block, or by what queries and keys turn.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], and [`Error::WrongShape`] for tensors that do not belong to such a network.
    fn positions(&self, checkpoint: &Checkpoint) -> Result<Tensor> {
        Err(checkpoint.missing(POSITIONS))
    }

    /// Names of tensors that positions are made of. Not all of them have to be there.
    fn position_tensors(&self, _checkpoint: &Checkpoint) -> Vec<String> {
        Vec::new()
    }

    /// What the names of tensors begin with that published checkpoints hold beside the network's, and that neither features nor logits need.
    fn left_out(&self) -> Option<String> {
        None
    }

    /// Checks that what a patch attends to in a block can be looked into, before anything is decoded. Returns the block that is looked into.
    ///
    /// # Errors
    /// [`Error::Argument`] if not, [`Error::OutOfRange`] for a block that there is not, those of [`Network::plan`].
    fn check_attribution(&self, block: u32) -> Result<u32> {
        let outputs = NetworkOutputs { operands: Some(block), ..NetworkOutputs::NOTHING };
        outputs.check(self.depth())?;
        self.plan(1, &outputs, PlanLimits::default())?;
        Ok(block)
    }

    /// Side of the patches that the tokens of a block are, pixels.
    ///
    /// # Errors
    /// Those of [`Network::check`]; [`Error::OutOfRange`] for a block that there is not.
    fn patch_side(&self, _block: u32) -> Result<u32> {
        Ok(self.patch()[1])
    }

    /// Runs the network up to a block: what the patch attends to in each frame of patches.
    ///
    /// # Errors
    /// Those of [`Model::run`]; [`Error::WrongNumber`] if the network makes values that are not finite.
    fn attribution(&self, patch: &Patch, model: &Model<'_>) -> Result<Attribution>;

    /// Whether attention can be rolled out through its blocks ([`crate::attribution::Rollout`]): whether all of them attend among the same tokens, and add what
    /// they make to those.
    ///
    /// # Errors
    /// [`Error::Argument`] if not.
    fn check_rollout(&self) -> Result<()> {
        let expected = "joint or divided attention among the same tokens in all blocks, for a rollout".to_owned();
        Err(Error::Argument { what: "network", given: self.title(), expected })
    }

    /// Carries a row of weights of all tokens, the class token's first, through the patch's block to those ahead of it: `row (A + I) / 2`.
    ///
    /// # Errors
    /// Those of [`Network::check_rollout`] and [`Model::run`].
    fn roll_out(&self, row: &[f64], _patch: &Patch, _model: &Model<'_>) -> Result<Vec<f64>> {
        self.check_rollout().map(|()| row.to_vec())
    }
}

/// Refuses clips whose frames are not squares.
fn check_square(height: u32, width: u32) -> Result<()> {
    if height == width {
        return Ok(());
    }
    let (given, expected) = (format!("{height} x {width}"), "as high as wide".to_owned());
    Err(Error::Argument { what: "size of frames", given, expected })
}

/// Names and values of sizes.
fn facts_of(sizes: &[(&'static str, u32)]) -> Vec<(&'static str, String)> {
    sizes.iter().map(|(name, size)| (*name, size.to_string())).collect()
}

/// Logits of the only classifier, where there is one.
fn only_logits(classes: Option<u32>) -> Vec<(String, u32)> {
    classes.map(|classes| ("logits".to_owned(), classes)).into_iter().collect()
}
