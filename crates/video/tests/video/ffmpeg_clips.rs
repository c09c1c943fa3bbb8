//! Clips that ffmpeg decodes, and what it makes of those that are decoded here.

use std::process::Command;

use image::RgbImage;
use orthoformer::Result;
use orthoformer_video::Clip;
use orthoformer_video::views::{Sampling, ViewSpec, ViewStream};

use crate::clips::{clip, difference, folder, good, has_ffmpeg, refusal, written};
use crate::damaged_clips::tolerated;

#[test]
fn h264_is_converted_to_the_bits_that_ffmpeg_makes() {
    if !has_ffmpeg() {
        return println!("ffmpeg is not installed: there is nothing to compare with");
    }
    for name in ["ball.mp4", "bt709.mp4", "cut_from_ts.mp4", "full_range.mp4", "size_change.mp4"] {
        let run = Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(clip(name))
            .args(["-pix_fmt", "rgb24", "-f", "rawvideo", "-"])
            .output()
            .expect("runs");
        let ours = good(name);
        let bytes = run.stdout.chunks_exact(ours[0].as_raw().len());
        assert_eq!(bytes.len(), ours.len(), "{name}");
        for (index, (theirs, ours)) in bytes.zip(&ours).enumerate() {
            let theirs = RgbImage::from_raw(ours.width(), ours.height(), theirs.to_vec()).expect("a frame");
            let found = difference(&theirs, ours);
            assert!(found < 1.5, "{name}: frame {index} differs by {found}");
        }
    }
}

#[test]
fn ffmpeg_is_asked_for_the_streams_colours() {
    if !has_ffmpeg() {
        return println!("ffmpeg is not installed: these need it");
    }
    for name in ["bt709.webm", "bt2020.mp4"] {
        for frame in good(name) {
            let found = frame.get_pixel(9, 9).0;
            assert!(found.iter().zip([208, 40, 88]).all(|(&found, meant)| found.abs_diff(meant) <= 8), "{name}: {found:?}");
        }
    }
    // Columns of red and blue, which halved chroma would make one.
    let frame = &good("yuv444.mp4")[0];
    let (blue, red) = (frame.get_pixel(8, 8).0, frame.get_pixel(9, 8).0);
    assert!(blue[0] < 60 && blue[2] > 180 && red[0] > 180 && red[2] < 60, "{blue:?} {red:?}");
}

#[test]
fn frames_of_a_changing_rate_are_shown_once() {
    if !has_ffmpeg() {
        return println!("ffmpeg is not installed: this needs it");
    }
    assert_eq!(good("vfr.webm").len(), 12);
    let spec = ViewSpec::new(Sampling::in_segments(4), "1x1".parse().expect("right"), 16);
    let source = ViewStream::open(&clip("vfr.webm"), &spec).expect("good").source();
    assert_eq!(source.frames, 12);
    // Twelve frames in a second and a half.
    assert!((source.fps.expect("known") - 8.0).abs() < 0.1, "{:?}", source.fps);
}

/// A transport stream of a clip, by ffmpeg.
fn transport_stream(folder: &tempfile::TempDir, name: &str) -> Vec<u8> {
    let path = folder.path().join("stream.ts");
    let made = Command::new("ffmpeg").args(["-v", "error", "-y", "-i"]).arg(clip(name)).args(["-c", "copy"]).arg(&path).status();
    assert!(made.expect("runs").success());
    std::fs::read(path).expect("written")
}

#[test]
fn streams_may_begin_between_key_frames() {
    if !has_ffmpeg() {
        return println!("ffmpeg is not installed: this needs it");
    }
    let folder = folder();
    let whole = transport_stream(&folder, "size_change.mp4");
    let packets: Vec<&[u8]> = whole.chunks(188).collect();
    // Its second half begins with the next key frame.
    let late = [&packets[..3], &packets[10..]].concat().concat();
    let path = written(&folder, "late.ts", &late);
    let mut clip = Clip::open(&path).expect("it only begins late");
    let found = clip.by_ref().collect::<Result<Vec<_>>>().expect("good");
    assert!((20..40).contains(&found.len()), "{}", found.len());
    assert_eq!(clip.notes().len(), 1, "{:?}", clip.notes());
    assert!(clip.notes()[0].starts_with("It begins between key frames"));
}

#[test]
fn what_ffmpeg_conceals_is_refused_or_noted() {
    if !has_ffmpeg() {
        return println!("ffmpeg is not installed: this needs it");
    }
    let folder = folder();
    let mut bytes = transport_stream(&folder, "ball.mp4");
    // In the midst of a picture of the second half.
    bytes[188 * 30 + 100..188 * 30 + 160].fill(0);
    let path = written(&folder, "damaged.ts", &bytes);
    assert!(refusal(&path).contains("ffmpeg says: "), "{}", refusal(&path));
    let (found, notes) = tolerated(&path);
    assert!((6..=12).contains(&found.len()), "{}", found.len());
    assert!(notes.len() == 1 && notes[0].starts_with(&format!("Damaged: ffmpeg makes {} frames", found.len())), "{notes:?}");
}
