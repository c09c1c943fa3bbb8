//! The `preprocessor_config.json` beside a checkpoint: what frames become by it, against plain loops.

use std::fs;

use image::{Rgb, RgbImage};
use orthoformer_models::checkpoint::{Checkpoint, convert};
use orthoformer_models::{Config, Overrides};
use orthoformer_video::views::{Filter, Middle, Resize};
use serde_json::{Value, json};

use crate::found_names::shipped;

const TIMESFORMER: &str = "timesformer_divided_space_time";
const IMAGENET: ([f64; 3], [f64; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

pub fn with(network: &str, processor: &Value) -> Checkpoint {
    shipped(network).with_preprocessor(processor.to_string())
}

pub fn config(checkpoint: &Checkpoint) -> Config {
    Config::of(checkpoint, &Overrides::default()).expect("all said")
}

pub fn refusal(network: &str, processor: &Value) -> String {
    Config::of(&with(network, processor), &Overrides::default()).expect_err("refused").to_string()
}

/// What a processor's file says, as a TimeSformer's is published.
fn published() -> Value {
    json!({
        "crop_size": {"height": 64, "width": 64}, "do_center_crop": true, "do_normalize": true, "do_rescale": true, "do_resize": true,
        "image_mean": IMAGENET.0, "image_std": IMAGENET.1, "image_processor_type": "VideoMAEImageProcessor", "resample": 2,
        "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 64},
    })
}

/// The published file with other entries.
fn changed(entries: &[(&str, Value)]) -> Value {
    let mut all = published();
    for (key, value) in entries {
        all[*key] = value.clone();
    }
    all
}

/// How the steps of a processor go, one after the other.
struct Steps {
    /// Height and width of the scaled frame.
    scaled: [usize; 2],
    crop: usize,
    factor: f64,
    offset: f64,
    mean: [f64; 3],
    std: [f64; 3],
}

/// The value of a channel of a scaled, cut, rescaled and normalised frame.
fn by_hand(frame: &RgbImage, steps: &Steps, channel: usize, row: usize, column: usize) -> f64 {
    let along = |index: usize, scaled: usize, size: u32| {
        let first = (scaled - steps.crop) / 2;
        let position = ((first + index) as f64 + 0.5) * f64::from(size) / scaled as f64 - 0.5;
        let position = position.clamp(0.0, f64::from(size - 1));
        (position.floor(), position.ceil(), position.fract())
    };
    let (top, bottom, down) = along(row, steps.scaled[0], frame.height());
    let (left, right, across) = along(column, steps.scaled[1], frame.width());
    let at = |y: f64, x: f64| f64::from(frame.get_pixel(x as u32, y as u32)[channel]);
    let between = |a: f64, b: f64, share: f64| a + (b - a) * share;
    let value =
        between(between(at(top, left), at(top, right), across), between(at(bottom, left), at(bottom, right), across), down);
    (value * steps.factor - steps.offset - steps.mean[channel]) / steps.std[channel]
}

/// Compares what a network is given of frames of a size with what the steps make of them.
fn assert_made(network: &str, processor: &Value, [width, height]: [u32; 2], steps: &Steps) {
    let frame = RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7 + y * 3) as u8, (x * y) as u8, (x * x + 5 * y) as u8]));
    let config = config(&with(network, processor));
    let [frames, side, _] = config.network.clip().map(|size| size as usize);
    assert_eq!(side, steps.crop, "{processor}");
    let clips = config.clips(&[&vec![frame.clone(); frames]]).expect("frames that fit");
    for channel in 0..3 {
        for (row, column) in (0..side).flat_map(|row| (0..side).map(move |column| (row, column))) {
            let found = clips.data()[((channel * frames + frames - 1) * side + row) * side + column];
            let expected = by_hand(&frame, steps, channel, row, column);
            let far = (f64::from(found) - expected).abs();
            assert!(far < 1e-4 * (1.0 + expected.abs()), "{processor}: {channel} {row} {column}: {found} {expected}");
        }
    }
}

#[test]
fn frames_are_made_as_the_file_says() {
    let imagenet = |scaled| Steps { scaled, crop: 64, factor: 1.0 / 255.0, offset: 0.0, mean: IMAGENET.0, std: IMAGENET.1 };
    for size in [[100, 80], [80, 100], [64, 64], [40, 30], [101, 67]] {
        let [width, height] = size.map(|side| side as usize);
        let short = |side: usize| match height > width {
            true => [height * side / width, side],
            false => [side, width * side / height],
        };
        assert_made(TIMESFORMER, &published(), size, &imagenet(short(64)));
        // Odd numbers of pixels are left over on both sides.
        let larger = changed(&[("size", json!({"shortest_edge": 75}))]);
        assert_made(TIMESFORMER, &larger, size, &imagenet(short(75)));
        assert_made(TIMESFORMER, &changed(&[("size", json!(75)), ("crop_size", json!(64))]), size, &imagenet(short(75)));
        let both = changed(&[("size", json!({"height": 70, "width": 81}))]);
        assert_made(TIMESFORMER, &both, size, &imagenet([70, 81]));
        let squashed = changed(&[("size", json!({"height": 64, "width": 64})), ("do_center_crop", json!(false))]);
        assert_made(TIMESFORMER, &squashed, size, &imagenet([64, 64]));
    }
    let kept = changed(&[("do_resize", json!(false))]);
    assert_made(TIMESFORMER, &kept, [101, 67], &imagenet([67, 101]));
    let neither = changed(&[("do_resize", json!(false)), ("do_center_crop", json!(false))]);
    assert_made(TIMESFORMER, &neither, [64, 64], &imagenet([64, 64]));
}

#[test]
fn colours_are_what_the_file_says() {
    let plain = Steps { scaled: [64, 80], crop: 64, factor: 1.0 / 255.0, offset: 0.0, mean: IMAGENET.0, std: IMAGENET.1 };
    let made = |entries: &[(&str, Value)], steps: Steps| assert_made(TIMESFORMER, &changed(entries), [80, 64], &steps);
    made(&[("do_normalize", json!(false))], Steps { mean: [0.0; 3], std: [1.0; 3], ..plain });
    made(&[("do_rescale", json!(false))], Steps { factor: 1.0, ..plain });
    made(&[("rescale_factor", json!(0.5))], Steps { factor: 0.5, ..plain });
    made(&[("image_mean", json!(0.25)), ("image_std", json!(2))], Steps { mean: [0.25; 3], std: [2.0; 3], ..plain });
    made(&[("offset", json!(true)), ("rescale_factor", json!(1.0 / 127.5))], Steps { factor: 1.0 / 127.5, offset: 1.0, ..plain });
}

#[test]
fn what_a_file_leaves_out_is_as_in_its_class() {
    let half = ([0.5; 3], [0.5; 3]);
    let steps = |(mean, std), short: usize, crop, factor, offset| Steps {
        scaled: [short, short * 5 / 4],
        crop,
        factor,
        offset,
        mean,
        std,
    };
    // TimeSformers take any size; ViViT's positions are for one.
    let class = |class: &str, key: &str| json!({key: class, "size": {"shortest_edge": 70}, "crop_size": 64});
    let bytes = 1.0 / 255.0;
    for (processor, expected) in [
        (json!({"image_processor_type": "VideoMAEImageProcessor"}), steps(half, 224, 224, bytes, 0.0)),
        (
            json!({"feature_extractor_type": "VideoMAEFeatureExtractor", "size": 96, "crop_size": 64}),
            steps(half, 96, 64, bytes, 0.0),
        ),
        (class("TimesformerVideoProcessor", "video_processor_type"), steps(IMAGENET, 70, 64, bytes, 0.0)),
        (class("VivitImageProcessor", "image_processor_type"), steps(half, 70, 64, 1.0 / 127.5, 1.0)),
        (class("VivitVideoProcessor", "video_processor_type"), steps(half, 70, 64, 1.0 / 127.5, 1.0)),
        // Its class makes the size of the square's, whatever is said.
        (class("VJEPA2VideoProcessor", "video_processor_type"), steps(IMAGENET, 64 * 256 / 224, 64, bytes, 0.0)),
    ] {
        assert_made(TIMESFORMER, &processor, [100, 80], &expected);
    }
    let vivit =
        json!({"image_processor_type": "VivitImageProcessor", "crop_size": 64, "size": {"shortest_edge": 73}, "offset": false});
    assert_made("vivit", &vivit, [100, 80], &steps(half, 73, 64, 1.0 / 127.5, 0.0));
    // No class that is known: what is not said is not done.
    let other = json!({"image_processor_type": "ViTImageProcessor", "size": 64, "image_mean": [0.5, 0.5, 0.5], "image_std": 0.5});
    assert_made(TIMESFORMER, &other, [100, 80], &Steps { scaled: [64, 64], ..steps(half, 64, 64, bytes, 0.0) });
}

#[test]
fn what_timm_says_in_its_description_counts_too() {
    let checkpoint = Checkpoint::open(&support::shipped("checkpoints/timm_swin.safetensors")).expect("good");
    let timm =
        json!({"input_size": [3, 32, 32], "crop_pct": 0.9, "interpolation": "bicubic", "mean": [0.5, 0.4, 0.3], "std": 0.25});
    let described = checkpoint.described(json!({"architecture": "swin", "num_classes": 5, "pretrained_cfg": timm}).to_string());
    let config = config(&described);
    assert_eq!((config.network.clip(), config.protocol.resize), ([1, 32, 32], Resize::ShortSide(35)));
    assert_eq!((config.protocol.mean, config.protocol.std), ([0.5, 0.4, 0.3], [0.25; 3]));
    assert_eq!((config.protocol.filter, config.notes(&described).expect("readable")), (Filter::Bicubic, vec![]));
    assert_eq!(config.protocol.middle, Middle::Even, "as torchvision, which timm crops with");
}

#[test]
fn the_files_of_all_versions_are_found_and_kept() {
    let folder = tempfile::tempdir().expect("a place to write");
    let place = |name: &str| folder.path().join(name);
    for name in ["model.safetensors", "config.json"] {
        fs::copy(support::shipped(&format!("networks/{TIMESFORMER}/{name}")), place(name)).expect("copied");
    }
    let side = |folder: &std::path::Path| config(&Checkpoint::open(folder).expect("good")).protocol.resize;
    let says = |side: u32| json!({"video_processor_type": "TimesformerVideoProcessor", "size": {"shortest_edge": side}, "crop_size": 64});
    assert_eq!(side(folder.path()), Resize::ToSquare);
    // The later ones count more.
    for (name, text, expected) in [
        ("preprocessor_config.json", says(70), 70),
        ("video_preprocessor_config.json", says(71), 71),
        ("processor_config.json", json!({"processor_class": "Something"}), 71),
        ("processor_config.json", json!({"video_processor": says(72), "image_processor": says(73)}), 72),
    ] {
        fs::write(place(name), text.to_string()).expect("writable");
        assert_eq!(side(folder.path()), Resize::ShortSide(expected), "{name}");
    }
    let converted = place("converted").join("alone.safetensors");
    fs::create_dir(place("converted")).expect("writable");
    let original = Checkpoint::open(folder.path()).expect("good");
    convert(&original, &converted, None).expect("can be written");
    assert_eq!(config(&Checkpoint::open(&converted).expect("good")), config(&original));
    fs::write(place("processor_config.json"), "{").expect("writable");
    assert_eq!(side(folder.path()), Resize::ShortSide(71), "another's file");
    fs::write(place("video_preprocessor_config.json"), "{").expect("writable");
    let refused =
        Config::of(&Checkpoint::open(folder.path()).expect("good"), &Overrides::default()).expect_err("no JSON").to_string();
    assert!(refused.contains("video_preprocessor_config.json: cannot be read as JSON"), "{refused}");
}

#[test]
fn what_cannot_be_done_is_refused_in_words() {
    for (key, value, expected) in [
        ("crop_size", json!({"height": 64, "width": 80}), "\"crop_size\" is 64 x 80: networks see squares here"),
        ("crop_size", json!(90), "expected at most 64 x 64 pixels, which frames are scaled to"),
        ("size", json!({"shortest_edge": 64, "longest_edge": 80}), "\"longest_edge\" of 80"),
        ("size", json!({"max_height": 64, "max_width": 80}), "neither \"shortest_edge\" nor both \"height\" and \"width\""),
        ("size", json!("large"), "size: expected a number of pixels, or \"shortest_edge\""),
        ("do_center_crop", json!(false), "frames keep their shape, as \"do_center_crop\" is false"),
        ("do_pad", json!(true), "\"do_pad\" is true"),
        ("crop_pct", json!(0.9), "\"crop_pct\" is 0.9"),
        ("image_std", json!([0.2, 0.0, 0.2]), "deviations above zero"),
        ("rescale_factor", json!(0), "\"rescale_factor\" is 0"),
        ("resample", json!(1), "\"resample\" is 1; expected 0, 2 or 3: nearest, bilinear or bicubic"),
        ("resample", json!("lanczos"), "\"resample\" is \"lanczos\"; expected 0, 2 or 3"),
        ("resample", json!(9), "\"resample\" is 9; expected 0, 2 or 3"),
        ("resample", json!("2"), "\"resample\" is \"2\"; expected 0, 2 or 3"),
        ("image_mean", json!([0.5]), "image_mean: expected one number, or three"),
        ("do_rescale", json!("yes"), "do_rescale: invalid type"),
    ] {
        let found = refusal(TIMESFORMER, &changed(&[(key, value)]));
        assert!(found.contains(expected) && found.contains("preprocessor_config.json"), "{key}: {found}");
    }
    let offset = changed(&[("offset", json!(true)), ("do_rescale", json!(false))]);
    assert!(refusal(TIMESFORMER, &offset).contains("\"offset\" is true"));
    let larger = json!({"image_processor_type": "VivitImageProcessor", "crop_size": 80, "size": 96});
    let found = refusal("vivit", &larger);
    assert!(
        found.ends_with("cuts squares of 80 pixels out of frames; expected 64, as the checkpoint's configuration says"),
        "{found}"
    );
    assert!(refusal(TIMESFORMER, &json!([1])).contains("expected an object of JSON"));
    let frames = changed(&[("do_sample_frames", json!(true)), ("num_frames", json!(9))]);
    assert!(refusal(TIMESFORMER, &frames).contains("\"num_frames\" is 9; expected 4, as many as the network sees"));
    // Frames that a file does not scale have to be large enough.
    let kept = config(&with(TIMESFORMER, &changed(&[("do_resize", json!(false))])));
    let small = kept.clips(&[&vec![RgbImage::new(63, 90); 4]]).expect_err("too small").to_string();
    assert!(small.contains("expected at most 63 x 90 pixels, which the clip has, as frames are not scaled"), "{small}");
}

#[test]
fn frames_are_sampled_as_the_file_says_unless_the_caller_says_otherwise() {
    let sampled = |entries: &[(&str, Value)], overrides: &Overrides| {
        let mut all = vec![("do_sample_frames", json!(true))];
        all.extend_from_slice(entries);
        let config = Config::of(&with(TIMESFORMER, &changed(&all)), overrides).expect("all said");
        let spec = config.views("1x1".parse().expect("right"));
        (spec.sampling.indices(30, Some(15.0), 0, 1).expect("frames"), config.assumed)
    };
    let (none, segments) = (Overrides::default(), Overrides { segments: Some(true), ..Overrides::default() });
    let count = ("num_frames", json!(4));
    assert_eq!(sampled(std::slice::from_ref(&count), &none), (vec![0, 7, 15, 22], vec![]));
    assert_eq!(sampled(&[count], &segments).0, [3, 10, 18, 25]);
    let rate = ("fps", json!(5));
    assert_eq!(sampled(std::slice::from_ref(&rate), &segments).0, [3, 10, 18, 25]);
    let all = changed(&[("do_sample_frames", json!(true)), rate]);
    assert!(refusal(TIMESFORMER, &all).contains("\"fps\" is 5: as many frames as the clip is long"));
    assert_eq!(sampled(&[], &none).1.len(), 1, "nothing says it");
    let off = [("do_sample_frames", json!(false)), ("num_frames", json!(9))];
    assert_eq!(sampled(&off, &none).1.len(), 1);
}

#[test]
fn filters_are_those_of_the_file() {
    let of = |network: &str, processor: &Value| config(&with(network, processor)).protocol.filter;
    for (said, expected) in [
        (json!(0), Filter::Nearest),
        (json!(2), Filter::Interpolated),
        (json!(3), Filter::Bicubic),
        (json!(3.0), Filter::Bicubic),
        (json!("bilinear"), Filter::Interpolated),
        (json!("bicubic"), Filter::Bicubic),
        (json!("PILImageResampling.NEAREST"), Filter::Nearest),
        (Value::Null, Filter::Interpolated),
    ] {
        assert_eq!(of(TIMESFORMER, &changed(&[("resample", said.clone())])), expected, "{said}");
    }
    assert_eq!(config(&shipped(TIMESFORMER)).protocol.filter, Filter::Interpolated, "nothing is said");
    assert_eq!(config(&with(TIMESFORMER, &published())).protocol.middle, Middle::Down);
    assert_eq!(of(TIMESFORMER, &changed(&[("resample", json!(1)), ("do_resize", json!(false))])), Filter::Interpolated);
}

#[test]
fn the_caller_counts_more() {
    let overrides = Overrides { crop: Some(32), ..Overrides::default() };
    let checkpoint = with(TIMESFORMER, &changed(&[("size", json!({"shortest_edge": 80})), ("resample", json!(3))]));
    let config = Config::of(&checkpoint, &overrides).expect("all said");
    assert_eq!((config.network.clip(), config.protocol.resize), ([4, 32, 32], Resize::ShortSide(40)));
    assert_eq!((config.protocol.filter, config.notes(&checkpoint).expect("readable")), (Filter::Bicubic, vec![]));
    // A Swin's clips are of a size that nothing else says.
    let swin = with("video_swin", &changed(&[("crop_size", json!(48)), ("size", json!(48))]));
    let config = self::config(&swin);
    assert_eq!(config.network.clip()[1..], [48, 48]);
    assert!(!config.assumed.iter().any(|assumed| assumed.contains("pixels")), "{:?}", config.assumed);
    // A Motionformer has its own configuration.
    let own = Checkpoint::open(&support::shipped("models/trajectory_identity.pyth")).expect("shipped");
    let expected = self::config(&own);
    let beside = own.with_preprocessor(published().to_string());
    assert_eq!(self::config(&beside), expected);
    let beside = beside.with_preprocessor("another's, and damaged".to_owned());
    assert_eq!(self::config(&beside), expected);
    let notes = expected.notes(&beside).expect("readable");
    assert_eq!(notes, ["preprocessor_config.json is passed over: a Motionformer's own configuration counts"]);
}
