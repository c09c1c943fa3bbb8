//! Configurations beside a checkpoint and kept in it: which counts, and what `convert` makes of those that cannot be read.

use std::fs;
use std::path::PathBuf;

use orthoformer_models::checkpoint::{Checkpoint, convert};
use orthoformer_models::{Config, Overrides};
use serde_json::json;

const NETWORK: &str = "timesformer_divided_space_time";
const PROCESSOR: &str = "preprocessor_config.json";

/// A folder with a network, its description, and how frames are made ready.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a place to write");
    for name in ["model.safetensors", "config.json"] {
        fs::copy(support::shipped(&format!("networks/{NETWORK}/{name}")), folder.path().join(name)).expect("copied");
    }
    let processor = json!({"crop_size": 64, "size": 70, "image_mean": 0.25, "image_std": 0.25});
    fs::write(folder.path().join(PROCESSOR), processor.to_string()).expect("writable");
    folder
}

fn config(checkpoint: &Checkpoint) -> Config {
    Config::of(checkpoint, &Overrides::default()).expect("all said")
}

#[test]
fn what_cannot_be_read_is_not_left_out_of_a_converted_file() {
    for (name, bytes, expected) in [
        (PROCESSOR, b"\xff\xfe{\0}\0".to_vec(), "cannot be read: "),
        (PROCESSOR, vec![b' '; (1 << 20) + 1], "bytes are too many"),
        ("config.json", b"{\"model_type\": \"\xff\"}".to_vec(), "cannot be read: "),
    ] {
        let folder = folder();
        fs::write(folder.path().join(name), bytes).expect("writable");
        let out = folder.path().join("out.safetensors");
        let checkpoint = Checkpoint::open(&folder.path().join("model.safetensors")).expect("good");
        let refused = convert(&checkpoint, &out, None).expect_err("not whole").to_string();
        assert!(refused.contains(name) && refused.contains(expected), "{refused}");
        assert!(!out.exists());
    }
}

#[test]
fn what_is_kept_in_a_file_counts_more_than_what_lies_beside_it() {
    let original = folder();
    let checkpoint = Checkpoint::open(original.path()).expect("good");
    let expected = config(&checkpoint);
    let elsewhere = tempfile::tempdir().expect("a place to write");
    let converted: PathBuf = elsewhere.path().join("alone.safetensors");
    convert(&checkpoint, &converted, None).expect("can be written");
    let notes_beside = |files: &[(&str, &[u8])]| {
        for (name, text) in files {
            fs::write(elsewhere.path().join(name), text).expect("writable");
        }
        let found = Checkpoint::open(&converted).expect("good");
        assert_eq!(config(&found), expected);
        files.iter().for_each(|(name, _)| fs::remove_file(elsewhere.path().join(name)).expect("there"));
        found.notes().to_vec()
    };
    let note = |name: &str| format!("the {name} beside it is passed over: another is kept in the file itself");
    assert!(notes_beside(&[]).is_empty());
    let same = fs::read(original.path().join(PROCESSOR)).expect("there");
    assert!(notes_beside(&[(PROCESSOR, &same)]).is_empty());
    assert_eq!(notes_beside(&[(PROCESSOR, b"{\"image_mean\": 0.1}")]), [note(PROCESSOR)]);
    assert_eq!(notes_beside(&[("video_preprocessor_config.json", b"{}")]), [note("video_preprocessor_config.json")]);
    assert_eq!(notes_beside(&[("config.json", b"\xff"), (PROCESSOR, b"{")]), [note("config.json"), note(PROCESSOR)]);
}
