//! Clips in files.
//!
//! | kind | told by | decoded by |
//! | --- | --- | --- |
//! | folder of pictures | it is a folder | `image` |
//! | GIF, PNG and WebP (animated too), other still pictures | first bytes | `image` |
//! | raw y4m | `YUV4MPEG2` | `y4m`, `yuv` |
//! | MP4 with H.264 | `ftyp` box, `avc1` track | `rusty_h264-decoder`, `yuv` |
//! | any other container or codec | | the `ffmpeg` program, if it is installed |
//!
//! ```text
//! MP4: boxes -> survey (what they say) -> samples -> timeline (which are shown) -> h264 -> turn, colours
//! ```

mod boxes;
mod colours;
mod delays;
pub(crate) mod ffmpeg;
mod folders;
mod h264;
mod live;
mod mp4;
mod pictures;
mod planes;
mod probe;
mod samples;
mod shield;
mod survey;
mod timeline;
mod turn;
mod y4m;

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use image::RgbImage;
use orthoformer::{Error, Result};

use super::{Damage, MAX_SIDE};

pub use folders::clips_of;
pub use live::is_camera;
pub use shield::is_shielded;

/// A clip being decoded: frames in the order they are shown, all of the same size.
pub struct Clip {
    /// Width of a frame, pixels.
    pub width: u32,
    /// Height of a frame, pixels.
    pub height: u32,
    /// Frames a second, where the file says so: the mean, if they vary.
    pub frame_rate: Option<f64>,
    /// Number of frames, where it is known ahead.
    pub frame_count: Option<usize>,
    path: PathBuf,
    frames: Frames,
    damage: Damage,
    notes: Notes,
    /// Frames handed out so far.
    handed_out: usize,
    /// Counts the frames without handing them out, where that is quicker.
    counter: Option<Counter>,
}

/// Decoded frames; what is wrong with the clip from some frame on is an error in its place.
pub(crate) type Frames = Box<dyn Iterator<Item = Result<RgbImage>>>;

type Counter = Box<dyn FnOnce() -> Result<Counted>>;

/// What a pass over a clip finds.
struct Counted {
    frames: usize,
    frame_rate: Option<f64>,
}

/// What people should know about a clip, in whole sentences.
#[derive(Clone, Debug, Default)]
struct Notes(Rc<RefCell<Vec<String>>>);

impl Notes {
    fn add(&self, note: String) {
        let mut notes = self.0.borrow_mut();
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
}

/// What is known of a clip before it is decoded.
#[derive(Default)]
struct Facts {
    frame_rate: Option<f64>,
    frame_count: Option<usize>,
    damage: Damage,
    notes: Notes,
}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.path.display();
        write!(f, "Clip({name}, {} x {}, {:?} frames)", self.width, self.height, self.frame_count)
    }
}

impl Clip {
    /// Opens a clip of any of the kinds above; damage is refused.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, [`Error::Contents`] if it is empty, damaged, or of a kind that cannot be decoded here.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, Damage::Refused)
    }

    /// Opens a clip that may be damaged.
    ///
    /// # Errors
    /// Those of [`Clip::open`], and damage that leaves nothing to be shown.
    pub fn open_with(path: &Path, damage: Damage) -> Result<Self> {
        if path.is_dir() {
            return pictures::folder(path, damage);
        }
        live::refuse_camera(path)?;
        let mut head = Vec::new();
        let file = File::open(path).map_err(Error::file("read", path))?;
        file.take(16).read_to_end(&mut head).map_err(Error::file("read", path))?;
        match head.as_slice() {
            [] => Err(contents(path, "the file is empty")),
            [b'G', b'I', b'F', b'8', ..] => pictures::gif(path, damage),
            [0x89, b'P', b'N', b'G', ..] => pictures::png(path, damage),
            head if Self::is_y4m(head) => y4m::open(path, damage),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => mp4::open(path, damage),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => pictures::webp(path, damage),
            head if image::guess_format(head).is_ok_and(|format| format.reading_enabled()) => pictures::still(path),
            _ => ffmpeg::open(path, "not a kind of clip that is decoded without ffmpeg", ffmpeg::FIRST, damage),
        }
    }

    /// Opens a clip whose number of frames is known, if need be by a pass that only counts them.
    ///
    /// # Errors
    /// Those of [`Clip::open_with`] and, where a pass is needed, of decoding.
    pub(crate) fn open_counted(path: &Path, damage: Damage) -> Result<(Self, usize)> {
        let mut clip = Self::open_with(path, damage)?;
        if let Some(count) = clip.frame_count {
            return Ok((clip, count));
        }
        if let Some(counter) = clip.counter.take() {
            let Counted { frames, frame_rate } = counter()?;
            clip.frame_rate = frame_rate.or(clip.frame_rate);
            return Ok((clip, frames));
        }
        let mut count = 0;
        for frame in clip.by_ref() {
            frame?;
            count += 1;
        }
        let again = Self::open_with(path, damage)?;
        clip.notes().into_iter().for_each(|note| again.notes.add(note));
        Ok((again, count))
    }

    /// Makes a clip from its first frame and the rest.
    fn from_frames(path: &Path, facts: Facts, mut frames: Frames) -> Result<Self> {
        let first = frames.next().unwrap_or_else(|| Err(contents(path, "it has no frames")))?;
        let (width, height) = first.dimensions();
        check_size(path, (width, height))?;
        let frames = Box::new(std::iter::once(Ok(first)).chain(frames));
        let Facts { frame_rate, frame_count, damage, notes } = facts;
        // How much of a damaged clip can be decoded, decoding tells.
        let frame_count = frame_count.filter(|_| damage == Damage::Refused);
        let path = path.to_owned();
        Ok(Self { width, height, frame_rate, frame_count, path, frames, damage, notes, handed_out: 0, counter: None })
    }

    /// What people should know about this clip, in whole sentences: what of it is left out, and why. Complete once the last frame is out.
    pub fn notes(&self) -> Vec<String> {
        self.notes.0.borrow().clone()
    }
}

impl Iterator for Clip {
    type Item = Result<RgbImage>;

    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.frames.next()?;
        let frame = frame.and_then(|frame| match frame.dimensions() == (self.width, self.height) {
            true => Ok(frame),
            false => {
                let (width, height) = frame.dimensions();
                let reason = format!("frames change size from {} x {} to {width} x {height}", self.width, self.height);
                Err(contents(&self.path, &reason))
            }
        });
        match frame {
            Err(Error::Contents { reason, .. }) if self.damage == Damage::LeftOut && self.handed_out > 0 => {
                let shown = self.handed_out;
                self.notes
                    .add(format!("Damaged: only the first {shown} frames are shown, as after them this is wrong: {reason}."));
                self.frames = Box::new(std::iter::empty());
                None
            }
            frame => {
                self.handed_out += 1;
                Some(frame)
            }
        }
    }
}

fn check_size(path: &Path, (width, height): (u32, u32)) -> Result<()> {
    if [width, height].iter().all(|side| (1..=MAX_SIDE).contains(side)) {
        return Ok(());
    }
    Err(contents(path, &format!("a frame is {width} x {height}; sides of 1 to {MAX_SIDE} pixels are supported")))
}

/// What is wrong with a file.
fn contents(path: &Path, reason: &str) -> Error {
    Error::Contents { path: path.to_owned(), reason: reason.to_owned() }
}
