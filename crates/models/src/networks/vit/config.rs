//! TimeSformer, ViViT and VideoMAE as Hugging Face's library saves them, and under the other names of [`super::names`].

use orthoformer::kernel::Activation;
use orthoformer::{Error, Result};

use super::{Architecture, Kind, Pooling, QkvBias, names};
use crate::checkpoint::Checkpoint;
use crate::config::{Config, Overrides, agreed, unspecified};
use crate::hf_config::{self, HfConfig, same};
use crate::networks::motionformer::cfg::PublishedConfig;
use crate::networks::{Reader, size, square_root};
use crate::{IMAGENET_MEAN, IMAGENET_STD};

/// What a TimeSformer of 8 frames was trained to take of a clip of 30 frames a second: every so manieth.
const TIMESFORMER_RATE: u32 = 32;
/// The same of ViViT.
const VIVIT_RATE: u32 = 2;
/// The same of VideoMAE, on Kinetics.
const VIDEOMAE_RATE: u32 = 4;

/// Channels of all published TimeSformers, and their heads.
const PUBLISHED: (u32, u32) = (768, 12);

/// The embedding's weights, by which a checkpoint of these is told.
const EMBEDDING: &str = "embeddings.patch_embeddings.projection.weight";
/// Positions that were learned: a VideoMAE's are a formula.
const POSITIONS: &str = "embeddings.position_embeddings";
/// What names of a VideoMAE's tensors begin with, where there is a classifier.
const VIDEOMAE: &str = "videomae.";

/// Of TimeSformers, ViViTs and VideoMAEs.
pub(in crate::networks) const READER: Reader = Reader {
    kinds: &[("timesformer", "TimeSformer"), ("vivit", "ViViT"), ("videomae", "VideoMAE")],
    landmarks: &LANDMARKS,
    recognise,
    read: |checkpoint, overrides| hf_config::read(checkpoint, overrides, config),
    processor: |checkpoint| Some(processor(&Tensors::of(checkpoint))),
    has_presets: false,
};

/// The embedding with and without the family's name, by which a checkpoint is told.
const LANDMARKS: [&str; 4] = [
    concat!("timesformer.", "embeddings.patch_embeddings.projection.weight"),
    concat!("vivit.", "embeddings.patch_embeddings.projection.weight"),
    concat!("videomae.", "embeddings.patch_embeddings.projection.weight"),
    EMBEDDING,
];

/// Whether a checkpoint has this naming.
fn recognise(checkpoint: &Checkpoint) -> bool {
    ["timesformer.", "vivit.", VIDEOMAE, ""].iter().any(|prefix| {
        let shape = |name: &str| checkpoint.info(&format!("{prefix}embeddings.{name}")).map(|info| info.shape.len());
        let axes = shape("patch_embeddings.projection.weight");
        // Without the family's name others have it too: pictures have no positions in time, and patches of two axes.
        let is_own = !prefix.is_empty() || shape("time_embeddings").is_some() || axes == Some(5);
        axes.is_some() && is_own && checkpoint.info(&format!("{prefix}layers.0.attention.q_proj.weight")).is_none()
    })
}

/// A checkpoint's tensors, without the family's name before theirs.
struct Tensors<'c> {
    checkpoint: &'c Checkpoint,
    prefix: &'static str,
}

impl<'c> Tensors<'c> {
    fn of(checkpoint: &'c Checkpoint) -> Self {
        let is_there = |prefix: &&str| checkpoint.info(&format!("{prefix}{EMBEDDING}")).is_some();
        Self { checkpoint, prefix: ["timesformer.", "vivit.", VIDEOMAE].into_iter().find(is_there).unwrap_or("") }
    }

    fn shape(&self, name: &str) -> Option<&'c [usize]> {
        self.checkpoint.info(&format!("{}{name}", self.prefix)).map(|info| info.shape.as_slice())
    }

    fn layer(&self, layer: usize, name: &str) -> Option<&'c [usize]> {
        self.shape(&format!("encoder.layer.{layer}.{name}"))
    }

    /// Whether the attention of any layer has it.
    fn attends_with(&self, name: &str) -> bool {
        let (first, last) = (format!("{}encoder.layer.", self.prefix), format!(".attention.attention.{name}"));
        self.checkpoint.tensors().any(|(name, _)| name.starts_with(&first) && name.ends_with(&last))
    }

    fn wrong(&self, name: &str, found: Option<&[usize]>, expected: &str) -> Error {
        let found = found.map_or_else(|| "is missing".to_owned(), |shape| format!("has shape {shape:?}"));
        let reason = format!(
            "not a TimeSformer, ViViT or VideoMAE: tensor {:?} {found}; expected {expected}",
            format!("{}{name}", self.prefix)
        );
        Error::Contents { path: self.checkpoint.path().to_owned(), reason }
    }
}

/// The configuration of a checkpoint in this naming.
fn config(checkpoint: &Checkpoint, overrides: &Overrides, hf: &HfConfig) -> Result<Config> {
    let tensors = Tensors::of(checkpoint);
    // What the authors' code keeps with the tensors; the library has nothing like it.
    let published = checkpoint.config().map(PublishedConfig::read).transpose()?;
    let data = published.as_ref().map(|published| &published.data);
    let said = published.as_ref().and_then(|published| published.timesformer.attention_type.as_deref());
    let kind = kind(&tensors, hf.attention_type.as_deref().or(said), hf)?;
    let known = Overrides {
        frames: overrides.frames.or(data.and_then(|data| data.num_frames)),
        crop: overrides.crop.or(data.and_then(|data| data.train_crop_size)),
        ..overrides.clone()
    };
    let (architecture, mut assumed) = architecture(&tensors, hf, &known, kind)?;
    let (usual, mean, std) = match kind {
        Kind::TimeSformerDivided | Kind::TimeSformerJoint if checkpoint.naming() == Some(names::MMACTION) => {
            (TIMESFORMER_RATE, [0.5; 3], [0.5; 3])
        }
        Kind::TimeSformerDivided | Kind::TimeSformerJoint => (TIMESFORMER_RATE, [0.45; 3], [0.225; 3]),
        Kind::Vivit => (VIVIT_RATE, [0.5; 3], [0.5; 3]),
        Kind::VideoMae(_) => (VIDEOMAE_RATE, IMAGENET_MEAN, IMAGENET_STD),
    };
    let mut protocol = overrides.protocol(usual, mean, std);
    protocol = published.as_ref().map_or(protocol, |published| published.protocol(overrides, protocol));
    let labels = hf.labels(architecture.classes)?;
    let is_said = data.is_some_and(|data| data.sampling_rate.is_some());
    assumed.extend(overrides.assumed_rate(&protocol).filter(|_| !is_said));
    Ok(Config { network: Box::new(architecture), protocol, labels, assumed })
}

/// Whether it is a VideoMAE, where patches have three axes: a ViViT has positions and a class token.
fn is_videomae(tensors: &Tensors<'_>) -> bool {
    let has_positions = tensors.shape(POSITIONS).is_some() || tensors.shape("embeddings.cls_token").is_some();
    tensors.prefix == VIDEOMAE || (tensors.prefix.is_empty() && !has_positions)
}

/// The class of its processor.
fn processor(tensors: &Tensors<'_>) -> &'static str {
    match tensors.shape(EMBEDDING) {
        Some([_, _, _, _, _]) if is_videomae(tensors) => "VideoMAE",
        Some([_, _, _, _, _]) => "Vivit",
        _ => "Timesformer",
    }
}

/// Which network it is, and what attends to what.
fn kind(tensors: &Tensors<'_>, attention_type: Option<&str>, hf: &HfConfig) -> Result<Kind> {
    let shown = match tensors.shape(EMBEDDING) {
        Some([_, _, _, _, _]) if is_videomae(tensors) => Kind::VideoMae(pooling(tensors, hf)?),
        Some([_, _, _, _, _]) => Kind::Vivit,
        _ if tensors.layer(0, "temporal_dense.weight").is_some() => Kind::TimeSformerDivided,
        _ => Kind::TimeSformerJoint,
    };
    hf.is_of(shown.family())?;
    let attention = match shown {
        Kind::Vivit | Kind::VideoMae(_) => return Ok(shown),
        Kind::TimeSformerDivided => "divided_space_time",
        Kind::TimeSformerJoint => "joint_space_time",
    };
    if attention_type == Some("space_only") {
        let expected = "\"divided_space_time\" or \"joint_space_time\": attention within frames alone is not there".to_owned();
        return Err(Error::Metadata { key: "attention_type", found: "\"space_only\"".to_owned(), expected });
    }
    same("attention_type", attention_type, attention)?;
    Ok(shown)
}

/// What a VideoMAE classifies: the mean of all tokens, unless there is a final norm. Where there are the norms of both, the description decides.
fn pooling(tensors: &Tensors<'_>, hf: &HfConfig) -> Result<Pooling> {
    let has_final_norm = tensors.shape("layernorm.weight").is_some();
    let takes_mean = match (has_final_norm && tensors.checkpoint.info("fc_norm.weight").is_some(), hf.use_mean_pooling) {
        (false, said) => same("use_mean_pooling", said, !has_final_norm)?,
        (true, Some(said)) => said,
        (true, None) => {
            let reason = "it has both \"layernorm.weight\", of the first token, and \"fc_norm.weight\", of the mean; \
                          \"use_mean_pooling\" in a config.json says which counts";
            return Err(Error::Contents { path: tensors.checkpoint.path().to_owned(), reason: reason.to_owned() });
        }
    };
    Ok(if takes_mean { Pooling::Mean } else { Pooling::First })
}

/// Which projections to queries, keys and values have biases. Of those that belong together one is enough: the others are missing then.
fn qkv_bias(tensors: &Tensors<'_>, hf: &HfConfig, kind: Kind) -> Result<QkvBias> {
    let has = |names: &[&str]| names.iter().any(|name| tensors.attends_with(name));
    let shown = match kind {
        Kind::TimeSformerDivided | Kind::TimeSformerJoint if has(&["qkv.bias"]) => QkvBias::All,
        Kind::VideoMae(_) if has(&["q_bias", "v_bias"]) => QkvBias::Published,
        Kind::Vivit | Kind::VideoMae(_) if has(&["key.bias"]) => QkvBias::All,
        Kind::VideoMae(_) if has(&["query.bias", "value.bias"]) => QkvBias::QueryAndValue,
        Kind::Vivit if has(&["query.bias", "value.bias"]) => QkvBias::All,
        _ => QkvBias::None,
    };
    same("qkv_bias", hf.qkv_bias, shown != QkvBias::None)?;
    same("qv_bias", hf.qv_bias, shown != QkvBias::None)?;
    Ok(shown)
}

/// The structure, and what of it nothing says.
fn architecture(tensors: &Tensors<'_>, hf: &HfConfig, overrides: &Overrides, kind: Kind) -> Result<(Architecture, Vec<String>)> {
    let (channels, patch) = embedding(tensors, hf, kind)?;
    let hidden = match tensors.layer(0, "intermediate.dense.weight") {
        Some(&[hidden, _]) => size(hidden),
        found => return Err(tensors.wrong("encoder.layer.0.intermediate.dense.weight", found, "[hidden, channels]")),
    };
    let depth = (0..).take_while(|&layer| tensors.layer(layer, "layernorm_before.weight").is_some()).count();
    let mut assumed = Vec::new();
    let mut heads = agreed("heads", overrides.heads, hf.num_attention_heads, u32::to_string)?;
    if heads.is_none() && matches!(kind, Kind::TimeSformerDivided | Kind::TimeSformerJoint) && channels == PUBLISHED.0 {
        assumed.push(format!("{} attention heads, as all published TimeSformers have (--heads)", PUBLISHED.1));
        heads = Some(PUBLISHED.1);
    }
    let classes = match tensors.checkpoint.info("classifier.weight").map(|info| info.shape.as_slice()) {
        None => None,
        Some(&[classes, _]) => Some(size(classes)),
        found => return Err(tensors.wrong("classifier.weight", found, "[classes, channels]")),
    };
    let [frames, height, width] = clip(tensors, hf, overrides, (kind, patch))?;
    // As the library has it for each.
    let usual = if kind == Kind::Vivit { Activation::GeluFast } else { Activation::Gelu };
    let architecture = Architecture {
        kind,
        has_family_names: !tensors.prefix.is_empty(),
        frames,
        height,
        width,
        patch,
        channels: same("hidden_size", hf.hidden_size, channels)?,
        heads: heads.ok_or_else(|| unspecified("heads", "how many attention heads there are"))?,
        depth: same("num_hidden_layers", hf.num_hidden_layers, size(depth))?,
        hidden: same("intermediate_size", hf.intermediate_size, hidden)?,
        activation: hf.activation(usual)?,
        epsilon: hf.epsilon(if matches!(kind, Kind::VideoMae(_)) { 1e-12 } else { 1e-6 })?,
        qkv_bias: qkv_bias(tensors, hf, kind)?,
        classes: classes.map(|classes| same("num_labels", hf.num_labels, classes)).transpose()?,
    };
    Ok((architecture, assumed))
}

/// Channels, and the size of patches.
fn embedding(tensors: &Tensors<'_>, hf: &HfConfig, kind: Kind) -> Result<(u32, [u32; 3])> {
    let (channels, colours, patch) = match tensors.shape(EMBEDDING) {
        Some(&[channels, colours, depth, height, width]) => (channels, colours, [depth, height, width].map(size)),
        Some(&[channels, colours, height, width]) => (channels, colours, [1, size(height), size(width)]),
        found => return Err(tensors.wrong(EMBEDDING, found, "[channels, 3, (frames,) height, width]")),
    };
    same("num_channels", hf.num_channels, 3)?;
    if colours != 3 {
        return Err(tensors.wrong(EMBEDDING, tensors.shape(EMBEDDING), "three colours"));
    }
    if let Some(said) = &hf.tubelet_size {
        match kind {
            Kind::Vivit => same("tubelet_size", Some(said.axes("tubelet_size")?), patch).map(drop)?,
            Kind::VideoMae(_) => same("tubelet_size", Some(said.axes("tubelet_size")?), [patch[0]]).map(drop)?,
            Kind::TimeSformerDivided | Kind::TimeSformerJoint => {}
        }
    }
    if kind != Kind::Vivit
        && let Some(said) = &hf.patch_size
    {
        same("patch_size", Some(said.axes::<2>("patch_size")?), [patch[1], patch[2]])?;
    }
    Ok((size(channels), patch))
}

/// Frames, height and width of a VideoMAE's clips, of which its tensors say nothing.
fn described_clip(hf: &HfConfig, overrides: &Overrides, image: Option<[u32; 2]>) -> Result<[u32; 3]> {
    let frames = agreed("frames", overrides.frames, hf.num_frames, u32::to_string)?;
    let crop = agreed("crop", overrides.crop, image.map(|[height, _]| height), u32::to_string)?;
    let frames = frames.ok_or_else(|| unspecified("frames", "how many frames a clip has"))?;
    let crop = crop.ok_or_else(|| unspecified("crop", "height of a clip in pixels"))?;
    let [height, width] = image.unwrap_or([crop; 2]);
    Ok([frames, height, width])
}

/// Frames, height and width of clips: those that positions were trained for, unless something else is wanted.
fn clip(tensors: &Tensors<'_>, hf: &HfConfig, overrides: &Overrides, (kind, patch): (Kind, [u32; 3])) -> Result<[u32; 3]> {
    let image = hf.image_size.as_ref().map(|said| said.axes::<2>("image_size")).transpose()?;
    if let Kind::VideoMae(_) = kind {
        return described_clip(hf, overrides, image);
    }
    let rows = match tensors.shape(POSITIONS) {
        Some(&[1, rows, _]) if rows > 1 => size(rows - 1),
        found => return Err(tensors.wrong(POSITIONS, found, "[1, 1 + patches, channels]")),
    };
    let divided = |size: u32, part: u32| size.checked_div(part).unwrap_or(0);
    if kind == Kind::Vivit {
        let frames = agreed("frames", overrides.frames, hf.num_frames, u32::to_string)?.unwrap_or(32);
        agreed("crop", overrides.crop, image.map(|[height, _]| height), u32::to_string)?;
        let [height, width] = image.unwrap_or([overrides.crop.unwrap_or(224); 2]);
        let patches = [divided(frames, patch[0]), divided(height, patch[1]), divided(width, patch[2])];
        let patches = patches.iter().fold(1u32, |all, &size| all.saturating_mul(size));
        if patches != rows && image.is_none() && hf.num_frames.is_none() {
            return Err(match (overrides.frames, overrides.crop) {
                (None, _) => {
                    unspecified("frames", "how many frames a clip has: with --crop they make the patches that positions are for")
                }
                (Some(_), None) => {
                    unspecified("crop", "height of a clip: with --frames it makes the patches that positions are for")
                }
                (Some(frames), Some(crop)) => {
                    let (given, expected) = (format!("{frames} of {crop} x {crop} pixels"), format!("{rows} patches of them"));
                    Error::Argument { what: "frames and crop", given, expected }
                }
            });
        }
        same("num_frames and image_size, by the patches that they make", Some(patches), rows)?;
        return Ok([frames, height, width]);
    }
    let side = square_root(rows as usize).map(|side| side.saturating_mul(patch[1]));
    if let Some([height, width]) = image {
        let patches = divided(height, patch[1]).saturating_mul(divided(width, patch[2]));
        same("image_size, by the patches that it makes", Some(patches), rows)?;
    }
    let [height, width] = match (overrides.crop, image, side) {
        (Some(crop), ..) => [crop; 2],
        (None, Some(image), _) => image,
        (None, None, Some(side)) => [side; 2],
        (None, None, None) => return Err(unspecified("crop", "height of a clip in pixels")),
    };
    let times = match tensors.shape("embeddings.time_embeddings") {
        Some(&[1, times, _]) => size(times),
        found => return Err(tensors.wrong("embeddings.time_embeddings", found, "[1, frames, channels]")),
    };
    same("num_frames", hf.num_frames, times)?;
    Ok([overrides.frames.unwrap_or(times), height, width])
}
