//! Which tensors of a checkpoint a network takes.

use super::config::Config;
use super::positions;
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::ops::motionformer::{self, Features, MotionformerSpec, NetworkOutputs};
use crate::plan::{BufferSpec, Plan, PlanLimits, Role};
use crate::tensor::{Tensor, Tensors};

/// The input that [`positions::table`] makes of several tensors.
const POSITIONS: &str = "positions";
/// The input that is no weight.
pub(super) const CLIP: &str = "clip";
/// The tensors that positions are made of, beside the embedding's bias.
const POSITION_TENSORS: [&str; 4] = ["cls_token", "pos_embed", "temp_embed", "st_embed"];

/// What a checkpoint holds for a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Parameters that the network uses: numbers of all tensors it takes.
    pub parameters: u64,
    /// Names of tensors that it does not use.
    pub unused: Vec<String>,
}

/// The plan of a whole network for one clip, in which every weight is used.
///
/// # Errors
/// Those of [`motionformer::plan`].
pub(super) fn whole_plan(config: &Config, limits: PlanLimits) -> Result<Plan> {
    let outputs = NetworkOutputs { logits: true, features: Some(Features::Final), trajectories: None };
    motionformer::plan(&MotionformerSpec { batch: 1, architecture: config.architecture.clone(), outputs }, limits)
}

/// Compares a checkpoint's tensors with those that a network takes, without reading them.
///
/// # Errors
/// [`crate::Error::MissingTensor`] and [`crate::Error::WrongShape`]; [`crate::Error::WrongType`] for tensors that are no floats; those of [`positions::table`].
pub fn check(checkpoint: &Checkpoint, config: &Config) -> Result<Inventory> {
    // The plan first: it refuses sizes for which nobody should make a table.
    let plan = whole_plan(config, PlanLimits::default())?;
    positions::table(checkpoint, &config.architecture)?;
    let weights: Vec<&BufferSpec> = weights_of(&plan).filter(|spec| spec.name != POSITIONS).collect();
    for spec in &weights {
        let info = checkpoint.info(&spec.name).ok_or_else(|| checkpoint.missing(&spec.name))?;
        spec.check_shape(&info.shape)?;
    }
    let bias = format!("{}.bias", config.architecture.embedding());
    let is_used = |name: &str| {
        // Joint positions are in one table, beside which the published code leaves the one it was started from.
        let is_position = POSITION_TENSORS.contains(&name) && (name != "pos_embed" || checkpoint.info("st_embed").is_none());
        is_position || name == bias || weights.iter().any(|spec| spec.name == name)
    };
    let (used, unused): (Vec<_>, Vec<_>) = checkpoint.tensors().partition(|(name, _)| is_used(name));
    let parameters = used.iter().map(|(_, info)| info.count() as u64).sum();
    Ok(Inventory { parameters, unused: unused.into_iter().map(|(name, _)| name.to_owned()).collect() })
}

/// Inputs of a network's plan that come from the checkpoint.
pub(super) fn weights_of(plan: &Plan) -> impl Iterator<Item = &BufferSpec> {
    plan.buffers().iter().filter(|spec| spec.role == Role::Input && spec.name != CLIP)
}

/// All inputs of a network's plans but the clip, by name.
///
/// # Errors
/// Those of [`check`], and of reading tensors.
pub fn weights(checkpoint: &Checkpoint, config: &Config) -> Result<Tensors> {
    check(checkpoint, config)?;
    let plan = whole_plan(config, PlanLimits::default())?;
    weights_of(&plan).map(|spec| Ok((spec.name.clone(), weight(checkpoint, config, spec)?))).collect()
}

/// A weight of a plan, as its buffer is shaped.
///
/// # Errors
/// Those of [`Checkpoint::read`] and [`positions::table`]; [`crate::Error::WrongShape`].
pub(super) fn weight(checkpoint: &Checkpoint, config: &Config, spec: &BufferSpec) -> Result<Tensor> {
    let tensor = match spec.name.as_str() {
        POSITIONS => positions::table(checkpoint, &config.architecture)?,
        name => checkpoint.read(name)?,
    };
    spec.check(&tensor)?;
    Ok(tensor)
}
