//! Motionformer-B in its full size, with random weights in the published names, from a file to probabilities.

use std::collections::HashMap;
use std::path::Path;

use half::f16;
use orthoformer::plan::Role;
use orthoformer::{Plan, PlanLimits};
use orthoformer_models::NetworkOutputs;
use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::{Config, Model, Overrides, classify};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView};
use support::engine;

/// What the published configuration says, as far as it matters here.
const CFG: &str = "
DATA: {NUM_FRAMES: 16, SAMPLING_RATE: 4, TARGET_FPS: 30, TRAIN_CROP_SIZE: 224, MEAN: [0.5, 0.5, 0.5], STD: [0.5, 0.5, 0.5]}
MODEL: {MODEL_NAME: VisionTransformer, NUM_CLASSES: 400}
VIT: {ATTN_LAYER: trajectory, HEAD_ACT: tanh, NUM_HEADS: 12, PATCH_SIZE: 16, PATCH_SIZE_TEMP: 2, USE_ORIGINAL_TRAJ_ATTN_CODE: true}
";

/// The names and shapes of the published checkpoints.
fn published() -> Vec<(String, Vec<usize>)> {
    let (c, hidden) = (768, 3072);
    let mut tensors: Vec<(String, Vec<usize>)> = [
        ("cls_token", vec![1, 1, c]),
        ("pos_embed", vec![1, 197, c]),
        ("temp_embed", vec![1, 8, c]),
        ("patch_embed.proj.weight", vec![c, 3, 16, 16]),
        ("patch_embed.proj.bias", vec![c]),
        ("patch_embed_3d.proj.weight", vec![c, 3, 2, 16, 16]),
        ("patch_embed_3d.proj.bias", vec![c]),
        ("norm.weight", vec![c]),
        ("norm.bias", vec![c]),
        ("pre_logits.fc.weight", vec![c, c]),
        ("pre_logits.fc.bias", vec![c]),
        ("head.weight", vec![400, c]),
        ("head.bias", vec![400]),
    ]
    .map(|(name, shape)| (name.to_owned(), shape))
    .to_vec();
    let linear = |name: &str, outputs, inputs| {
        [(format!("{name}.weight"), vec![outputs, inputs]), (format!("{name}.bias"), vec![outputs])]
    };
    for block in (0..12).map(|number| format!("blocks.{number}")) {
        for norm in ["norm1", "norm2"] {
            tensors.extend(["weight", "bias"].map(|part| (format!("{block}.{norm}.{part}"), vec![c])));
        }
        for (name, outputs, inputs) in [
            ("attn.qkv", 3 * c, c),
            ("attn.proj_q", c, c),
            ("attn.proj_kv", 2 * c, c),
            ("attn.proj", c, c),
            ("mlp.fc1", hidden, c),
            ("mlp.fc2", c, hidden),
        ] {
            tensors.extend(linear(&format!("{block}.{name}"), outputs, inputs));
        }
    }
    tensors
}

/// Writes a checkpoint of random float16 weights, as the published code starts them: 0.02 wide, norms at one.
fn write(path: &Path) {
    let mut random = ChaCha8Rng::seed_from_u64(60);
    let tensors: Vec<(String, Vec<usize>, Vec<f16>)> = published()
        .into_iter()
        .map(|(name, shape)| {
            let count = shape.iter().product();
            let is_scale = name.contains("norm") && name.ends_with("weight");
            let mut number = || if is_scale { 1.0 } else { random.random_range(-0.035f32..0.035) };
            let numbers = (0..count).map(|_| f16::from_f32(number())).collect();
            (name, shape, numbers)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, numbers)| {
        let view = TensorView::new(Dtype::F16, shape.clone(), bytemuck::cast_slice(numbers));
        (name, view.expect("matches"))
    });
    let metadata = HashMap::from([("cfg".to_owned(), CFG.to_owned())]);
    safetensors::serialize_to_file(views, Some(metadata), path).expect("written");
}

fn weight_bytes(plan: &Plan) -> u64 {
    plan.buffers().iter().filter(|spec| spec.role == Role::Input).map(orthoformer::plan::BufferSpec::bytes).sum()
}

#[test]
fn motionformer_b_classifies_a_clip() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("motionformer-b.safetensors");
    write(&path);
    let checkpoint = Checkpoint::open(&path).expect("just written");
    let config = Config::of(&checkpoint, &Overrides::default()).expect("says everything");
    let plan = config.network.plan(1, &NetworkOutputs::LOGITS, PlanLimits::default()).expect("plans");
    drop(checkpoint);
    let network = Model::load(engine(), &path).expect("loads");
    let clip = support::shipped("clips/ball.mp4");
    let views = "1x1".parse().expect("views");
    let start = std::time::Instant::now();
    let mut found = Vec::new();
    assert!(classify(&network, &[clip], (views, 1), None, &mut found).expect("runs").is_continue());
    println!("a view of Motionformer-B: {:.1} s with compilation", start.elapsed().as_secs_f64());
    assert!(found[0].watched.failure.is_none(), "{:?}", found[0].watched);
    let probabilities = found[0].heads[0].probabilities();
    assert_eq!(probabilities.len(), 400);
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    let top = found[0].heads[0].top(400);
    assert!(top[0].1 > top[399].1, "not all alike: {top:?}");
    // Weights once, and what a clip needs beside them: far less than the scores of one layer of all heads, twice over.
    let beside = network.device_bytes() - weight_bytes(&plan);
    assert!(beside < 150_000_000, "{beside} bytes beside the weights");
}
