//! Clips as people have them: cut, turned, joined, of changing rates and sizes, with the colours that they say. What players show is what counts.
//!
//! `tests/clips/cut_from_ts.mp4` was cut out of a transport stream: its edit list hides two pictures that need some before its beginning.

use image::{RgbImage, imageops};
use orthoformer::Result;
use orthoformer_video::Clip;
use std::ops::Range;

use crate::clips::{clip, folder, frames, good, refusal, written};

/// The bytes of a clip that was shipped.
pub fn shipped(name: &str) -> Vec<u8> {
    std::fs::read(clip(name)).expect("shipped")
}

/// Where the words after a box's name begin.
pub fn body(bytes: &[u8], name: &[u8; 4]) -> usize {
    bytes.windows(4).position(|word| word == name).expect("has that box") + 4
}

fn put(bytes: &mut [u8], at: usize, value: i32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

pub fn word(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// An edit: milliseconds, start in units of which a frame has 1024, rate.
type Edit = (u32, i32, i32);
/// What is done to a picture.
type Turning = fn(&RgbImage) -> RgbImage;

/// The ball with these edits. Its boxes come last, so that nothing else moves.
fn edited(edits: &[Edit]) -> Vec<u8> {
    let mut bytes = shipped("ball.mp4");
    let list = body(&bytes, b"elst");
    let rows: Vec<u8> = edits
        .iter()
        .flat_map(|&(duration, start, rate)| [duration.cast_signed(), start, rate])
        .flat_map(i32::to_be_bytes)
        .collect();
    put(&mut bytes, list + 4, edits.len() as i32);
    let longer = rows.len() as i32 - 12;
    bytes.splice(list + 8..list + 20, rows);
    for name in [b"elst", b"edts", b"trak", b"moov"] {
        let at = body(&bytes, name) - 8;
        let size = word(&bytes, at);
        put(&mut bytes, at, size + longer);
    }
    bytes
}

/// An edit that shows these frames of the ball.
fn edit(frames: Range<i32>) -> Edit {
    // Half a frame less, as writers round.
    let duration = (1000 * (frames.end - frames.start) - 500) / 12;
    (duration.cast_unsigned(), 2048 + 1024 * frames.start, 1 << 16)
}

#[test]
fn edit_lists_say_what_is_shown() {
    let (folder, ball) = (folder(), good("ball.mp4"));
    let empty = (700, -1, 1 << 16);
    let cases: [(&[Edit], Vec<usize>); 6] = [
        (&[edit(0..12)], (0..12).collect()),
        (&[edit(5..12)], (5..12).collect()),
        (&[edit(7..9)], vec![7, 8]),
        (&[empty, edit(3..8)], (3..8).collect()),
        (&[edit(8..10), empty, edit(2..5)], vec![8, 9, 2, 3, 4]),
        (&[edit(1..3), edit(1..3)], vec![1, 2, 1, 2]),
    ];
    for (edits, shown) in cases {
        let path = written(&folder, "edited.mp4", &edited(edits));
        let clip = Clip::open(&path).expect("good");
        assert_eq!(clip.frame_count, Some(shown.len()), "{edits:?}");
        assert!((clip.frame_rate.expect("known") - 12.0).abs() < 0.01, "{edits:?}: {:?}", clip.frame_rate);
        let found: Vec<RgbImage> = clip.collect::<Result<_>>().expect("good");
        assert!(found.iter().eq(shown.iter().map(|&index| &ball[index])), "{edits:?}");
    }
    let refused = |edits: &[Edit]| refusal(&written(&folder, "edited.mp4", &edited(edits)));
    assert_eq!(refused(&[(500, 2048, 0)]), "CLIP: its edit list holds a picture for a while, which is not supported");
    assert!(refused(&[(500, 2048, 2 << 16)]).contains("plays at 2.00 times the speed"));
    assert_eq!(refused(&[empty]), "CLIP: its edit list shows none of its pictures");
}

#[test]
fn pictures_that_need_some_before_the_beginning_are_left_out() {
    let folder = folder();
    let mut bytes = shipped("cut_from_ts.mp4");
    let cut = Clip::open(&clip("cut_from_ts.mp4")).expect("good");
    assert_eq!((cut.frame_count, cut.notes().len()), (Some(33), 0));
    assert!((cut.frame_rate.expect("known") - 30.0).abs() < 0.01);
    let shown: Vec<RgbImage> = cut.collect::<Result<_>>().expect("good");
    assert_eq!(shown.len(), 33);
    // Without its edit list the same are left out, and a note says so.
    let list = body(&bytes, b"edts");
    bytes[list - 4..list].copy_from_slice(b"free");
    let mut without = Clip::open(&written(&folder, "without.mp4", &bytes)).expect("good");
    assert_eq!(without.notes(), ["Of 35 pictures 2 are left out: they need some before the clip's beginning."]);
    assert_eq!(without.by_ref().collect::<Result<Vec<_>>>().expect("good"), shown);
}

#[test]
fn composition_offsets_of_fragments_may_be_negative() {
    let mut bytes = shipped("fragmented.mp4");
    let runs: Vec<usize> = bytes.windows(4).enumerate().filter(|(_, name)| name == b"trun").map(|(at, _)| at + 4).collect();
    assert_eq!(runs.len(), 2);
    for run in runs {
        bytes[run] = 1;
        for sample in 0..6 {
            let offset = run + 16 + 8 * sample + 4;
            let shifted = word(&bytes, offset) - 2048;
            put(&mut bytes, offset, shifted);
        }
    }
    let folder = folder();
    let path = written(&folder, "negative.mp4", &bytes);
    assert_eq!(frames(&path).expect("good"), good("ball.mp4"));
    assert!((Clip::open(&path).expect("good").frame_rate.expect("known") - 12.0).abs() < 0.01);
}

#[test]
fn pictures_are_mirrored_as_the_file_says() {
    let (folder, mut bytes, ball) = (folder(), shipped("ball.mp4"), good("ball.mp4"));
    let matrix = body(&bytes, b"tkhd") + 40;
    let mut with = |parts: [i32; 4]| {
        for (slot, part) in [0, 4, 12, 16].into_iter().zip(parts) {
            put(&mut bytes, matrix + slot, part << 16);
        }
        written(&folder, "turned.mp4", &bytes)
    };
    let cases: [([i32; 4], Turning); 4] = [
        ([-1, 0, 0, 1], imageops::flip_horizontal),
        ([1, 0, 0, -1], imageops::flip_vertical),
        ([-1, 0, 0, -1], imageops::rotate180),
        ([0, 1, 1, 0], |picture| imageops::flip_horizontal(&imageops::rotate90(picture))),
    ];
    for (parts, turn) in cases {
        let found = frames(&with(parts)).expect("good");
        assert!(found == ball.iter().map(turn).collect::<Vec<_>>(), "{parts:?}");
    }
    assert!(refusal(&with([1, 1, -1, 1])).contains("other than right angles"));
}

#[test]
fn pictures_that_change_size_are_shown_in_the_first() {
    let mut clip = Clip::open(&clip("size_change.mp4")).expect("good");
    let found: Vec<RgbImage> = clip.by_ref().collect::<Result<_>>().expect("good");
    assert_eq!((found.len(), found[0].dimensions(), found[39].dimensions()), (40, (96, 64), (96, 64)));
    assert_eq!(clip.notes(), ["Its pictures change size from 96 x 64 to 64 x 48: all are shown in the first."]);
    // The same, with parameters in two descriptions instead of the stream.
    assert!(good("two_descriptions.mp4") == found);
}

#[test]
fn delays_of_animations_count_all() {
    let folder = folder();
    let rate = |name: &str, bytes: &[u8]| Clip::open(&written(&folder, name, bytes)).expect("good").frame_rate.expect("known");
    let mut gif = shipped("ball.gif");
    let delays: Vec<usize> =
        gif.windows(3).enumerate().filter(|(_, bytes)| *bytes == [0x21, 0xf9, 4]).map(|(at, _)| at + 4).collect();
    assert_eq!(delays.len(), 12);
    let mut with = |hundredths: [u8; 12]| {
        delays.iter().zip(hundredths).for_each(|(&at, delay)| gif[at..at + 2].copy_from_slice(&[delay, 0]));
        rate("delays.gif", &gif)
    };
    let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-9, "{found}, not {expected}");
    near(with([100, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]), 12.0 / 1.22);
    near(with([4; 12]), 25.0);
    // As browsers have it, a hundredth of a second or less is a tenth.
    near(with([1; 12]), 10.0);
    near(with([0; 12]), 10.0);
    near(with([2; 12]), 50.0);
    let mut webp = shipped("ball.webp");
    let starts: Vec<usize> = webp.windows(4).enumerate().filter(|(_, name)| name == b"ANMF").map(|(at, _)| at + 8).collect();
    assert_eq!(starts.len(), 12);
    for (index, start) in starts.into_iter().enumerate() {
        webp[start + 12..start + 15].copy_from_slice(&[if index == 0 { 200 } else { 20 }, 0, 0]);
    }
    near(rate("delays.webp", &webp), 12.0 / 0.42);
    assert!((rate("delays.png", &shipped("ball_apng.png")) - 12.0).abs() < 0.1);
}

#[test]
fn h264_has_the_colours_that_it_says() {
    // A flat (208, 40, 88), in BT.709.
    for frame in good("bt709.mp4") {
        let found = frame.get_pixel(9, 9).0;
        assert!(found.iter().zip([208, 40, 88]).all(|(&found, meant)| found.abs_diff(meant) <= 8), "{found:?}");
    }
}
