//! Whatever the bytes: frames of one size, or an error. Never a panic that leaves the library, nor much time or memory.
//!
//! Decoders of other crates may panic where `orthoformer_video::is_shielded` says so: that becomes an error and is no finding.
//!
//! Clips are opened by path: here by that of an open file in memory that has no name, as Linux has them.
#![no_main]

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use orthoformer_video::{Clip, MAX_SIDE, is_shielded};

/// Frames that are looked at, and pixels of all of them together: enough to come by every decoder's state.
const MOST_FRAMES: usize = 32;
const MOST_PIXELS: u64 = 1 << 20;

/// Holds the bytes.
static FILE: OnceLock<File> = OnceLock::new();

fuzz_target!(
    init: prepare(),
    |bytes: &[u8]| {
        let file = FILE.get().expect("made before the first run");
        fill(file, bytes).expect("memory is writable");
        match Clip::open(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd()))) {
            Ok(clip) => look(clip),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
);

fn prepare() {
    // SAFETY: nothing else runs yet. No ffmpeg is found in this path, and none is to be fuzzed.
    unsafe { std::env::set_var("PATH", "/var/empty") };
    let aborting = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !is_shielded() {
            aborting(panic);
        }
    }));
    FILE.set(tempfile::tempfile_in("/dev/shm").expect("a place to write")).expect("the first");
}

fn fill(mut file: &File, bytes: &[u8]) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(bytes)
}

/// Looks at the first frames; the first one was decoded when the clip was opened.
fn look(clip: Clip) {
    let (width, height) = (clip.width, clip.height);
    assert!((1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height));
    assert!(clip.frame_rate.is_none_or(|rate| rate.is_finite() && rate > 0.0), "{:?}", clip.frame_rate);
    let frames = MOST_FRAMES.min((MOST_PIXELS / (u64::from(width) * u64::from(height))) as usize).max(1);
    for frame in clip.take(frames) {
        match frame {
            Ok(frame) => assert_eq!(frame.dimensions(), (width, height)),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
