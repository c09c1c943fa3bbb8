//! Which frames a view takes.

use std::ops::RangeInclusive;

use orthoformer::{Error, Result};

/// Most frames of a view.
pub const MOST_FRAMES: u32 = 4096;
/// Frames a second that are believed of a clip: from one in a quarter of an hour to what high-speed cameras make.
pub const BELIEVED_FPS: RangeInclusive<f64> = 0.001..=100_000.0;

/// How the frames of a view are chosen.
///
/// *Dense* (the published protocol for Kinetics and Epic-Kitchens): a window of `rate * count / target_fps` seconds, `count` frames
/// spread evenly over it. The windows of several temporal views begin at equal distances; the first one at the start of the clip.
///
/// *Segments* (the published protocol for Something-Something): the clip is cut into `count` parts, and the middle frame of each is taken;
/// or the first, as transformers' video processors do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Frames of a view, 1 to [`MOST_FRAMES`].
    pub count: u32,
    /// Frames from one that is taken to the next, at `target_fps`. Segments do without.
    pub rate: u32,
    /// Frames a second that `rate` counts in: a clip of another frame rate is stepped through faster or slower, so that views last as
    /// long. Segments do without.
    pub target_fps: f64,
    /// Whether frames come from segments of the whole clip; there is one temporal view then.
    pub segments: bool,
    /// Whether it is the first frame of each segment, rather than the middle one.
    pub segment_starts: bool,
}

impl Sampling {
    /// Dense sampling at the published 30 frames a second.
    pub fn dense(count: u32, rate: u32) -> Self {
        Self { count, rate, target_fps: 30.0, segments: false, segment_starts: false }
    }

    /// The middle frames of `count` segments.
    pub fn in_segments(count: u32) -> Self {
        Self { segments: true, ..Self::dense(count, 1) }
    }

    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] for no frames or no rate, [`Error::TooLarge`] for too many frames, [`Error::Argument`] for a target that is
    /// no frame rate.
    pub fn check(&self) -> Result<()> {
        if self.count == 0 {
            return Err(Error::ZeroSize { what: "frames of a view" });
        }
        if self.count > MOST_FRAMES {
            return Err(Error::TooLarge { what: "frames of a view", given: self.count.into(), most: MOST_FRAMES.into() });
        }
        if self.segments {
            return Ok(());
        }
        if self.rate == 0 {
            return Err(Error::ZeroSize { what: "sampling rate" });
        }
        frame_rate("target frames a second", self.target_fps).map(drop)
    }

    /// Seconds that a dense view spans; `None` for segments, which span whatever there is.
    pub fn seconds(&self) -> Option<f64> {
        (!self.segments).then(|| f64::from(self.rate) * f64::from(self.count) / self.target_fps)
    }

    /// Frames of the clip that a dense view spans, in parts of a frame too. Without a frame rate `target_fps` is assumed, so that `rate`
    /// counts frames.
    ///
    /// # Errors
    /// Those of [`Sampling::check`]; [`Error::Argument`] for a frame rate outside [`BELIEVED_FPS`].
    pub fn window(&self, fps: Option<f64>) -> Result<f64> {
        self.check()?;
        let fps = frame_rate("frames a second", fps.unwrap_or(self.target_fps))?;
        Ok(f64::from(self.rate) * f64::from(self.count) / self.target_fps * fps)
    }

    /// The frames of temporal view `temporal` of `views`, as indices `[count]` into a clip of `frames` frames. They need not differ: a clip
    /// that is shorter than the window repeats its last frame.
    ///
    /// # Errors
    /// Those of [`Sampling::window`], [`Error::ZeroSize`] for a clip without frames, [`Error::OutOfRange`] for a view that is not there
    /// (segments have one).
    pub fn indices(&self, frames: usize, fps: Option<f64>, temporal: u32, views: u32) -> Result<Vec<usize>> {
        self.check()?;
        let last = frames.checked_sub(1).ok_or(Error::ZeroSize { what: "frames of the clip" })?;
        let views = if self.segments { views.min(1) } else { views };
        if temporal >= views {
            return Err(Error::OutOfRange { what: "temporal view", index: temporal.into(), count: views.into() });
        }
        if self.segments {
            return Ok(if self.segment_starts { self.starts(frames) } else { self.middles(last) });
        }
        let window = self.window(fps)?;
        let room = (frames as f64 - window).max(0.0);
        let start = room * f64::from(temporal) / f64::from(views);
        let places = spread(start, start + window - 1.0, self.count);
        // A frame rate so low that the window is shorter than a frame makes places before the first frame.
        Ok(places.map(|place| (place.max(0.0) as usize).min(last)).collect())
    }

    /// The first frames of the segments of a clip of so many frames.
    fn starts(&self, frames: usize) -> Vec<usize> {
        let start = |segment: u32| (u128::from(segment) * frames as u128 / u128::from(self.count)) as usize;
        (0..self.count).map(start).collect()
    }

    /// The middle frames of the segments of a clip whose last frame is `last`.
    fn middles(&self, last: usize) -> Vec<usize> {
        let length = last as f64 / f64::from(self.count);
        // Halves go to the even neighbour, as the published code rounds.
        let border = |segment: u32| (length * f64::from(segment)).round_ties_even() as usize;
        (0..self.count).map(|segment| ((border(segment) + border(segment + 1)) / 2).min(last)).collect()
    }
}

/// `count` numbers from `start` to `end`, in float32 and counted from the nearer end: indices are these truncated, so that the last bit
/// decides which frame is taken, and the published code's `linspace` goes about it like this.
fn spread(start: f64, end: f64, count: u32) -> impl Iterator<Item = f32> {
    let (start, end) = (start as f32, end as f32);
    let step = if count > 1 { (end - start) / (count - 1) as f32 } else { 0.0 };
    (0..count).map(move |index| match index < count / 2 || count == 1 {
        true => start + step * index as f32,
        false => end - step * (count - 1 - index) as f32,
    })
}

fn frame_rate(what: &'static str, given: f64) -> Result<f64> {
    if BELIEVED_FPS.contains(&given) {
        return Ok(given);
    }
    let expected = format!("a number from {} to {}", BELIEVED_FPS.start(), BELIEVED_FPS.end());
    Err(Error::Argument { what, given: given.to_string(), expected })
}
