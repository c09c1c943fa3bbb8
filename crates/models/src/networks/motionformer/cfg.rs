//! The `cfg` of published checkpoints: what of SlowFast's YAML configuration this crate uses.

use orthoformer::{Error, Result};
use serde::Deserialize;

/// The sections; all else in the text is passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE", default)]
pub(super) struct PublishedConfig {
    pub data: Data,
    pub model: Model,
    pub train: Train,
    pub vit: Vit,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE", default)]
pub(super) struct Data {
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
pub(super) struct Model {
    pub model_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE", default)]
pub(super) struct Train {
    pub dataset: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE", default)]
pub(super) struct Vit {
    pub approx_attn_dim: Option<u32>,
    pub approx_attn_type: Option<String>,
    pub attn_layer: Option<String>,
    pub head_act: Option<String>,
    pub num_heads: Option<u32>,
    pub patch_size: Option<u32>,
    pub patch_size_temp: Option<u32>,
    pub use_original_traj_attn_code: Option<bool>,
}

impl PublishedConfig {
    /// Reads the text.
    ///
    /// # Errors
    /// [`Error::Metadata`] if it is no YAML, or has other things where these should be.
    pub fn read(text: &str) -> Result<Self> {
        let failed =
            |found: String| Error::Metadata { key: "cfg", found, expected: "the YAML of a published configuration".to_owned() };
        serde_saphyr::from_str(text).map_err(|error| {
            // The parser quotes the text; its first line says what is wrong.
            failed(error.to_string().lines().next().unwrap_or("unreadable").to_owned())
        })
    }
}
