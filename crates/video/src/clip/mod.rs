//! Clips in files.
//!
//! | kind | told by | decoded by |
//! | --- | --- | --- |
//! | folder of pictures | it is a folder | `image` |
//! | GIF, PNG and WebP (animated too), other still pictures | first bytes | `image` |
//! | raw y4m | `YUV4MPEG2` | `y4m`, `yuv` |
//! | MP4 with H.264 | `ftyp` box, `avc1` track | `re_mp4`, `rusty_h264-decoder` |
//! | any other container or codec | | the `ffmpeg` program, if it is installed |

mod boxes;
pub(crate) mod ffmpeg;
mod folders;
mod live;
mod mp4;
mod pictures;
mod shield;
mod y4m;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use image::RgbImage;
use orthoformer::{Error, Result};

use super::MAX_SIDE;

pub use folders::clips_of;
pub use live::is_camera;
pub use shield::is_shielded;

/// A clip being decoded: frames in the order they are shown, all of the same size.
pub struct Clip {
    /// Width of a frame, pixels.
    pub width: u32,
    /// Height of a frame, pixels.
    pub height: u32,
    /// Frames a second, where the file says so.
    pub frame_rate: Option<f64>,
    /// Number of frames, where it is known ahead.
    pub frame_count: Option<usize>,
    path: PathBuf,
    frames: Frames,
}

/// Decoded frames; what is wrong with the clip from some frame on is an error in its place.
pub(crate) type Frames = Box<dyn Iterator<Item = Result<RgbImage>>>;

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.path.display();
        write!(f, "Clip({name}, {} x {}, {:?} frames)", self.width, self.height, self.frame_count)
    }
}

impl Clip {
    /// Opens a clip of any of the kinds above.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, [`Error::Contents`] if it is empty, damaged, or of a kind that cannot be decoded here.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return pictures::folder(path);
        }
        live::refuse_camera(path)?;
        let mut head = Vec::new();
        let file = File::open(path).map_err(Error::file("read", path))?;
        file.take(16).read_to_end(&mut head).map_err(Error::file("read", path))?;
        match head.as_slice() {
            [] => Err(contents(path, "the file is empty")),
            [b'G', b'I', b'F', b'8', ..] => pictures::gif(path),
            [0x89, b'P', b'N', b'G', ..] => pictures::png(path),
            head if Self::is_y4m(head) => y4m::open(path),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => mp4::open(path),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => pictures::webp(path),
            head if image::guess_format(head).is_ok_and(|format| format.reading_enabled()) => pictures::still(path),
            _ => ffmpeg::open(path, "not a kind of clip that is decoded without ffmpeg"),
        }
    }

    /// Makes a clip from its first frame and the rest.
    fn from_frames(path: &Path, frame_rate: Option<f64>, frame_count: Option<usize>, mut frames: Frames) -> Result<Self> {
        let first = frames.next().unwrap_or_else(|| Err(contents(path, "it has no frames")))?;
        let (width, height) = first.dimensions();
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
            return Err(contents(path, &format!("a frame is {width} x {height}; sides of 1 to {MAX_SIDE} pixels are supported")));
        }
        let frames = Box::new(std::iter::once(Ok(first)).chain(frames));
        Ok(Self { width, height, frame_rate, frame_count, path: path.to_owned(), frames })
    }
}

impl Iterator for Clip {
    type Item = Result<RgbImage>;

    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.frames.next()?;
        Some(frame.and_then(|frame| match frame.dimensions() == (self.width, self.height) {
            true => Ok(frame),
            false => {
                let (width, height) = frame.dimensions();
                let reason = format!("frames change size from {} x {} to {width} x {height}", self.width, self.height);
                Err(contents(&self.path, &reason))
            }
        }))
    }
}

/// What is wrong with a file.
fn contents(path: &Path, reason: &str) -> Error {
    Error::Contents { path: path.to_owned(), reason: reason.to_owned() }
}
