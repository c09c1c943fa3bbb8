//! The commands on every kind of network.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use crate::program::{folder, json, orthoformer, shipped, text};

/// Small networks, their names, and how many tokens of how many numbers the features of a view are.
const NETWORKS: [(&str, &str, &[u64]); 6] = [
    ("timesformer_divided_space_time", "TimeSformer", &[48]),
    ("timesformer_joint_space_time", "TimeSformer", &[48]),
    ("vivit", "ViViT", &[48]),
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
        assert_eq!((report["network"].as_str(), report["classes"][0].as_u64()), (Some(name), Some(5)), "{network}");
        assert!(report["unused"].as_array().expect("a list").is_empty(), "{network}: {report}");
        let report = json(with(&["classify", &clip, "--json"]).success());
        let probabilities = report["clips"][0]["heads"][0].as_array().expect("a head");
        let sum: f64 = probabilities.iter().filter_map(|guess| guess["probability"].as_f64()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{network}: {report}");
        let out = text(folder.path().join(format!("{network}.safetensors")));
        let report = json(with(&["features", &clip, "--out", &out, "--json"]).success());
        let expected: Vec<u64> = [&[1], axes].concat();
        assert_eq!(report["clips"][0]["shape"], serde_json::json!(expected), "{network}");
    }
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
