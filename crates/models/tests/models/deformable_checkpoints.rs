//! Deformable Video Transformers from checkpoints in their documented format.

use std::path::Path;

use orthoformer::compare::{Tolerance, compare};
use orthoformer::plan::{Element, Role};
use orthoformer::{PlanLimits, Tensor};
use orthoformer_models::NetworkOutputs;
use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::networks::deformable::{Architecture, AttentionSpec, Fusion, Logits, MotionSource, MultiScale, plan};
use orthoformer_models::{Config, Model, Overrides, Placed, check};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use support::{engine, numbers};

fn architecture(logits: Logits, scales: Option<MultiScale>) -> Architecture {
    Architecture {
        frames: 4,
        crop: 32,
        patch: 8,
        patch_depth: 1,
        channels: 24,
        depth: 2,
        hidden: 40,
        sub_clip: 2,
        attention: AttentionSpec { heads: 3, samples: 2, logits, qkv_bias: true, scales },
        motion: MotionSource::Blocks { radius: 3, mean: [0.45; 3], deviation: [0.225; 3] },
        classes: 5,
    }
}

/// A checkpoint of drawn weights.
fn bare(a: &Architecture) -> Checkpoint {
    let plan = plan(a, 1, &NetworkOutputs::LOGITS, PlanLimits::default()).expect("plans");
    let weights =
        plan.buffers().iter().filter(|spec| spec.role == Role::Input && spec.name != "clip" && spec.name != "positions");
    let shapes = weights.map(|spec| (spec.name.clone(), spec.shape.iter().map(|&size| size as usize).collect::<Vec<_>>()));
    let (frames, places, c) = ((a.frames / a.patch_depth) as usize, ((a.crop / a.patch) as usize).pow(2), a.channels as usize);
    let positions = [("pos_embed", vec![1, places, c]), ("time_embed", vec![1, frames, c]), ("patch_embed.proj.bias", vec![c])];
    let all: Vec<(String, Vec<usize>)> = shapes.chain(positions.map(|(name, shape)| (name.to_owned(), shape))).collect();
    let drawn: Vec<Vec<f32>> =
        all.iter().zip(90..).map(|((_, shape), seed)| numbers(seed, shape.iter().product(), 0.2)).collect();
    let views = all.iter().zip(&drawn).map(|((name, shape), numbers)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(numbers)).expect("matches"))
    });
    let bytes = safetensors::serialize(views, None).expect("serialises");
    Checkpoint::parse(Path::new("DRAWN"), bytes).expect("good")
}

/// The same with what describes it.
fn checkpoint(a: &Architecture, description: &Value) -> Checkpoint {
    bare(a).described(description.to_string())
}

fn description() -> Value {
    json!({
        "model_type": "deformable_video_transformer", "image_size": 32, "num_frames": 4, "patch_size": [1, 8, 8], "hidden_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40, "num_labels": 5, "sub_clip": 2, "samples": 2,
        "motion_window": 3,
    })
}

#[test]
fn networks_are_what_their_checkpoints_say_and_run() {
    let strides = vec![[1, 1, 1], [1, 2, 2]];
    let motion = Logits::Motion { hidden: 6 };
    let scales = |fusion| Some(MultiScale { strides: strides.clone(), fusion });
    for (logits, scales, more) in [
        (motion, None, json!({"logits": "motion", "motion_hidden_size": 6})),
        (Logits::Dot, None, json!({"logits": "dot"})),
        (motion, scales(Fusion::Mlp), json!({"scales": strides, "fusion": "mlp"})),
        (Logits::Dot, scales(Fusion::Mixer), json!({"scales": strides, "fusion": "mixer"})),
    ] {
        let expected = architecture(logits, scales);
        let mut described = description();
        described.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
        let checkpoint = checkpoint(&expected, &described);
        let config = Config::of(&checkpoint, &Overrides::default()).expect("says everything");
        assert_eq!(config.network.downcast_ref(), Some(&expected));
        assert_eq!(check(&checkpoint, &config).expect("fits").unused, Vec::<String>::new());
        let pixels = numbers(61, 2 * 3 * 4 * 32 * 32, 1.0).into_iter();
        let whole = pixels.map(|number| (((number + 1.0) * 127.0).round() / 255.0 - 0.45) / 0.225).collect();
        let clips = Tensor::new(vec![2, 3, 4, 32, 32], whole).expect("all of them");
        let again = self::checkpoint(&expected, &described);
        let gpu = Model::new(Placed::Gpu(engine()), checkpoint, config.clone(), Element::F32).expect("fits");
        let reference = Model::new(Placed::Reference, again, config, Element::F32).expect("fits");
        let (found, right) = (gpu.forward(&clips).expect("runs"), reference.forward(&clips).expect("runs"));
        let outcome = compare(&found[0], &right[0], Tolerance::NETWORK);
        assert!(outcome.passed(), "{described}: {outcome:?}");
        assert_ne!(found[0].data()[..5], found[0].data()[5..], "two clips, two answers");
    }
}

#[test]
fn descriptions_that_contradict_are_refused() {
    let expected = architecture(Logits::Motion { hidden: 6 }, None);
    for (key, value, wanted) in [
        ("hidden_size", json!(25), "\"hidden_size\" is 25; expected 24"),
        ("num_frames", json!(8), "\"num_frames\" is 8; expected 4"),
        ("image_size", json!(64), "\"image_size\" is [64, 64]; expected [32, 32]"),
        ("sub_clip", json!(3), "frames is 4, which is not a multiple of frames of a sub-clip = 3"),
        ("sub_clip", json!(0), "frames of a sub-clip is 0"),
        ("samples", json!(3), "\"samples\" is 3; expected 2"),
        ("num_attention_heads", json!(2), "\"num_attention_heads\" is 2; expected 3"),
        ("logits", json!("dot"), "\"logits\" is \"dot\"; expected \"motion\""),
        ("motion_hidden_size", json!(7), "\"motion_hidden_size\" is 7; expected 6"),
        ("motion_window", json!(0), "farthest motion, pixels is 0"),
        ("motion_window", json!(100_000), "farthest motion, pixels is 100000"),
        ("scales", json!([[1, 1, 1]]), "\"scales\" is [[1, 1, 1]]; expected nothing"),
        ("qkv_bias", json!(false), "\"qkv_bias\" is false; expected true"),
        ("model_type", json!("timesformer"), "\"model_type\" is \"timesformer\""),
        ("image_std", json!([0.2, 0.2]), "its config.json: image_std: invalid length 2"),
        ("image_std", json!([0.2, 0.0, 0.2]), "\"image_std\" is [0.2, 0.0, 0.2]; expected finite numbers above zero"),
        ("image_mean", json!([1e39, 0.0, 0.2]), "\"image_mean\" is [inf, 0.0, 0.2]; expected finite numbers"),
    ] {
        let mut described = description();
        described[key] = value;
        let checkpoint = checkpoint(&expected, &described);
        let found = Config::of(&checkpoint, &Overrides::default()).and_then(|config| check(&checkpoint, &config));
        let found = found.expect_err("refused").to_string();
        assert!(found.contains(wanted), "{key}: {found}");
    }
}

#[test]
fn what_is_taken_for_granted_without_a_description_is_said() {
    let mut expected = architecture(Logits::Motion { hidden: 6 }, None);
    let whole = Config::of(&checkpoint(&expected, &description()), &Overrides::default()).expect("says everything");
    assert_eq!(whole.assumed.len(), 1, "the sampling rate: {:?}", whole.assumed);
    let config = Config::of(&bare(&expected), &Overrides::default()).expect("tensors say the rest");
    assert!(config.assumed.iter().any(|said| said.contains("sub-clips of 4")), "{:?}", config.assumed);
    assert_eq!(config.assumed.len(), 4, "{:?}", config.assumed);
    (expected.sub_clip, expected.motion) = (4, MotionSource::Blocks { radius: 8, mean: [0.45; 3], deviation: [0.225; 3] });
    assert_eq!(config.network.downcast_ref(), Some(&expected));
}
