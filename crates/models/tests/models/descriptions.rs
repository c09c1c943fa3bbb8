//! Networks that a `config.json` describes: what contradicts its tensors is named and refused.

use std::path::Path;

use orthoformer::gpu::RunOptions;
use orthoformer::plan::Element;
use orthoformer::{PlanLimits, Tensor};
use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::networks::swin;
use orthoformer_models::{Config, Model, Overrides, Placed, check};
use orthoformer_models::{Features, NetworkOutputs};
use serde_json::{Value, json};
use support::engine;

fn shipped(network: &str) -> std::path::PathBuf {
    support::shipped(&format!("networks/{network}/model.safetensors"))
}

fn open(network: &str) -> Checkpoint {
    Checkpoint::open(&shipped(network)).expect("shipped")
}

/// A shipped network with another entry in its description.
fn described(network: &str, key: &str, value: Value) -> Checkpoint {
    let checkpoint = open(network);
    let mut entries: Value = serde_json::from_str(checkpoint.description().expect("readable").expect("beside it")).expect("JSON");
    entries[key] = value;
    checkpoint.described(entries.to_string())
}

fn refusal(checkpoint: &Checkpoint) -> String {
    let config = Config::of(checkpoint, &Overrides::default());
    config.and_then(|config| check(checkpoint, &config)).expect_err("refused").to_string()
}

#[test]
fn descriptions_that_contradict_their_tensors_are_refused() {
    let (timesformer, vivit) = ("timesformer_divided_space_time", "vivit");
    for (network, key, value, expected) in [
        (timesformer, "hidden_size", json!(64), "\"hidden_size\" is 64; expected 48, as the tensors have it"),
        (timesformer, "num_hidden_layers", json!(3), "\"num_hidden_layers\" is 3; expected 2"),
        (timesformer, "intermediate_size", json!(97), "\"intermediate_size\" is 97; expected 96"),
        (timesformer, "num_frames", json!(8), "\"num_frames\" is 8; expected 4"),
        (timesformer, "image_size", json!(80), "is 25; expected 16"),
        (timesformer, "patch_size", json!([16, 8]), "\"patch_size\" is [16, 8]; expected [16, 16]"),
        (timesformer, "attention_type", json!("joint_space_time"), "expected \"divided_space_time\""),
        (timesformer, "attention_type", json!("space_only"), "\"attention_type\" is \"space_only\""),
        (timesformer, "model_type", json!("vivit"), "\"model_type\" is \"vivit\"; expected \"timesformer\""),
        (timesformer, "hidden_act", json!("swish"), "\"hidden_act\" is \"swish\"; expected \"gelu\" or \"gelu_fast\""),
        (timesformer, "num_attention_heads", json!(5), "channels is 48, which is not a multiple of heads = 5"),
        (timesformer, "num_attention_heads", json!(0), "heads is 0"),
        (timesformer, "num_attention_heads", json!("three"), "its config.json: num_attention_heads: invalid type: string"),
        (timesformer, "num_labels", json!(7), "\"num_labels\" is 7; expected 5"),
        (
            timesformer,
            "id2label",
            json!({"0": "a", "1": "b", "2": "c"}),
            "\"id2label\" is 3 names; expected a name for each class from 0 to 4",
        ),
        (
            vivit,
            "id2label",
            json!({"0": "a", "1": "b", "2": "c", "3": "d", "5": "e"}),
            "\"id2label\" is 5 names; expected a name",
        ),
        (timesformer, "layer_norm_eps", json!(-1.0), "\"layer_norm_eps\" is -1"),
        (timesformer, "num_channels", json!(1), "\"num_channels\" is 1; expected 3"),
        (vivit, "tubelet_size", json!([4, 16, 16]), "\"tubelet_size\" is [4, 16, 16]; expected [2, 16, 16]"),
        (vivit, "tubelet_size", json!([2, 16]), "\"tubelet_size\" is [2, 16]; expected one number, or 3 of them"),
        (vivit, "qkv_bias", json!(false), "\"qkv_bias\" is false; expected true, as the tensors have it"),
        (vivit, "num_frames", json!(8), "is 64; expected 32, as the tensors have it"),
        (vivit, "image_size", json!([64, 64, 64]), "\"image_size\" is [64, 64, 64]; expected one number, or 2 of them"),
    ] {
        let found = refusal(&described(network, key, value));
        assert!(found.contains(expected), "{key}: {found}");
    }
    for (text, expected) in [("{", "its config.json: EOF"), ("[]", "its config.json: invalid type: sequence, expected a map")] {
        let found = refusal(&open(vivit).described(text.to_owned()));
        assert!(found.contains(expected) && found.starts_with(&shipped(vivit).display().to_string()), "{found}");
    }
}

#[test]
fn the_same_for_windows_and_latents() {
    let (swin, video, perceiver) = ("swin", "video_swin", "perceiver");
    for (network, key, value, expected) in [
        (swin, "window_size", json!([0, 5]), "rows of a window is 0"),
        (swin, "window_size", json!([4, 4]), "relative_position_bias_table\" has shape [81, 2]; expected [49, 2]"),
        (swin, "window_size", json!([5, 5, 5]), "\"window_size\" is [5, 5, 5]; expected one number, or 2 of them"),
        (swin, "window_size", json!([-1, 5]), "its config.json: window_size: expected a whole number from 0, or a list of them"),
        (swin, "depths", json!([2, 3]), "\"depths\" is [2, 3]; expected [2, 2]"),
        (swin, "num_heads", json!([2, 2]), "\"num_heads\" is [2, 2]; expected [2, 4]"),
        (swin, "num_heads", json!(12), "\"num_heads\" is [12, 12]; expected [2, 4]"),
        (swin, "embed_dim", json!(96), "\"embed_dim\" is 96; expected 24"),
        (swin, "num_classes", json!(4), "\"num_classes\" is 4; expected 5"),
        (swin, "network", json!("swin3d"), "\"network\" is \"swin3d\"; expected \"swin2d\""),
        (video, "patch_size", json!([1, 4, 4]), "\"patch_size\" is [1, 4, 4]; expected [2, 4, 4]"),
        (video, "window_size", json!([4, 3, 0]), "columns of a window is 0"),
        (video, "window_size", json!([8, 7, 7]), "expected [2535, 2]"),
        (video, "window_size", json!([4_000_000_000_u32, 3, 3]), "frames of a window is 4000000000"),
        (perceiver, "d_latents", json!(64), "\"d_latents\" is 64; expected 48"),
        (perceiver, "d_model", json!(41), "\"d_model\" is 41; expected 40"),
        (perceiver, "num_latents", json!(13), "\"num_latents\" is 13; expected 12"),
        (perceiver, "num_blocks", json!(null), "\"num_blocks\" is missing; expected a number in config.json"),
        (perceiver, "num_blocks", json!(0), "blocks or layers of a block is 0"),
        (perceiver, "num_self_attends_per_block", json!(3), "is 3; expected 2, as the tensors have it"),
        (perceiver, "num_cross_attention_heads", json!(7), "which is not a multiple of heads = 7"),
        (perceiver, "hidden_act", json!("selu"), "\"hidden_act\" is \"selu\""),
        (perceiver, "model_type", json!("bert"), "\"model_type\" is \"bert\"; expected \"perceiver\""),
    ] {
        let found = refusal(&described(network, key, value));
        assert!(found.contains(expected), "{key}: {found}");
    }
}

#[test]
fn one_number_is_that_of_all_axes() {
    let config = |checkpoint: Checkpoint| Config::of(&checkpoint, &Overrides::default()).expect("agrees");
    assert_eq!(config(described("swin", "window_size", json!(5))), config(open("swin")));
    // Keys that only other networks have.
    assert_eq!(config(described("vivit", "num_heads", json!(12))), config(open("vivit")));
}

#[test]
fn the_same_for_rotary_positions() {
    let (network, encoder) = ("vjepa2", "vjepa2_encoder");
    for (network, key, value, expected) in [
        (network, "hidden_size", json!(64), "\"hidden_size\" is 64; expected 28, as the tensors have it"),
        (network, "num_hidden_layers", json!(3), "\"num_hidden_layers\" is 3; expected 2"),
        (network, "num_pooler_layers", json!(3), "\"num_pooler_layers\" is 3; expected 1"),
        (network, "mlp_ratio", json!(4.0), "\"mlp_ratio, by the hidden layer that it makes\" is 112; expected 56"),
        (network, "qkv_bias", json!(false), "\"qkv_bias\" is false; expected true"),
        (network, "patch_size", json!(16), "\"patch_size\" is [16]; expected [8]"),
        (network, "tubelet_size", json!(1), "\"tubelet_size\" is [1]; expected [2]"),
        (network, "tubelet_size", json!([2, 8, 8]), "\"tubelet_size\" is [2, 8, 8]; expected one number"),
        (network, "in_chans", json!(1), "\"in_chans\" is 1; expected 3"),
        (network, "num_attention_heads", json!(3), "channels is 28, which is not a multiple of heads = 3"),
        (network, "num_attention_heads", json!(7), "head size: \"4\" is not valid; expected 6 or more"),
        (network, "crop_size", json!(36), "height and width is 36, which is not a multiple of side of a patch = 8"),
        (network, "frames_per_clip", json!(5), "frames is 5, which is not a multiple of frames of a patch = 2"),
        (network, "frames_per_clip", json!(null), "frames: \"not said by the checkpoint\""),
        (network, "crop_size", json!(null), "crop: \"not said by the checkpoint\""),
        (network, "num_labels", json!(7), "\"num_labels\" is 7; expected 5"),
        (network, "id2label", json!({"0": "a"}), "\"id2label\" is 1 names; expected a name for each class from 0 to 4"),
        (network, "layer_norm_eps", json!(-1.0), "\"layer_norm_eps\" is -1"),
        (network, "hidden_act", json!("swish"), "\"hidden_act\" is \"swish\""),
        (network, "model_type", json!("vivit"), "\"model_type\" is \"vivit\"; expected \"vjepa2\""),
        (encoder, "mlp_ratio", json!(-2.0), "is 0; expected 80"),
    ] {
        let found = refusal(&described(network, key, value));
        assert!(found.contains(expected), "{key}: {found}");
    }
    // Of a network without classifier that counts for nothing, as for the library.
    let checkpoint = described(encoder, "num_pooler_layers", json!(9));
    let config = Config::of(&checkpoint, &Overrides::default()).expect("agrees");
    let inventory = check(&checkpoint, &config).expect("fits");
    assert_eq!((inventory.unused.len(), inventory.left_out), (0, Some(("predictor.".to_owned(), 23))));
    let config = Config::of(&open(network), &Overrides::default()).expect("agrees");
    let inventory = check(&open(network), &config).expect("fits");
    assert_eq!((inventory.unused.len(), inventory.left_out), (0, Some(("vjepa2.predictor.".to_owned(), 23))));
    assert_eq!((config.protocol.sampling_rate, config.assumed.len(), config.labels), (4, 1, None));
    // Positions are those of the configured size of frames, in the library too.
    let long = Overrides { frames: Some(64), crop: Some(48), ..Overrides::default() };
    let refused = Config::of(&open(network), &long).expect_err("another size").to_string();
    assert!(refused.contains("crop: \"48\" is not valid; expected 32, as the checkpoint's configuration says"), "{refused}");
    let config = Config::of(&described(network, "crop_size", json!(null)), &long).expect("any number of frames");
    assert_eq!((config.network.clip(), config.protocol.sampling_rate), ([64, 48, 48], 2));
}

/// Element `e` of the `n` pairs of an axis turns by `position / 10000^((e mod n) / n)`, as the library has it.
#[test]
fn rotary_positions_are_those_of_the_library() {
    let known = Overrides { frames: Some(800), ..Overrides::default() };
    for (network, pairs) in [("vjepa2", 2), ("vjepa2_encoder", 3)] {
        let checkpoint = open(network);
        let config = Config::of(&checkpoint, &known).expect("any number of frames");
        let table = config.network.positions(&checkpoint).expect("follow from sizes");
        assert_eq!(table.shape(), [400, 4, pairs]);
        for (index, &found) in table.data().iter().enumerate() {
            let (position, part, pair) = (index / (4 * pairs), index / pairs % 4, index % pairs);
            let element = 2 * pair + part % 2;
            let frequency = 1.0 / 10_000f64.powf((element % pairs) as f64 / pairs as f64);
            let (sine, cosine) = (position as f64 * frequency).sin_cos();
            let expected = if part < 2 { cosine } else { sine };
            assert!((f64::from(found) - expected).abs() < 1e-7, "{network}, {position}, {part}, {pair}: {found} {expected}");
        }
    }
}

/// The library takes positions from the configured size of frames, whatever it is given.
#[test]
fn cases_have_frames_of_the_configured_size() {
    let mut network = Config::of(&open("vjepa2"), &Overrides::default()).expect("says everything").network;
    let input = |shape: [usize; 5]| Tensor::new(shape.to_vec(), vec![0.0; shape.iter().product()]).expect("all of them");
    let error = network.take(input([1, 4, 3, 40, 40])).expect_err("refused").to_string();
    assert!(error.contains("expected [batch, frames, 3, 32, 32], as \"crop_size\" says"), "{error}");
    assert_eq!(network.take(input([2, 6, 3, 32, 32])).expect("more frames").shape(), [2, 3, 6, 32, 32]);
    assert_eq!(network.clip(), [6, 32, 32]);
}

#[test]
fn windows_are_found_in_the_tables_where_nothing_describes_them() {
    for (network, window) in [("swin", [1, 5, 5]), ("video_swin", [4, 3, 3])] {
        let bare = Checkpoint::parse(Path::new("BARE"), std::fs::read(shipped(network)).expect("shipped")).expect("good");
        let config = Config::of(&bare, &Overrides::default()).expect("tensors say it all");
        let found = config.network.downcast_ref::<swin::Architecture>().expect("a Swin");
        assert_eq!(found.window, window);
    }
}

#[test]
fn what_is_said_nowhere_is_asked_for() {
    let bare = Checkpoint::parse(Path::new("BARE"), std::fs::read(shipped("vivit")).expect("shipped")).expect("good");
    let known = Overrides { heads: Some(3), ..Overrides::default() };
    let asked = Config::of(&bare, &known).expect_err("shapes alone do not say it").to_string();
    assert!(asked.starts_with("frames: ") && asked.contains("--crop"), "{asked}");
    let asked = |known: Overrides| Config::of(&bare, &known).expect_err("they make other patches").to_string();
    let asked_for_crop = asked(Overrides { frames: Some(4), ..known.clone() });
    assert!(asked_for_crop.starts_with("crop: ") && asked_for_crop.contains("--frames"), "{asked_for_crop}");
    let other = asked(Overrides { frames: Some(4), crop: Some(32), ..known.clone() });
    assert_eq!(other, "frames and crop: \"4 of 32 x 32 pixels\" is not valid; expected 32 patches of them");
    let known = Overrides { frames: Some(4), crop: Some(64), ..known };
    assert_eq!(Config::of(&bare, &known).expect("all said").network.clip(), [4, 64, 64]);
    let timesformer = std::fs::read(shipped("timesformer_joint_space_time")).expect("shipped");
    let timesformer = Checkpoint::parse(Path::new("BARE"), timesformer).expect("good");
    let asked = Config::of(&timesformer, &Overrides::default()).expect_err("no heads").to_string();
    assert!(asked.starts_with("heads: "), "{asked}");
    let known = Overrides { heads: Some(3), ..Overrides::default() };
    let config = Config::of(&timesformer, &known).expect("tensors say the rest");
    let whole = Config::of(&open("timesformer_joint_space_time"), &Overrides::default()).expect("says everything");
    assert_eq!(*config.network, *whole.network);
}

#[test]
fn missing_and_misshapen_tensors_are_named() {
    let checkpoint = open("timesformer_divided_space_time");
    let config = Config::of(&checkpoint, &Overrides::default()).expect("says everything");
    let inventory = check(&checkpoint, &config).expect("fits");
    assert_eq!((inventory.unused.len(), inventory.parameters), (0, 99_941));
    for (network, tensor) in [
        ("timesformer_divided_space_time", "timesformer.encoder.layer.1.temporal_dense.bias"),
        ("vivit", "vivit.encoder.layer.0.attention.attention.key.weight"),
        ("vivit", "vivit.embeddings.cls_token"),
        ("swin", "features.1.0.attn.relative_position_bias_table"),
        ("video_swin", "features.2.1.attn.relative_position_bias_table"),
        ("perceiver", "encoder.self_attends.1.attention.self.value.bias"),
        ("vjepa2", "vjepa2.encoder.layer.1.attention.key.bias"),
        ("vjepa2", "pooler.query_tokens"),
        ("vjepa2", "pooler.cross_attention_layer.cross_attn.v_proj.bias"),
        ("vjepa2_encoder", "encoder.layernorm.weight"),
    ] {
        let whole = open(network);
        let config = Config::of(&whole, &Overrides::default()).expect("says everything");
        let found = check(&without(&whole, tensor), &config).expect_err("one is missing").to_string();
        assert!(found.contains(&format!("tensor {tensor:?} is missing")), "{found}");
    }
}

/// A checkpoint without one of its tensors.
fn without(checkpoint: &Checkpoint, left_out: &str) -> Checkpoint {
    let tensors: Vec<(String, Tensor)> = checkpoint
        .tensors()
        .filter(|(name, info)| *name != left_out && info.element.is_float())
        .map(|(name, _)| (name.to_owned(), checkpoint.read(name).expect("floats")))
        .collect();
    let views = tensors.iter().map(|(name, tensor)| {
        let bytes = bytemuck::cast_slice(tensor.data());
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, tensor.shape().to_vec(), bytes);
        (name.clone(), view.expect("matches"))
    });
    let bytes = safetensors::serialize(views, None).expect("serialises");
    Checkpoint::parse(checkpoint.path(), bytes)
        .expect("good")
        .described(checkpoint.description().expect("readable").unwrap_or("{}").to_owned())
}

#[test]
fn features_of_blocks_lead_to_the_logits_and_batches_do_not_mix() {
    for network in ["timesformer_divided_space_time", "timesformer_joint_space_time", "vivit", "videomae_mean_pooling"] {
        let checkpoint = open(network);
        let config = Config::of(&checkpoint, &Overrides::default()).expect("says everything");
        let [frames, height, width] = config.network.clip().map(|size| size as usize);
        let axes = vec![3, 3, frames, height, width];
        let clips = Tensor::new(axes.clone(), support::numbers(71, axes.iter().product(), 1.0)).expect("all of them");
        let on = |placed| Model::new(placed, open(network), config.clone(), Element::F32).expect("fits");
        let (gpu, reference) = (on(Placed::Gpu(engine())), on(Placed::Reference));
        for layer in [Features::Block(0), Features::Block(1), Features::Final] {
            let outputs = NetworkOutputs { features: Some(layer), ..NetworkOutputs::LOGITS };
            let (found, expected) = (gpu.run(&clips, &outputs).expect("runs"), reference.run(&clips, &outputs).expect("runs"));
            let logits = gpu.forward(&clips).expect("runs");
            // The blocks behind leave features as they are.
            let alone = gpu.run(&clips, &NetworkOutputs { features: Some(layer), ..NetworkOutputs::NOTHING }).expect("runs");
            assert_eq!(found["features"].data(), alone["features"].data(), "{network} {layer:?}");
            for (name, expected) in &expected {
                let outcome = orthoformer::compare::compare(&found[name], expected, orthoformer::compare::Tolerance::LAYER);
                assert!(outcome.passed(), "{network} {layer:?} {name}: {outcome:?}");
            }
            // With features the last block is computed whole, without only what the class token needs.
            let outcome = orthoformer::compare::compare(&found["logits"], &logits[0], orthoformer::compare::Tolerance::LAYER);
            assert!(outcome.passed(), "{network} {layer:?}: {outcome:?}");
        }
        let one = Tensor::new(vec![1, 3, frames, height, width], clips.data()[2 * clips.data().len() / 3..].to_vec());
        let alone = gpu.forward(&one.expect("the last")).expect("runs");
        let together = gpu.forward(&clips).expect("runs");
        assert_eq!(alone[0].data(), &together[0].data()[together[0].data().len() / 3 * 2..], "{network}");
    }
}

#[test]
fn networks_go_through_in_slices() {
    // So little scratch that each clip goes through alone, and MLPs in pieces.
    let limits = PlanLimits { scratch_bytes: 4096, ..PlanLimits::default() };
    for network in ["timesformer_divided_space_time", "timesformer_joint_space_time"] {
        let folder = support::shipped(&format!("networks/{network}"));
        let case = orthoformer_bench::case::Case::read(&folder.join("case.safetensors")).expect("shipped");
        let plan = case.operation.plan(limits).expect("plans");
        let whole = case.operation.plan(PlanLimits::default()).expect("plans");
        assert!(plan.dispatches().count() > whole.dispatches().count());
        let found = engine().run(&plan, &case.inputs, RunOptions { poison: true, ..RunOptions::default() }).expect("runs");
        for (name, expected) in &case.expected {
            let outcome = orthoformer::compare::compare(&found.outputs[name], expected, orthoformer::compare::Tolerance::NETWORK);
            assert!(outcome.passed(), "{network} {name}: {outcome:?}");
        }
    }
}
