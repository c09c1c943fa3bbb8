//! The commands on every kind of network.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use crate::program::{folder, json, orthoformer, shipped, text};

/// Small networks, their names, and how many tokens of how many numbers the features of a view are.
const NETWORKS: [(&str, &str, &[u64]); 7] = [
    ("timesformer_divided_space_time", "TimeSformer", &[48]),
    ("timesformer_joint_space_time", "TimeSformer", &[48]),
    ("vivit", "ViViT", &[48]),
    ("videomae_mean_pooling", "VideoMAE", &[2, 4, 4, 64]),
    ("swin", "Swin", &[1, 28, 28, 48]),
    ("video_swin", "Video Swin", &[2, 28, 28, 48]),
    ("vjepa2", "V-JEPA 2", &[2, 4, 4, 28]),
];

fn weights(network: &str) -> String {
    shipped(&format!("networks/{network}/model.safetensors"))
}

/// Frames where the network does not say: fewer than usual, to be quick.
fn flags(network: &str) -> &'static [&'static str] {
    if network == "video_swin" { &["--frames", "4"] } else { &[] }
}

#[test]
fn every_network_is_recognised_and_answers() {
    let (folder, clip) = (folder(), shipped("clips/ball.mp4"));
    for (network, name, axes) in NETWORKS {
        let weights = weights(network);
        let with = |command: &[&str]| orthoformer(&[command, &["--weights", &weights], flags(network)].concat());
        let report = json(orthoformer(&[&["inspect", &weights, "--json"], flags(network)].concat()).success());
        let classes = if name == "VideoMAE" { 6 } else { 5 };
        assert_eq!((report["network"].as_str(), report["classes"][0].as_u64()), (Some(name), Some(classes)), "{network}");
        assert!(report["unused"].as_array().expect("a list").is_empty(), "{network}: {report}");
        let report = json(with(&["classify", &clip, "--top", "10", "--json"]).success());
        let probabilities = report["clips"][0]["heads"][0].as_array().expect("a head");
        let sum: f64 = probabilities.iter().filter_map(|guess| guess["probability"].as_f64()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{network}: {report}");
        let out = text(folder.path().join(format!("{network}.safetensors")));
        let report = json(with(&["features", &clip, "--out", &out, "--json"]).success());
        let expected: Vec<u64> = [&[1], axes].concat();
        assert_eq!(report["clips"][0]["shape"], serde_json::json!(expected), "{network}");
    }
}

/// The only tensor of a file: its shape and numbers.
fn tensor(path: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = std::fs::read(path).expect("written");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a good file");
    let (_, view) = file.tensors().remove(0);
    (view.shape().to_vec(), bytemuck::pod_collect_to_vec::<u8, f32>(view.data()))
}

#[test]
fn the_mean_of_patches_is_a_feature() {
    let (folder, clip) = (folder(), shipped("clips/ball.mp4"));
    for network in ["videomae_encoder", "vivit", "swin"] {
        let features = |tokens: &str| {
            let out = text(folder.path().join(format!("{network}_{tokens}.safetensors")));
            let weights = weights(network);
            let command = ["features", &clip, "--weights", &weights, "--tokens", tokens, "--views", "1x3", "--out", &out];
            orthoformer(&command).success();
            tensor(&out)
        };
        let ((shape, mean), (axes, patches)) = (features("mean"), features("patches"));
        let c = axes[axes.len() - 1];
        assert_eq!(shape, [3, c], "{network}");
        for (own, patches) in mean.chunks(c).zip(patches.chunks(patches.len() / 3)) {
            for (channel, &own) in own.iter().enumerate() {
                let values: Vec<f64> = patches.chunks(c).map(|token| token[channel].into()).collect();
                let expected = values.iter().sum::<f64>() / values.len() as f64;
                assert!((f64::from(own) - expected).abs() < 1e-6, "{network}: {own} {expected}");
            }
        }
    }
}

#[test]
fn attention_is_rolled_out() {
    let (folder, clip) = (folder(), shipped("clips/ball.mp4"));
    let attend = |network: &str, more: &[&str]| {
        let out = text(folder.path().join("attend"));
        let weights = weights(network);
        orthoformer(&[&["attend", &clip, "--weights", &weights, "--out", &out], more].concat())
    };
    let report = json(attend("videomae_mean_pooling", &["--json", "--rollout"]).success());
    assert_eq!((&report["rollout"], &report["head"], &report["layer"]), (&"patch".into(), &"mean".into(), &1.into()));
    let shares =
        report["frames"].as_array().expect("a list").iter().map(|frame| frame["temporal_weight"].as_f64().expect("a share"));
    assert!((shares.sum::<f64>() - 1.0).abs() < 1e-5);
    assert!(json(attend("vivit", &["--json"]).success())["rollout"].is_null());
    attend("vivit", &["--rollout=class"])
        .success()
        .stdout(contains("attention rolled out from layer 1 to 0, mean of all heads: the class token"));
    attend("vivit", &["--rollout=all"]).code(2).stderr(contains("expected patch or class"));
    attend("vivit", &["--rollout", "--head", "1"]).code(1).stderr(contains("the mean of all heads, for a rollout"));
    let weights = weights("vjepa2");
    let out = text(folder.path().join("attend"));
    // A clip behind it is the clip.
    orthoformer(&["attend", "--rollout", &clip, "--head", "mean", "--weights", &weights, "--out", &out]).success();
    attend("videomae_encoder", &["--rollout=class"]).code(1).stderr(contains("no class token"));
    attend("swin", &["--rollout"]).code(1).stderr(contains("joint or divided attention among the same tokens"));
}

#[test]
fn a_videomae_is_run_checked_and_compared() {
    let (vivit, clip) = (weights("vivit"), shipped("clips/ball.mp4"));
    let [mean, encoder] = ["videomae_mean_pooling", "videomae_encoder"].map(weights);
    for network in ["videomae_mean_pooling", "videomae_encoder"] {
        let case = shipped(&format!("networks/{network}/case.safetensors"));
        orthoformer(&["check", &case]).success();
    }
    let report = json(orthoformer(&["inspect", &mean, "--json"]).success());
    assert_eq!((&report["pooling"], &report["qkv_bias"]), (&"mean of all tokens".into(), &"queries and values".into()));
    assert_eq!((&report["tokens"], &report["sampling_rate"]), (&32.into(), &4.into()));
    let report = json(orthoformer(&["compare", &clip, "--network", &mean, &mean, "--json"]).success());
    assert_eq!(report["networks"][1]["network"], "VideoMAE: joint attention");
    assert!(report["networks"][1]["answers"][0]["distance"].as_f64().expect("the same classes") < 1e-9, "{report}");
    let quick = ["--runs", "3", "--seconds", "0.1", "--json"];
    let report = json(orthoformer(&[["bench", "--network", &mean, &vivit].as_slice(), &quick].concat()).success());
    assert!(report["rows"][0]["median_ms"].as_f64().expect("timed") > 0.0, "{report}");
    orthoformer(&["classify", &clip, "--weights", &encoder]).code(1).stderr(contains("`features` hands out"));
    orthoformer(&["classify", &clip, "--weights", &mean, "--frames", "8"]).code(1).stderr(contains("expected 4"));
}

#[test]
fn a_perceiver_of_other_inputs_is_not_shown_clips() {
    let weights = weights("perceiver");
    let report = json(orthoformer(&["inspect", &weights, "--json"]).success());
    assert_eq!((report["network"].as_str(), report["latents"].as_u64()), (Some("Perceiver"), Some(12)));
    let clip = shipped("clips/ball.mp4");
    orthoformer(&["classify", &clip, "--weights", &weights]).code(1).stderr(contains("50176 inputs of 243 elements"));
    let case = shipped("networks/perceiver/case.safetensors");
    let folder = folder();
    let out = text(folder.path().join("out.safetensors"));
    orthoformer(&["run", &case, "--out", &out]).success().stdout(contains("latents [2, 12, 48]"));
}

#[test]
fn an_encoder_without_classifier_has_features_alone() {
    let (weights, clip) = (weights("vjepa2_encoder"), shipped("clips/ball.mp4"));
    let report = json(orthoformer(&["inspect", &weights, "--json"]).success());
    assert_eq!((report["classes"].as_array().map(Vec::len), report["tokens"].as_u64()), (Some(0), Some(32)));
    assert_eq!(report["left_out"], serde_json::json!({"beginning": "predictor.", "tensors": 23}));
    orthoformer(&["inspect", &weights]).success().stdout(contains("none; left out are 23 whose names begin with predictor."));
    orthoformer(&["classify", &clip, "--weights", &weights]).code(1).stderr(contains("V-JEPA 2").and(contains("features")));
    let folder = folder();
    let out = text(folder.path().join("attended"));
    orthoformer(&["attend", &clip, "--weights", &weights, "--out", &out]).success().stderr(contains("one frame in 4"));
}

#[test]
fn flags_of_other_networks_are_refused() {
    let (swin, clip) = (weights("video_swin"), shipped("clips/ball.mp4"));
    for (flags, expected) in [
        (["--heads", "3"], "heads: "),
        (["--temporal-value", "projected"], "trajectory attention"),
        (["--head-activation", "tanh"], "hidden layer"),
        (["--preset", "motionformer-b"], "preset"),
    ] {
        let arguments = [["classify", clip.as_str(), "--weights", swin.as_str()].as_slice(), &flags].concat();
        orthoformer(&arguments).code(1).stderr(contains(expected));
    }
    orthoformer(&["features", &clip, "--weights", &swin, "--tokens", "class", "--frames", "2", "--out", "none.safetensors"])
        .code(1)
        .stderr(contains("no class token"));
    orthoformer(&["classify", &clip, "--weights", &weights("vivit"), "--frames", "8"]).code(1).stderr(contains("expected 4"));
}

#[test]
fn networks_and_attentions_are_compared_side_by_side() {
    let (timesformer, vivit) = (weights("timesformer_divided_space_time"), weights("vivit"));
    let clip = shipped("clips/ball.mp4");
    let report = json(orthoformer(&["compare", &clip, "--network", &timesformer, &vivit, "--json"]).success());
    let second = &report["networks"][1];
    assert_eq!(second["network"], "ViViT: joint attention");
    let distance = second["answers"][0]["distance"].as_f64().expect("five classes each");
    assert!(distance > 0.0 && distance < 1.0, "{report}");
    orthoformer(&["compare", "nowhere.mp4", "--network", &vivit]).code(1).stderr(contains("nowhere.mp4"));
    let quick = ["--runs", "3", "--seconds", "0.1", "--json"];
    let report = json(orthoformer(&[["bench", "--network", &vivit, &timesformer].as_slice(), &quick].concat()).success());
    assert!(report["rows"][0]["median_ms"].as_f64().expect("timed") > 0.0, "{report}");
    let attentions = [["bench", "--attentions", "--clip", "2x3x3"].as_slice(), &quick].concat();
    let report = json(orthoformer(&attentions).success());
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 11);
    for row in rows {
        assert!(row["status"] == "ok" && row["median_ms"].as_f64().is_some() && row["bytes"].as_u64() > Some(0), "{row}");
    }
    orthoformer(&["bench", "--attentions", "--clip", "2x0x3"]).code(2);
}
