//! The published networks, in their full sizes.

use orthoformer::kernel::Activation;
use orthoformer::{Plan, PlanLimits, Result};
use orthoformer_models::Preset;
use orthoformer_models::networks::perceiver::{self, Decoder, Layer, Pixels};
use orthoformer_models::networks::swin::{self, Dimensions};
use orthoformer_models::networks::vit::{self, Kind, Pooling, QkvBias};
use orthoformer_models::networks::vjepa2::{self, Classifier};
use orthoformer_models::networks::{Features, Network, NetworkOutputs};

/// The plans of all of them for a clip, with their names.
///
/// # Errors
/// Those of planning.
pub fn all() -> Result<Vec<(String, Plan)>> {
    let motionformers = Preset::ALL.map(|preset| (preset.name(), Box::new(preset.architecture()) as Box<dyn Network>));
    let vits = vits().map(|(name, architecture)| (name, Box::new(architecture) as Box<dyn Network>));
    let swins = swins().map(|(name, architecture)| (name, Box::new(architecture) as Box<dyn Network>));
    let jepas = jepas().map(|(name, architecture)| (name, Box::new(architecture) as Box<dyn Network>));
    let perceiver = ("perceiver-imagenet", Box::new(perceiver()) as Box<dyn Network>);
    let networks = motionformers.into_iter().chain(vits).chain(swins).chain(jepas).chain([perceiver]);
    let plan = |(name, network): (&str, Box<dyn Network>)| {
        let outputs = match network.logits().is_empty() {
            true => NetworkOutputs { features: Some(Features::Final), ..NetworkOutputs::NOTHING },
            false => NetworkOutputs::LOGITS,
        };
        Ok((name.to_owned(), network.plan(1, &outputs, PlanLimits::default())?))
    };
    networks.map(plan).collect()
}

fn vits() -> [(&'static str, vit::Architecture); 5] {
    let base = vit::Architecture {
        kind: Kind::VideoMae(Pooling::Mean),
        has_family_names: true,
        frames: 16,
        height: 224,
        width: 224,
        patch: [2, 16, 16],
        channels: 768,
        heads: 12,
        depth: 1,
        hidden: 3072,
        activation: Activation::Gelu,
        epsilon: 1e-12,
        qkv_bias: QkvBias::Published,
        classes: Some(400),
    };
    let plain = vit::Architecture { qkv_bias: QkvBias::All, ..base.clone() };
    let timesformer = vit::Architecture { frames: 8, patch: [1, 16, 16], ..plain.clone() };
    [
        ("timesformer-divided", vit::Architecture { kind: Kind::TimeSformerDivided, ..timesformer.clone() }),
        ("timesformer-joint", vit::Architecture { kind: Kind::TimeSformerJoint, ..timesformer }),
        ("vivit-b", vit::Architecture { kind: Kind::Vivit, frames: 32, ..plain }),
        ("videomae-h", vit::Architecture { channels: 1280, heads: 16, hidden: 5120, ..base.clone() }),
        ("videomae-b", base),
    ]
}

fn swins() -> [(&'static str, swin::Architecture); 2] {
    let video = swin::Architecture {
        dimensions: Dimensions::Three,
        frames: 16,
        height: 224,
        width: 224,
        patch: [2, 4, 4],
        channels: 96,
        depths: vec![2, 2, 6, 2],
        heads: vec![3, 6, 12, 24],
        window: [8, 7, 7],
        hidden: vec![384, 768, 1536, 3072],
        classes: 400,
    };
    let picture = swin::Architecture {
        dimensions: Dimensions::Two,
        frames: 1,
        patch: [1, 4, 4],
        window: [1, 7, 7],
        classes: 1000,
        ..video.clone()
    };
    [("video-swin-t", video), ("swin-t", picture)]
}

fn jepas() -> [(&'static str, vjepa2::Architecture); 2] {
    let large = vjepa2::Architecture {
        has_family_names: true,
        frames: 16,
        crop: 256,
        tubelet: 2,
        patch: 16,
        channels: 1024,
        heads: 16,
        depth: 1,
        hidden: 4096,
        activation: Activation::Gelu,
        epsilon: 1e-6,
        qkv_bias: true,
        classifier: Some(Classifier { layers: 1, classes: 174 }),
    };
    let giant = vjepa2::Architecture { crop: 384, channels: 1408, hidden: 6144, ..large.clone() };
    [("vjepa2-l", large), ("vjepa2-g", giant)]
}

fn perceiver() -> perceiver::Architecture {
    let channels = Pixels::Picture.channels();
    let layer = |heads, keys, values, hidden| Layer { heads, keys, values, hidden, query_residual: true };
    perceiver::Architecture {
        has_family_names: false,
        inputs: Pixels::Picture.inputs(),
        input_channels: channels,
        latents: 512,
        channels: 1024,
        cross: layer(1, channels, channels, 1024),
        own: layer(8, 1024, 1024, 1024),
        blocks: 1,
        layers: 1,
        activation: Activation::Gelu,
        decoder: Some(Decoder { layer: layer(1, 1024, 1024, 1024), classes: 1000 }),
    }
}
