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

/// A shipped clip in which the box of this name says another size.
fn sized(name: &[u8; 4], size: &[u8]) -> Vec<u8> {
    let mut bytes = shipped("baseline.mp4");
    let start = box_start(&bytes, name);
    bytes[start..start + size.len()].copy_from_slice(size);
    bytes
}

#[test]
fn boxes_that_do_not_fit_are_refused() {
    assert_eq!(refusal(&shipped("baseline.mp4")), None);
    let long = [&1u32.to_be_bytes()[..], b"free", &(1u64 << 50).to_be_bytes()].concat();
    for size in [&[0x69; 4][..], &[0, 0, 0, 7], &long] {
        // What is not looked at may say anything.
        assert_eq!(refusal(&sized(b"ilst", size)), None, "{size:?}");
    }
    for (name, size) in [(b"trak", [0x70, 0, 0, 0]), (b"moov", [0, 1, 0, 0]), (b"stts", [0, 0, 0, 7]), (b"avcC", [0, 0, 9, 9])] {
        match refusal(&sized(name, &size)) {
            Some(reason) => assert!(reason.contains("reaches beyond what it is in"), "{reason}"),
            None => println!("{name:?}: ffmpeg decodes it all the same"),
        }
    }
}

#[test]
fn tables_that_are_shorter_than_they_say_are_refused() {
    for name in [b"stts", b"stsc", b"stco", b"stss"] {
        let mut bytes = shipped("baseline.mp4");
        let count = box_start(&bytes, name) + 12;
        bytes[count..count + 4].copy_from_slice(&[0xff; 4]);
        let reason = refusal(&bytes).expect("refused");
        assert!(reason.contains("is shorter than it says"), "{reason}");
    }
}

#[test]
fn h264_without_its_parameters_is_refused() {
    // Found by fuzzing: a box of no size, at which a parser stayed.
    let mut bytes = shipped("baseline.mp4");
    let start = box_start(&bytes, b"avcC");
    bytes[start..start + 8].copy_from_slice(&[0; 8]);
    assert!(refusal(&bytes).expect("refused").contains("its H.264 has no box \"avcC\""));
}
