//! Which tensors of a checkpoint a network takes.

use orthoformer::ops::motionformer::{Features, NetworkOutputs};
use orthoformer::ops::network::{Architecture, NetworkSpec};
use orthoformer::plan::{BufferSpec, Plan, PlanLimits, Role};
use orthoformer::{Result, Tensor, Tensors};

use super::config::Config;
use super::{deformable, positions, vit};
use crate::checkpoint::Checkpoint;

/// The input that is made of several tensors: what is added to every token.
const POSITIONS: &str = "positions";
/// Buffers that libraries save among the weights and that follow from sizes.
const BUFFERS: [&str; 1] = [".relative_position_index"];

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
/// Those of [`NetworkSpec::plan`].
pub(super) fn whole_plan(config: &Config, limits: PlanLimits) -> Result<Plan> {
    let architecture = config.architecture.clone();
    let logits = !architecture.heads().is_empty();
    let outputs = NetworkOutputs { logits, features: Some(Features::Final), ..NetworkOutputs::NOTHING };
    NetworkSpec { batch: 1, architecture, outputs }.plan(limits)
}

/// Compares a checkpoint's tensors with those that a network takes, without reading them.
///
/// # Errors
/// [`orthoformer::Error::MissingTensor`] and [`orthoformer::Error::WrongShape`]; [`orthoformer::Error::WrongType`] for tensors that are no floats; those of [`positions::table`].
pub fn check(checkpoint: &Checkpoint, config: &Config) -> Result<Inventory> {
    // The plan first: it refuses sizes for which nobody should make a table.
    let plan = whole_plan(config, PlanLimits::default())?;
    let weights: Vec<&BufferSpec> = weights_of(&plan, config).collect();
    let made_of = match weights.iter().any(|spec| spec.name == POSITIONS) {
        true => {
            table(checkpoint, config)?;
            position_tensors(checkpoint, config)
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
    let unused = unused.into_iter().map(|(name, _)| name.to_owned()).filter(|name| !is_buffer(name)).collect();
    Ok(Inventory { parameters, unused })
}

/// What positions are made of, as far as it is there.
fn position_tensors(checkpoint: &Checkpoint, config: &Config) -> Vec<String> {
    let names: Vec<String> = match &config.architecture {
        Architecture::Motionformer(a) => {
            let mut names = ["cls_token", "temp_embed", "st_embed"].map(str::to_owned).to_vec();
            // Joint positions are in one table, beside which the published code leaves the one it was started from.
            names.extend(checkpoint.info("st_embed").is_none().then(|| "pos_embed".to_owned()));
            names.push(format!("{}.bias", a.embedding()));
            names
        }
        Architecture::Swin(_) | Architecture::Perceiver(_) => Vec::new(),
        Architecture::Deformable(_) => ["pos_embed", "time_embed", "patch_embed.proj.bias"].map(str::to_owned).to_vec(),
        Architecture::Vit(a) => {
            let own = ["cls_token", "position_embeddings", "time_embeddings", "patch_embeddings.projection.bias"];
            own.iter().map(|name| format!("{}embeddings.{name}", a.prefix())).collect()
        }
    };
    names.into_iter().filter(|name| checkpoint.info(name).is_some()).collect()
}

/// The table of positions.
fn table(checkpoint: &Checkpoint, config: &Config) -> Result<Tensor> {
    match &config.architecture {
        Architecture::Motionformer(architecture) => positions::table(checkpoint, architecture),
        Architecture::Vit(architecture) => vit::positions(checkpoint, architecture),
        Architecture::Deformable(architecture) => deformable::positions(checkpoint, architecture),
        Architecture::Swin(_) | Architecture::Perceiver(_) => Err(checkpoint.missing(POSITIONS)),
    }
}

/// Inputs of a network's plan that come from the checkpoint.
pub(super) fn weights_of<'p>(plan: &'p Plan, config: &Config) -> impl Iterator<Item = &'p BufferSpec> + use<'p> {
    let own = config.architecture.input().name;
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
/// Those of [`Checkpoint::read`] and [`positions::table`]; [`orthoformer::Error::WrongShape`].
pub(super) fn weight(checkpoint: &Checkpoint, config: &Config, spec: &BufferSpec) -> Result<Tensor> {
    let tensor = match spec.name.as_str() {
        POSITIONS => table(checkpoint, config)?,
        name => checkpoint.read(name)?,
    };
    spec.check(&tensor)?;
    Ok(tensor)
}
