//! Files that commands write for somebody to keep: formats, and what happens to a file that is there.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use crate::program::{folder, orthoformer, shipped, text};

const WEIGHTS: &str = "models/patches_2d.pyth";

#[test]
fn features_are_arrays_of_numpy() {
    let folder = folder();
    let (clip, other, weights) = (shipped("clips/ball.mp4"), shipped("clips/ball.gif"), shipped(WEIGHTS));
    let (one, all) = (text(folder.path().join("one.npy")), text(folder.path().join("all.npz")));
    orthoformer(&["features", &clip, "--weights", &weights, "--out", &one]).success();
    let bytes = std::fs::read(&one).expect("written");
    let header = String::from_utf8_lossy(&bytes[..128]).into_owned();
    assert!(bytes.starts_with(b"\x93NUMPY") && header.contains("'shape': (1, 48") && header.contains("<f4"), "{header}");
    orthoformer(&["features", &clip, &other, "--weights", &weights, "--out", &all]).success();
    let bytes = std::fs::read(&all).expect("written");
    let has = |name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
    assert!(bytes.starts_with(b"PK") && has(b"ball.mp4.npy") && has(b"ball.gif.npy"));
    let refused = |out: &str, message: &'static str| {
        let out = text(folder.path().join(out));
        orthoformer(&["features", &clip, &other, "--weights", &weights, "--out", &out]).code(1).stderr(contains(message));
        assert!(!std::path::Path::new(&out).exists());
    };
    refused("two.npy", "one array for 2 clips");
    refused("two.pth", "ends in .safetensors, .npy (one clip) or .npz");
    refused("two", "ends in .safetensors, .npy (one clip) or .npz");
}

#[test]
fn a_file_that_is_there_stays_unless_told_otherwise() {
    let folder = folder();
    let (clip, weights) = (shipped("clips/ball.gif"), shipped(WEIGHTS));
    let out = text(folder.path().join("kept.safetensors"));
    std::fs::write(&out, "precious").expect("written");
    let features = ["features", &clip, "--weights", &weights, "--out", &out];
    let convert = ["convert", &weights, &out];
    for command in [features.as_slice(), &convert] {
        orthoformer(command).code(1).stderr(contains("kept.safetensors").and(contains("--force")));
        assert_eq!(std::fs::read(&out).expect("there"), b"precious");
    }
    for command in [features.as_slice(), &convert] {
        std::fs::write(&out, "old").expect("written");
        orthoformer(&[command, &["--force"]].concat()).success();
        assert!(std::fs::read(&out).expect("there").len() > 100);
    }
    let wrong = text(folder.path().join("x.pth"));
    orthoformer(&["convert", &weights, &wrong]).code(1).stderr(contains("a name that ends in .safetensors"));
    assert!(!std::path::Path::new(&wrong).exists());
}
