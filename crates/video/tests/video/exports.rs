//! Pictures for slides: of the clip's own size, as PNG and as MP4.

use std::path::{Path, PathBuf};
use std::process::Command;

use image::RgbImage;
use orthoformer::{Error, Result};
use orthoformer_video::draw::source_overlay;
use orthoformer_video::export::{Export, ExportTargets, write};
use orthoformer_video::patches::Grid;
use orthoformer_video::track::{Sighting, Track};
use orthoformer_video::{Clip, Damage};

/// 64 x 48 pixels, 12 frames.
fn ball() -> PathBuf {
    support::shipped("clips/ball.mp4")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a place to write")
}

fn frames(path: &Path) -> Vec<RgbImage> {
    Clip::open(path).and_then(Iterator::collect::<Result<_>>).unwrap_or_else(|error| panic!("{error}"))
}

/// A track over frames of a size, in patches of two frames: in frame of patches `k` all weight is on patch `k`, or on none if `is_blank`.
fn track((width, height): (u32, u32), steps: usize, is_blank: bool) -> Track {
    let grid = Grid::new(width, height, 224, 32, 2).expect("small");
    let weight = |patch: usize, step: usize| if patch == step && !is_blank { 1.0 } else { 0.0 };
    let sighting = |step: usize| {
        let weights: Vec<f32> = (0..grid.patches()).map(|patch| weight(patch, step)).collect();
        Sighting::new(&grid, &weights, &vec![0.0; grid.patch_numbers()])
    };
    let sightings = (0..steps).map(sighting).collect();
    Track { grid, point: (0.0, 0.0), query: (0, 0), query_step: 99, sightings, device_bytes: 0 }
}

fn export<'e>(clip: &'e Path, track: &'e Track, numbers: &'e [usize]) -> Export<'e> {
    Export { clip, damage: Damage::Refused, track, numbers, frame_rate: Some(12.0) }
}

fn into_folder(folder: &Path) -> ExportTargets {
    ExportTargets { frames_dir: Some(folder.to_owned()), mp4: None }
}

/// The pictures of a folder, which has nothing else.
fn pictures(folder: &Path) -> Vec<RgbImage> {
    let count = std::fs::read_dir(folder).expect("readable").count();
    let name = |index: usize| folder.join(format!("frame_{index:05}.png"));
    (0..count).map(|index| image::open(name(index)).expect("a PNG").into_rgb8()).collect()
}

#[test]
fn frames_are_drawn_at_their_own_size() {
    let own = frames(&ball());
    let every = |stride: usize| (0..12).step_by(stride).collect::<Vec<usize>>();
    // Every frame, some, and a view of a network that repeats the last.
    for numbers in [every(1), every(5), vec![0, 3, 11, 11]] {
        for is_blank in [false, true] {
            let (folder, track) = (folder(), track((64, 48), 6, is_blank));
            let mut told = Vec::new();
            let targets = into_folder(folder.path());
            let progress = |done| {
                told.push(done);
                Ok(())
            };
            let written = write(&export(&ball(), &track, &numbers), &targets, progress).expect("writes");
            assert_eq!(written, [folder.path()]);
            assert_eq!(told, (1..=numbers.len()).collect::<Vec<_>>());
            let found = pictures(folder.path());
            assert_eq!(found.len(), numbers.len());
            for (index, (picture, &number)) in found.iter().zip(&numbers).enumerate() {
                assert_eq!(picture == &own[number], is_blank, "frame {number} without attention is as it was");
                assert_eq!(picture, &source_overlay(&own[number], &track, index / 2), "frame {number}");
            }
        }
    }
}

#[test]
fn large_pictures_have_a_colour_bar() {
    let (clip, out) = (folder(), folder());
    RgbImage::from_pixel(320, 240, image::Rgb([128; 3])).save(clip.path().join("0.png")).expect("writable");
    for (is_blank, changed) in [(false, true), (true, false)] {
        let track = track((320, 240), 1, is_blank);
        write(&export(clip.path(), &track, &[0]), &into_folder(out.path()), |_| Ok(())).expect("writes");
        // Attention is in the upper left corner, the bar in the upper right one.
        let found = &pictures(out.path())[0];
        assert_eq!(*found.get_pixel(310, 3) != image::Rgb([128; 3]), changed);
    }
}

#[test]
fn clips_that_are_not_the_tracks_any_more_are_refused() {
    let folder = folder();
    let refused = |size: (u32, u32), numbers: &[usize]| {
        let track = track(size, 6, false);
        write(&export(&ball(), &track, numbers), &into_folder(folder.path()), |_| Ok(()))
            .expect_err("must be refused")
            .to_string()
    };
    assert!(refused((64, 64), &[0]).contains("it has become a clip of 64 x 48 pixels"));
    assert!(refused((64, 48), &[0, 12]).contains("frame 12, which was followed, does not come any more"));
    assert!(refused((64, 48), &[]).contains("frames is 0"));
    let nothing = ExportTargets::default();
    let track = track((64, 48), 6, false);
    assert!(write(&export(Path::new("none.mp4"), &track, &[0]), &nothing, |_| Ok(())).expect("nothing to do").is_empty());
}

#[test]
fn places_that_cannot_be_written_to_are_refused_before_the_work() {
    let folder = folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("writable");
    let refused = into_folder(&file.join("frames")).check(Path::new("clip.mp4")).expect_err("a file is no folder");
    assert!(matches!(refused, Error::File { action: "write into", .. }), "{refused}");
    let new = folder.path().join("new").join("frames");
    into_folder(&new).check(Path::new("clip.mp4")).expect("could be made");
    assert!(!new.exists(), "and is not yet");
    // The clip would be gone before it is read again.
    let same = into_folder(folder.path()).check(&folder.path().join(".")).expect_err("the clip's own folder").to_string();
    assert!(same.contains("another place than the clip's"), "{same}");
    let named =
        ExportTargets { frames_dir: None, mp4: Some("film.txt".into()) }.check(Path::new("clip.gif")).expect_err("no film");
    assert!(named.to_string().contains("a name that ends in .mp4"), "{named}");
    let mp4 = |path: PathBuf| ExportTargets { frames_dir: None, mp4: Some(path) }.check(Path::new("clip.gif"));
    let missing = mp4(file.join("out.mp4")).expect_err("no folder").to_string();
    if has_ffmpeg() {
        assert!(missing.contains("cannot write into"), "{missing}");
        mp4(folder.path().join("out.mp4")).expect("can be written");
        assert!(!folder.path().join("out.mp4").exists(), "but is not yet");
    } else {
        println!("ffmpeg is not installed: it can only be asked for here");
        assert!(missing.contains("out.mp4: MP4 is encoded by the program ffmpeg, which is not installed"), "{missing}");
    }
}

fn has_ffmpeg() -> bool {
    Command::new("ffmpeg").arg("-version").output().is_ok()
}

/// Largest difference of two pictures' mean colours, steps of 8 bits.
fn colour_difference(one: &RgbImage, other: &RgbImage) -> f64 {
    let mean = |picture: &RgbImage, channel: usize| {
        let sum: u64 = picture.pixels().map(|pixel| u64::from(pixel.0[channel])).sum();
        sum as f64 / f64::from(picture.width() * picture.height())
    };
    (0..3).map(|channel| (mean(one, channel) - mean(other, channel)).abs()).fold(0.0, f64::max)
}

#[test]
fn mp4_has_the_same_pictures() {
    if !has_ffmpeg() {
        println!("skipped: ffmpeg is not installed");
        return;
    }
    let folder = folder();
    let targets = ExportTargets { frames_dir: Some(folder.path().join("frames")), mp4: Some(folder.path().join("out.mp4")) };
    targets.check(Path::new("clip.gif")).expect("can be written");
    let (clip, track) = (ball(), track((64, 48), 6, false));
    let numbers: Vec<usize> = (0..12).collect();
    let written = write(&export(&clip, &track, &numbers), &targets, |_| Ok(())).expect("writes");
    assert_eq!(written, [folder.path().join("frames"), folder.path().join("out.mp4")]);
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 2, "nothing else is left");
    let (pngs, mp4) = (pictures(&written[0]), frames(&written[1]));
    assert_eq!((mp4.len(), mp4[0].dimensions()), (12, (64, 48)));
    assert!((Clip::open(&written[1]).expect("good").frame_rate.expect("known") - 12.0).abs() < 0.01);
    for (png, frame) in pngs.iter().zip(&mp4) {
        // A picture of its own for every frame; exact colours are for the flat picture below.
        let apart = colour_difference(png, frame);
        assert!(apart < 3.0, "{apart}");
    }
}

#[test]
fn frames_of_odd_sides_are_padded() {
    if !has_ffmpeg() {
        println!("skipped: ffmpeg is not installed");
        return;
    }
    let (clip, out) = (folder(), folder());
    // Of this red the other matrix would make 186, the other range 188.
    RgbImage::from_pixel(65, 47, image::Rgb([200, 40, 30])).save(clip.path().join("0.png")).expect("writable");
    let targets = ExportTargets { frames_dir: None, mp4: Some(out.path().join("out.mp4")) };
    let track = track((65, 47), 1, true);
    write(&export(clip.path(), &track, &[0]), &targets, |_| Ok(())).expect("writes");
    let found = &frames(&out.path().join("out.mp4"))[0];
    assert_eq!(found.dimensions(), (66, 48));
    let pixel = found.get_pixel(20, 20).0;
    assert!(pixel.iter().zip([200, 40, 30]).all(|(&found, wanted)| found.abs_diff(wanted) <= 4), "{pixel:?}");
}
