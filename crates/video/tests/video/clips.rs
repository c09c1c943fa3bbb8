//! Decoding clips, good and bad. `tests/clips/` holds the demo's ball, 64 x 48 pixels, 12 frames, in several formats.

use std::path::{Path, PathBuf};
use std::process::Command;

use image::{RgbImage, imageops};
use orthoformer::Result;
use orthoformer_video::Clip;

pub fn clip(name: &str) -> PathBuf {
    support::shipped(&format!("clips/{name}"))
}

pub fn frames(path: &Path) -> Result<Vec<RgbImage>> {
    Clip::open(path)?.collect()
}

pub fn good(name: &str) -> Vec<RgbImage> {
    frames(&clip(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub fn refusal(path: &Path) -> String {
    let error = frames(path).map(|frames| frames.len()).expect_err("must be refused").to_string();
    error.replace(&path.display().to_string(), "CLIP")
}

/// Bytes in a file of their own.
pub fn written(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("writable");
    path
}

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a place to write")
}

/// Mean difference of two pictures, steps of 8 bits.
pub fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a.as_raw().iter().zip(b.as_raw()).map(|(&a, &b)| u64::from(a.abs_diff(b))).sum();
    sum as f64 / a.as_raw().len() as f64
}

pub fn has_ffmpeg() -> bool {
    Command::new("ffmpeg").arg("-version").output().is_ok()
}

#[test]
fn h264_is_decoded_exactly_and_in_the_order_of_showing() {
    // ball.y4m is what ffmpeg makes of ball.mp4: High profile, CABAC, B-frames.
    let (mp4, y4m) = (good("ball.mp4"), good("ball.y4m"));
    assert_eq!((mp4.len(), y4m.len()), (12, 12));
    for (index, (mp4, y4m)) in mp4.iter().zip(&y4m).enumerate() {
        assert!(mp4 == y4m, "frame {index} differs by {}", difference(mp4, y4m));
    }
    assert_eq!(good("fragmented.mp4"), mp4);
    assert_eq!(good("baseline.mp4").len(), 4);
    let opened = Clip::open(&clip("ball.mp4")).expect("good");
    assert_eq!((opened.width, opened.height, opened.frame_count), (64, 48, Some(12)));
    assert!((opened.frame_rate.expect("known") - 12.0).abs() < 0.01);
}

#[test]
fn animations_and_folders_are_decoded() {
    let (apng, gif, mp4) = (good("ball_apng.png"), good("ball.gif"), good("ball.mp4"));
    assert_eq!((apng.len(), gif.len()), (12, 12));
    assert_eq!(good("ball.webp").len(), 12);
    for index in 0..12 {
        let lost = difference(&apng[index], &gif[index]);
        assert!(lost < 6.0, "a GIF has 256 colours, but loses {lost}");
        let lost = difference(&apng[index], &mp4[index]);
        assert!(lost < 6.0, "H.264 loses a little, not {lost}");
    }
    let folder = folder();
    for (index, frame) in apng.iter().enumerate() {
        // frame2 comes before frame10.
        frame.save(folder.path().join(format!("frame{index}.png"))).expect("writable");
    }
    std::fs::write(folder.path().join("notes.txt"), "not a picture").expect("writable");
    assert_eq!(frames(folder.path()).expect("good"), apng);
    let still = frames(&folder.path().join("frame3.png")).expect("a clip of one frame");
    assert_eq!(still, apng[3..4]);
}

#[test]
fn colours_are_those_that_the_file_says() {
    // A flat grey of 56 in full range; read as limited range it would be 47.
    for frame in good("full_range.mp4") {
        assert!(frame.pixels().all(|pixel| pixel.0.iter().all(|&value| value.abs_diff(56) <= 1)), "{:?}", frame.get_pixel(5, 5));
    }
    let folder = folder();
    let y4m = |words: &str| {
        let bytes = [format!("YUV4MPEG2 W2 H2 F25:1 Cmono{words}\nFRAME\n").as_bytes(), &[235; 4]].concat();
        frames(&written(&folder, "grey.y4m", &bytes)).expect("good")[0].get_pixel(0, 0).0
    };
    assert_eq!((y4m(""), y4m(" XCOLORRANGE=FULL")), ([255; 3], [235; 3]));
}

#[test]
fn pictures_are_turned_as_the_file_says() {
    let mut bytes = std::fs::read(clip("ball.mp4")).expect("shipped");
    let tkhd = bytes.windows(4).position(|word| word == b"tkhd").expect("has a track");
    let quarter: [i32; 9] = [0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x4000_0000];
    for (slot, value) in bytes[tkhd + 44..].chunks_mut(4).zip(quarter) {
        slot.copy_from_slice(&value.to_be_bytes());
    }
    let folder = folder();
    let turned = frames(&written(&folder, "turned.mp4", &bytes)).expect("good");
    let upright: Vec<RgbImage> = good("ball.mp4").iter().map(imageops::rotate90).collect();
    assert_eq!(turned, upright);
}

#[test]
fn other_codecs_go_to_ffmpeg() {
    for (name, why) in [("mpeg4.mp4", "decoded without ffmpeg"), ("ball.webm", "not a kind of clip")] {
        if has_ffmpeg() {
            let (found, expected) = (good(name), good("ball_apng.png"));
            assert_eq!(found.len(), 12, "{name}");
            assert!(difference(&found[5], &expected[5]) < 12.0, "{name}");
        } else {
            println!("ffmpeg is not installed: {name} can only be refused here");
            let refused = refusal(&clip(name));
            assert!(refused.contains(why) && refused.contains("that program is not installed"), "{refused}");
        }
    }
}

#[test]
fn files_that_are_no_clips_are_refused() {
    let folder = folder();
    assert_eq!(refusal(&written(&folder, "empty.mp4", b"")), "CLIP: the file is empty");
    let missing = folder.path().join("missing.mp4");
    assert!(refusal(&missing).starts_with("cannot read CLIP: "));
    let text = refusal(&written(&folder, "text.mp4", b"once upon a time there was a text file"));
    assert!(text.starts_with("CLIP: not a kind of clip that is decoded without ffmpeg, and"), "{text}");
    let nothing = folder.path().join("nothing");
    std::fs::create_dir(&nothing).expect("writable");
    assert!(refusal(&nothing).contains("the folder has no pictures"));
}

#[test]
fn truncated_clips_are_refused_wherever_they_end() {
    let folder = folder();
    if has_ffmpeg() {
        let bytes = std::fs::read(clip("ball.webm")).expect("shipped");
        assert!(refusal(&written(&folder, "cut.webm", &bytes[..bytes.len() / 2])).contains("ffmpeg says: "));
    }
    for (name, steps) in [("ball.mp4", 40), ("fragmented.mp4", 40), ("ball_apng.png", 20), ("ball.gif", 20), ("ball.y4m", 20)] {
        let bytes = std::fs::read(clip(name)).expect("shipped");
        for step in 1..steps {
            let path = written(&folder, name, &bytes[..bytes.len() * step / steps]);
            // An animation that ends between two frames is a shorter animation; everything else is an error.
            match frames(&path) {
                Ok(found) => assert!(found.len() < 12, "{name} cut at {step}/{steps} is whole"),
                Err(error) => assert!(error.to_string().starts_with(&path.display().to_string()), "{error}"),
            }
        }
    }
}

#[test]
fn damaged_clips_neither_panic_nor_hang() {
    let folder = folder();
    for name in ["ball.mp4", "fragmented.mp4", "ball_apng.png", "ball.gif", "ball.y4m", "baseline.mp4"] {
        let good = std::fs::read(clip(name)).expect("shipped");
        for seed in 0..60usize {
            let mut bytes = good.clone();
            // Headers and tables first, then all over the file.
            let reach = if seed % 2 == 0 { bytes.len() } else { bytes.len().min(1500) };
            for turn in 0..4 {
                let at = (seed * 7919 + turn * 104_729) % reach;
                bytes[at] = bytes[at].wrapping_mul(31).wrapping_add(seed as u8 ^ 0xa5);
            }
            // Either outcome is fine; what counts is that there is one.
            let _ = frames(&written(&folder, name, &bytes));
        }
    }
}

#[test]
fn hostile_sample_counts_are_refused_before_they_are_believed() {
    let folder = folder();
    let mut bytes = std::fs::read(clip("ball.mp4")).expect("shipped");
    let stsz = bytes.windows(4).position(|word| word == b"stsz").expect("has sizes");
    // One size for all, four thousand million samples.
    bytes[stsz + 8..stsz + 12].copy_from_slice(&1u32.to_be_bytes());
    bytes[stsz + 12..stsz + 16].copy_from_slice(&u32::MAX.to_be_bytes());
    let refused = refusal(&written(&folder, "hostile.mp4", &bytes));
    let expected = "CLIP: damaged or truncated MP4 (5883 bytes): it declares 4294967295 samples; at most 5883 are read";
    assert_eq!(refused, expected);
    // A long file is no excuse either: nothing on disk, two hundred million bytes.
    bytes[stsz + 12..stsz + 16].copy_from_slice(&100_000_000u32.to_be_bytes());
    let sparse = written(&folder, "sparse.mp4", &bytes);
    let file = std::fs::OpenOptions::new().write(true).open(&sparse).expect("writable");
    file.set_len(200_000_000).expect("sparse");
    assert!(refusal(&sparse).contains("it declares 100000000 samples; at most 4194304 are read"));
}

#[test]
fn hostile_sizes_are_refused() {
    let folder = folder();
    let y4m = |header: &str| refusal(&written(&folder, "hostile.y4m", header.as_bytes()));
    assert!(y4m("YUV4MPEG2 W99999999 H99999999 F25:1 C420\nFRAME\n").contains("CLIP"));
    assert!(y4m("YUV4MPEG2 W0 H16 F25:1 C420\nFRAME\n").contains("CLIP"));
    assert!(y4m("YUV4MPEG2 W4 H4 F25:1 C420p10\nFRAME\n").contains("10 bits a sample; 8 are supported"));
    assert!(y4m("YUV4MPEG2 W4 H4 F25:1 C420\n").contains("it has no frames"));
    let frame = "YUV4MPEG2 W4 H4 F25:1 C420\nFRAME\n0123456789";
    assert!(y4m(frame).contains("truncated: it ends inside a frame"), "{}", y4m(frame));
    let mut png = std::fs::read(clip("ball_apng.png")).expect("shipped");
    png[16..24].copy_from_slice(&[0, 15, 255, 255, 0, 15, 255, 255]);
    assert!(refusal(&written(&folder, "hostile.png", &png)).contains("damaged or truncated PNG"));
    let mixed = self::folder();
    RgbImage::new(4, 4).save(mixed.path().join("1.png")).expect("writable");
    RgbImage::new(5, 4).save(mixed.path().join("2.png")).expect("writable");
    assert!(refusal(mixed.path()).contains("frames change size from 4 x 4 to 5 x 4"));
}
