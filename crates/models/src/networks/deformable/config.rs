//! Deformable Video Transformers in the format of [`super`].

use orthoformer::{Error, Result};

use super::{Architecture, AttentionSpec, Fusion, Logits, MotionSource, MultiScale};
use crate::checkpoint::Checkpoint;
use crate::config::{Config, Overrides, agreed, unspecified};
use crate::hf_config::{self, HfConfig, same};
use crate::networks::{Reader, has_any, size, square_root};

/// What they are called in configurations.
const KIND: &str = "deformable_video_transformer";
/// Every so manieth frame of 30 a second.
const RATE: u32 = 4;
/// Frames of patches in a sub-clip where nothing is said.
const SUB_CLIP: u32 = 4;
/// Farthest shift of block matching where nothing is said, pixels.
const MOTION_WINDOW: u32 = 8;
/// What clips are normalised by where nothing is said.
const MEAN: [f32; 3] = [0.45; 3];
const STD: [f32; 3] = [0.225; 3];

/// Of Deformable Video Transformers.
pub(in crate::networks) const READER: Reader = Reader {
    kinds: &[(KIND, "Deformable Video Transformer")],
    landmarks: &LANDMARKS,
    recognise: |checkpoint| has_any(checkpoint, &LANDMARKS),
    read: |checkpoint, overrides| hf_config::read(checkpoint, overrides, config),
    processor: |_| None,
    has_presets: false,
};

/// What makes offsets, by which a checkpoint is told.
const LANDMARKS: [&str; 2] = ["blocks.0.attn.offsets.weight", "blocks.0.attn.scales.0.offsets.weight"];

/// The configuration of a checkpoint in this format.
fn config(checkpoint: &Checkpoint, overrides: &Overrides, hf: &HfConfig) -> Result<Config> {
    hf.is_of(KIND)?;
    let (mean, std) = hf.normalisation((MEAN, STD))?;
    let architecture = architecture(&Tensors { checkpoint }, hf, overrides, (mean, std))?;
    let protocol = overrides.protocol(RATE, mean, std);
    let labels = hf.labels(Some(architecture.classes))?;
    let mut assumed: Vec<String> = overrides.assumed_rate(&protocol).into_iter().collect();
    if checkpoint.description()?.is_none() {
        assumed.push(format!("sub-clips of {SUB_CLIP} frames of patches (sub_clip in a config.json)"));
        assumed.push(format!("motion of up to {MOTION_WINDOW} pixels (motion_window)"));
        assumed.push(format!("means of {} and deviations of {} (image_mean, image_std)", MEAN[0], STD[0]));
    }
    Ok(Config { network: Box::new(architecture), protocol, labels, assumed })
}

/// A checkpoint's tensors.
struct Tensors<'c> {
    checkpoint: &'c Checkpoint,
}

impl Tensors<'_> {
    /// The axes of a tensor that has so many.
    fn axes<const COUNT: usize>(&self, name: &str) -> Result<[u32; COUNT]> {
        let found = self.checkpoint.info(name).map(|info| info.shape.as_slice());
        let axes: Option<[usize; COUNT]> = found.and_then(|shape| shape.try_into().ok());
        axes.map(|axes| axes.map(size)).ok_or_else(|| {
            let found = found.map_or_else(|| "is missing".to_owned(), |shape| format!("has shape {shape:?}"));
            let reason = format!("not a Deformable Video Transformer: tensor {name:?} {found}; expected {COUNT} axes");
            Error::Contents { path: self.checkpoint.path().to_owned(), reason }
        })
    }

    fn has(&self, name: &str) -> bool {
        self.checkpoint.info(name).is_some()
    }
}

/// The structure, of a network whose clips are normalised by this mean and deviation of each channel.
fn architecture(
    tensors: &Tensors<'_>,
    hf: &HfConfig,
    overrides: &Overrides,
    (mut mean, mut deviation): ([f32; 3], [f32; 3]),
) -> Result<Architecture> {
    let [channels, colours, patch_depth, patch, across] = tensors.axes("patch_embed.proj.weight")?;
    if colours != 3 || patch != across {
        let reason = format!("patches of {colours} colours, {patch} x {across}: expected 3, as high as wide");
        return Err(Error::Contents { path: tensors.checkpoint.path().to_owned(), reason });
    }
    if let Some(said) = &hf.patch_size {
        same("patch_size", Some(said.axes::<3>("patch_size")?), [patch_depth, patch, across])?;
    }
    let [hidden, _] = tensors.axes("blocks.0.mlp.fc1.weight")?;
    let depth = (0..).take_while(|block| tensors.has(&format!("blocks.{block}.norm1.weight"))).count();
    let [_, frames_of_patches, _] = tensors.axes("time_embed")?;
    let [_, positions, _] = tensors.axes("pos_embed")?;
    let side = square_root(positions as usize);
    let crop = side.map(|side| side.saturating_mul(patch)).ok_or_else(|| unspecified("crop", "height of a clip in pixels"))?;
    let frames = frames_of_patches.saturating_mul(patch_depth);
    if let Some(said) = &hf.image_size {
        same("image_size", Some(said.axes::<2>("image_size")?), [crop; 2])?;
    }
    let [classes, _] = tensors.axes("head.weight")?;
    if overrides.reversed_channels {
        // They are those of red, green and blue; the network is given blue first.
        mean.reverse();
        deviation.reverse();
    }
    // Decoders here hand out no motion.
    let motion = MotionSource::Blocks { radius: hf.motion_window.unwrap_or(MOTION_WINDOW), mean, deviation };
    agreed("frames", overrides.frames, Some(frames), u32::to_string)?;
    agreed("crop", overrides.crop, Some(crop), u32::to_string)?;
    Ok(Architecture {
        frames: same("num_frames", hf.num_frames, frames)?,
        crop,
        patch,
        patch_depth,
        channels: same("hidden_size", hf.hidden_size, channels)?,
        depth: same("num_hidden_layers", hf.num_hidden_layers, size(depth))?,
        hidden: same("intermediate_size", hf.intermediate_size, hidden)?,
        sub_clip: hf.sub_clip.unwrap_or(SUB_CLIP),
        attention: attention(tensors, hf, overrides)?,
        motion,
        classes: same("num_labels", hf.num_labels, classes)?,
    })
}

fn attention(tensors: &Tensors<'_>, hf: &HfConfig, overrides: &Overrides) -> Result<AttentionSpec> {
    let is_scaled = tensors.has("blocks.0.attn.scales.0.offsets.weight");
    let scale = if is_scaled { "blocks.0.attn.scales.0." } else { "blocks.0.attn." };
    let [heads, twice_samples, _] = tensors.axes(&format!("{scale}offsets.weight"))?;
    agreed("heads", overrides.heads, Some(heads), u32::to_string)?;
    let is_motion = tensors.has(&format!("{scale}motion.weight"));
    same("logits", hf.logits.as_deref(), if is_motion { "motion" } else { "dot" })?;
    let logits = match is_motion {
        true => {
            let [embedded, _] = tensors.axes(&format!("{scale}motion.weight"))?;
            Logits::Motion { hidden: same("motion_hidden_size", hf.motion_hidden_size, embedded)? }
        }
        false => Logits::Dot,
    };
    let scales = match (&hf.scales, is_scaled) {
        (None, false) => None,
        (Some(strides), true) => Some(MultiScale { strides: strides.clone(), fusion: fusion(tensors, hf)? }),
        (said, _) => {
            let found = said.as_ref().map_or_else(|| "missing".to_owned(), |strides| format!("{strides:?}"));
            let expected = if is_scaled { "the strides of each scale" } else { "nothing: the tensors are those of one scale" };
            return Err(Error::Metadata { key: "scales", found, expected: expected.to_owned() });
        }
    };
    let projected = if is_motion { "qv" } else { "qkv" };
    let bias = tensors.has(&format!("{scale}{projected}.bias"));
    Ok(AttentionSpec {
        heads: same("num_attention_heads", hf.num_attention_heads, heads)?,
        samples: same("samples", hf.samples, twice_samples / 2)?,
        logits,
        qkv_bias: same("qkv_bias", hf.qkv_bias, bias)?,
        scales,
    })
}

fn fusion(tensors: &Tensors<'_>, hf: &HfConfig) -> Result<Fusion> {
    let is_mixer = tensors.has("blocks.0.attn.fuse.scales.fc1.weight");
    let fusion = if is_mixer { Fusion::Mixer } else { Fusion::Mlp };
    same("fusion", hf.fusion.as_deref(), fusion.name())?;
    Ok(fusion)
}
