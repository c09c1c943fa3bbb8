//! From clips to the inputs of networks. `tests/views/` holds the published sampling's indices, and crops from an independent float64
//! implementation; `tests/clips/` holds clips.

use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use orthoformer::{Error, Result, Tensor};
use orthoformer_video::Clip;
use orthoformer_video::views::{
    Crop, Framing, Middle, Normalisation, Resize, Sampling, View, ViewSpec, ViewStream, Views, crop_geometry, cropped_picture,
};
use safetensors::SafeTensors;

const CROPS: [Crop; 3] = [Crop::Start, Crop::Centre, Crop::End];

pub fn shipped(name: &str) -> PathBuf {
    support::shipped(name)
}

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a place to write")
}

pub fn written(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("writable");
    path
}

/// A grey clip whose frame `i` has the value `i % 251`.
pub fn y4m(folder: &tempfile::TempDir, rate: &str, frames: usize) -> PathBuf {
    let mut bytes = format!("YUV4MPEG2 W8 H6 F{rate} Cmono XCOLORRANGE=FULL\n").into_bytes();
    for index in 0..frames {
        bytes.extend_from_slice(b"FRAME\n");
        bytes.extend([(index % 251) as u8; 48]);
    }
    written(folder, "grey.y4m", &bytes)
}

pub fn spec(sampling: Sampling, views: &str, size: u32) -> ViewSpec {
    ViewSpec::new(sampling, views.parse().expect("right"), size)
}

/// All views of a clip, and what is said about them.
fn all(path: &Path, spec: &ViewSpec) -> (Vec<View>, Vec<String>) {
    let mut stream = ViewStream::open(path, spec).expect("good");
    let views: Result<Vec<View>> = stream.by_ref().collect();
    let views = views.expect("good");
    assert_eq!(views.len(), spec.views.count() as usize);
    assert_eq!(stream.held(), 0, "nothing is kept in the end");
    let side = spec.size as usize;
    for (index, view) in views.iter().enumerate() {
        let index = index as u32;
        assert_eq!((view.temporal, view.spatial), (index / spec.views.spatial, index % spec.views.spatial));
        assert_eq!(view.clip.shape(), [3, spec.sampling.count as usize, side, side]);
        assert_eq!(view.indices.len(), spec.sampling.count as usize);
    }
    (views, stream.notes().to_vec())
}

/// A view, from the decoded clip.
pub fn by_hand(frames: &[RgbImage], indices: &[usize], spec: &ViewSpec, crop: Crop) -> Tensor {
    let normalisation = Normalisation::new(spec.mean, spec.std, spec.reversed_channels).expect("right");
    let squares: Vec<Tensor> =
        indices.iter().map(|&index| normalisation.crop(&frames[index], spec.size, crop).expect("small")).collect();
    let area = (spec.size * spec.size) as usize;
    let data = (0..3).flat_map(|channel| squares.iter().flat_map(move |square| &square.data()[channel * area..][..area]));
    Tensor::new(vec![3, indices.len(), spec.size as usize, spec.size as usize], data.copied().collect()).expect("whole")
}

#[test]
fn frames_are_those_of_the_published_sampling() {
    let text = std::fs::read_to_string(shipped("views/frame_indices.json")).expect("shipped");
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    assert_eq!(cases.len(), 6);
    for case in &cases {
        let whole = |key: &str| case[key].as_u64().expect("a number") as u32;
        let sampling = Sampling::dense(whole("count"), whole("rate"));
        let found: Vec<Vec<usize>> = (0..whole("clips"))
            .map(|view| sampling.indices(whole("frames") as usize, case["fps"].as_f64(), view, whole("clips")).expect("right"))
            .collect();
        assert_eq!(serde_json::to_value(found).expect("numbers"), case["indices"], "{case}");
    }
    // One frame is the window's first; without a frame rate the rate counts frames.
    assert_eq!(Sampling::dense(1, 4).indices(100, Some(30.0), 1, 2).expect("right"), [48]);
    assert_eq!(Sampling::dense(4, 3).indices(100, None, 1, 2).expect("right"), [44, 47, 51, 55]);
}

#[test]
fn halves_of_segments_go_to_the_even_neighbour() {
    let sampling = Sampling::in_segments(4);
    // Borders at 0, 2.5, 5, 7.5 and 10 are 0, 2, 5, 8 and 10.
    assert_eq!(sampling.indices(11, Some(12.0), 0, 1).expect("right"), [1, 3, 6, 9]);
    assert_eq!(sampling.indices(9, None, 0, 1).expect("right"), [1, 3, 5, 7]);
    assert_eq!(sampling.indices(1, None, 0, 1).expect("right"), [0; 4]);
    assert!(matches!(sampling.indices(9, None, 1, 2), Err(Error::OutOfRange { what: "temporal view", index: 1, count: 1 })));
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    assert_eq!("10x3".parse::<Views>().expect("right"), Views { temporal: 10, spatial: 3 });
    for wrong in ["", "10", "x", "10x", "x3", "10x2", "0x3", "101x1", "10x3x1", "-1x3", "4294967296x1", " 1x1", "10X3"] {
        let error = wrong.parse::<Views>().expect_err(wrong).to_string();
        assert!(
            error.starts_with(&format!("views: {wrong:?} is not valid; expected temporal x spatial views such as 10x3")),
            "{error}"
        );
    }
    let refused = |spec: ViewSpec| ViewStream::open(&shipped("clips/ball.gif"), &spec).expect_err("must be refused");
    let good = spec(Sampling::dense(4, 2), "2x3", 8);
    let sampling = |change: fn(&mut Sampling)| {
        let mut spec = good;
        change(&mut spec.sampling);
        refused(spec)
    };
    assert!(matches!(sampling(|sampling| sampling.count = 0), Error::ZeroSize { what: "frames of a view" }));
    assert!(matches!(sampling(|sampling| sampling.count = u32::MAX), Error::TooLarge { what: "frames of a view", .. }));
    assert!(matches!(sampling(|sampling| sampling.rate = 0), Error::ZeroSize { what: "sampling rate" }));
    for target_fps in [0.0, -30.0, f64::NAN, f64::INFINITY, 1e-300] {
        let error = refused(ViewSpec { sampling: Sampling { target_fps, ..good.sampling }, ..good });
        assert!(matches!(error, Error::Argument { what: "target frames a second", .. }));
        let error = good.sampling.indices(10, Some(target_fps), 0, 1).expect_err("no frame rate");
        assert!(matches!(error, Error::Argument { what: "frames a second", .. }));
    }
    assert!(matches!(sampling(|sampling| sampling.segments = true), Error::Argument { what: "views", .. }));
    assert!(matches!(
        refused(ViewSpec { views: Views { temporal: 1, spatial: 2 }, ..good }),
        Error::Argument { what: "views", .. }
    ));
    assert!(matches!(refused(ViewSpec { size: 0, ..good }), Error::ZeroSize { what: "side of a square" }));
    assert!(matches!(refused(ViewSpec { size: u32::MAX, ..good }), Error::TooLarge { what: "side of a square", .. }));
    let huge = ViewSpec { size: 4096, sampling: Sampling::dense(4096, 1), ..good };
    assert!(matches!(refused(huge), Error::TooLarge { what: "numbers of a view (3 x frames x side x side)", .. }));
    for std in [[0.0, 1.0, 1.0], [1.0, f32::NAN, 1.0], [1.0, 1.0, -1.0], [1e-45, 1.0, 1.0]] {
        assert!(matches!(refused(ViewSpec { std, ..good }), Error::Argument { what: "mean and deviation of colours", .. }));
    }
    assert!(matches!(good.sampling.indices(0, None, 0, 1), Err(Error::ZeroSize { what: "frames of the clip" })));
    assert!(good.sampling.indices(usize::MAX, Some(1e5), 99, 100).is_ok());
}

/// Frames and crops `[3, T, 3, size, size]` of a case.
fn crop_case(name: &str) -> (Vec<RgbImage>, Vec<f32>, u32) {
    let bytes = std::fs::read(shipped(&format!("views/crops_{name}.safetensors"))).expect("shipped");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let (frames, crops) = (file.tensor("frames").expect("there"), file.tensor("expected.crops").expect("there"));
    let (height, width) = (frames.shape()[1], frames.shape()[2]);
    let pictures = frames.data().chunks(height * width * 3);
    let pictures =
        pictures.map(|bytes| RgbImage::from_raw(width as u32, height as u32, bytes.to_vec()).expect("whole")).collect();
    let numbers = crops.data().chunks(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect();
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
    let size = header.metadata().as_ref().expect("metadata")["size"].parse().expect("a number");
    (pictures, numbers, size)
}

#[test]
fn squares_are_those_of_an_independent_implementation() {
    let forwards = Normalisation::new([0.5; 3], [0.5; 3], false).expect("right");
    let backwards = Normalisation::new([0.5; 3], [0.5; 3], true).expect("right");
    for name in ["same", "tall", "wide", "enlarge"] {
        let (frames, expected, size) = crop_case(name);
        let mut expected = expected.chunks(3 * (size * size) as usize);
        for crop in CROPS {
            for frame in &frames {
                let (found, expected) = (forwards.crop(frame, size, crop).expect("small"), expected.next().expect("all there"));
                let worst = found.data().iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-6, "{name}, {crop:?}: {worst}");
                let picture = cropped_picture(frame, size, crop).expect("small");
                for (index, pixel) in picture.pixels().enumerate() {
                    for (channel, &value) in pixel.0.iter().enumerate() {
                        let exact = (expected[channel * (size * size) as usize + index] + 1.0) * 127.5;
                        assert!((f32::from(value) - exact).abs() < 0.501, "{name}, {crop:?}: {value} for {exact}");
                    }
                }
                let planes = |square: Tensor| square.into_data().chunks((size * size) as usize).map(<[f32]>::to_vec).collect();
                let blue_first: Vec<Vec<f32>> = planes(backwards.crop(frame, size, crop).expect("small"));
                let red_first: Vec<Vec<f32>> = planes(found);
                assert!(blue_first.iter().eq(red_first.iter().rev()));
            }
        }
        assert_eq!(expected.count(), 0);
    }
    // Means and deviations are those of red, green and blue.
    let frame = RgbImage::from_pixel(3, 2, Rgb([255, 0, 51]));
    let uneven = Normalisation::new([0.0, 0.5, 0.2], [1.0, 2.0, 4.0], true).expect("right");
    assert_eq!(uneven.crop(&frame, 1, Crop::Centre).expect("small").data(), [0.0, -0.25, 1.0]);
}

#[test]
fn frames_are_scaled_in_other_ways_too() {
    let placed = |(width, height), resize, crop, middle| {
        let geometry = crop_geometry(width, height, Framing { resize, middle, ..224.into() }, crop).expect("fits");
        (geometry.scaled_width, geometry.scaled_height, geometry.left, geometry.top)
    };
    let place = |size, resize, crop| placed(size, resize, crop, Middle::Down);
    // The shorter side stays in the middle, which is rounded down here and up in the published protocol.
    assert_eq!(
        CROPS.map(|crop| place((340, 255), Resize::ShortSide(255), crop)),
        [(340, 255, 0, 15), (340, 255, 58, 15), (340, 255, 116, 15)]
    );
    assert_eq!(place((255, 341), Resize::ShortSide(256), Crop::End), (256, 342, 16, 118));
    assert_eq!(placed((341, 255), Resize::ToSquare, Crop::Centre, Middle::Up), (299, 224, 38, 0));
    // As torchvision's center_crop: Python rounds 37.5 and 38.5 to 38, 0.5 to 0 and 1.5 to 2.
    let even = |size| placed(size, Resize::Keep, Crop::Centre, Middle::Even);
    assert_eq!([even((299, 225)), even((301, 227))], [(299, 225, 38, 0), (301, 227, 38, 2)]);
    // As Python's int(224 * 1920 / 1080) and so on; longer / shorter * short would be one less.
    for (size, short, long) in [((1920, 1080), 224, 398), ((5, 3), 225, 375), ((29, 15), 240, 464), ((29, 15), 225, 435)] {
        assert_eq!(place(size, Resize::ShortSide(short), Crop::Start).0, long, "{size:?} to {short}");
    }
    assert_eq!(place((341, 255), Resize::ShortSide(224), Crop::Centre), (299, 224, 37, 0));
    assert_eq!(place((341, 255), Resize::Sides { height: 300, width: 230 }, Crop::Start), (230, 300, 3, 0));
    assert_eq!(place((300, 255), Resize::Keep, Crop::End), (300, 255, 76, 15));
    assert_eq!(place((224, 224), Resize::Refuse, Crop::Centre), (224, 224, 0, 0));
    let refused =
        |resize| crop_geometry(223, 300, Framing { resize, ..224.into() }, Crop::Centre).expect_err("too small").to_string();
    assert!(refused(Resize::ShortSide(200)).contains("expected at most 200 x 200 pixels, which frames are scaled to"));
    assert!(refused(Resize::Keep).contains("expected at most 223 x 300 pixels, which the clip has"));
    let other =
        crop_geometry(300, 224, Framing { resize: Resize::Refuse, ..224.into() }, Crop::Centre).expect_err("another").to_string();
    assert!(other.contains("expected 224 x 224 pixels, as frames are neither scaled nor cut"), "{other}");
    assert!(matches!(Framing { resize: Resize::ShortSide(5000), ..224.into() }.check(), Err(Error::TooLarge { .. })));
}

#[test]
fn the_first_frames_of_segments_are_taken_where_they_are_asked_for() {
    let starts = |count| Sampling { segment_starts: true, ..Sampling::in_segments(count) };
    assert_eq!(starts(4).indices(30, None, 0, 1).expect("frames"), [0, 7, 15, 22]);
    assert_eq!(starts(5).indices(3, None, 0, 1).expect("frames"), [0, 0, 1, 1, 2]);
}

#[test]
fn squares_of_extreme_frames_are_found_and_cost_no_more() {
    let place = |width, height, size, crop| {
        let geometry = crop_geometry(width, height, size, crop).expect("fits");
        (geometry.scaled_width, geometry.scaled_height, geometry.left, geometry.top)
    };
    assert_eq!(place(340, 256, 224, Crop::Centre), (297, 224, 37, 0));
    assert_eq!(place(256, 341, 256, Crop::End), (256, 341, 0, 85));
    assert_eq!(place(48, 48, 224, Crop::End), (224, 224, 0, 0));
    assert_eq!(place(16_384, 1, 224, Crop::End), (3_670_016, 224, 3_669_792, 0));
    assert_eq!(place(1, 16_384, 4096, Crop::Centre), (4096, 67_108_864, 0, 33_552_384));
    assert!(matches!(crop_geometry(16_385, 1, 8, Crop::Start), Err(Error::TooLarge { what: "width of a frame", .. })));
    assert!(matches!(crop_geometry(1, 0, 8, Crop::Start), Err(Error::ZeroSize { what: "height of a frame" })));
    let folder = folder();
    let ends = |index: u32| Rgb([if index == 16_383 { 255 } else { 0 }; 3]);
    for (name, picture) in
        [("wide.png", RgbImage::from_fn(16_384, 1, |x, _| ends(x))), ("tall.png", RgbImage::from_fn(1, 16_384, |_, y| ends(y)))]
    {
        let path = folder.path().join(name);
        picture.save(&path).expect("writable");
        let (views, _) = all(&path, &spec(Sampling::dense(2, 1), "1x3", 224));
        // The last pixel is 224 wide: at its end all is white, elsewhere black.
        assert_eq!(views.iter().map(|view| view.clip.data()[0]).collect::<Vec<_>>(), [-1.0, -1.0, views[2].clip.data()[0]]);
        assert_eq!((views[1].clip.data().last(), views[2].clip.data().last()), (Some(&-1.0), Some(&1.0)));
    }
}

#[test]
fn streams_hand_out_what_sampling_by_hand_finds() {
    let folder = folder();
    for (index, frame) in Clip::open(&shipped("clips/ball.gif")).expect("good").enumerate() {
        frame.expect("good").save(folder.path().join(format!("{index}.png"))).expect("writable");
    }
    let clips = ["ball.mp4", "ball.gif", "ball.y4m", "fragmented.mp4", "ball_apng.png", "ball.webp"];
    for path in clips.iter().map(|name| shipped("clips").join(name)).chain([folder.path().to_owned()]) {
        let clip = Clip::open(&path).expect("good");
        let (fps, size) = (clip.frame_rate, (clip.width, clip.height));
        let frames: Vec<RgbImage> = clip.collect::<Result<_>>().expect("good");
        let reversed = ViewSpec { reversed_channels: true, mean: [0.45, 0.4, 0.35], ..spec(Sampling::dense(3, 4), "2x1", 20) };
        let dense = spec(Sampling::dense(4, 5), "10x3", 32);
        for spec in [dense, reversed, spec(Sampling::in_segments(5), "1x3", 64), spec(Sampling::dense(16, 8), "3x3", 48)] {
            let source = ViewStream::open(&path, &spec).expect("good").source();
            assert_eq!((source.width, source.height, source.frames, source.fps), (size.0, size.1, 12, fps));
            for view in all(&path, &spec).0 {
                let expected = spec.sampling.indices(12, fps, view.temporal, spec.views.temporal).expect("right");
                assert_eq!(view.indices, expected, "{}", path.display());
                assert!(view.clip == by_hand(&frames, &expected, &spec, spec.views.crops()[view.spatial as usize]));
            }
        }
    }
}

#[test]
fn memory_does_not_grow_with_the_clip() {
    let folder = folder();
    let spec = spec(Sampling::dense(8, 4), "10x3", 8);
    let most_held = |rate: &str, frames: usize| {
        let mut stream = ViewStream::open(&y4m(&folder, rate, frames), &spec).expect("good");
        let mut views = 0;
        while let Some(view) = stream.next() {
            assert!(stream.held() <= stream.most_held());
            let view = view.expect("good");
            let grey = |&index: &usize| ((index % 251) as f32 / 255.0 - 0.5) / 0.5;
            assert!(
                view.clip.data().chunks(64).zip(view.indices.iter().map(grey).cycle()).all(|(square, grey)| square[0] == grey)
            );
            views += 1;
        }
        assert_eq!((views, stream.held()), (30, 0));
        stream.most_held()
    };
    // Windows of 32 frames far from each other: one view's frames at a time.
    assert_eq!([most_held("30:1", 400), most_held("30:1", 3000)], [8, 8]);
    // Windows of 256 frames: one at a time in the long clip, some overlap in the short one.
    assert_eq!(most_held("240:1", 3000), 8);
    assert!((9..=80).contains(&most_held("240:1", 600)));
    assert!(most_held("30:1", 33) <= 33);
}

#[test]
fn short_clips_repeat_their_last_frame_and_say_so() {
    let folder = folder();
    let dense = spec(Sampling::dense(4, 2), "2x3", 8);
    let (views, notes) = all(&y4m(&folder, "30:1", 5), &dense);
    assert!(views.iter().all(|view| view.indices == [0, 2, 4, 4]));
    assert_eq!(notes, ["The clip has 5 frames and a view spans 8: its last frame is repeated."]);
    assert_eq!(all(&y4m(&folder, "30:1", 8), &dense).1, [""; 0]);
    let (views, notes) = all(&y4m(&folder, "30:1", 1), &dense);
    assert!(views.iter().all(|view| view.indices == [0; 4]));
    assert_eq!(notes, ["The clip has 1 frame and a view spans 8: its last frame is repeated."]);
    let (views, notes) = all(&y4m(&folder, "30:1", 2), &spec(Sampling::in_segments(4), "1x1", 7));
    assert_eq!((views[0].indices.as_slice(), notes.len()), ([0, 0, 0, 1].as_slice(), 1));
    let still = folder.path().join("still.png");
    RgbImage::from_pixel(5, 3, Rgb([1, 2, 3])).save(&still).expect("writable");
    assert_eq!(all(&still, &dense).1.len(), 1);
}
