//! Windows of a clip: parts of it that are each looked at like a clip, so that what happens has a time.
//!
//! Window `n` begins `n * every` seconds into the clip and lasts `length` seconds. A frame belongs to it if the middle of its time does, so that
//! windows that follow each other without a gap share the frames out among them; at least one frame does.

use std::ops::Range;

use orthoformer::{Error, Result};

use super::Sampling;

/// Most seconds of a window, and from one to the next: a day.
pub const MOST_SECONDS: f64 = 86_400.0;

/// Which windows a clip has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowSpec {
    /// Seconds from the start of one to the start of the next.
    pub every: f64,
    /// Seconds that one lasts.
    pub length: f64,
}

/// A window of a clip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Its number, from 0.
    pub number: u64,
    /// Its start, in seconds from that of the clip.
    pub start: f64,
    /// Its end, or that of the clip if the clip ends first.
    pub end: f64,
}

impl WindowSpec {
    /// Windows as long as a view of this sampling spans; as long as it is from one to the next where views span whatever there is.
    pub fn of(every: f64, sampling: &Sampling) -> Self {
        Self { every, length: sampling.seconds().unwrap_or(every) }
    }

    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// [`Error::Argument`] if not.
    pub fn check(&self) -> Result<()> {
        let checked = |what, given: f64| {
            if given > 0.0 && given <= MOST_SECONDS {
                return Ok(());
            }
            let expected = format!("seconds above 0, up to {MOST_SECONDS}");
            Err(Error::Argument { what, given: given.to_string(), expected })
        };
        checked("time between windows", self.every)?;
        checked("length of a window", self.length)
    }

    /// Whether each window of a clip of this frame rate begins with another frame.
    ///
    /// # Errors
    /// [`Error::Argument`] if not; those of [`WindowSpec::check`].
    pub fn check_for(&self, fps: f64) -> Result<()> {
        self.check()?;
        if self.every * fps >= 1.0 {
            return Ok(());
        }
        let expected = format!("at least {} seconds, a frame of a clip of {fps} frames a second", 1.0 / fps);
        Err(Error::Argument { what: "time between windows", given: self.every.to_string(), expected })
    }

    /// The frames of a window, of a clip of this frame rate that is long enough.
    pub fn frames(&self, number: u64, fps: f64) -> Range<usize> {
        let start = number as f64 * self.every;
        let [first, end] = [start, start + self.length].map(|seconds| (seconds * fps).round() as usize);
        first..end.max(first.saturating_add(1))
    }

    /// A window of a clip; of one that has ended, with its number of frames.
    pub fn window(&self, number: u64, fps: f64, ended: Option<usize>) -> Window {
        let start = number as f64 * self.every;
        let is_cut = ended.filter(|&frames| frames < self.frames(number, fps).end);
        let end = is_cut.map_or(start + self.length, |frames| frames as f64 / fps);
        // Without what is left of float64's rounding.
        let [start, end] = [start, end].map(|seconds| (seconds * 1e6).round() / 1e6);
        Window { number, start, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_those_whose_middle_is_in_the_window() {
        for (every, length, fps) in [(1.0, 1.0, 30.0), (0.3, 0.7, 29.97), (2.0, 0.5, 12.5), (0.11, 0.11, 25.0), (0.1, 0.02, 10.0)]
        {
            let spec = WindowSpec { every, length };
            spec.check_for(fps).expect("right");
            for number in 0..50 {
                let (start, end) = (number as f64 * every, number as f64 * every + length);
                // Middles on the border belong to what comes after it; those in no doubt are compared.
                let is_in = |frame: usize| {
                    let middle = (frame as f64 + 0.5) / fps;
                    (middle > start + 1e-9 && middle < end - 1e-9, middle > start - 1e-9 && middle < end + 1e-9)
                };
                let found = spec.frames(number, fps);
                assert!(!found.is_empty());
                assert!(found.len() == 1 || found.clone().all(|frame| is_in(frame).1), "{spec:?} {number} {found:?}");
                assert!((0..2000).filter(|&frame| is_in(frame).0).all(|frame| found.contains(&frame)), "{spec:?} {number}");
            }
        }
    }

    #[test]
    fn windows_without_gaps_share_frames_out() {
        for (every, fps) in [(1.0, 29.97), (0.5, 25.0), (0.04, 25.0), (1.0 / 3.0, 24.0)] {
            let spec = WindowSpec { every, length: every };
            let ends: Vec<usize> = (0..1000).map(|number| spec.frames(number, fps).end).collect();
            assert!((1..1000).all(|number| spec.frames(number, fps).start == ends[number as usize - 1]), "{every} {fps}");
        }
    }

    #[test]
    fn times_are_those_that_were_asked_for() {
        let spec = WindowSpec { every: 0.1, length: 0.2 };
        assert_eq!(spec.window(3, 30.0, None), Window { number: 3, start: 0.3, end: 0.5 });
        assert_eq!(spec.window(3, 30.0, Some(15)), Window { number: 3, start: 0.3, end: 0.5 });
        assert_eq!(spec.window(3, 30.0, Some(12)), Window { number: 3, start: 0.3, end: 0.4 });
        assert_eq!(WindowSpec::of(5.0, &Sampling::dense(16, 4)).length, 64.0 / 30.0);
        assert_eq!(WindowSpec::of(5.0, &Sampling::in_segments(16)).length, 5.0);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e5] {
            for spec in [WindowSpec { every: wrong, length: 1.0 }, WindowSpec { every: 1.0, length: wrong }] {
                assert!(matches!(spec.check(), Err(Error::Argument { .. })), "{spec:?}");
            }
        }
        let error = WindowSpec { every: 0.01, length: 1.0 }.check_for(25.0).expect_err("less than a frame").to_string();
        assert!(error.contains("at least 0.04 seconds, a frame of a clip of 25 frames a second"), "{error}");
    }
}
