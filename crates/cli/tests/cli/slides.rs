//! Pictures for slides by the program: of the clip's own size, and only of what is attended to.

use std::path::{Path, PathBuf};
use std::process;

use assert_cmd::Command;
use image::RgbImage;
use orthoformer_video::Clip;
use predicates::str::contains;
use serde_json::Value;

use crate::program::{folder, json, orthoformer, shipped, text};

/// The clip, which has 12 frames of 64 x 48 pixels, and the network that looks at four of them.
fn track_and_attend() -> [Vec<String>; 2] {
    let (clip, weights) = (shipped("clips/ball.mp4"), shipped("models/patches_2d.pyth"));
    let own = |arguments: &[&str]| arguments.iter().map(|&argument| argument.to_owned()).collect();
    [own(&["track", &clip, "--at", "52,20"]), own(&["attend", &clip, "--at", "52,20", "--weights", &weights])]
}

/// The command's words and more of them.
fn with<'w>(command: &'w [String], more: &[&'w str]) -> Vec<&'w str> {
    command.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

fn own_frames() -> Vec<RgbImage> {
    Clip::open(Path::new(&shipped("clips/ball.mp4"))).expect("shipped").map(|frame| frame.expect("whole")).collect()
}

/// The pictures of a folder, which has nothing else.
fn pictures(folder: &Path) -> Vec<RgbImage> {
    let count = std::fs::read_dir(folder).expect("written").count();
    let name = |index: usize| folder.join(format!("frame_{index:05}.png"));
    (0..count).map(|index| image::open(name(index)).expect("a PNG").into_rgb8()).collect()
}

fn numbers(report: &Value, of: &str) -> Vec<usize> {
    report[of].as_array().expect("a list").iter().map(|number| number.as_u64().expect("a number") as usize).collect()
}

/// How many pixels of some columns differ, above the bar of temporal weights.
fn apart(one: &RgbImage, other: &RgbImage, columns: u32) -> usize {
    let pixels = (0..44).flat_map(|y| (0..columns).map(move |x| (x, y)));
    pixels.filter(|&(x, y)| one.get_pixel(x, y) != other.get_pixel(x, y)).count()
}

#[test]
fn track_writes_frames_at_the_clips_own_size() {
    let [track, _] = track_and_attend();
    let own = own_frames();
    for (more, count) in [(vec![], 12), (vec!["--stride", "3", "--frames", "3", "--depth", "1"], 3)] {
        let folder = folder();
        let (out, frames) = (text(folder.path().join("out")), folder.path().join("new").join("frames"));
        let frames_dir = text(&frames);
        // So sharp that attention is on one patch.
        let places = ["--out", &out, "--frames-dir", &frames_dir, "--temperature", "0.001", "--json"];
        let report = json(orthoformer(&with(&track, &[more.as_slice(), &places].concat())).success());
        let taken = report["frames"].as_array().expect("a list").iter().map(|frame| frame["frame"].as_u64().expect("a number"));
        let (taken, found) = (taken.collect::<Vec<_>>(), pictures(&frames));
        assert_eq!((found.len(), taken.len()), (count, count), "{more:?}");
        for (picture, number) in found.iter().zip(taken) {
            assert_eq!(picture.dimensions(), (64, 48));
            let differences: Vec<usize> = own.iter().map(|frame| apart(picture, frame, 64)).collect();
            let least = differences[number as usize];
            assert!(least > 0 && least < 64 * 44 / 2, "something is drawn over frame {number}, but not all over it: {least}");
            assert!(differences.iter().all(|&other| other >= least), "{number} is not the nearest: {differences:?}");
        }
    }
}

#[test]
fn attend_writes_frames_at_the_clips_own_size() {
    let [_, attend] = track_and_attend();
    let (folder, own) = (folder(), own_frames());
    let (out, frames) = (text(folder.path().join("out")), folder.path().join("frames"));
    let frames_dir = text(&frames);
    let report = json(orthoformer(&with(&attend, &["--out", &out, "--frames-dir", &frames_dir, "--json"])).success());
    let (taken, found) = (numbers(&report, "sampled"), pictures(&frames));
    assert_eq!((found.len(), taken.len(), &report["square"]["name"]), (4, 4, &"right".into()));
    for (picture, number) in found.iter().zip(taken) {
        assert_eq!(picture.dimensions(), (64, 48));
        // The network sees columns 16 to 64.
        assert_eq!(apart(picture, &own[number], 8), 0, "frame {number}");
        assert!(apart(picture, &own[number], 64) > 0, "frame {number}");
    }
}

#[test]
fn places_that_cannot_be_written_to_are_refused_before_the_work() {
    let folder = folder();
    let (blocked, out) = (folder.path().join("file"), text(folder.path().join("out")));
    std::fs::write(&blocked, "").expect("writable");
    for command in &track_and_attend() {
        let frames = text(blocked.join("frames"));
        let refused = orthoformer(&with(command, &["--out", &out, "--frames-dir", &frames])).code(1);
        refused.stderr(contains("cannot write into"));
        // Without ffmpeg, wherever that may be installed.
        let mp4 = text(folder.path().join("out.mp4"));
        let mut without = Command::cargo_bin("orthoformer").expect("built");
        without.env("PATH", folder.path()).args(with(command, &["--out", &out, "--mp4", &mp4]));
        without.assert().code(1).stderr(contains("MP4 is encoded by the program ffmpeg, which is not installed"));
        assert!(!Path::new(&out).exists() && !Path::new(&mp4).exists(), "nothing is written");
    }
    // Other commands have no such pictures.
    orthoformer(&["demo", "--out", &out, "--frames-dir", &out]).code(2).stderr(contains("--frames-dir"));
}

#[test]
fn mp4_has_the_frames_of_the_animation() {
    if process::Command::new("ffmpeg").arg("-version").output().is_err() {
        println!("skipped: ffmpeg is not installed");
        return;
    }
    for (command, count) in track_and_attend().iter().zip([12, 4]) {
        let folder = folder();
        let (out, mp4): (String, PathBuf) = (text(folder.path().join("out")), folder.path().join("out.mp4"));
        let said = orthoformer(&with(command, &["--out", &out, "--mp4", &text(&mp4)])).success();
        said.stdout(contains(format!("wrote {}", mp4.display())));
        let frames: Vec<RgbImage> = Clip::open(&mp4).expect("a clip").map(|frame| frame.expect("whole")).collect();
        assert_eq!((frames.len(), frames[0].dimensions()), (count, (64, 48)));
        // What is missing would be black.
        let mean = |picture: &RgbImage| picture.as_raw().iter().map(|&value| f64::from(value)).sum::<f64>() / 9216.0;
        assert!(frames.iter().all(|frame| mean(frame) > 20.0));
        assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 2, "nothing else is left");
    }
}

#[test]
fn what_divided_attention_does_not_choose_is_said_and_left_out() {
    let folder = folder();
    let (clip, weights) = (shipped("clips/ball.mp4"), shipped("networks/timesformer_divided_space_time/model.safetensors"));
    let (out, frames) = (text(folder.path().join("out")), folder.path().join("frames"));
    let frames_dir = text(&frames);
    let command = ["attend", &clip, "--at", "30,20", "--weights", &weights, "--out", &out, "--frames-dir", &frames_dir];
    let said = orthoformer(&command).success();
    let stdout = String::from_utf8_lossy(&said.get_output().stdout).into_owned();
    assert_eq!(stdout.matches(": by construction, whatever the clip shows, temporal weight ").count(), 3, "{stdout}");
    let report = json(orthoformer(&[&command[..], &["--json"]].concat()).success());
    let (own, found) = (own_frames(), pictures(&frames));
    for (step, (frame, &number)) in
        report["frames"].as_array().expect("four").iter().zip(&numbers(&report, "sampled")).enumerate()
    {
        let is_constructed = report["patch"]["step"] != step;
        assert_eq!(frame["is_by_construction"], is_constructed);
        assert_eq!((frame["centroid"].is_null(), frame["peak"].is_null()), (is_constructed, is_constructed));
        assert_eq!(frame["attention"].as_array().map(Vec::len), Some(16));
        assert!(frame["temporal_weight"].as_f64().expect("a share") > 0.0);
        // Above the bar of temporal weights such a frame is as the clip has it.
        let is_own = (0..44).all(|y| (0..64).all(|x| found[step].get_pixel(x, y) == own[number].get_pixel(x, y)));
        assert_eq!(is_own, is_constructed, "frame {number}");
    }
    // One cell of four is left: title, cell, colour bar and legend are as wide as text wants to be.
    let sheet = image::open(Path::new(&out).join("sheet.png")).expect("a PNG");
    assert!(sheet.width() < 2 * 224 + 100, "{}", sheet.width());
}
