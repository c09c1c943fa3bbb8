//! The `config.json` that libraries save beside a checkpoint: what of it this crate uses.

use std::collections::BTreeMap;

use orthoformer::kernel::Activation;
use orthoformer::{Error, Result};
use serde::Deserialize;

use crate::checkpoint::{Checkpoint, DESCRIPTION};
use crate::config::{Config, Overrides};
use crate::networks::motionformer::cfg;

/// What transformers calls activations.
const ACTIVATIONS: [(&str, Activation); 7] = [
    ("gelu", Activation::Gelu),
    ("gelu_fast", Activation::GeluFast),
    ("gelu_new", Activation::GeluFast),
    ("gelu_pytorch_tanh", Activation::GeluFast),
    ("gelu_python", Activation::Gelu),
    ("relu", Activation::Relu),
    ("tanh", Activation::Tanh),
];

/// The entries; all others are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct HfConfig {
    pub model_type: Option<String>,
    pub network: Option<String>,
    pub embed_dim: Option<u32>,
    pub depths: Option<Vec<u32>>,
    pub num_heads: Option<Sizes>,
    pub num_classes: Option<u32>,
    pub window_size: Option<Sizes>,
    pub d_latents: Option<u32>,
    pub d_model: Option<u32>,
    pub num_blocks: Option<u32>,
    pub num_cross_attention_heads: Option<u32>,
    pub num_latents: Option<u32>,
    pub num_self_attends_per_block: Option<u32>,
    pub num_self_attention_heads: Option<u32>,
    pub use_query_residual: Option<bool>,
    pub num_labels: Option<u32>,
    pub qkv_bias: Option<bool>,
    pub qv_bias: Option<bool>,
    pub sub_clip: Option<u32>,
    pub samples: Option<u32>,
    pub logits: Option<String>,
    pub motion_hidden_size: Option<u32>,
    pub motion_window: Option<u32>,
    pub image_mean: Option<[f32; 3]>,
    pub image_std: Option<[f32; 3]>,
    pub scales: Option<Vec<[u32; 3]>>,
    pub fusion: Option<String>,
    pub attention_type: Option<String>,
    pub crop_size: Option<u32>,
    pub frames_per_clip: Option<u32>,
    pub hidden_act: Option<String>,
    pub hidden_size: Option<u32>,
    pub id2label: Option<BTreeMap<String, String>>,
    pub image_size: Option<Sizes>,
    pub in_chans: Option<u32>,
    pub intermediate_size: Option<u32>,
    pub layer_norm_eps: Option<f32>,
    pub mlp_ratio: Option<f64>,
    pub num_attention_heads: Option<u32>,
    pub num_channels: Option<u32>,
    pub num_frames: Option<u32>,
    pub num_hidden_layers: Option<u32>,
    pub num_pooler_layers: Option<u32>,
    pub patch_size: Option<Sizes>,
    pub tubelet_size: Option<Sizes>,
    pub use_mean_pooling: Option<bool>,
}

/// One size for all axes, or one for each.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a whole number from 0, or a list of them")]
pub(crate) enum Sizes {
    All(u32),
    Each(Vec<u32>),
}

impl Sizes {
    /// The sizes of so many axes.
    pub fn axes<const COUNT: usize>(&self, key: &'static str) -> Result<[u32; COUNT]> {
        match self {
            Self::All(size) => Ok([*size; COUNT]),
            Self::Each(sizes) => sizes.as_slice().try_into().map_err(|_| {
                let expected = if COUNT == 1 { "one number".to_owned() } else { format!("one number, or {COUNT} of them") };
                Error::Metadata { key, found: format!("{sizes:?}"), expected }
            }),
        }
    }

    /// The sizes of a list of so many.
    pub fn list(&self, count: usize) -> Vec<u32> {
        match self {
            Self::All(size) => vec![*size; count],
            Self::Each(sizes) => sizes.clone(),
        }
    }
}

/// The configuration of a network that is described beside its checkpoint, by what `config` makes of that.
///
/// # Errors
/// [`Error::Argument`] for overrides that it does not take, [`Error::Contents`] for a description that cannot be read or contradicts the tensors; those
/// of `config`.
pub(crate) fn read(
    checkpoint: &Checkpoint,
    overrides: &Overrides,
    config: fn(&Checkpoint, &Overrides, &HfConfig) -> Result<Config>,
) -> Result<Config> {
    overrides.check_for_other_networks()?;
    let found = HfConfig::of(checkpoint).and_then(|hf| config(checkpoint, overrides, &hf));
    found.map_err(|error| match error {
        Error::Metadata { key, found, expected } if key != cfg::KEY => {
            let said = if key == DESCRIPTION { found } else { format!("{key:?} is {found}") };
            let reason = format!("its {DESCRIPTION}: {said}; expected {expected}");
            Error::Contents { path: checkpoint.path().to_owned(), reason }
        }
        other => other,
    })
}

impl HfConfig {
    /// What is said beside the checkpoint; nothing if there is no such file.
    ///
    /// # Errors
    /// [`Error::Metadata`] if it is no JSON, or has other things where these should be.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let Some(text) = checkpoint.description()? else { return Ok(Self::default()) };
        let wrong = |error: String| Error::Metadata {
            key: DESCRIPTION,
            found: error,
            expected: "the JSON of a published configuration".to_owned(),
        };
        let entries: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        serde_path_to_error::deserialize(serde_json::Value::Object(entries)).map_err(|error| wrong(error.to_string()))
    }

    /// That it describes one of these kinds of network, if it says which.
    pub fn is_of(&self, kind: &str) -> Result<()> {
        for (key, said) in [("model_type", &self.model_type), ("network", &self.network)] {
            if let Some(said) = said.as_deref().filter(|said| *said != kind) {
                let expected = format!("{kind:?}, as the tensors are those of one");
                return Err(Error::Metadata { key, found: format!("{said:?}"), expected });
            }
        }
        Ok(())
    }

    /// The activation between the layers of an MLP; `usual` where nothing is said.
    pub fn activation(&self, usual: Activation) -> Result<Activation> {
        let Some(said) = self.hidden_act.as_deref() else { return Ok(usual) };
        let found = ACTIVATIONS.iter().find(|(name, _)| *name == said);
        found.map(|(_, activation)| *activation).ok_or_else(|| {
            let known = ACTIVATIONS.map(|(name, _)| format!("{name:?}")).join(" or ");
            Error::Metadata { key: "hidden_act", found: format!("{said:?}"), expected: known }
        })
    }

    /// What layer normalisations add to the variance; `usual` where nothing is said.
    ///
    /// # Errors
    /// [`Error::Metadata`] for what is no small number.
    pub fn epsilon(&self, usual: f32) -> Result<f32> {
        let epsilon = self.layer_norm_eps.unwrap_or(usual);
        if epsilon.is_finite() && epsilon >= 0.0 {
            return Ok(epsilon);
        }
        let expected = "a small number above zero".to_owned();
        Err(Error::Metadata { key: "layer_norm_eps", found: epsilon.to_string(), expected })
    }

    /// Names of `classes`, unless they are only numbered; none of a network that has no classes.
    ///
    /// # Errors
    /// [`Error::Metadata`] for more or less than one for each.
    pub fn labels(&self, classes: Option<u32>) -> Result<Option<Vec<String>>> {
        let (Some(named), Some(classes)) = (&self.id2label, classes) else { return Ok(None) };
        let labels: Option<Vec<String>> = (0..classes).map(|class| named.get(&class.to_string()).cloned()).collect();
        let Some(labels) = labels.filter(|labels| labels.len() == named.len()) else {
            let expected =
                format!("a name for each class from 0 to {}, as the tensors have {classes}", classes.saturating_sub(1));
            return Err(Error::Metadata { key: "id2label", found: format!("{} names", named.len()), expected });
        };
        let is_number = |(class, label): (usize, &String)| *label == format!("LABEL_{class}");
        Ok((!labels.iter().enumerate().all(is_number)).then_some(labels))
    }

    /// What clips are normalised by, each channel's mean and deviation; `usual` where nothing is said.
    ///
    /// # Errors
    /// [`Error::Metadata`] for what no clip can be normalised by.
    pub fn normalisation(&self, usual: ([f32; 3], [f32; 3])) -> Result<([f32; 3], [f32; 3])> {
        let (mean, deviation) = (self.image_mean.unwrap_or(usual.0), self.image_std.unwrap_or(usual.1));
        let wrong = |key, found: &[f32; 3], expected: &str| {
            Err(Error::Metadata { key, found: format!("{found:?}"), expected: expected.to_owned() })
        };
        if mean.iter().any(|value| !value.is_finite()) {
            return wrong("image_mean", &mean, "finite numbers");
        }
        if deviation.iter().any(|value| !value.is_finite() || *value <= 0.0) {
            return wrong("image_std", &deviation, "finite numbers above zero");
        }
        Ok((mean, deviation))
    }
}

/// What the configuration and the tensors say: not two different things.
///
/// # Errors
/// [`Error::Metadata`] with both.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(key: &'static str, said: Option<T>, shown: T) -> Result<T> {
    match said {
        Some(said) if said != shown => {
            let expected = format!("{shown:?}, as the tensors have it");
            Err(Error::Metadata { key, found: format!("{said:?}"), expected })
        }
        _ => Ok(shown),
    }
}
