//! V-JEPA 2 as Hugging Face's library saves it.

use orthoformer::kernel::Activation;
use orthoformer::{Error, Result};

use super::architecture::FAMILY;
use super::{Architecture, Classifier};
use crate::checkpoint::Checkpoint;
use crate::config::{Config, Overrides, agreed, unspecified};
use crate::hf_config::{self, HfConfig, same};
use crate::networks::{Reader, has_any, size};
use crate::{IMAGENET_MEAN, IMAGENET_STD};

/// What networks of up to `SHORT_CLIP` frames take of a clip of 30 frames a second: every so manieth.
const SHORT_CLIP_RATE: u32 = 4;
const SHORT_CLIP: u32 = 16;
/// The same of networks that see longer clips.
const LONG_CLIP_RATE: u32 = 2;

/// Of V-JEPA 2.
pub(in crate::networks) const READER: Reader = Reader {
    kinds: &[("vjepa2", "V-JEPA 2")],
    landmarks: &LANDMARKS,
    recognise: |checkpoint| has_any(checkpoint, &LANDMARKS),
    read: |checkpoint, overrides| hf_config::read(checkpoint, overrides, config),
    processor: |_| Some("VJEPA2"),
    has_presets: false,
};

const EMBEDDING: &str = "encoder.embeddings.patch_embeddings.proj.weight";

/// The embedding, by which a checkpoint is told.
const LANDMARKS: [&str; 2] = [concat!("vjepa2.", "encoder.embeddings.patch_embeddings.proj.weight"), EMBEDDING];

/// The configuration of a checkpoint in this naming.
fn config(checkpoint: &Checkpoint, overrides: &Overrides, hf: &HfConfig) -> Result<Config> {
    hf.is_of("vjepa2")?;
    let architecture = architecture(checkpoint, hf, overrides)?;
    let usual = if architecture.frames <= SHORT_CLIP { SHORT_CLIP_RATE } else { LONG_CLIP_RATE };
    let protocol = overrides.protocol(usual, IMAGENET_MEAN, IMAGENET_STD);
    let labels = hf.labels(architecture.classifier.map(|classifier| classifier.classes))?;
    let assumed = overrides.assumed_rate(&protocol).into_iter().collect();
    Ok(Config { network: Box::new(architecture), protocol, labels, assumed })
}

/// A checkpoint's tensors.
struct Tensors<'c> {
    checkpoint: &'c Checkpoint,
    /// What names begin with, but for the classifier's.
    prefix: &'static str,
}

impl<'c> Tensors<'c> {
    fn shape(&self, name: &str) -> Option<&'c [usize]> {
        self.checkpoint.info(name).map(|info| info.shape.as_slice())
    }

    fn encoder(&self, name: &str) -> Option<&'c [usize]> {
        self.shape(&format!("{}{name}", self.prefix))
    }

    /// How many layers follow each other whose tensor has a name.
    fn layers(&self, name: impl Fn(u32) -> String) -> u32 {
        (0..).take_while(|&layer| self.shape(&name(layer)).is_some()).count() as u32
    }

    fn wrong(&self, name: &str, found: Option<&[usize]>, expected: &str) -> Error {
        let found = found.map_or_else(|| "is missing".to_owned(), |shape| format!("has shape {shape:?}"));
        let reason = format!("not a V-JEPA 2: tensor {name:?} {found}; expected {expected}");
        Error::Contents { path: self.checkpoint.path().to_owned(), reason }
    }
}

fn architecture(checkpoint: &Checkpoint, hf: &HfConfig, overrides: &Overrides) -> Result<Architecture> {
    let has_family_names = checkpoint.info(&format!("{FAMILY}{EMBEDDING}")).is_some();
    let tensors = Tensors { checkpoint, prefix: if has_family_names { FAMILY } else { "" } };
    let [channels, tubelet, patch] = embedding(&tensors, hf)?;
    let first_layer = "encoder.layer.0.mlp.fc1.weight";
    let hidden = match tensors.encoder(first_layer) {
        Some(&[hidden, _]) => size(hidden),
        found => return Err(tensors.wrong(&format!("{}{first_layer}", tensors.prefix), found, "[hidden, channels]")),
    };
    // As the library computes it.
    let said_hidden = hf.mlp_ratio.map(|ratio| (f64::from(channels) * ratio) as u32);
    let depth = tensors.layers(|layer| format!("{}encoder.layer.{layer}.norm1.weight", tensors.prefix));
    let has_bias = |part: &&str| tensors.encoder(&format!("encoder.layer.0.attention.{part}.bias")).is_some();
    let qkv_bias = ["query", "key", "value"].iter().any(has_bias);
    let heads = agreed("heads", overrides.heads, hf.num_attention_heads, u32::to_string)?;
    let frames = overrides.frames.or(hf.frames_per_clip);
    // The library takes positions from the configured size of frames, whatever it is given.
    let crop = agreed("crop", overrides.crop, hf.crop_size, u32::to_string)?;
    Ok(Architecture {
        has_family_names,
        frames: frames.ok_or_else(|| unspecified("frames", "how many frames a clip has"))?,
        crop: crop.ok_or_else(|| unspecified("crop", "height of a clip in pixels"))?,
        tubelet,
        patch,
        channels,
        heads: heads.ok_or_else(|| unspecified("heads", "how many attention heads there are"))?,
        depth: same("num_hidden_layers", hf.num_hidden_layers, depth)?,
        hidden: same("mlp_ratio, by the hidden layer that it makes", said_hidden, hidden)?,
        activation: hf.activation(Activation::Gelu)?,
        epsilon: hf.epsilon(1e-6)?,
        qkv_bias: same("qkv_bias", hf.qkv_bias, qkv_bias)?,
        classifier: classifier(&tensors, hf)?,
    })
}

/// Channels, frames of a patch and its side.
fn embedding(tensors: &Tensors<'_>, hf: &HfConfig) -> Result<[u32; 3]> {
    let found = tensors.encoder(EMBEDDING);
    let [channels, tubelet, patch] = match found {
        Some(&[channels, 3, tubelet, height, width]) if height == width => [channels, tubelet, height].map(size),
        _ => {
            let name = format!("{}{EMBEDDING}", tensors.prefix);
            return Err(tensors.wrong(&name, found, "[channels, 3, frames, side, side] of square patches"));
        }
    };
    same("in_chans", hf.in_chans, 3)?;
    let axes = |said: &Option<hf_config::Sizes>, key| said.as_ref().map(|said| said.axes::<1>(key)).transpose();
    same("patch_size", axes(&hf.patch_size, "patch_size")?, [patch])?;
    same("tubelet_size", axes(&hf.tubelet_size, "tubelet_size")?, [tubelet])?;
    Ok([same("hidden_size", hf.hidden_size, channels)?, tubelet, patch])
}

/// The classifier, if there is one.
fn classifier(tensors: &Tensors<'_>, hf: &HfConfig) -> Result<Option<Classifier>> {
    let classes = match tensors.shape("classifier.weight") {
        None => return Ok(None),
        Some(&[classes, _]) => size(classes),
        found => return Err(tensors.wrong("classifier.weight", found, "[classes, channels]")),
    };
    let layers = tensors.layers(|layer| format!("pooler.self_attention_layers.{layer}.layer_norm1.weight"));
    Ok(Some(Classifier {
        layers: same("num_pooler_layers", hf.num_pooler_layers, layers)?,
        classes: same("num_labels", hf.num_labels, classes)?,
    }))
}
