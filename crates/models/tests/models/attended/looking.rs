//! Looking into networks, and the arithmetic that definitions are written in.

use std::path::{Path, PathBuf};

use orthoformer::plan::Element;
use orthoformer::{Tensor, Tensors};
use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::{AttendOptions, Config, Model, Overrides, Placed, PointedPatch};
use orthoformer_video::Clip;
use orthoformer_video::track::Track;
use support::engine;

pub fn shipped(name: &str) -> PathBuf {
    support::shipped(name)
}

/// The middle of the ball's clip, 64 x 48 pixels.
pub const AT: AttendOptions = AttendOptions { at: Some((30.0, 20.0)), frame: 0, block: None, head: None, rollout: None };

/// A patch, what it attends to, and the network and clip that say so.
pub struct Looked {
    pub patch: PointedPatch,
    pub track: Track,
    pub network: Model<'static>,
    /// What the network sees, `[1,3,T,H,W]`.
    pub clip: Tensor,
}

pub fn look(open: impl Fn() -> Checkpoint, known: &Overrides, options: AttendOptions) -> Looked {
    let config = Config::of(&open(), known).expect("says everything");
    let path = shipped("clips/ball.mp4");
    let mut patch = PointedPatch::find(&path, &config, options, |_, _| Ok(())).expect("seen");
    let clip = clip(&path, &config, &patch.frames);
    let network = Model::new(Placed::Gpu(engine()), open(), config, Element::F32).expect("fits");
    let track = patch.attend(&network).expect("attends");
    add_up(&track);
    Looked { patch, track, network, clip }
}

/// The centres of these frames of a clip, normalised.
pub fn clip(path: &Path, config: &Config, frames: &[usize]) -> Tensor {
    let all: Vec<_> = Clip::open(path).expect("a clip").map(|frame| frame.expect("whole")).collect();
    let seen: Vec<_> = frames.iter().map(|&frame| all[frame].clone()).collect();
    config.clips(&[&seen]).expect("large enough")
}

/// Weights of each frame add up to one where it has a share, and shares do.
pub fn add_up(track: &Track) {
    let mut shares = 0.0;
    for sighting in &track.sightings {
        let share = sighting.temporal_weight.expect("a network's");
        assert!(sighting.weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0) && share >= 0.0);
        let sum: f64 = sighting.weights.iter().map(|&weight| f64::from(weight)).sum();
        assert!((sum - if share > 0.0 { 1.0 } else { 0.0 }).abs() < 1e-4, "{sum} of {share}");
        shares += share;
    }
    assert!((shares - 1.0).abs() < 1e-4, "{shares}");
}

/// The weight of every patch of all frames.
pub fn whole(track: &Track) -> Vec<f64> {
    let frame = |sighting: &orthoformer_video::track::Sighting| {
        let share = sighting.temporal_weight.expect("a network's");
        sighting.weights.iter().map(|&weight| f64::from(weight) * share).collect::<Vec<_>>()
    };
    track.sightings.iter().flat_map(frame).collect()
}

pub fn close(found: &[f64], expected: &[f64], within: f64) {
    assert_eq!(found.len(), expected.len());
    for (place, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() < within, "{place}: {a} {b}");
    }
    assert!(expected.iter().any(|&weight| weight > 1.02 / expected.len() as f64), "not all alike");
}

/// Numbers brought to mean zero and variance one, scaled and shifted.
pub fn norm(row: &[f64], learned: &Tensors, name: &str, epsilon: f64) -> Vec<f64> {
    let count = row.len() as f64;
    let mean = row.iter().sum::<f64>() / count;
    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    let [scales, shifts] = ["weight", "bias"].map(|part| learned[&format!("{name}.{part}")].data());
    let scaled = row.iter().map(|x| (x - mean) / (variance + epsilon).sqrt());
    scaled.zip(scales).zip(shifts).map(|((x, &a), &b)| x * f64::from(a) + f64::from(b)).collect()
}

/// `x W' + b`.
pub fn product(row: &[f64], learned: &Tensors, name: &str) -> Vec<f64> {
    let [weight, bias] = ["weight", "bias"].map(|part| learned[&format!("{name}.{part}")].data());
    let of =
        |(weights, &bias): (&[f32], &f32)| f64::from(bias) + weights.iter().zip(row).map(|(&w, x)| f64::from(w) * x).sum::<f64>();
    weight.chunks(row.len()).zip(bias).map(of).collect()
}

pub fn softmax(scores: &[f64]) -> Vec<f64> {
    let peak = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (score - peak).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.iter().map(|power| power / total).collect()
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
