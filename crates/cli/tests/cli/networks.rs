//! `classify`, `inspect` and `convert` as a user meets them.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use crate::program::{folder, json, orthoformer, shipped, text};

const WEIGHTS: &str = "models/patches_2d.pyth";

fn classify(clips: &[&str], more: &[&str]) -> assert_cmd::assert::Assert {
    let weights = shipped(WEIGHTS);
    let mut arguments = vec!["classify"];
    arguments.extend(clips);
    arguments.extend(["--weights", &weights]);
    arguments.extend(more);
    orthoformer(&arguments)
}

/// All probabilities of a clip's first head, by class.
fn probabilities(report: &Value, clip: usize) -> Vec<f64> {
    let guesses = report["clips"][clip]["heads"][0].as_array().expect("a head");
    let mut found = vec![f64::NAN; guesses.len()];
    for guess in guesses {
        found[guess["class"].as_u64().expect("a class") as usize] = guess["probability"].as_f64().expect("a number");
    }
    found
}

#[test]
fn classify_names_the_likeliest_classes() {
    let folder = folder();
    let labels = folder.path().join("labels.txt");
    std::fs::write(&labels, "left\nright\nup\ndown\nround\n").expect("written");
    let clip = shipped("clips/ball.mp4");
    classify(&[&clip], &["--labels", &text(&labels), "--top", "2"])
        .success()
        .stdout(contains("ball.mp4").and(contains(" %  ")).and(contains("1 view")));
    let report = json(classify(&[&clip], &["--labels", &text(&labels), "--json"]).success());
    let found = probabilities(&report, 0);
    assert_eq!(found.len(), 5);
    assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{found:?}");
    let names: Vec<&str> =
        report["clips"][0]["heads"][0].as_array().expect("five").iter().filter_map(|guess| guess["label"].as_str()).collect();
    assert!(names.contains(&"round") && !names.contains(&"class 0"), "{names:?}");
    assert!(report["device_bytes"].as_u64().expect("bytes") > 0);
    // The same in the reference.
    let other = json(classify(&[&clip], &["--json", "--executor", "reference"]).success());
    for (found, expected) in found.iter().zip(probabilities(&other, 0)) {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

#[test]
fn views_are_averaged_however_they_are_batched() {
    let (clip, other) = (shipped("clips/ball.mp4"), shipped("clips/ball.gif"));
    let clips = [clip.as_str(), &other];
    let one_by_one = json(classify(&clips, &["--views", "3x3", "--batch", "1", "--json"]).success());
    let together = json(classify(&clips, &["--views", "3x3", "--batch", "4", "--json"]).success());
    for clip in 0..clips.len() {
        assert_eq!(one_by_one["clips"][clip]["views"], 9);
        for (found, expected) in probabilities(&together, clip).iter().zip(probabilities(&one_by_one, clip)) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
    let single = json(classify(&clips, &["--json"]).success());
    assert_ne!(probabilities(&single, 0), probabilities(&together, 0));
    classify(&clips, &["--views", "3x2"]).code(2).stderr(contains("1 or 3 spatial ones"));
}

#[test]
fn a_bad_clip_does_not_stop_the_others() {
    let folder = folder();
    let damaged = folder.path().join("damaged.gif");
    let good = std::fs::read(shipped("clips/ball.gif")).expect("shipped");
    std::fs::write(&damaged, &good[..good.len() / 2]).expect("written");
    // Damage that comes to light when some views have been seen and others wait.
    let late = folder.path().join("late");
    std::fs::create_dir(&late).expect("a folder");
    for number in 0..40 {
        let picture = image::RgbImage::from_pixel(32, 32, image::Rgb([number * 6, 0, 0]));
        picture.save(late.join(format!("{number:02}.png"))).expect("written");
    }
    std::fs::write(late.join("30.png"), b"not a picture").expect("written");
    let good = shipped("clips/ball.gif");
    let seen = json(classify(&[&text(&late), &good], &["--views", "9x3", "--batch", "5", "--json"]).code(1));
    assert!(seen["clips"][0]["error"].as_str().expect("an error").contains("30.png"), "{seen}");
    assert_eq!(seen["clips"][0]["heads"], serde_json::json!([]), "half a clip has no classes");
    assert!(seen["clips"][0]["views"].as_u64().is_some_and(|views| views > 0), "{seen}");
    assert_eq!(seen["clips"][1]["views"], 27);
    let alone = json(classify(&[&good], &["--views", "9x3", "--json"]).success());
    for (found, expected) in probabilities(&seen, 1).iter().zip(probabilities(&alone, 0)) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
    // Or it is shown without what is damaged, which a note says.
    let seen = json(classify(&[&text(&late)], &["--tolerant", "--json"]).success());
    assert_eq!((&seen["clips"][0]["frames"], &seen["clips"][0]["error"]), (&39.into(), &Value::Null));
    let note = seen["clips"][0]["notes"].to_string();
    assert!(note.contains("of 40 pictures 1 are left out") && note.contains("30.png"), "{note}");
    classify(&[&text(&damaged)], &["--tolerant"]).success().stderr(contains("damaged.gif: Damaged: only the first "));
    let (damaged, missing, good) = (text(&damaged), text(folder.path().join("missing.mp4")), shipped("clips/ball.gif"));
    let all = classify(&[&damaged, &good, &missing], &["--json"]).code(1);
    let report = json(all);
    assert!(report["clips"][0]["error"].as_str().expect("an error").contains("damaged.gif"), "{report}");
    assert!(
        report["clips"][1]["error"].is_null() && report["clips"][1]["heads"][0].as_array().is_some_and(|head| head.len() == 5)
    );
    assert!(report["clips"][2]["error"].as_str().expect("an error").contains("missing.mp4"), "{report}");
    classify(&[&damaged, &good, &missing], &[])
        .code(1)
        .stdout(contains("ball.gif"))
        .stderr(contains("damaged.gif").and(contains("missing.mp4")));
    classify(&[&missing], &[]).code(1).stdout(predicates::str::is_empty()).stderr(contains("missing.mp4"));
}

#[test]
fn what_is_wrong_is_said_before_any_work() {
    let folder = folder();
    let labels = folder.path().join("labels.json");
    std::fs::write(&labels, "[\"left\", \"right\"]").expect("written");
    let clip = shipped("clips/ball.gif");
    let labels = text(&labels);
    classify(&[&clip], &["--labels", &labels]).code(1).stderr(contains("2 labels for a head of 5 classes"));
    classify(&[&clip], &["--labels", &labels, "--labels", &labels]).code(1).stderr(contains("one for each head"));
    let wrong = |weights: &str| orthoformer(&["classify", &clip, "--weights", weights]).code(1);
    wrong(&clip).stderr(contains("ball.gif"));
    wrong("nowhere.pyth").stderr(contains("nowhere.pyth"));
    wrong(&shipped("cases/layer_joint_1.safetensors")).stderr(contains("a case, not a checkpoint"));
    orthoformer(&["check", &shipped(WEIGHTS)]).code(1).stderr(contains("as checkpoints of PyTorch are, not a case"));
    classify(&[], &[]).code(2);
    classify(&[&clip], &["--approximation", "orthoformer", "--prototypes", "4"]).success().stdout(contains("orthoformer"));
}

#[test]
fn inspect_says_what_a_checkpoint_is() {
    orthoformer(&["inspect", &shipped(WEIGHTS)])
        .success()
        .stdout(contains("values projected").and(contains("4 frames of 112 x 112")).and(contains("patch_embed_3d.proj.weight")));
    let report = json(orthoformer(&["inspect", &shipped(WEIGHTS), "--json"]).success());
    assert_eq!((report["heads"].as_u64(), report["parameters"].as_u64()), (Some(3), Some(119_957)));
    let preset =
        json(orthoformer(&["inspect", "--preset", "motionformer-b", "--temporal-value", "projected", "--json"]).success());
    let giga = preset["cost"]["multiply_adds"].as_f64().expect("a number") / 1e9;
    assert!((giga / 216.5 - 1.0).abs() < 0.01, "{giga}");
    orthoformer(&["inspect"]).code(2);
    // A checkpoint that leaves something open.
    let folder = folder();
    let bare = folder.path().join("bare.safetensors");
    let bytes = std::fs::read(shipped(WEIGHTS)).expect("shipped");
    let checkpoint = orthoformer_models::checkpoint::Checkpoint::parse(&bare, bytes).expect("good");
    let tensors = checkpoint.tensors().map(|(name, _)| (name.to_owned(), checkpoint.read(name).expect("floats"))).collect();
    orthoformer_bench::case::write(&bare, &tensors).expect("written");
    orthoformer(&["inspect", &text(&bare)]).code(1).stderr(contains("--heads").and(contains("bare.safetensors")));
    orthoformer(&["inspect", &text(&bare), "--heads", "3"]).code(1).stderr(contains("--temporal-value"));
    let all = ["inspect", &text(&bare), "--heads", "3", "--temporal-value", "projected", "--head-activation", "tanh"];
    orthoformer(&all).success().stderr(contains("224 x 224 pixels (--crop)").and(contains("--sampling-rate")));
}

#[test]
fn folders_and_training_checkpoints_are_taken_and_noted() {
    let folder = shipped("networks/timesformer_divided_space_time");
    let report = json(orthoformer(&["inspect", &folder, "--json"]).success());
    assert_eq!(
        (report["name"].as_str(), report["network"].as_str()),
        (Some("timesformer_divided_space_time"), Some("TimeSformer"))
    );
    assert_eq!(report["resize"].as_str(), Some("shorter side to 64 pixels"));
    let training = shipped("checkpoints/training.pth");
    let noted = contains("the tensors are those under \"model\"").and(contains("passed over"));
    let place = self::folder();
    let out = place.path().join("out.safetensors");
    orthoformer(&["convert", &training, &text(&out)]).success().stderr(noted);
    orthoformer(&["inspect", &training]).code(1).stderr(contains("networks that are read are TimeSformer"));
}

#[test]
fn notes_of_a_checkpoint_are_in_reports() {
    let (folder, clip) = (folder(), shipped("clips/ball.gif"));
    for name in ["model.safetensors", "config.json"] {
        let original = shipped(&format!("networks/timesformer_divided_space_time/{name}"));
        std::fs::copy(original, folder.path().join(name)).expect("copied");
    }
    let processor = r#"{"image_processor_type": "LevitImageProcessor", "size": 64, "crop_size": 64}"#;
    std::fs::write(folder.path().join("preprocessor_config.json"), processor).expect("written");
    let weights = text(folder.path());
    let reports = [vec!["inspect", &weights, "--json"], vec!["classify", &clip, "--weights", &weights, "--json"]];
    for command in reports {
        let report = json(orthoformer(&command).success());
        let notes = report["notes"].as_array().expect("a list");
        assert!(notes.len() == 1 && notes[0].as_str().expect("text").contains("LevitImageProcessor"), "{report}");
    }
}

#[test]
fn converted_checkpoints_say_the_same() {
    let folder = folder();
    let out = folder.path().join("network.safetensors");
    let half = folder.path().join("half.safetensors");
    orthoformer(&["convert", &shipped(WEIGHTS), &text(&out)]).success().stdout(contains("with its configuration"));
    orthoformer(&["convert", &shipped(WEIGHTS), &text(&half), "--dtype", "f16"]).success();
    let size = |path| std::fs::metadata(path).expect("written").len();
    assert!(size(&half) * 10 < size(&out) * 6);
    let report =
        |weights: &str| json(orthoformer(&["classify", &shipped("clips/ball.gif"), "--weights", weights, "--json"]).success());
    let expected = probabilities(&report(&shipped(WEIGHTS)), 0);
    assert_eq!(probabilities(&report(&text(&out)), 0), expected);
    for (found, expected) in probabilities(&report(&text(&half)), 0).iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-2, "{found} {expected}");
    }
    orthoformer(&["convert", &text(&out), &text(&out)]).code(1).stderr(contains("another file"));
    orthoformer(&["convert", "nowhere.pyth", &text(&half)]).code(1).stderr(contains("nowhere.pyth"));
}

#[test]
fn the_first_clip_of_the_readme_has_the_classes_that_it_says() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    let readme = std::fs::read_to_string(format!("{root}README.md")).expect("there");
    let ball = |name: &str| format!("{root}crates/models/assets/{name}");
    let (weights, labels) = (ball("ball.safetensors"), ball("ball_classes.json"));
    let found = orthoformer(&["classify", &shipped("clips/ball.gif"), "--weights", &weights, "--labels", &labels]).success();
    let printed = String::from_utf8_lossy(&found.get_output().stdout).into_owned();
    let classes: Vec<&str> = printed.lines().take_while(|line| !line.contains("Motionformer")).collect();
    assert_eq!(classes.len(), 6, "{printed}");
    assert!(readme.contains(&classes.join("\n")), "README shows something else than\n{printed}");
}
