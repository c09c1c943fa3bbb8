//! Which tensors of a checkpoint a network takes.

use orthoformer::plan::{BufferSpec, Plan, PlanLimits, Role};
use orthoformer::{Result, Tensor, Tensors};

use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::networks::{Features, NetworkOutputs};

/// The input that the host makes: what is added to every token, or by what queries and keys turn.
pub(crate) const POSITIONS: &str = "positions";
/// Buffers that libraries save among the weights and that follow from sizes.
const BUFFERS: [&str; 2] = [".relative_position_index", ".attn_mask"];

/// What a checkpoint holds for a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Parameters that the network uses: elements of all tensors it takes.
    pub parameters: u64,
    /// Names of tensors that it does not use.
    pub unused: Vec<String>,
    /// Of those that it is [known to leave out](crate::networks::Network::left_out): what their names begin with, and how many there are.
    pub left_out: Option<(String, usize)>,
}

/// The plan of a whole network for one clip, in which every weight is used.
///
/// # Errors
/// Those of [`crate::networks::Network::plan`].
pub(crate) fn whole_plan(config: &Config, limits: PlanLimits) -> Result<Plan> {
    let logits = !config.network.logits().is_empty();
    let outputs = NetworkOutputs { logits, features: Some(Features::Final), ..NetworkOutputs::NOTHING };
    config.network.plan(1, &outputs, limits)
}

/// Compares a checkpoint's tensors with those that a network takes, without reading them.
///
/// # Errors
/// [`orthoformer::Error::MissingTensor`] and [`orthoformer::Error::WrongShape`]; [`orthoformer::Error::WrongType`] for tensors that are no floats; those of [`crate::networks::Network::positions`].
pub fn check(checkpoint: &Checkpoint, config: &Config) -> Result<Inventory> {
    // The plan first: it refuses sizes for which nobody should make a table.
    let plan = whole_plan(config, PlanLimits::default())?;
    let weights: Vec<&BufferSpec> = weights_of(&plan, config).collect();
    let made_of = match weights.iter().any(|spec| spec.name == POSITIONS) {
        true => {
            config.network.positions(checkpoint)?;
            config.network.position_tensors(checkpoint)
        }
        false => Vec::new(),
    };
    for spec in weights.iter().filter(|spec| spec.name != POSITIONS) {
        let info = checkpoint.info(&spec.name).ok_or_else(|| checkpoint.missing(&spec.name))?;
        spec.check_shape(&info.shape)?;
    }
    let is_used = |name: &str| made_of.iter().any(|own| own == name) || weights.iter().any(|spec| spec.name == name);
    let is_buffer = |name: &str| BUFFERS.iter().any(|end| name.ends_with(end));
    let (used, unused): (Vec<_>, Vec<_>) = checkpoint.tensors().partition(|(name, _)| is_used(name));
    let parameters = used.iter().map(|(_, info)| info.count() as u64).sum();
    let mut unused: Vec<String> = unused.into_iter().map(|(name, _)| name.to_owned()).filter(|name| !is_buffer(name)).collect();
    let count = unused.len();
    let left_out = config.network.left_out().and_then(|beginning| {
        unused.retain(|name| !name.starts_with(&beginning));
        Some((beginning, count - unused.len())).filter(|(_, count)| *count > 0)
    });
    Ok(Inventory { parameters, unused, left_out })
}

/// Inputs of a network's plan that come from the checkpoint.
pub(crate) fn weights_of<'p>(plan: &'p Plan, config: &Config) -> impl Iterator<Item = &'p BufferSpec> + use<'p> {
    let own = config.network.input().name;
    plan.buffers().iter().filter(move |spec| spec.role == Role::Input && spec.name != own)
}

/// All inputs of a network's plans but what it looks at, by name.
///
/// # Errors
/// Those of [`check`], and of reading tensors.
pub fn weights(checkpoint: &Checkpoint, config: &Config) -> Result<Tensors> {
    check(checkpoint, config)?;
    let plan = whole_plan(config, PlanLimits::default())?;
    weights_of(&plan, config).map(|spec| Ok((spec.name.clone(), weight(checkpoint, config, spec)?))).collect()
}

/// A weight of a plan, as its buffer is shaped.
///
/// # Errors
/// Those of [`Checkpoint::read`] and [`crate::networks::Network::positions`]; [`orthoformer::Error::WrongShape`].
pub(crate) fn weight(checkpoint: &Checkpoint, config: &Config, spec: &BufferSpec) -> Result<Tensor> {
    let tensor = match spec.name.as_str() {
        POSITIONS => config.network.positions(checkpoint)?,
        name => checkpoint.read(name)?,
    };
    spec.check(&tensor)?;
    Ok(tensor)
}
