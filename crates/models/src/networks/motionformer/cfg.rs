//! The `cfg` of published checkpoints: what of SlowFast's YAML configuration this crate uses.

use orthoformer::{Error, Result};
use serde::Deserialize;

use crate::config::{Overrides, Protocol};

/// What it has in an error.
pub(crate) const KEY: &str = "cfg";

/// The sections; all else in the text is passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE", default)]
pub(in crate::networks) struct PublishedConfig {
    pub data: Data,
    pub model: Model,
    pub train: Train,
    pub vit: Vit,
    pub timesformer: TimeSformer,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE", default)]
pub(in crate::networks) struct Data {
    pub num_frames: Option<u32>,
    pub sampling_rate: Option<u32>,
    pub target_fps: Option<f64>,
    pub train_crop_size: Option<u32>,
    pub reverse_input_channel: Option<bool>,
    pub mean: Option<[f32; 3]>,
    pub std: Option<[f32; 3]>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE", default)]
pub(in crate::networks) struct Model {
    pub model_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE", default)]
pub(in crate::networks) struct Train {
    pub dataset: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE", default)]
pub(in crate::networks) struct Vit {
    pub approx_attn_dim: Option<u32>,
    pub approx_attn_type: Option<String>,
    pub attn_layer: Option<String>,
    pub head_act: Option<String>,
    pub num_heads: Option<u32>,
    pub patch_size: Option<u32>,
    pub patch_size_temp: Option<u32>,
    pub use_original_traj_attn_code: Option<bool>,
}

/// What TimeSformer's published code adds.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE", default)]
pub(in crate::networks) struct TimeSformer {
    pub attention_type: Option<String>,
}

impl PublishedConfig {
    /// Reads the text.
    ///
    /// # Errors
    /// [`Error::Metadata`] if it is no YAML, or has other things where these should be.
    pub fn read(text: &str) -> Result<Self> {
        let failed =
            |found: String| Error::Metadata { key: KEY, found, expected: "the YAML of a published configuration".to_owned() };
        serde_saphyr::from_str(text).map_err(|error| {
            // The parser quotes the text; its first line says what is wrong.
            failed(error.to_string().lines().next().unwrap_or("unreadable").to_owned())
        })
    }
    /// How clips are made ready; `usual` where nothing says it.
    pub fn protocol(&self, overrides: &Overrides, usual: Protocol) -> Protocol {
        let data = &self.data;
        let is_dataset = |name: &str| self.train.dataset.as_deref().is_some_and(|said| said.eq_ignore_ascii_case(name));
        // The published code reads pictures of these two blue first, and turns them round if it is told to.
        let is_read_reversed = is_dataset("ssv2") || is_dataset("epickitchens");
        let reversed = match data.reverse_input_channel {
            None if !is_read_reversed => usual.reversed_channels,
            turned => turned.unwrap_or(false) != is_read_reversed,
        };
        Protocol {
            sampling_rate: overrides.sampling_rate.or(data.sampling_rate).unwrap_or(usual.sampling_rate),
            target_fps: data.target_fps.unwrap_or(usual.target_fps),
            segments: overrides.segments.unwrap_or(is_dataset("ssv2")),
            mean: data.mean.unwrap_or(usual.mean),
            std: data.std.unwrap_or(usual.std),
            reversed_channels: overrides.reversed_channels || reversed,
            ..usual
        }
    }
}
