//! The program as a user meets it: outputs, exit codes, messages.

use std::path::Path;

use assert_cmd::assert::Assert;
use orthoformer::compare::{Tolerance, compare, relative_norm};
use orthoformer_bench::case::Case;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use crate::program::{folder, json, orthoformer, shipped, text, without_adapters};

#[test]
fn help_and_wrong_usage() {
    orthoformer(&["--help"]).success().stdout(contains("track").and(contains("demo")).and(contains("check")));
    orthoformer(&[]).code(2);
    orthoformer(&["fly"]).code(2).stderr(contains("unrecognized subcommand"));
    orthoformer(&["track", "clip.mp4", "--at", "nowhere"]).code(2).stderr(contains("expected two numbers with a comma between"));
}

#[test]
fn devices_lists_limits_and_tiers() {
    orthoformer(&["devices"]).success().stdout(contains("max_storage_buffer_binding_size").and(contains("subgroups")));
    let found = json(orthoformer(&["devices", "--json"]).success());
    let first = &found.as_array().expect("a list")[0];
    assert!(first["tiers"]["f16"]["on"].is_boolean() && first["limits"]["max_buffer_size"].is_u64(), "{first}");
    orthoformer(&["devices", "--backend", "glide"])
        .code(1)
        .stderr(contains("backend: \"glide\" is not valid; expected vulkan, metal, dx12 or gl"));
    without_adapters(&["devices"]).code(1).stderr(contains("no GPU adapter found"));
    assert_eq!(json(without_adapters(&["devices", "--json"]).success()), Value::Array(Vec::new()));
}

#[test]
fn run_writes_what_is_expected_on_both_executors() {
    let folder = folder();
    let case = Case::read(Path::new(&shipped("cases/layer_trajectory_1_projected.safetensors"))).expect("shipped");
    for executor in ["gpu", "reference"] {
        let out = text(folder.path().join(format!("{executor}.safetensors")));
        let input = shipped("cases/layer_trajectory_1_projected.safetensors");
        let report = json(orthoformer(&["run", &input, "--out", &out, "--executor", executor, "--json"]).success());
        assert_eq!(report["device_bytes"].as_u64().expect("a number") > 0, executor == "gpu");
        let bytes = std::fs::read(&out).expect("written");
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("a good file");
        assert_eq!(file.len(), case.expected.len());
        for (name, expected) in &case.expected {
            let view = file.tensor(name).expect("named as expected");
            let data = bytemuck::pod_collect_to_vec(view.data());
            let found = orthoformer::Tensor::new(view.shape().to_vec(), data).expect("consistent");
            let outcome = compare(&found, expected, Tolerance::LAYER);
            assert!(outcome.passed(), "{name} on {executor}: {outcome:?}");
        }
    }
}

#[test]
fn run_hands_out_attention_on_request() {
    let folder = folder();
    let (input, out) = (shipped("cases/layer_trajectory_0_identity.safetensors"), text(folder.path().join("out.safetensors")));
    let run = orthoformer(&["run", &input, "--out", &out, "--queries", "0,9", "--temporal-weights"]).success();
    run.stdout(
        contains("attention [1, 2, 2, 2, 5]").and(contains("temporal_weights [1, 2, 10, 2]")).and(contains("on the device")),
    );
    let beyond = orthoformer(&["run", &input, "--out", &out, "--queries", "10"]).code(1);
    beyond.stderr(contains("query 10 is out of range; it must be below 10"));
    let joint = shipped("cases/layer_joint_0.safetensors");
    let refused = orthoformer(&["run", &joint, "--out", &out, "--temporal-weights"]).code(1);
    refused.stderr(contains("expected a case of a trajectory layer"));
}

#[test]
fn run_says_what_is_wrong() {
    let folder = folder();
    let (input, out) = (shipped("cases/trajectories_1.safetensors"), text(folder.path().join("out.safetensors")));
    let run = |arguments: &[&str], message: &str| {
        orthoformer(&[&["run"], arguments].concat()).code(1).stderr(contains(message.to_owned()));
        assert!(!Path::new(&out).exists(), "nothing is written");
    };
    run(&["missing.safetensors", "--out", &out], "cannot read missing.safetensors");
    run(&[&shipped("clips/ball.gif"), "--out", &out], "not a safetensors file");
    run(&[&input, "--out", &out, "--adapter", "Voodoo 2"], "no adapter matches \"Voodoo 2\"; available: ");
    run(&[&input, "--out", &out, "--adapter", "99"], "no adapter matches \"99\"");
    // A file where a folder should be cannot be written into, whoever asks.
    let blocked = text(folder.path().join("file"));
    std::fs::write(&blocked, "").expect("writable");
    run(&[&input, "--out", &format!("{blocked}/out.safetensors")], "cannot write into");
    without_adapters(&["run", &input, "--out", &out]).code(1).stderr(contains("no GPU adapter found for the backends vulkan"));
    without_adapters(&["run", &input, "--out", &out, "--executor", "reference"]).success();
}

#[test]
fn check_passes_on_what_ships_and_fails_on_what_is_wrong() {
    let all = orthoformer(&["check"]).success();
    all.stdout(contains("adapter: ").and(contains("60 of 60 cases passed")).and(contains("layer_divided_time_2")));
    let folder = folder();
    let good = std::fs::read(shipped("cases/layer_joint_0.safetensors")).expect("shipped");
    let header = 8 + u64::from_le_bytes(good[..8].try_into().expect("eight")) as usize;
    let mut wrong = good.clone();
    // The first tensor of the file is expected.y: one number of it is made NaN.
    wrong[header..header + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(folder.path().join("wrong.safetensors"), &wrong).expect("writable");
    std::fs::write(folder.path().join("good.safetensors"), &good).expect("writable");
    std::fs::write(folder.path().join("cut.safetensors"), &good[..100]).expect("writable");
    let mixed = orthoformer(&["check", &text(folder.path())]).code(1);
    mixed.stdout(contains("1 of 3 cases passed").and(contains("WRONG"))).stderr(contains("cut: ").and(contains("wrong: ")));
    let report = json(orthoformer(&["check", "--json", &text(folder.path().join("wrong.safetensors"))]).code(1));
    assert_eq!(
        (&report["passed"], &report["cases"][0]["outputs"][0]["adapter"]["wrong"]),
        (&Value::Bool(false), &Value::from(1))
    );
    without_adapters(&["check"]).code(1).stderr(contains("no GPU adapter found"));
}

#[test]
fn check_takes_names_of_shipped_cases_and_refuses_others() {
    let named = orthoformer(&["check", "layer_joint_0"]).success();
    named.stdout(contains("layer_joint_0: ok").and(contains("1 of 1 cases passed")));
    let refused = orthoformer(&["check", "nothere"]).code(1);
    refused.stdout("").stderr(contains("error: nothere: no such case file").and(contains("`orthoformer check --list`")));
    orthoformer(&["check", "missing.safetensors"]).code(1).stderr(contains("missing.safetensors: no such case file"));
    orthoformer(&["check", "layer_joint_9"]).code(1).stderr(contains("similar are layer_joint_0, layer_joint_1"));
    let listed = orthoformer(&["check", "--list"]).success();
    listed.stdout(contains("layer_joint_0\n").and(contains("swin/case\n")).and(contains("passed").not()));
}

#[test]
fn track_writes_an_animation_a_sheet_and_numbers() {
    let folder = folder();
    let out = folder.path().join("new").join("track");
    let arguments = ["track", &shipped("clips/ball.mp4"), "--at", "52,20", "--out", &text(out.clone()), "--json"];
    let run = orthoformer(&arguments).success();
    let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(!stderr.contains("following") && !stderr.contains("drawing"), "quiet in a pipe: {stderr}");
    let report = json(run);
    let written: Value = serde_json::from_slice(&std::fs::read(out.join("track.json")).expect("written")).expect("JSON");
    assert_eq!(report, written);
    let frames = report["frames"].as_array().expect("a list");
    assert_eq!((frames.len(), report["width"].as_u64(), report["frame"].as_u64()), (12, Some(64), Some(0)));
    for frame in frames {
        let at = |axis: &str| frame["centroid"][axis].as_f64().expect("a number");
        assert!((0.0..64.0).contains(&at("x")) && (0.0..48.0).contains(&at("y")), "{frame}");
        assert!(frame["entropy"].as_f64().expect("a number") >= 0.0 && frame["peak_weight"].as_f64().expect("a number") <= 1.0);
    }
    let overlay = orthoformer_video::Clip::open(&out.join("overlay.gif")).expect("a GIF");
    assert_eq!(overlay.collect::<Result<Vec<_>, _>>().expect("whole").len(), 12);
    let sheet = image::open(out.join("sheet.png")).expect("a PNG").into_rgb8();
    assert!(sheet.width() > 600 && sheet.pixels().any(|pixel| pixel.0 == [255, 255, 255]));
    assert_eq!(std::fs::read_dir(&out).expect("readable").count(), 3, "nothing else is left");
}

#[test]
fn track_takes_frames_by_stride() {
    let folder = folder();
    let out = text(folder.path());
    let track = |more: &[&str]| {
        let clip = shipped("clips/ball.y4m");
        orthoformer(&[&["track", clip.as_str(), "--out", &out, "--depth", "1", "--json"], more].concat())
    };
    let report = json(track(&["--stride", "5", "--frame", "10"]).success());
    let numbers: Vec<_> = report["frames"].as_array().expect("a list").iter().map(|frame| frame["frame"].as_u64()).collect();
    assert_eq!(numbers, [Some(0), Some(5), Some(10)]);
    let some = track(&["--frames", "4"]).success();
    assert!(String::from_utf8_lossy(&some.get_output().stderr).contains("its first 4 frames are followed"));
    assert_eq!(json(some)["frames"].as_array().expect("a list").len(), 4);
    track(&["--stride", "5", "--frame", "100"]).code(1).stderr(contains("frame 100 is out of range; it must be below 12"));
    track(&["--stride", "5", "--frame", "7"]).code(1).stderr(contains("a multiple of the stride 5"));
    track(&["--stride", "0"]).code(1).stderr(contains("stride is 0; it must be at least 1"));
    track(&["--frames", "0"]).code(1).stderr(contains("frames is 0; it must be at least 1"));
}

#[test]
fn track_says_what_is_wrong() {
    let folder = folder();
    let (clip, out) = (shipped("clips/ball.mp4"), text(folder.path().join("out")));
    let track = |arguments: &[&str], message: &str| {
        orthoformer(&[&["track"], arguments, &["--out", &out]].concat()).code(1).stderr(contains(message.to_owned()));
        assert!(!Path::new(&out).exists(), "nothing is written");
    };
    track(&[&clip, "--at", "64,10"], "point 64,10 is outside the picture, which is 64 x 48 pixels");
    track(&[&clip, "--at", "-1,10"], "point -1,10 is outside the picture");
    track(&[&clip, "--frame", "12"], "frame 12 is out of range; it must be below 12");
    track(&[&clip, "--frame", "300"], "expected one of the first 240 that are followed (--frames N for more)");
    track(&[&clip, "--size", "3000", "--depth", "64"], "a smaller size or larger patches have fewer");
    track(&[&clip, "--size", "1200", "--patch", "32", "--depth", "64"], "a smaller size or depth has fewer");
    track(&[&clip, "--patch", "0"], "patch side is 0; it must be at least 1");
    track(&[&clip, "--depth", "1000"], "patch depth is 1000; the most that is supported is 64");
    track(&[&clip, "--size", "100000"], "size is 100000; the most that is supported is 4096");
    track(&[&clip, "--temperature", "0"], "expected a number above 0");
    track(&["missing.mp4"], "cannot read missing.mp4");
    track(&[&shipped("soak.rs")], "not a kind of clip");
    let cut = text(folder.path().join("cut.mp4"));
    let bytes = std::fs::read(&clip).expect("shipped");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).expect("writable");
    track(&[&cut], "damaged or truncated MP4");
    // Damage counts in frames that are left out, too.
    let bytes = std::fs::read(shipped("clips/ball.y4m")).expect("shipped");
    let short = text(folder.path().join("cut.y4m"));
    std::fs::write(&short, &bytes[..bytes.len() * 55 / 100]).expect("writable");
    for stride in ["1", "4", "5", "11"] {
        track(&[&short, "--stride", stride], "truncated: it ends inside a frame");
    }
    let blocked = text(folder.path().join("file"));
    std::fs::write(&blocked, "").expect("writable");
    let into_file = orthoformer(&["track", &clip, "--out", &format!("{blocked}/out")]).code(1);
    into_file.stderr(contains("cannot write into"));
}

#[test]
fn demo_follows_the_ball_and_needs_no_adapter() {
    let folder = folder();
    for seed in ["0", "1", "2"] {
        let out = text(folder.path().join(seed));
        let report = json(orthoformer(&["demo", "--seed", seed, "--out", &out, "--json"]).success());
        let worst = report["worst_distance"].as_f64().expect("a number");
        assert!(worst < report["patch"].as_f64().expect("a number"), "seed {seed}: {worst} pixels off");
        let (truth, guesses) = (&report["classified"]["truth"], &report["classified"]["guesses"]);
        let likeliest: Vec<_> = guesses.as_array().expect("a list").iter().map(|guess| &guess["label"]).collect();
        assert!(truth.is_string() && likeliest.len() == 3, "{}", report["classified"]);
    }
    let out = text(folder.path().join("reference"));
    // A backend that was asked for must be there.
    let wrong = if cfg!(target_os = "linux") { "metal" } else { "vulkan" };
    if cfg!(any(target_os = "linux", target_os = "macos")) {
        let refused = orthoformer(&["demo", "--out", &out, "--backend", wrong]).code(1);
        refused.stderr(contains(format!("no GPU adapter found for the backends {wrong} (not in this build)")));
    }
    let alone = without_adapters(&["demo", "--out", &out]).success();
    alone
        .stdout(contains("on the CPU engine").and(contains("distance from the ball's true path")).and(contains("%  left")))
        .stderr(contains("running on the CPU engine"));
}

#[test]
fn a_layer_stored_as_float16_takes_less_and_stays_close() {
    let folder = folder();
    let case = shipped("cases/layer_trajectory_1_projected.safetensors");
    let run = |storage: &str| {
        let out = text(folder.path().join(format!("{storage}.safetensors")));
        (orthoformer(&["run", &case, "--out", &out, "--storage", storage, "--json"]), out)
    };
    let (half, half_file) = run("f16");
    if !half.get_output().status.success() {
        println!("skipped: {}", String::from_utf8_lossy(&half.get_output().stderr));
        half.code(1).stderr(contains("no 16-bit floats"));
        assert!(!Path::new(&half_file).exists());
        return;
    }
    let (single, single_file) = run("f32");
    let bytes = |assert: Assert| json(assert)["device_bytes"].as_u64();
    assert!(bytes(half) < bytes(single));
    let tensor = |file: &str| {
        let bytes = std::fs::read(file).expect("just written");
        let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
        let y = tensors.tensor("y").expect("the output").data().to_vec();
        let numbers: Vec<f32> = bytemuck::pod_collect_to_vec(&y);
        orthoformer::Tensor::new(vec![numbers.len()], numbers).expect("as many")
    };
    let norm = relative_norm(&tensor(&half_file), &tensor(&single_file));
    assert!(norm > 0.0 && norm < Tolerance::HALF_NORM, "{norm}");
    orthoformer(&["run", &case, "--out", &half_file, "--storage", "f17"]).code(2).stderr(contains("f32, f16"));
}
