//! Clips that are made to do harm, most of them found by fuzzing (`fuzz/fuzz_targets/clip.rs`): refused with a reason, without much time or memory.

use orthoformer_video::Clip;

/// What is said of these bytes as a clip, without the file's name; `None` if they can be decoded.
fn refusal(bytes: &[u8]) -> Option<String> {
    let folder = tempfile::tempdir().expect("a place to write");
    let path = folder.path().join("clip");
    std::fs::write(&path, bytes).expect("writable");
    let frames = Clip::open(&path).and_then(Iterator::collect::<orthoformer::Result<Vec<_>>>);
    frames.err().map(|error| error.to_string().replace(&path.display().to_string(), "CLIP"))
}

fn shipped(name: &str) -> Vec<u8> {
    std::fs::read(support::shipped(&format!("clips/{name}"))).expect("shipped")
}

/// Where the box of this name begins.
fn box_start(bytes: &[u8], name: &[u8; 4]) -> usize {
    bytes.windows(4).position(|word| word == name).expect("has that box") - 4
}

#[test]
fn boxes_that_do_not_fit_are_not_for_the_parser() {
    let good = shipped("baseline.mp4");
    assert_eq!(refusal(&good), None);
    let start = box_start(&good, b"ilst");
    // Of a box in `meta`, the parser would allocate or skip whatever it says: without an end for 0, aborting the process for 2^50.
    let long = [&1u32.to_be_bytes()[..], b"free", &(1u64 << 50).to_be_bytes()].concat();
    for size in [&[0; 4][..], &[0x69; 4], &[0, 0, 0, 7], &long] {
        let mut bytes = good.clone();
        bytes[start..start + size.len()].copy_from_slice(size);
        match refusal(&bytes) {
            Some(reason) => assert!(reason.contains("its box \"meta\" holds a box that does not fit into it"), "{reason}"),
            None => println!("{size:?}: ffmpeg decodes it all the same"),
        }
    }
}

#[test]
fn a_box_of_no_size_is_not_read_forever() {
    // Found by fuzzing: within `avc1`, the parser comes back to the same place again and again.
    let mut bytes = shipped("baseline.mp4");
    let start = box_start(&bytes, b"avcC");
    bytes[start..start + 8].copy_from_slice(&[0; 8]);
    match refusal(&bytes) {
        Some(reason) => assert!(reason.contains("its boxes lead nowhere"), "{reason}"),
        None => println!("ffmpeg decodes it all the same"),
    }
}
