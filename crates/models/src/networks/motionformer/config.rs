//! The published code's Motionformers: what `cfg`, tensors and caller say of them.

use orthoformer::kernel::Activation;
use orthoformer::ops::TemporalValue;
use orthoformer::ops::approximation::{
    Approximation, Candidates, Criterion, FeatureProjection, Greedy, Nystrom, Performer, Prototypes, Selection,
};
use orthoformer::{Error, Result};

use super::cfg::PublishedConfig;
use super::shapes::Shapes;
use super::{Architecture, BlockAttention, Head, Preset};
use crate::checkpoint::Checkpoint;
use crate::config::{Config, Overrides, Protocol, agreed, assumed_side, needless, unspecified};
use crate::networks::Reader;

/// Projections that the published code's Performer attention draws.
const PUBLISHED_FEATURES: u32 = 256;
/// Iterations of the published code's pseudo-inverse.
const PUBLISHED_ITERATIONS: u32 = 6;

/// Of Motionformers.
pub(in crate::networks) const READER: Reader = Reader {
    kinds: &[("motionformer", "Motionformer")],
    landmarks: &["patch_embed.proj.weight", "patch_embed_3d.proj.weight"],
    recognise,
    read: config,
    processor: |_| None,
    has_presets: true,
};

/// Whether a checkpoint has names that only a Motionformer's has beside those of all transformers of pictures. One of them is enough: what is missing is said by whoever reads
/// on.
fn recognise(checkpoint: &Checkpoint) -> bool {
    let own = [
        "temp_embed",
        "st_embed",
        "patch_embed_3d.proj.weight",
        "blocks.0.attn.proj_q.weight",
        "blocks.0.timeattn.qkv.weight",
        "pre_logits.fc.weight",
    ];
    own.iter().any(|name| checkpoint.info(name).is_some())
}

/// The configuration of a checkpoint's Motionformer.
fn config(checkpoint: &Checkpoint, overrides: &Overrides) -> Result<Config> {
    let (architecture, protocol) = read(checkpoint, overrides)?;
    let mut assumed = Vec::new();
    if checkpoint.config().is_none() && overrides.preset.is_none() {
        assumed.extend(overrides.crop.is_none().then(|| assumed_side(architecture.crop)));
        assumed.extend(overrides.assumed_rate(&protocol));
    }
    Ok(Config { network: Box::new(architecture), protocol, labels: None, assumed })
}

/// The structure and the clips of a checkpoint's Motionformer.
fn read(checkpoint: &Checkpoint, overrides: &Overrides) -> Result<(Architecture, Protocol)> {
    let shapes = Shapes::of(checkpoint)?;
    let published = checkpoint.config().map(PublishedConfig::read).transpose()?.unwrap_or_default();
    if let Some(name) = published.model.model_name.as_deref().filter(|name| *name != "VisionTransformer") {
        let expected = "\"VisionTransformer\", as Motionformer is called there".to_owned();
        return Err(Error::Metadata { key: "MODEL.MODEL_NAME", found: format!("{name:?}"), expected });
    }
    if let Some(preset) = overrides.preset {
        let (like, own) = (preset.architecture(), [shapes.channels, shapes.depth]);
        if [like.channels, like.depth] != own {
            let expected = format!("a network of {} channels in {} blocks, as this one is", own[0], own[1]);
            return Err(Error::Argument { what: "preset", given: preset.name().to_owned(), expected });
        }
    }
    let sources = Sources { shapes, published, overrides };
    Ok((sources.architecture()?, sources.protocol()))
}

/// Everything that is known about a network.
struct Sources<'k> {
    shapes: Shapes,
    published: PublishedConfig,
    overrides: &'k Overrides,
}

impl Sources<'_> {
    fn preset(&self) -> Option<Architecture> {
        self.overrides.preset.map(Preset::architecture)
    }

    fn architecture(&self) -> Result<Architecture> {
        let (shapes, vit, data, preset) = (&self.shapes, &self.published.vit, &self.published.data, self.preset());
        let of_preset = |field: fn(&Architecture) -> u32| preset.as_ref().map(field);
        let heads = agreed("heads", self.overrides.heads, vit.num_heads, u32::to_string)?.or(of_preset(|preset| preset.heads));
        let patch_depth = vit.patch_size_temp.unwrap_or(shapes.patch_depth);
        let frames = self.overrides.frames.or(data.num_frames);
        let frames = frames.or(shapes.frames.and_then(|frames| frames.checked_mul(patch_depth)));
        let crop = self.overrides.crop.or(data.train_crop_size).or(of_preset(|preset| preset.crop));
        let crop = crop.or(shapes.side.and_then(|side| side.checked_mul(shapes.patch)));
        let heads = heads.ok_or_else(|| unspecified("heads", "how many attention heads there are"))?;
        let attention = self.attention()?;
        Ok(Architecture {
            frames: frames.ok_or_else(|| unspecified("frames", "how many frames a clip has"))?,
            crop: crop.ok_or_else(|| unspecified("crop", "height of a clip in pixels"))?,
            patch: vit.patch_size.unwrap_or(shapes.patch),
            patch_depth,
            channels: shapes.channels,
            heads,
            depth: shapes.depth,
            hidden: shapes.hidden,
            attention,
            approximation: self.approximation(attention)?,
            qkv_bias: shapes.qkv_bias,
            head: Head { hidden: self.head_activation()?, classes: shapes.classes.clone() },
        })
    }

    fn attention(&self) -> Result<BlockAttention> {
        let (shapes, vit) = (&self.shapes, &self.published.vit);
        let by_shapes = match (shapes.has_time_attention, shapes.has_second_queries) {
            (true, _) => "divided",
            (false, true) => "trajectory",
            (false, false) => "joint",
        };
        if let Some(said) = vit.attn_layer.as_deref().filter(|said| *said != by_shapes) {
            let expected = format!("{by_shapes:?}, as the tensors are those of {by_shapes} attention");
            return Err(Error::Metadata { key: "VIT.ATTN_LAYER", found: format!("{said:?}"), expected });
        }
        // The switch came after the first checkpoints, which the published code goes on to take for what it was before.
        let is_published = vit.attn_layer.is_some();
        let published = vit.use_original_traj_attn_code.or(is_published.then_some(true)).map(|original| match original {
            true => TemporalValue::Identity,
            false => TemporalValue::Projected,
        });
        let preset = self.preset().and_then(|preset| match preset.attention {
            BlockAttention::Trajectory(value) => Some(value),
            _ => None,
        });
        if let (Some(value), true) = (self.overrides.temporal_value, by_shapes != "trajectory") {
            return Err(needless("temporal value", value.name(), "trajectory attention"));
        }
        Ok(match by_shapes {
            "divided" => BlockAttention::Divided,
            "joint" => BlockAttention::Joint,
            _ => {
                let said = vit.use_original_traj_attn_code.and(published);
                agreed("temporal value", self.overrides.temporal_value, said, |value| value.name().to_owned())?;
                let value = self.overrides.temporal_value.or(published).or(preset);
                let what = "`identity`, as the authors' checkpoints were trained, or `projected`";
                BlockAttention::Trajectory(value.ok_or_else(|| unspecified("temporal value", what))?)
            }
        })
    }

    fn head_activation(&self) -> Result<Option<Activation>> {
        if !self.shapes.has_hidden_head {
            return match self.overrides.head_activation {
                Some(activation) => Err(needless("head activation", activation.name(), "a head with a hidden layer")),
                None => Ok(None),
            };
        }
        // The published code takes whatever is neither tanh nor gelu for relu.
        let published = self.published.vit.head_act.as_deref().map(|said| match said {
            "tanh" => Activation::Tanh,
            "gelu" => Activation::Gelu,
            _ => Activation::Relu,
        });
        let preset = self.preset().and_then(|preset| preset.head.hidden);
        let activation =
            agreed("head activation", self.overrides.head_activation, published, |said| said.name().to_owned())?.or(preset);
        activation
            .map(Some)
            .ok_or_else(|| unspecified("head activation", "`tanh`, as the authors' checkpoints have, `gelu` or `relu`"))
    }

    fn approximation(&self, attention: BlockAttention) -> Result<Approximation> {
        let is_trajectory = matches!(attention, BlockAttention::Trajectory(_));
        match &self.overrides.approximation {
            Some(approximation) if is_trajectory || *approximation == Approximation::Exact => return Ok(approximation.clone()),
            Some(approximation) => return Err(needless("approximation", &approximation.to_string(), "trajectory attention")),
            // The published code has approximations of trajectories only.
            None if !is_trajectory => return Ok(Approximation::Exact),
            None => {}
        }
        let vit = &self.published.vit;
        let count = vit.approx_attn_dim.unwrap_or(128);
        Ok(match vit.approx_attn_type.as_deref().unwrap_or("none") {
            "none" | "" => Approximation::Exact,
            // The published code draws the first one; the first of all is as good, and the same every time.
            "orthoformer" => {
                let greedy = Greedy { criterion: Criterion::Max, start: Some(vec![0]), ..Greedy::default() };
                let selection = Selection::Greedy(greedy);
                let candidates = Candidates::Queries;
                Approximation::Orthoformer(Prototypes { count, candidates, selection, per_frame: false })
            }
            "nystrom" => Approximation::Nystrom(Nystrom { landmarks: count, iterations: PUBLISHED_ITERATIONS }),
            "performer" => Approximation::Performer(Performer {
                features: PUBLISHED_FEATURES,
                projection: FeatureProjection::Drawn { seed: 0 },
            }),
            other => {
                let expected = "one of \"none\", \"orthoformer\", \"nystrom\", \"performer\"".to_owned();
                return Err(Error::Metadata { key: "VIT.APPROX_ATTN_TYPE", found: format!("{other:?}"), expected });
            }
        })
    }

    fn protocol(&self) -> Protocol {
        let usual = self.overrides.preset.map_or_else(Protocol::default, |preset| preset.config().protocol);
        self.published.protocol(self.overrides, usual)
    }
}
