//! Windows of clips and of streams that are read as they come.

use std::cell::Cell;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use image::RgbImage;
use orthoformer::{Error, Result};
use orthoformer_video::views::{Sampling, View, ViewSpec, Window, WindowSpec, WindowStream};
use orthoformer_video::{Clip, Damage};

use crate::views::{by_hand, folder, shipped, spec, written, y4m};

/// All views of a clip's windows, what is said about them, and the most frames that were held.
fn all(clip: Clip, spec: &ViewSpec, windows: WindowSpec) -> (Vec<View>, Vec<String>, usize) {
    let mut stream = WindowStream::new(clip, spec, windows).expect("good");
    let views: Result<Vec<View>> = stream.by_ref().collect();
    assert_eq!(stream.held(), 0, "nothing is kept in the end");
    (views.expect("good"), stream.notes().to_vec(), stream.most_held())
}

/// The windows of a clip of so many frames, each with the frames of its temporal views: by the plain formula, of the whole clip.
fn windows_by_hand(count: usize, fps: f64, spec: &ViewSpec, windows: WindowSpec) -> Vec<(Window, Vec<Vec<usize>>)> {
    let mut found = Vec::new();
    for number in 0_u64.. {
        let start = number as f64 * windows.every;
        let first = (start * fps).round() as usize;
        let end = ((start + windows.length) * fps).round().max(first as f64 + 1.0) as usize;
        if first >= count {
            return found;
        }
        let (length, there) = (end - first, (end - first).min(count - first));
        if number > 0 && 2 * there < length {
            continue;
        }
        // A window whose frames are all there before the clip ends is as long as others.
        let temporal = spec.views.temporal;
        let mut needed = first + length.div_ceil(2);
        let frames = (0..temporal).map(|view| {
            let inside = spec.sampling.indices(length, Some(fps), view, temporal).expect("right");
            inside.iter().for_each(|index| needed = needed.max(first + index + 1));
            inside.into_iter().map(|index| (first + index).min(count - 1)).collect()
        });
        let frames = frames.collect();
        let end = if needed > count { count as f64 / fps } else { start + windows.length };
        found.push((Window { number, start, end }, frames));
    }
    found
}

fn close(found: Window, expected: Window) -> bool {
    let apart = (found.start - expected.start).abs().max((found.end - expected.end).abs());
    found.number == expected.number && apart < 2e-6
}

#[test]
fn views_are_those_of_the_plain_formula() {
    let kinds = [
        spec(Sampling::dense(4, 2), "1x1", 8),
        spec(Sampling::dense(3, 4), "2x3", 8),
        spec(Sampling { target_fps: 12.0, ..Sampling::dense(2, 1) }, "3x1", 8),
        spec(Sampling::in_segments(5), "1x3", 8),
        spec(Sampling { segment_starts: true, ..Sampling::in_segments(4) }, "1x1", 8),
        spec(Sampling::dense(1, 1), "1x1", 8),
    ];
    // As views span, overlapping, with gaps, shorter than a frame, a frame apart, longer than the clip.
    let cuts = [(0.5, None), (0.3, Some(0.9)), (1.0, Some(0.25)), (0.7, Some(0.001)), (0.04, Some(0.1)), (0.5, Some(30.0))];
    for (rate, fps, count) in [("25:1", 25.0, 61), ("30000:1001", 30_000.0 / 1001.0, 100), ("25:2", 12.5, 1)] {
        let folder = folder();
        let path = y4m(&folder, rate, count);
        let frames: Vec<RgbImage> = Clip::open(&path).expect("good").collect::<Result<_>>().expect("good");
        for (spec, (every, length)) in kinds.iter().flat_map(|kind| cuts.map(|cut| (kind, cut))) {
            let usual = WindowSpec::of(every, &spec.sampling);
            let windows = WindowSpec { length: length.unwrap_or(usual.length), ..usual };
            if every * fps < 1.0 {
                assert!(WindowStream::new(Clip::open(&path).expect("good"), spec, windows).is_err());
                continue;
            }
            let (views, ..) = all(Clip::open(&path).expect("good"), spec, windows);
            let mut found = views.iter();
            for (window, temporal) in windows_by_hand(count, fps, spec, windows) {
                for (number, expected) in temporal.iter().enumerate() {
                    for (spatial, &crop) in spec.views.crops().iter().enumerate() {
                        let view = found.next().expect("as many views");
                        assert!(close(view.window.expect("a window's"), window), "{window:?} {view:?}");
                        assert_eq!((view.temporal, view.spatial), (number as u32, spatial as u32));
                        assert_eq!(&view.indices, expected, "{windows:?} {window:?}");
                        assert!(view.clip == by_hand(&frames, expected, spec, crop), "{windows:?} {window:?}");
                    }
                }
            }
            assert!(found.next().is_none(), "{windows:?}");
        }
    }
}

#[test]
fn a_window_is_looked_at_like_a_clip_whatever_decodes_it() {
    let spec = spec(Sampling::in_segments(3), "1x3", 16);
    let taken = ["ball.mp4", "ball.y4m", "ball.gif"].map(|name| {
        let clip = Clip::open(&shipped("clips").join(name)).expect("good");
        let fps = clip.frame_rate.expect("known");
        let (views, ..) = all(clip, &spec, WindowSpec::of(4.0 / fps, &spec.sampling));
        views.into_iter().map(|view| view.indices).collect::<Vec<_>>()
    });
    assert_eq!(taken[0].len(), 9);
    assert!(taken.iter().all(|other| *other == taken[0]), "{taken:?}");
}

#[test]
fn memory_does_not_grow_with_the_clip() {
    let folder = folder();
    let most_held = |frames: usize, every: f64, length: f64, views: &str| {
        let clip = Clip::open(&y4m(&folder, "30:1", frames)).expect("good");
        let spec = spec(Sampling::dense(8, 4), views, 8);
        all(clip, &spec, WindowSpec { every, length }).2
    };
    // One window at a time, whether or not there are gaps.
    assert_eq!([most_held(400, 2.0, 2.0, "1x3"), most_held(3000, 2.0, 2.0, "1x3"), most_held(3000, 9.0, 2.0, "1x3")], [8; 3]);
    // Each frame is in four windows, and frames are shared.
    let overlapping = [most_held(600, 0.5, 2.0, "1x1"), most_held(3000, 0.5, 2.0, "1x1")];
    assert!(overlapping[0] == overlapping[1] && (9..=4 * 8).contains(&overlapping[0]), "{overlapping:?}");
    // All frames of a window are wanted.
    assert!(most_held(3000, 2.0, 2.0, "10x1") <= 60);
}

#[test]
fn windows_that_the_clip_ends_in_need_half_of_their_frames() {
    let folder = folder();
    let spec = spec(Sampling::in_segments(5), "1x1", 8);
    let ends = |frames: usize| {
        let clip = Clip::open(&y4m(&folder, "10:1", frames)).expect("good");
        let (views, notes, _) = all(clip, &spec, WindowSpec { every: 1.0, length: 1.0 });
        let last = views.last().expect("one at least").clone();
        assert!(last.indices.iter().all(|&index| index < frames));
        (views.len(), last.window.expect("a window's").end, notes)
    };
    assert_eq!(ends(20), (2, 2.0, vec![]));
    assert_eq!(ends(24), (2, 2.0, vec![]));
    assert_eq!(ends(25), (3, 2.5, vec![]));
    let note = "The clip has 2 frames and a window 10: its last frame is repeated.".to_owned();
    assert_eq!(ends(2), (1, 0.2, vec![note]));
    let clip = Clip::open(&y4m(&folder, "10:1", 20)).expect("good");
    let (_, notes, _) = all(clip, &crate::views::spec(Sampling::dense(4, 12), "1x1", 8), WindowSpec { every: 1.0, length: 1.0 });
    assert_eq!(notes, ["A window has 10 frames and a view spans 16: its last frame is repeated."]);
}

/// Grey frames without end, a few bytes at a time.
struct Endless {
    bytes: Vec<u8>,
    read: Rc<Cell<usize>>,
}

const HEADER: &[u8] = b"YUV4MPEG2 W8 H6 F10:1 Cmono\n";
const FRAME_BYTES: usize = 6 + 48;

impl Endless {
    fn new() -> (Self, Rc<Cell<usize>>) {
        let read = Rc::new(Cell::new(0));
        (Self { bytes: [&b"FRAME\n"[..], &[77; 48]].concat(), read: read.clone() }, read)
    }
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let at = self.read.get();
        let rest = HEADER.get(at..).filter(|rest| !rest.is_empty());
        let rest = rest.unwrap_or_else(|| &self.bytes[(at - HEADER.len()) % FRAME_BYTES..]);
        let count = rest.len().min(buffer.len()).min(7);
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read.set(at + count);
        Ok(count)
    }
}

#[test]
fn streams_are_read_no_further_than_their_windows() {
    let (endless, read) = Endless::new();
    let clip = Clip::read_y4m(Path::new("standard input"), endless, Damage::Refused).expect("good");
    let spec = spec(Sampling::dense(4, 3), "1x3", 8);
    let mut stream = WindowStream::new(clip, &spec, WindowSpec { every: 1.5, length: 1.0 }).expect("good");
    for number in 0..200_usize {
        for _ in 0..3 {
            let view = stream.next().expect("without end").expect("good");
            assert_eq!(view.window.expect("a window's").number, number as u64);
        }
        // Four of the ten frames of the window are looked at, and half of them have to be there.
        let frames = number * 15 + 5;
        assert_eq!(read.get(), HEADER.len() + frames * FRAME_BYTES, "not a byte beyond what window {number} needs");
    }
    assert_eq!(stream.most_held(), 4);
}

#[test]
fn clips_without_a_frame_rate_have_no_windows() {
    let folder = folder();
    let refused = |path: &Path| {
        let clip = Clip::open(path).expect("good");
        let spec = spec(Sampling::in_segments(3), "1x1", 8);
        WindowStream::new(clip, &spec, WindowSpec { every: 1.0, length: 1.0 }).expect_err("no times").to_string()
    };
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).expect("a folder");
    (0..3).for_each(|number| RgbImage::new(9, 9).save(pictures.join(format!("{number}.png"))).expect("writable"));
    let error = refused(&pictures);
    assert!(error.contains("does not say how many frames a second") && error.contains("-framerate"), "{error}");
    assert!(refused(&y4m(&folder, "0:0", 3)).contains("does not say"));
    assert!(refused(&y4m(&folder, "4000000:1", 3)).contains("cannot be"));
}

#[test]
fn damage_ends_a_stream_after_the_windows_before_it() {
    let folder = folder();
    let bytes = std::fs::read(y4m(&folder, "10:1", 35)).expect("written");
    let path = written(&folder, "cut.y4m", &bytes[..bytes.len() - 1]);
    let spec = spec(Sampling::dense(2, 3), "1x1", 8);
    let windows = WindowSpec { every: 1.0, length: 1.0 };
    let mut stream = WindowStream::new(Clip::open(&path).expect("good"), &spec, windows).expect("good");
    let outcomes: Vec<Result<View>> = stream.by_ref().collect();
    assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, true, false]);
    assert!(matches!(&outcomes[3], Err(Error::Contents { reason, .. }) if reason.contains("truncated")));
    assert!(stream.next().is_none() && stream.held() == 0);
    let none = Clip::read_y4m(Path::new("-"), &b"no clip"[..], Damage::LeftOut);
    assert!(matches!(none, Err(Error::Contents { .. })));
    // What is there before the damage is shown where that is asked for, of a stream too.
    let cut = std::io::Cursor::new(bytes[..bytes.len() - 1].to_vec());
    let clip = Clip::read_y4m(Path::new("-"), cut, Damage::LeftOut).expect("good");
    let (views, notes, _) = all(clip, &spec, windows);
    let last = views.last().expect("some").window.expect("a window's");
    assert!(last.number == 2 && notes[0].starts_with("Damaged: only the first 34 frames are shown"), "{last:?} {notes:?}");
}

#[test]
fn windows_that_overlap_too_much_are_refused() {
    let folder = folder();
    let of = |sampling, side, every, length| {
        let clip = Clip::open(&y4m(&folder, "10:1", 3)).expect("good");
        WindowStream::new(clip, &spec(sampling, "1x1", side), WindowSpec { every, length }).map(drop)
    };
    let error = of(Sampling::in_segments(16), 224, 0.1, 3600.0).expect_err("a square of each frame of an hour").to_string();
    assert!(error.contains("a longer --every or a shorter --window takes fewer"), "{error}");
    of(Sampling::in_segments(16), 224, 60.0, 3600.0).expect("16 of each of 60 windows");
    of(Sampling::in_segments(16), 224, 0.1, 60.0).expect("a square of each frame of a minute");
    of(Sampling::dense(16, 4), 224, 1.0, 120.0).expect("all of them at its beginning");
    assert!(of(Sampling::in_segments(1), 8, 0.1, 86_400.0).is_ok(), "small squares");
}
