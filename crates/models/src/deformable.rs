//! Deformable Video Transformers in the format of [`orthoformer::ops::deformable`]: structure and positions.

use orthoformer::ops::deformable::{self, AttentionSpec, Fusion, Logits, MotionSource, MultiScale};
use orthoformer::ops::network::Architecture;
use orthoformer::{Error, Result, Tensor};

use super::config::{Config, Known, agreed, open};
use super::described::{Described, same};
use super::shapes::size;
use crate::checkpoint::Checkpoint;

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

/// Whether a checkpoint has this format.
pub(super) fn is_one(checkpoint: &Checkpoint) -> bool {
    ["", "scales.0."].iter().any(|scale| checkpoint.info(&format!("blocks.0.attn.{scale}offsets.weight")).is_some())
}

/// The configuration of a checkpoint in this format.
pub(super) fn read(checkpoint: &Checkpoint, known: &Known) -> Result<Config> {
    let described = Described::of(checkpoint)?;
    described.is_of(KIND)?;
    let (mean, std) = described.normalisation((MEAN, STD))?;
    let architecture = architecture(&Tensors { checkpoint }, &described, known, (mean, std))?;
    let protocol = known.protocol(RATE, mean, std);
    let labels = described.labels(Some(architecture.classes))?;
    let mut assumed: Vec<String> = known.assumed_rate(&protocol).into_iter().collect();
    if checkpoint.description()?.is_none() {
        assumed.push(format!("sub-clips of {SUB_CLIP} frames of patches (sub_clip in a config.json)"));
        assumed.push(format!("motion of up to {MOTION_WINDOW} pixels (motion_window)"));
        assumed.push(format!("means of {} and deviations of {} (image_mean, image_std)", MEAN[0], STD[0]));
    }
    Ok(Config { architecture: Architecture::Deformable(architecture), protocol, labels, assumed })
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
    described: &Described,
    known: &Known,
    (mut mean, mut deviation): ([f32; 3], [f32; 3]),
) -> Result<deformable::Architecture> {
    let [channels, colours, patch_depth, patch, across] = tensors.axes("patch_embed.proj.weight")?;
    if colours != 3 || patch != across {
        let reason = format!("patches of {colours} colours, {patch} x {across}: expected 3, as high as wide");
        return Err(Error::Contents { path: tensors.checkpoint.path().to_owned(), reason });
    }
    if let Some(said) = &described.patch_size {
        same("patch_size", Some(said.axes::<3>("patch_size")?), [patch_depth, patch, across])?;
    }
    let [hidden, _] = tensors.axes("blocks.0.mlp.fc1.weight")?;
    let depth = (0..).take_while(|block| tensors.has(&format!("blocks.{block}.norm1.weight"))).count();
    let [_, frames_of_patches, _] = tensors.axes("time_embed")?;
    let [_, places, _] = tensors.axes("pos_embed")?;
    let side = super::shapes::square_root(places as usize);
    let crop = side.map(|side| side.saturating_mul(patch)).ok_or_else(|| open("crop", "height of a clip in pixels"))?;
    let frames = frames_of_patches.saturating_mul(patch_depth);
    if let Some(said) = &described.image_size {
        same("image_size", Some(said.axes::<2>("image_size")?), [crop; 2])?;
    }
    let [classes, _] = tensors.axes("head.weight")?;
    if known.reversed_channels {
        // They are those of red, green and blue; the network is given blue first.
        mean.reverse();
        deviation.reverse();
    }
    // Decoders here hand out no motion.
    let motion = MotionSource::Blocks { radius: described.motion_window.unwrap_or(MOTION_WINDOW), mean, deviation };
    agreed("frames", known.frames, Some(frames), u32::to_string)?;
    agreed("crop", known.crop, Some(crop), u32::to_string)?;
    Ok(deformable::Architecture {
        frames: same("num_frames", described.num_frames, frames)?,
        crop,
        patch,
        patch_depth,
        channels: same("hidden_size", described.hidden_size, channels)?,
        depth: same("num_hidden_layers", described.num_hidden_layers, size(depth))?,
        hidden: same("intermediate_size", described.intermediate_size, hidden)?,
        sub_clip: described.sub_clip.unwrap_or(SUB_CLIP),
        attention: attention(tensors, described, known)?,
        motion,
        classes: same("num_labels", described.num_labels, classes)?,
    })
}

fn attention(tensors: &Tensors<'_>, described: &Described, known: &Known) -> Result<AttentionSpec> {
    let is_scaled = tensors.has("blocks.0.attn.scales.0.offsets.weight");
    let scale = if is_scaled { "blocks.0.attn.scales.0." } else { "blocks.0.attn." };
    let [heads, twice_samples, _] = tensors.axes(&format!("{scale}offsets.weight"))?;
    agreed("heads", known.heads, Some(heads), u32::to_string)?;
    let is_motion = tensors.has(&format!("{scale}motion.weight"));
    same("logits", described.logits.as_deref(), if is_motion { "motion" } else { "dot" })?;
    let logits = match is_motion {
        true => {
            let [embedded, _] = tensors.axes(&format!("{scale}motion.weight"))?;
            Logits::Motion { hidden: same("motion_hidden_size", described.motion_hidden_size, embedded)? }
        }
        false => Logits::Dot,
    };
    let scales = match (&described.scales, is_scaled) {
        (None, false) => None,
        (Some(strides), true) => Some(MultiScale { strides: strides.clone(), fusion: fusion(tensors, described)? }),
        (said, _) => {
            let found = said.as_ref().map_or_else(|| "missing".to_owned(), |strides| format!("{strides:?}"));
            let expected = if is_scaled { "the strides of each scale" } else { "nothing: the tensors are those of one scale" };
            return Err(Error::Metadata { key: "scales", found, expected: expected.to_owned() });
        }
    };
    let projected = if is_motion { "qv" } else { "qkv" };
    let bias = tensors.has(&format!("{scale}{projected}.bias"));
    Ok(AttentionSpec {
        heads: same("num_attention_heads", described.num_attention_heads, heads)?,
        samples: same("samples", described.samples, twice_samples / 2)?,
        logits,
        qkv_bias: same("qkv_bias", described.qkv_bias, bias)?,
        scales,
    })
}

fn fusion(tensors: &Tensors<'_>, described: &Described) -> Result<Fusion> {
    let is_mixer = tensors.has("blocks.0.attn.fuse.scales.fc1.weight");
    let fusion = if is_mixer { Fusion::Mixer } else { Fusion::Mlp };
    same("fusion", described.fusion.as_deref(), fusion.name())?;
    Ok(fusion)
}

/// What is added to every token, `[N,C]`: the embedding's bias and the positions of place and time.
///
/// # Errors
/// [`Error::MissingTensor`], and [`Error::WrongShape`] for tensors that do not belong to such a network.
pub(super) fn positions(checkpoint: &Checkpoint, architecture: &deformable::Architecture) -> Result<Tensor> {
    let (grid, c) = (architecture.grid()?, architecture.channels as usize);
    let [frames, places] = [grid.frames, grid.rows * grid.columns].map(|size| size as usize);
    let read = |name: &str, expected: Vec<usize>| -> Result<Vec<f32>> {
        let tensor = checkpoint.read(name)?;
        if tensor.shape() != expected {
            let (found, expected) = (tensor.shape().to_vec(), format!("{expected:?}"));
            return Err(Error::WrongShape { name: name.to_owned(), found, expected });
        }
        Ok(tensor.into_data())
    };
    let bias = read("patch_embed.proj.bias", vec![c])?;
    let of_places = read("pos_embed", vec![1, places, c])?;
    let of_times = read("time_embed", vec![1, frames, c])?;
    let mut table = Vec::with_capacity(frames * places * c);
    for time in of_times.chunks(c) {
        for place in of_places.chunks(c) {
            table.extend(place.iter().zip(time).zip(&bias).map(|((a, b), bias)| a + b + bias));
        }
    }
    Tensor::new(vec![frames * places, c], table)
}
