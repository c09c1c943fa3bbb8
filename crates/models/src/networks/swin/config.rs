//! Swin and Video Swin as torchvision saves them, and under the other names of [`super::names`].

use orthoformer::{Error, Result};

use super::{Architecture, Dimensions};
use crate::checkpoint::Checkpoint;
use crate::config::{Config, Overrides, agreed, assumed_side, needless};
use crate::hf_config::{self, HfConfig, same};
use crate::networks::{Reader, has_any, size};
use crate::{IMAGENET_MEAN, IMAGENET_STD};

/// Clips that torchvision's networks were trained on, frames; and every so manieth of 30 a second.
const FRAMES: u32 = 32;
const RATE: u32 = 2;
/// Height and width of what they were trained on, pixels.
const SIDE: u32 = 224;

/// Of Swins and Video Swins.
pub(in crate::networks) const READER: Reader = Reader {
    kinds: &[("swin2d", "Swin"), ("swin3d", "Video Swin")],
    landmarks: &LANDMARKS,
    recognise,
    read: |checkpoint, overrides| hf_config::read(checkpoint, overrides, config),
    processor: |_| None,
    has_presets: false,
};

/// Embeddings of clips and of pictures, by which a checkpoint is told.
const LANDMARKS: [&str; 2] = ["patch_embed.proj.weight", "features.0.0.weight"];

/// Whether a checkpoint has this naming.
fn recognise(checkpoint: &Checkpoint) -> bool {
    has_any(checkpoint, &LANDMARKS)
        && checkpoint.tensors().any(|(name, _)| name.starts_with("features.") && name.contains(".attn.qkv."))
}

/// The configuration of a checkpoint in this naming.
fn config(checkpoint: &Checkpoint, overrides: &Overrides, hf: &HfConfig) -> Result<Config> {
    let architecture = architecture(checkpoint, hf, overrides)?;
    let protocol = overrides.protocol(RATE, IMAGENET_MEAN, IMAGENET_STD);
    let labels = hf.labels(Some(architecture.classes))?;
    let frames = architecture.frames;
    let of_clip = [
        (overrides.frames.is_none() && architecture.dimensions == Dimensions::Three)
            .then(|| format!("{frames} frames (--frames)")),
        overrides.crop.is_none().then(|| assumed_side(architecture.height)),
        overrides.assumed_rate(&protocol).filter(|_| frames > 1),
    ];
    let assumed = of_clip.into_iter().flatten().collect();
    Ok(Config { network: Box::new(architecture), protocol, labels, assumed })
}

/// A checkpoint's tensors.
struct Tensors<'c> {
    checkpoint: &'c Checkpoint,
    dimensions: Dimensions,
}

impl<'c> Tensors<'c> {
    fn shape(&self, name: &str) -> Option<&'c [usize]> {
        self.checkpoint.info(name).map(|info| info.shape.as_slice())
    }

    fn wrong(&self, name: &str, expected: &str) -> Error {
        let found = self.shape(name).map_or_else(|| "is missing".to_owned(), |shape| format!("has shape {shape:?}"));
        let reason = format!("not a Swin: tensor {name:?} {found}; expected {expected}");
        Error::Contents { path: self.checkpoint.path().to_owned(), reason }
    }

    /// The name of a block's tensor.
    fn block(&self, stage: usize, block: usize, name: &str) -> String {
        let first = usize::from(self.dimensions == Dimensions::Two);
        format!("features.{}.{block}.{name}", first + 2 * stage)
    }

    /// The first of two axes of a tensor of a stage's first block, or the second.
    fn of_stage(&self, stage: usize, name: &str, axis: usize) -> Result<u32> {
        let name = self.block(stage, 0, name);
        match self.shape(&name) {
            Some(shape @ &[_, _]) => Ok(size(shape[axis])),
            _ => Err(self.wrong(&name, "two axes")),
        }
    }

    fn depths(&self) -> Vec<u32> {
        let is_there = |stage: usize, block: usize| self.shape(&self.block(stage, block, "norm1.weight")).is_some();
        let depth = |stage: usize| (0..).take_while(|&block| is_there(stage, block)).count();
        (0..).map(depth).take_while(|&depth| depth > 0).map(size).collect()
    }
}

fn architecture(checkpoint: &Checkpoint, hf: &HfConfig, overrides: &Overrides) -> Result<Architecture> {
    let is_video = checkpoint.info("patch_embed.proj.weight").is_some();
    let dimensions = if is_video { Dimensions::Three } else { Dimensions::Two };
    hf.is_of(if is_video { "swin3d" } else { "swin2d" })?;
    let tensors = Tensors { checkpoint, dimensions };
    if overrides.heads.is_some() {
        return Err(needless("heads", "a number", "a number of heads for all stages: its bias tables say it"));
    }
    if let Some((name, _)) = checkpoint.tensors().find(|(name, _)| name.ends_with(".logit_scale") || name.contains(".cpb_mlp.")) {
        return Err(tensors.wrong(name, "none: this is a Swin of version 2, whose attention is another"));
    }
    if tensors.shape("absolute_pos_embed").is_some() {
        let what = "none: networks with absolute positions beside those of windows (ape) are not there";
        return Err(tensors.wrong("absolute_pos_embed", what));
    }
    let (channels, patch) = embedding(&tensors, hf)?;
    let depths = tensors.depths();
    let stages = 0..depths.len();
    let heads: Vec<u32> =
        stages.clone().map(|stage| tensors.of_stage(stage, "attn.relative_position_bias_table", 1)).collect::<Result<_>>()?;
    let hidden = stages.map(|stage| tensors.of_stage(stage, "mlp.0.weight", 0)).collect::<Result<_>>()?;
    let classes = match tensors.shape("head.weight") {
        Some(&[classes, _]) => size(classes),
        Some(_) => return Err(tensors.wrong("head.weight", "[classes, channels]")),
        None => {
            let reason = "a Swin without its classifier, head.weight and head.bias, which is needed here".to_owned();
            return Err(Error::Contents { path: checkpoint.path().to_owned(), reason });
        }
    };
    let frames = match dimensions {
        Dimensions::Three => overrides.frames.unwrap_or(FRAMES),
        Dimensions::Two => agreed("frames", overrides.frames, Some(1), u32::to_string)?.unwrap_or(1),
    };
    let side = overrides.crop.unwrap_or(SIDE);
    let window = window(&tensors, hf)?;
    Ok(Architecture {
        dimensions,
        frames,
        height: side,
        width: side,
        patch,
        channels: same("embed_dim", hf.embed_dim, channels)?,
        depths: same("depths", hf.depths.clone(), depths)?,
        heads: same("num_heads", hf.num_heads.as_ref().map(|said| said.list(heads.len())), heads)?,
        window,
        hidden,
        classes: same("num_classes", hf.num_classes, classes)?,
    })
}

/// Channels of the first stage, and the size of patches.
fn embedding(tensors: &Tensors<'_>, hf: &HfConfig) -> Result<(u32, [u32; 3])> {
    let (name, expected) = match tensors.dimensions {
        Dimensions::Three => ("patch_embed.proj.weight", "[channels, 3, frames, height, width]"),
        Dimensions::Two => ("features.0.0.weight", "[channels, 3, height, width]"),
    };
    let (channels, patch) = match (tensors.dimensions, tensors.shape(name)) {
        (Dimensions::Three, Some(&[channels, 3, depth, height, width])) => (channels, [depth, height, width].map(size)),
        (Dimensions::Two, Some(&[channels, 3, height, width])) => (channels, [1, size(height), size(width)]),
        _ => return Err(tensors.wrong(name, expected)),
    };
    if let Some(said) = &hf.patch_size {
        match tensors.dimensions {
            Dimensions::Three => same("patch_size", Some(said.axes::<3>("patch_size")?), patch).map(drop)?,
            Dimensions::Two => same("patch_size", Some(said.axes::<2>("patch_size")?), [patch[1], patch[2]]).map(drop)?,
        }
    }
    Ok((size(channels), patch))
}

/// The window: as it is said, else as the table of biases and its index have it, if that is as high as wide.
fn window(tensors: &Tensors<'_>, hf: &HfConfig) -> Result<[u32; 3]> {
    if let Some(said) = &hf.window_size {
        return match tensors.dimensions {
            Dimensions::Three => said.axes("window_size"),
            Dimensions::Two => said.axes("window_size").map(|[rows, columns]| [1, rows, columns]),
        };
    }
    let table = tensors.block(0, 0, "attn.relative_position_bias_table");
    let offsets = tensors.of_stage(0, "attn.relative_position_bias_table", 0)?;
    let index = tensors.shape(&tensors.block(0, 0, "attn.relative_position_index"));
    let pairs = index.map(|shape| shape.iter().product::<usize>());
    let fits = |&(frames, side): &(u32, u32)| {
        let positions = (frames * side * side) as usize;
        (2 * frames - 1) * (2 * side - 1) * (2 * side - 1) == offsets && pairs.is_none_or(|pairs| positions * positions == pairs)
    };
    let frames = if tensors.dimensions == Dimensions::Three { 1..65 } else { 1..2 };
    let mut fitting = frames.flat_map(|frames| (1..65).map(move |side| (frames, side))).filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some((frames, side)), None) => Ok([frames, side, side]),
        _ => Err(tensors.wrong(&table, "the biases of one window only, or a config.json with its window_size")),
    }
}
