//! What a trained network's patches attend to, and its features, by the program.

use std::collections::BTreeMap;
use std::path::Path;

use orthoformer_video::Clip;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use safetensors::SafeTensors;
use serde_json::Value;

use crate::program::{folder, json, orthoformer, shipped, text};

/// A network of 2 blocks with 3 heads that sees 4 frames of 112 x 112 pixels, in patches of one frame.
const NETWORK: &str = "models/patches_2d.pyth";

/// The command with that network.
fn with_network(command: &str, clips: &[&str], more: &[&str]) -> Vec<String> {
    let weights = shipped(NETWORK);
    let arguments = [&[command], clips, &["--weights", &weights], more].concat();
    arguments.into_iter().map(str::to_owned).collect()
}

fn run(arguments: &[String]) -> assert_cmd::assert::Assert {
    orthoformer(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The report of `attend` on the shipped ball, 64 x 48 pixels.
fn attend(out: &str, more: &[&str]) -> Value {
    let clip = shipped("clips/ball.mp4");
    json(run(&with_network("attend", &[&clip], &[&["--out", out, "--json"], more].concat())).success())
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(number).collect()
}

fn frames(report: &Value) -> &Vec<Value> {
    report["frames"].as_array().expect("a list")
}

#[test]
fn attend_writes_an_animation_a_sheet_and_numbers() {
    let folder = folder();
    let out = folder.path().join("new").join("attend");
    let report = attend(&text(out.clone()), &["--at", "52,20"]);
    let written: Value = serde_json::from_slice(&std::fs::read(out.join("attend.json")).expect("written")).expect("JSON");
    assert_eq!(report, written);
    assert_eq!(std::fs::read_dir(&out).expect("readable").count(), 3, "nothing else is left");
    // Small pictures are doubled to draw on.
    let overlay: Vec<_> = Clip::open(&out.join("overlay.gif")).expect("a GIF").map(|frame| frame.expect("whole")).collect();
    assert_eq!((overlay.len(), overlay[0].dimensions()), (4, (224, 224)));
    assert!(image::open(out.join("sheet.png")).expect("a PNG").width() > 4 * 224);
    assert_eq!((&report["layer"], &report["head"], &report["grid"]), (&1.into(), &"mean".into(), &Value::from(vec![7, 7])));
    assert_eq!((frames(&report).len(), report["sampled"].as_array().map(Vec::len)), (4, Some(4)));
    let mut temporal = 0.0;
    for (step, frame) in frames(&report).iter().enumerate() {
        let attention = numbers(&frame["attention"]);
        assert_eq!(attention.len(), 49);
        assert!((attention.iter().sum::<f64>() - 1.0).abs() < 1e-4, "a softmax over each frame");
        let largest = attention.iter().copied().fold(0.0, f64::max);
        assert!((number(&frame["peak_weight"]) - largest).abs() < 1e-6);
        assert_eq!(frame["of_frames"], Value::from(vec![report["sampled"][step].clone()]));
        temporal += number(&frame["temporal_weight"]);
    }
    assert!((temporal - 1.0).abs() < 1e-4, "a softmax over the frames: {temporal}");
}

#[test]
fn the_bar_is_as_long_as_the_temporal_weight() {
    let folder = folder();
    let out = folder.path().join("attend");
    let report = attend(&text(out.clone()), &["--at", "30,20", "--layer", "0"]);
    let sheet = image::open(out.join("sheet.png")).expect("a PNG").into_rgb8();
    // Of the first cell, beside the margin, all rows of the bar are alike; beneath the title it is the first that has one.
    let lit = |y: u32| (0..224).filter(|x| sheet.get_pixel(6 + x, y).0 == [64, 224, 255]).count();
    let lit = (0..sheet.height()).map(lit).find(|&count| count > 0).expect("there is a bar");
    let weight = number(&frames(&report)[0]["temporal_weight"]);
    assert_eq!(lit, (weight * 224.0).round() as usize);
}

#[test]
fn points_are_pixels_of_the_clip() {
    let folder = folder();
    let out = text(folder.path());
    // Squares of 48 pixels in 64 x 48: the left one from 0, the centre one from 8, the right one from 16.
    for (at, name, left) in [("10,20", "left", 0.0), ("32,20", "centre", 8.0), ("60,40", "right", 16.0)] {
        let report = attend(&out, &["--at", at]);
        let square = &report["square"];
        assert_eq!(square["name"], name);
        assert!((number(&square["left"]) - left).abs() < 0.5 && number(&square["top"]) == 0.0, "{square}");
        let (width, height) = (number(&square["width"]), number(&square["height"]));
        assert!((width - 48.0).abs() < 0.5 && (height - 48.0).abs() < 0.5, "{square}");
        let left = number(&square["left"]);
        for frame in frames(&report) {
            for point in ["peak", "centroid"] {
                let (x, y) = (number(&frame[point]["x"]), number(&frame[point]["y"]));
                assert!((left..left + width).contains(&x) && (0.0..48.0).contains(&y), "{frame}");
            }
            // The peak is the centre of the patch with the largest weight.
            let attention = numbers(&frame["attention"]);
            let best = (0..49).max_by(|a, b| attention[*a].total_cmp(&attention[*b])).expect("49 of them");
            let side = width / 7.0;
            let expected = (left + ((best % 7) as f64 + 0.5) * side, ((best / 7) as f64 + 0.5) * side);
            let found = (number(&frame["peak"]["x"]), number(&frame["peak"]["y"]));
            assert!((found.0 - expected.0).abs() < 0.2 && (found.1 - expected.1).abs() < 0.2, "{found:?} {expected:?}");
        }
        let (x, y) = at.split_once(',').expect("two");
        let patch = &report["patch"];
        for (axis, at) in [("x", x), ("y", y)] {
            let off = number(&patch["centre"][axis]) - at.parse::<f64>().expect("a number");
            assert!(off.abs() <= 0.51 * number(&patch["size"][0]), "{patch}");
        }
    }
}

#[test]
fn the_mean_of_heads_is_the_mean_of_their_numbers() {
    let folder = folder();
    let out = text(folder.path());
    let of = |head: &str| attend(&out, &["--at", "40,24", "--head", head, "--layer", "0", "--frame", "3"]);
    let (mean, heads) = (of("mean"), ["0", "1", "2"].map(of));
    assert_eq!(heads[1]["head"], "1");
    assert_eq!((&mean["asked_frame"], &mean["frame"]), (&3.into(), &3.into()));
    let mut apart: f64 = 0.0;
    for (step, frame) in frames(&mean).iter().enumerate() {
        for (patch, found) in numbers(&frame["attention"]).into_iter().enumerate() {
            let own = heads.each_ref().map(|head| number(&frames(head)[step]["attention"][patch]));
            assert!((found - own.iter().sum::<f64>() / 3.0).abs() < 1e-6);
            apart = apart.max((own[0] - own[1]).abs());
        }
        let own = heads.each_ref().map(|head| number(&frames(head)[step]["temporal_weight"]));
        assert!((number(&frame["temporal_weight"]) - own.iter().sum::<f64>() / 3.0).abs() < 1e-6);
    }
    assert!(apart > 1e-4, "heads differ: {apart}");
    let last = attend(&out, &["--at", "40,24", "--frame", "11"]);
    assert_eq!(
        (&last["asked_frame"], &last["frame"]),
        (&11.into(), last["sampled"].as_array().expect("a list").last().expect("four"))
    );
    assert!(last["notes"].to_string().contains("Frame 11 is after all that the network sees"), "{}", last["notes"]);
}

#[test]
fn attend_says_what_is_wrong() {
    let folder = folder();
    let (clip, out) = (shipped("clips/ball.mp4"), text(folder.path().join("out")));
    let refused = |more: &[&str], code: i32, message: &str| {
        let arguments = with_network("attend", &[&clip], &[&["--out", &out], more].concat());
        run(&arguments).code(code).stderr(contains(message.to_owned()));
        assert!(!Path::new(&out).exists(), "nothing is written");
    };
    refused(&["--at", "20"], 2, "expected two numbers with a comma between");
    refused(&["--at", "20,20", "--head", "first"], 2, "expected the number of a head, from 0, or mean");
    refused(&["--at", "20,20", "--layer", "2"], 1, "layer 2 is out of range; it must be below 2");
    refused(&["--at", "20,20", "--head", "3"], 1, "head 3 is out of range; it must be below 3");
    refused(&["--at", "20,20", "--frame", "12"], 1, "frame 12 is out of range; it must be below 12");
    refused(&["--at", "64,20"], 1, "point 64,20 is outside the picture, which is 64 x 48 pixels");
    refused(&["--at", "-1,20"], 1, "point -1,20 is outside the picture");
    refused(&["--at", "20,20", "--approximation", "orthoformer"], 1, "expected exact attention");
    let missing = with_network("attend", &["missing.mp4"], &["--at", "20,20", "--out", &out]);
    run(&missing).code(1).stderr(contains("cannot read missing.mp4"));
}

#[test]
fn without_a_point_the_centre_is_taken() {
    let folder = folder();
    let report = |name: &str, more: &[&str]| {
        let out = text(folder.path().join(name));
        json(run(&with_network("attend", &[&shipped("clips/ball.mp4")], &[&["--out", &out, "--json"], more].concat())).success())
    };
    let (centre, pointed) = (report("centre", &[]), report("pointed", &["--at", "32,24"]));
    assert_eq!(centre["at"], serde_json::json!({"x": 32.0, "y": 24.0}));
    assert_eq!((&centre["patch"], &centre["frames"]), (&pointed["patch"], &pointed["frames"]));
    assert_ne!(centre["patch"], report("corner", &["--at", "20,2"])["patch"]);
}

#[test]
fn networks_without_trajectories_are_refused() {
    let folder = folder();
    // Without the second queries and keys, the tensors are those of joint attention.
    let converted = text(folder.path().join("converted.safetensors"));
    orthoformer(&["convert", &shipped(NETWORK), &converted]).success();
    let bytes = std::fs::read(converted).expect("written");
    let tensors = SafeTensors::deserialize(&bytes).expect("a good file").tensors();
    let joint = tensors.into_iter().filter(|(name, _)| !name.contains("proj_q") && !name.contains("proj_kv"));
    let file = safetensors::serialize(joint.collect::<Vec<_>>(), None).expect("tensors");
    let weights = text(folder.path().join("joint.safetensors"));
    std::fs::write(&weights, file).expect("writable");
    let known = ["--heads", "3", "--crop", "112", "--frames", "4", "--head-activation", "tanh"];
    let (clip, out) = (shipped("clips/ball.gif"), text(folder.path().join("out")));
    let arguments =
        [&["attend", clip.as_str(), "--weights", &weights, "--at", "20,20", "--out", &out], known.as_slice()].concat();
    let refused = orthoformer(&arguments).code(1);
    refused.stderr(
        contains("joint attention").and(contains("expected trajectory attention: of this code no other can be looked into")),
    );
    // It has features all the same.
    let file = text(folder.path().join("joint_features.safetensors"));
    let arguments = [&["features", clip.as_str(), "--weights", &weights, "--out", &file], known.as_slice()].concat();
    orthoformer(&arguments).success().stdout(contains("ball.gif [1, 48]"));
}

/// Shapes and numbers of a file's tensors, and its metadata.
type Written = (BTreeMap<String, (Vec<usize>, Vec<f32>)>, BTreeMap<String, String>);

fn read(path: &str) -> Written {
    let bytes = std::fs::read(path).expect("written");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a good file");
    let file = SafeTensors::deserialize(&bytes).expect("a good file");
    let numbers = |data: &[u8]| bytemuck::pod_collect_to_vec::<u8, f32>(data);
    let tensors = file.tensors().into_iter().map(|(name, view)| (name, (view.shape().to_vec(), numbers(view.data()))));
    (tensors.collect(), header.metadata().clone().expect("metadata").into_iter().collect())
}

#[test]
fn features_are_class_tokens_patches_or_all() {
    let folder = folder();
    let (clip, other) = (shipped("clips/ball.mp4"), shipped("clips/ball.gif"));
    let features = |name: &str, more: &[&str]| {
        let out = text(folder.path().join(format!("{name}.safetensors")));
        run(&with_network("features", &[&clip, &other], &[&["--out", &out, "--views", "2x3"], more].concat())).success();
        read(&out)
    };
    let (class, metadata) = features("class", &[]);
    let expected = [
        ("layer", "final"),
        ("network", "Motionformer: trajectory attention, values projected"),
        ("tokens", "class"),
        ("views", "2x3"),
        ("weights", "patches_2d.pyth"),
    ];
    assert_eq!(metadata, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    assert_eq!(class.keys().collect::<Vec<_>>(), ["ball.gif", "ball.mp4"]);
    let (all, (patches, _)) = (features("all", &["--tokens", "all"]).0, features("patches", &["--tokens", "patches"]));
    for name in ["ball.gif", "ball.mp4"] {
        let (class, all, patches) = (&class[name], &all[name], &patches[name]);
        assert_eq!((class.0.as_slice(), all.0.as_slice()), ([6, 48].as_slice(), [6, 197, 48].as_slice()));
        assert_eq!(patches.0, [6, 4, 7, 7, 48]);
        for view in 0..6 {
            let row = &all.1[view * 197 * 48..][..197 * 48];
            assert_eq!((&row[..48], &row[48..]), (&class.1[view * 48..][..48], &patches.1[view * 196 * 48..][..196 * 48]));
        }
    }
    let (first, metadata) = features("first", &["--layer", "0"]);
    assert_eq!((metadata["layer"].as_str(), first["ball.mp4"].0.as_slice()), ("0", [6, 48].as_slice()));
    assert!(first["ball.mp4"].1.iter().zip(&class["ball.mp4"].1).any(|(a, b)| (a - b).abs() > 0.1));
    // The final normalisation alone tells the last block from it.
    let (last, _) = features("last", &["--layer", "1"]);
    assert_ne!(last["ball.mp4"].1, class["ball.mp4"].1);
    features("again", &[]);
    let bytes = |name: &str| std::fs::read(folder.path().join(format!("{name}.safetensors"))).expect("written");
    assert_eq!(bytes("class"), bytes("again"), "the same bytes each time");
}

#[test]
fn a_bad_clip_does_not_keep_the_others_from_being_written() {
    let folder = folder();
    let (clip, out) = (shipped("clips/ball.mp4"), text(folder.path().join("out.safetensors")));
    let bad = text(folder.path().join("bad.mp4"));
    std::fs::write(&bad, &std::fs::read(&clip).expect("shipped")[..2000]).expect("writable");
    run(&with_network("features", &[&bad], &["--out", &out])).code(1).stderr(contains("nothing is written"));
    assert!(!Path::new(&out).exists());
    let report = json(run(&with_network("features", &[&bad, &clip], &["--out", &out, "--json"])).code(1));
    let clips = report["clips"].as_array().expect("a list");
    assert!(clips[0]["error"].is_string() && clips[0]["shape"].is_null() && clips[1]["error"].is_null(), "{report}");
    assert_eq!(clips[1]["shape"], Value::from(vec![1, 48]));
    assert_eq!(read(&out).0.keys().collect::<Vec<_>>(), ["ball.mp4"]);
}

#[test]
fn features_says_what_is_wrong() {
    let folder = folder();
    let (clip, out) = (shipped("clips/ball.mp4"), text(folder.path().join("out.safetensors")));
    let twin = text(folder.path().join("ball.mp4"));
    let refused = |clips: &[&str], more: &[&str], code: i32, message: &str| {
        let arguments = with_network("features", clips, &[&["--out", &out], more].concat());
        run(&arguments).code(code).stderr(contains(message.to_owned()));
        assert!(!Path::new(&out).exists(), "nothing is written");
    };
    // Said before anything is opened: the twin is not even there.
    refused(&[&clip, &twin], &[], 1, "clips: \"ball.mp4 twice\" is not valid; expected clips of different file names");
    refused(&[&clip], &["--layer", "2"], 1, "layer 2 is out of range; it must be below 2");
    refused(&[&clip], &["--tokens", "some"], 2, "expected one of class, patches, mean, all");
    refused(&[&clip], &["--views", "1x2"], 2, "1 or 3 spatial ones");
    let elsewhere = with_network("features", &[&clip], &["--out", &text(folder.path().join("missing").join("out.npy"))]);
    run(&elsewhere).code(1).stderr(contains("cannot write into"));
}
