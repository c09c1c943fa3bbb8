//! Views of a clip's windows, while it is decoded once, whether or not it ever ends.

use std::collections::VecDeque;
use std::ops::Range;

use image::RgbImage;
use orthoformer::{Error, Result};

use super::sampling::BELIEVED_FPS;
use super::squares::Squares;
use super::stream::{View, frames, note_new, note_shortness};
use super::windows::WindowSpec;
use super::{MOST_HELD, ViewSpec, Window};
use crate::Clip;

/// Decodes a clip and hands out the views of its windows, in order, each as soon as all frames of its views are there, and half of its
/// window's.
///
/// A window that the clip ends in is handed out if the clip has at least half of its frames, and the first one always; the clip's last
/// frame stands for those that are missing. What is kept is the squares of frames that views of unfinished windows need, and the frame
/// that was decoded last.
///
/// If a clip turns out to be damaged, the error that names it comes in place of the view, and nothing after it.
pub struct WindowStream {
    clip: Clip,
    spec: WindowSpec,
    fps: f64,
    squares: Squares,
    /// Windows that have begun and are not out, the first ones first.
    begun: VecDeque<Begun>,
    /// The number of the next window to begin.
    next: u64,
    /// The frame that was decoded last: it is repeated in a window that the clip ends in.
    latest: Option<RgbImage>,
    /// Frames decoded so far.
    decoded: usize,
    ended: bool,
    /// The next view of the first window to hand out.
    temporal: usize,
    spatial: usize,
    notes: Vec<String>,
}

/// A window of which frames have been decoded.
struct Begun {
    number: u64,
    frames: Range<usize>,
    /// Frames of each temporal view.
    wanted: Vec<Vec<usize>>,
    /// Frames of the clip that have to be decoded before it is handed out.
    needed: usize,
}

impl Begun {
    fn new(views: &ViewSpec, spec: &WindowSpec, fps: f64, number: u64) -> Result<Self> {
        let (frames, temporal) = (spec.frames(number, fps), views.views.temporal);
        let indices = |view| views.sampling.indices(frames.len(), Some(fps), view, temporal);
        let mut wanted = (0..temporal).map(indices).collect::<Result<Vec<_>>>()?;
        wanted.iter_mut().flatten().for_each(|index| *index += frames.start);
        let last = wanted.iter().flatten().max().copied().unwrap_or(frames.start);
        let needed = (last + 1).max(frames.start + frames.len().div_ceil(2));
        Ok(Self { number, frames, wanted, needed })
    }
}

impl std::fmt::Debug for WindowStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WindowStream({:?}, {:?}, {} frames decoded)", self.clip, self.spec, self.decoded)
    }
}

impl WindowStream {
    /// Goes through a clip that nothing has been taken of.
    ///
    /// # Errors
    /// Those of [`ViewSpec::check`] and [`WindowSpec::check_for`]; [`Error::Contents`] for a clip that does not say how many frames a second
    /// it has, or cannot be believed; [`Error::TooLarge`] for windows that overlap too much to be held in memory.
    pub fn new(clip: Clip, views: &ViewSpec, spec: WindowSpec) -> Result<Self> {
        let squares = Squares::new(views)?;
        let Some(said) = clip.frame_rate else {
            let advice =
                "windows have no times then. ffmpeg makes a clip that does, of pictures too: -framerate 30 before its -i";
            return Err(clip.refused(&format!("it does not say how many frames a second it has, and {advice}")));
        };
        if !BELIEVED_FPS.contains(&said) {
            return Err(clip.refused(&format!("it claims {said} frames a second, which cannot be: windows have no times then")));
        }
        spec.check_for(said)?;
        check_memory(views, &spec, said)?;
        let mut notes = clip.notes();
        note_shortness(views, "A window", spec.frames(0, said).len(), Some(said), &mut notes)?;
        let (begun, latest) = (VecDeque::new(), None);
        let (next, decoded, ended, temporal, spatial) = (0, 0, false, 0, 0);
        Ok(Self { clip, spec, fps: said, squares, begun, next, latest, decoded, ended, temporal, spatial, notes })
    }

    /// What people should know about the views, in whole sentences. Complete once the last one is out.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Frames whose squares are in memory now.
    pub fn held(&self) -> usize {
        self.squares.held()
    }

    /// Most frames whose squares have been in memory at a time.
    pub fn most_held(&self) -> usize {
        self.squares.most_held()
    }

    /// Decodes a frame on the way to the next view. `false` if that view has all it needs, or nothing comes any more.
    ///
    /// # Errors
    /// Those of decoding; there are no views after one.
    pub fn decode_towards(&mut self) -> Result<bool> {
        if self.ended || self.begun.front().is_some_and(|window| window.needed <= self.decoded) {
            return Ok(false);
        }
        self.decode_frame().inspect_err(|_| self.give_up())?;
        Ok(true)
    }

    fn decode_frame(&mut self) -> Result<()> {
        let Some(frame) = self.clip.next().transpose()? else { return self.end() };
        self.begin()?;
        self.squares.pass(self.decoded, &frame)?;
        self.latest = Some(frame);
        self.decoded += 1;
        Ok(())
    }

    /// Takes up the windows that begin with the frame that was decoded just now.
    fn begin(&mut self) -> Result<()> {
        loop {
            if self.spec.frames(self.next, self.fps).start > self.decoded {
                return Ok(());
            }
            let window = Begun::new(self.squares.spec(), &self.spec, self.fps, self.next)?;
            window.wanted.iter().for_each(|indices| self.squares.need(indices));
            self.begun.push_back(window);
            self.next += 1;
        }
    }

    /// The clip has ended: its last frame stands for those that are missing in windows of which there is enough.
    fn end(&mut self) -> Result<()> {
        self.ended = true;
        note_new(&mut self.notes, &self.clip);
        let (count, last) = (self.decoded, self.decoded.saturating_sub(1));
        let is_enough = |window: &Begun| count.saturating_sub(window.frames.start) >= window.frames.len().div_ceil(2);
        self.begun.retain(|window| window.number == 0 || is_enough(window));
        self.begun.iter_mut().flat_map(|window| &mut window.wanted).flatten().for_each(|index| *index = (*index).min(last));
        self.squares.need_only(self.begun.iter().flat_map(|window| &window.wanted));
        if let Some(frame) = self.latest.take() {
            self.squares.pass(last, &frame)?;
        }
        if let Some(first) = self.begun.front().filter(|window| window.number == 0) {
            let (length, window) = (frames(count), first.frames.len());
            self.notes.push(format!("The clip has {length} and a window {window}: its last frame is repeated."));
        }
        Ok(())
    }

    /// The next view, or `None` when all are out.
    fn advance(&mut self) -> Result<Option<View>> {
        while self.decode_towards()? {}
        let Some(first) = self.begun.front() else { return Ok(None) };
        let indices = first.wanted.get(self.temporal).map_or(&[][..], Vec::as_slice);
        let window = self.window(first.number);
        let view = self.squares.view(self.temporal, self.spatial, indices, Some(window))?;
        self.spatial += 1;
        if self.spatial == self.squares.spec().views.crops().len() {
            self.squares.release(indices);
            (self.temporal, self.spatial) = (self.temporal + 1, 0);
            if self.temporal == first.wanted.len() {
                self.begun.pop_front();
                self.temporal = 0;
            }
        }
        Ok(Some(view))
    }

    fn window(&self, number: u64) -> Window {
        self.spec.window(number, self.fps, self.ended.then_some(self.decoded))
    }

    /// Nothing comes any more.
    fn give_up(&mut self) {
        self.ended = true;
        self.begun.clear();
        self.squares.clear();
    }
}

/// Refuses windows of which too many are unfinished at a time.
fn check_memory(views: &ViewSpec, spec: &WindowSpec, fps: f64) -> Result<()> {
    // Of which the next but one may have one more, by rounding.
    let needed = Begun::new(views, spec, fps, 0)?.needed as u64 + 1;
    let unfinished = 1 + (needed as f64 / (spec.every * fps)).ceil() as u64;
    let of_views = unfinished.saturating_mul(u64::from(views.views.temporal)).saturating_mul(views.sampling.count.into());
    let square = 3 * u64::from(views.size) * u64::from(views.size);
    let given = needed.min(of_views).saturating_mul(u64::from(views.views.spatial)).saturating_mul(square);
    if given <= MOST_HELD {
        return Ok(());
    }
    let what = "numbers of the frames that unfinished windows need (a longer --every or a shorter --window takes fewer)";
    Err(Error::TooLarge { what, given, most: MOST_HELD })
}

impl Iterator for WindowStream {
    type Item = Result<View>;

    fn next(&mut self) -> Option<Self::Item> {
        let view = self.advance();
        if view.is_err() {
            self.give_up();
        }
        view.transpose()
    }
}
