//! Processors' files by their classes: none that is said, unknown ones, and steps that are not there.

use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::{Config, Overrides};
use orthoformer_video::views::{Filter, Resize};
use serde_json::{Value, json};

use crate::processors::{config, refusal, with};

const TIMESFORMER: &str = "timesformer_divided_space_time";

#[test]
fn a_file_without_a_class_is_of_the_networks_own() {
    for (network, key, class, side) in [
        (TIMESFORMER, "video_processor_type", "TimesformerVideoProcessor", 64),
        ("vivit", "image_processor_type", "VivitImageProcessor", 64),
        ("vjepa2", "video_processor_type", "VJEPA2VideoProcessor", 32),
        ("videomae_mean_pooling", "image_processor_type", "VideoMAEImageProcessor", 64),
    ] {
        for entries in [
            json!({"size": side, "crop_size": side}),
            json!({"size": side, "crop_size": side, "rescale_factor": 1.0 / 127.5, "image_mean": 0.5, "image_std": 0.5}),
            json!({"crop_size": {"height": side, "width": side}, "size": {"shortest_edge": side + 6}, "do_normalize": false}),
        ] {
            let mut said = entries.clone();
            said[key] = json!(class);
            let (found, expected) = (config(&with(network, &entries)), config(&with(network, &said)));
            assert_eq!(found, expected, "{network}: {entries}");
            assert!(matches!(found.protocol.resize, Resize::ShortSide(_)), "{network}: {entries}");
        }
    }
    // All that the class has.
    let whole = config(&with("timesformer_joint_space_time", &json!({})));
    assert_eq!((whole.network.clip()[1..].to_vec(), whole.protocol.resize), (vec![224, 224], Resize::ShortSide(224)));
    let vivit = config(&with("vivit", &json!({"crop_size": 64})));
    assert_eq!(vivit.protocol.resize, Resize::ShortSide(256));
    for (found, expected) in [(vivit.protocol.mean, 0.75), (vivit.protocol.std, 0.25)] {
        assert!(found.iter().all(|value| (value - expected).abs() < 1e-6), "{found:?}");
    }
}

#[test]
fn a_folder_as_it_is_downloaded_says_how_frames_are_made_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["model.safetensors", "config.json"] {
        let from = support::shipped(&format!("networks/videomae_mean_pooling/{name}"));
        std::fs::copy(from, folder.path().join(name)).expect("copied");
    }
    // As the publishers' own, which are older than the names of classes.
    let processor = json!({
        "crop_size": {"height": 64, "width": 64}, "do_center_crop": true, "do_normalize": true, "do_rescale": true, "do_resize": true,
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 2,
        "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 64},
    });
    std::fs::write(folder.path().join("preprocessor_config.json"), processor.to_string()).expect("written");
    let checkpoint = Checkpoint::open(folder.path()).expect("a folder");
    let found = config(&checkpoint);
    assert_eq!((found.network.name(), found.network.clip()), ("VideoMAE", [4, 64, 64]));
    assert_eq!((found.protocol.resize, found.protocol.filter), (Resize::ShortSide(64), Filter::Interpolated));
    let note = "preprocessor_config.json says bilinear scaling: frames that are made smaller are not smoothed here, as in these networks' \
                published code; the library smooths them";
    assert_eq!(found.notes(&checkpoint).expect("readable"), [note]);
}

#[test]
fn a_crop_is_what_positions_are_for() {
    let found = refusal("vjepa2", &json!({"crop_size": 24}));
    let expected = "cuts squares of 24 pixels out of frames; expected 32, as the checkpoint's configuration says";
    assert!(found.ends_with(expected), "{found}");
    let found = config(&with("vjepa2", &json!({"crop_size": 32})));
    assert_eq!(found.network.clip()[1..], [32, 32]);
    let overrides = Overrides { crop: Some(24), ..Overrides::default() };
    let found = Config::of(&with("vjepa2", &json!({"crop_size": 32})), &overrides).expect_err("another size").to_string();
    assert!(found.starts_with("crop: \"24\" is not valid; expected 32"), "{found}");
}

#[test]
fn steps_that_are_not_there_are_refused() {
    let with_step = |step: &str, value: Value| json!({"crop_size": 64, "size": 64, step: value});
    for step in ["do_grayscale", "do_convert_grayscale", "do_thumbnail", "do_align_long_axis", "do_pad", "rescale_offset"] {
        let found = refusal(TIMESFORMER, &with_step(step, json!(true)));
        assert!(found.ends_with(&format!("{step:?} is true: frames are not made ready that way here")), "{found}");
        config(&with(TIMESFORMER, &with_step(step, json!(false))));
    }
    for step in ["do_convert_rgb", "do_reduce_labels"] {
        config(&with(TIMESFORMER, &with_step(step, json!(true))));
    }
}

#[test]
fn unknown_classes_are_named() {
    let clip = json!({
        "feature_extractor_type": "CLIPFeatureExtractor", "do_center_crop": true, "size": 70, "crop_size": 64,
        "image_mean": 0.5, "image_std": 0.5,
    });
    let checkpoint = with(TIMESFORMER, &clip);
    let found = config(&checkpoint);
    assert_eq!(found.protocol.resize, Resize::ShortSide(70), "the shorter side, where squares are cut");
    let note =
        "preprocessor_config.json is of the class CLIPFeatureExtractor, which is not known here: what it leaves out is not done";
    assert_eq!(found.notes(&checkpoint).expect("readable"), [note]);
    let sound = json!({"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": true, "sampling_rate": 16000});
    let found = refusal(TIMESFORMER, &sound);
    assert!(found.contains("of the class Wav2Vec2FeatureExtractor, which is not known here: "), "{found}");
}
