//! Views of clips that are damaged, turned, or do not tell the truth about themselves.

use std::path::{Path, PathBuf};

use image::RgbImage;
use orthoformer::Result;
use orthoformer_video::Clip;
use orthoformer_video::views::{Sampling, View, ViewSpec, ViewStream};

fn clip(name: &str) -> Vec<u8> {
    std::fs::read(support::shipped(&format!("clips/{name}"))).expect("shipped")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a place to write")
}

fn written(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("writable");
    path
}

fn spec(sampling: Sampling, views: &str) -> ViewSpec {
    ViewSpec::new(sampling, views.parse().expect("right"), 16)
}

fn position(bytes: &[u8], name: &[u8; 4]) -> usize {
    bytes.windows(4).position(|word| word == name).expect("has that box")
}

/// Where each picture of an MP4 begins that has its pictures one after the other.
fn picture_starts(bytes: &[u8]) -> Vec<usize> {
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
    let (sizes, chunks) = (position(bytes, b"stsz"), position(bytes, b"stco"));
    let mut starts = vec![word(chunks + 12)];
    for picture in 1..word(sizes + 12) {
        starts.push(starts[picture - 1] + word(sizes + 12 + 4 * picture));
    }
    starts
}

#[test]
fn views_can_be_sent_to_another_thread() {
    fn sendable<T: Send>() {}
    sendable::<View>();
}

#[test]
fn damage_in_mid_stream_comes_in_place_of_the_view() {
    let folder = folder();
    let mut bytes = clip("baseline.mp4");
    let starts = picture_starts(&bytes);
    assert_eq!(starts.len(), 4);
    // A unit that is longer than its picture.
    bytes[starts[2]] = 0xff;
    let path = written(&folder, "damaged.mp4", &bytes);
    let rate = Clip::open(&path).expect("its head is whole").frame_rate.expect("known");
    let sampling = Sampling { target_fps: rate, ..Sampling::dense(1, 1) };
    let mut stream = ViewStream::open(&path, &spec(sampling, "4x3")).expect("its head is whole");
    let outcomes: Vec<Result<View>> = stream.by_ref().collect();
    // One-frame windows at 0, 0.75, 1.5 and 2.25.
    assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [vec![true; 9], vec![false]].concat());
    let error = outcomes.last().expect("ten").as_ref().expect_err("damaged").to_string();
    assert!(error.starts_with(&path.display().to_string()) && error.contains("picture 2 is cut off"), "{error}");
    assert!(stream.next().is_none() && stream.held() == 0);
}

#[test]
fn damaged_pictures_of_a_folder_are_named() {
    let folder = folder();
    for index in 0..6 {
        RgbImage::new(20, 20).save(folder.path().join(format!("{index}.png"))).expect("writable");
    }
    let damaged = written(&folder, "4.png", b"\x89PNG, or so it says");
    let mut stream = ViewStream::open(folder.path(), &spec(Sampling::in_segments(3), "1x3")).expect("the first one is whole");
    let error = stream.next().expect("an error").expect_err("damaged").to_string();
    assert!(error.starts_with(&damaged.display().to_string()), "{error}");
    assert!(stream.next().is_none());
}

#[test]
fn clips_that_end_too_early_repeat_their_last_frame_and_say_so() {
    let folder = folder();
    let mut bytes = clip("baseline.mp4");
    // Fillers in place of the last two pictures.
    for &start in &picture_starts(&bytes)[2..] {
        bytes[start + 4] = 12;
    }
    let path = written(&folder, "short.mp4", &bytes);
    let frames: Vec<RgbImage> = Clip::open(&path).and_then(Iterator::collect).expect("two pictures are whole");
    assert_eq!(frames.len(), 2);
    let spec = ViewSpec::new(Sampling::in_segments(4), "1x3".parse().expect("right"), 12);
    let whole = written(&folder, "whole.mp4", &clip("baseline.mp4"));
    let indices = |path: &Path| {
        let mut stream = ViewStream::open(path, &spec).expect("good");
        let views: Vec<View> = stream.by_ref().collect::<Result<_>>().expect("good");
        assert_eq!((views.len(), stream.source().frames), (3, 4));
        let last_two: Vec<bool> =
            views.iter().map(|view| view.clip.data()[2 * 144..3 * 144] == view.clip.data()[3 * 144..4 * 144]).collect();
        (views[2].indices.clone(), last_two, stream.notes().to_vec())
    };
    let (taken, ..) = indices(&whole);
    assert_eq!(taken.iter().max(), Some(&2));
    let (taken, last_two, notes) = indices(&path);
    assert_eq!(taken.iter().max(), Some(&1));
    assert_eq!(last_two, [true; 3]);
    assert_eq!(notes, ["The clip ends after 2 frames of 4: its last frame is repeated."]);
}

#[test]
fn frames_that_are_only_reached_by_repeating_are_there() {
    let folder = folder();
    let mut bytes = clip("baseline.mp4");
    for &start in &picture_starts(&bytes)[2..] {
        bytes[start + 4] = 12;
    }
    let path = written(&folder, "short.mp4", &bytes);
    let rate = Clip::open(&path).expect("good").frame_rate.expect("known");
    // Frames 0 and 3 are asked for: 1, which stands for 3, was not kept when it was decoded.
    let sampling = Sampling { target_fps: rate, ..Sampling::dense(2, 2) };
    let mut stream = ViewStream::open(&path, &spec(sampling, "2x1")).expect("good");
    let views: Vec<View> = stream.by_ref().collect::<Result<_>>().expect("good");
    assert!(views.iter().all(|view| view.indices == [0, 1]));
    assert_eq!((stream.notes().len(), stream.held()), (1, 0));
}

#[test]
fn truncated_clips_that_have_to_be_counted_are_refused_at_once() {
    let folder = folder();
    for name in ["ball.y4m", "ball.gif"] {
        let bytes = clip(name);
        let path = written(&folder, name, &bytes[..bytes.len() - 1000]);
        let error = ViewStream::open(&path, &spec(Sampling::dense(1, 1), "1x1")).expect_err("truncated").to_string();
        assert!(error.starts_with(&path.display().to_string()) && error.contains("truncated"), "{error}");
    }
}

#[test]
fn turned_clips_are_cut_as_they_are_shown() {
    let mut bytes = clip("ball.mp4");
    let header = position(&bytes, b"tkhd");
    let quarter: [i32; 9] = [0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x4000_0000];
    for (slot, value) in bytes[header + 44..].chunks_mut(4).zip(quarter) {
        slot.copy_from_slice(&value.to_be_bytes());
    }
    let folder = folder();
    let stream = ViewStream::open(&written(&folder, "turned.mp4", &bytes), &spec(Sampling::dense(2, 2), "1x3")).expect("good");
    assert_eq!((stream.source().width, stream.source().height), (48, 64));
    let views: Vec<View> = stream.collect::<Result<_>>().expect("good");
    assert!(views[0].clip != views[2].clip);
}

#[test]
fn frame_rates_that_cannot_be_are_not_believed() {
    let folder = folder();
    let spec = spec(Sampling::dense(4, 2), "5x1");
    let views = |rate: &str| {
        let mut bytes = format!("YUV4MPEG2 W3 H5 F{rate} Cmono\n").into_bytes();
        (0..20).for_each(|_| bytes.extend_from_slice(b"FRAME\n0123456789abcde"));
        let mut stream = ViewStream::open(&written(&folder, "rate.y4m", &bytes), &spec)?;
        let views: Vec<View> = stream.by_ref().collect::<Result<_>>()?;
        let indices: Vec<Vec<usize>> = views.into_iter().map(|view| view.indices).collect();
        Ok::<_, orthoformer::Error>((indices, stream.source().fps, stream.notes().to_vec()))
    };
    let (usual, fps, notes) = views("30:1").expect("good");
    assert_eq!((fps, notes.len()), (Some(30.0), 0));
    for rate in ["0:0", "0:1", "1:0", "4294967295:1", "1:4294967295"] {
        let (indices, fps, notes) = views(rate).expect("only its rate is odd");
        assert_eq!((&indices, fps, notes.len()), (&usual, None, 1), "{rate}");
        assert!(notes[0].ends_with(": 30 are assumed."), "{}", notes[0]);
    }
    // Beyond any integer, and not a number at all.
    for rate in ["99999999999999999999999:1", "nan:inf", "-5:1"] {
        if let Ok((indices, ..)) = views(rate) {
            assert_eq!(indices, usual, "{rate}");
        }
    }
    // Slower than a frame in a window: one frame a view, or the one before it, as published.
    let (indices, ..) = views("1:100").expect("good");
    assert!(indices.iter().flatten().all(|&index| index < 20));
}
