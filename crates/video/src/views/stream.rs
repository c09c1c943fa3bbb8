//! Views of a clip, one after the other, while it is decoded once from start to end.

use std::path::Path;

use image::RgbImage;
use orthoformer::{Result, Tensor};

use super::sampling::BELIEVED_FPS;
use super::squares::Squares;
use super::{ViewSpec, Window};
use crate::Clip;

/// What is known about a clip before its views are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Source {
    /// Width of a frame as it is shown, pixels.
    pub width: u32,
    /// Height of a frame as it is shown, pixels.
    pub height: u32,
    /// Frames that the views are spread over: what the file says, or what was counted.
    pub frames: usize,
    /// Frames a second, where the file says so and can be believed.
    pub fps: Option<f64>,
}

/// One view of a clip, ready for a network.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Which temporal view, from 0.
    pub temporal: u32,
    /// Which spatial view, from 0: an index into [`Views::crops`](super::Views::crops).
    pub spatial: u32,
    /// The normalised colours `[3, count, size, size]`: channels, frames, rows, columns.
    pub clip: Tensor,
    /// The frames of the clip that they are from, `[count]`, from 0.
    pub indices: Vec<usize>,
    /// The same squares as pictures, `[count]`; none where [`ViewSpec::pictures`] does not ask for them.
    pub pictures: Vec<RgbImage>,
    /// The window that it is a view of; `None` for views of the whole clip.
    pub window: Option<Window>,
}

/// Decodes a clip and hands out its views: temporal ones in order, and within each the spatial ones, as soon as the last frame that they
/// need is there. What comes after the last view's frames is not decoded.
///
/// The decoded clip is never kept. What is kept is the squares of frames that views still need, shared between views, and the frame
/// that was decoded last; both do not depend on the clip's length.
///
/// If a clip turns out to be damaged, the error that names it comes in place of the view, and nothing after it.
pub struct ViewStream {
    clip: Clip,
    source: Source,
    /// Frames of each temporal view.
    wanted: Vec<Vec<usize>>,
    squares: Squares,
    /// The frame that was decoded last: it is repeated should the clip end too early.
    latest: Option<RgbImage>,
    /// Frames decoded so far.
    decoded: usize,
    ended: bool,
    /// The next view to hand out.
    temporal: usize,
    spatial: usize,
    notes: Vec<String>,
}

impl std::fmt::Debug for ViewStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ViewStream({:?}, {} views, {} frames decoded)", self.clip, self.squares.spec().views, self.decoded)
    }
}

impl ViewStream {
    /// Opens a clip of any kind that [`Clip::open`] takes.
    ///
    /// Where the file does not say how many frames there are (GIF, APNG, WebP, y4m, what ffmpeg decodes), and in damaged clips that are shown all the
    /// same, a first pass decodes all of it only to count them, and damage anywhere is found here already.
    ///
    /// # Errors
    /// Those of [`ViewSpec::check`] and [`Clip::open_with`].
    pub fn open(path: &Path, spec: &ViewSpec) -> Result<Self> {
        let squares = Squares::new(spec)?;
        let (clip, frames) = Clip::open_counted(path, spec.damage)?;
        let mut notes = clip.notes();
        let fps = clip.frame_rate.filter(|fps| BELIEVED_FPS.contains(fps));
        let source = Source { width: clip.width, height: clip.height, frames, fps };
        note_rate(spec, clip.frame_rate, &source, &mut notes);
        note_shortness(spec, "The clip", frames, fps, &mut notes)?;
        let views = spec.views.temporal;
        let wanted: Result<Vec<_>> = (0..views).map(|view| spec.sampling.indices(frames, fps, view, views)).collect();
        let (wanted, latest) = (wanted?, None);
        let mut stream = Self { clip, source, wanted, squares, latest, decoded: 0, ended: false, temporal: 0, spatial: 0, notes };
        stream.squares.need_only(&stream.wanted);
        Ok(stream)
    }

    /// Size, length and frame rate of the clip.
    pub fn source(&self) -> Source {
        self.source
    }

    /// What people should know about this clip's views, in whole sentences: frames that are repeated, a frame rate that is assumed. Complete
    /// once the last view is out.
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

    /// How many frames of the clip have been decoded, and how many have to be for the next view.
    pub fn progress(&self) -> (usize, usize) {
        let last = self.wanted.get(self.temporal).and_then(|indices| indices.iter().max());
        (self.decoded, last.map_or(self.decoded, |last| last + 1))
    }

    /// Decodes a frame on the way to the next view: for those who want to see how far it is. `false` if that view has all it needs.
    ///
    /// # Errors
    /// Those of decoding; there are no views after one.
    pub fn decode_towards(&mut self) -> Result<bool> {
        let (decoded, needed) = self.progress();
        if decoded >= needed || self.ended {
            return Ok(false);
        }
        self.decode_frame().inspect_err(|_| self.temporal = self.wanted.len())?;
        Ok(true)
    }

    /// The next view, or `None` when all are out.
    fn advance(&mut self) -> Result<Option<View>> {
        if self.temporal >= self.wanted.len() {
            return Ok(None);
        }
        while self.decode_towards()? {}
        let indices = self.wanted.get(self.temporal).map_or(&[][..], Vec::as_slice);
        let view = self.squares.view(self.temporal, self.spatial, indices, None)?;
        self.spatial += 1;
        if self.spatial == self.squares.spec().views.crops().len() {
            self.squares.release(indices);
            note_new(&mut self.notes, &self.clip);
            (self.temporal, self.spatial) = (self.temporal + 1, 0);
        }
        Ok(Some(view))
    }

    /// Decodes a frame, and keeps its squares if a view needs them.
    fn decode_frame(&mut self) -> Result<()> {
        let Some(frame) = self.clip.next().transpose()? else { return self.end_early() };
        self.squares.pass(self.decoded, &frame)?;
        self.latest = Some(frame);
        self.decoded += 1;
        Ok(())
    }

    /// The clip has fewer frames than its file says: its last frame stands for those that are missing.
    fn end_early(&mut self) -> Result<()> {
        self.ended = true;
        let last = self.decoded.saturating_sub(1);
        self.wanted.iter_mut().skip(self.temporal).flatten().for_each(|index| *index = (*index).min(last));
        self.squares.need_only(self.wanted.iter().skip(self.temporal));
        if let Some(frame) = self.latest.take() {
            self.squares.pass(last, &frame)?;
        }
        let note = format!("The clip ends after {} of {}: its last frame is repeated.", frames(self.decoded), self.source.frames);
        self.notes.push(note);
        Ok(())
    }
}

impl Iterator for ViewStream {
    type Item = Result<View>;

    fn next(&mut self) -> Option<Self::Item> {
        let view = self.advance();
        if view.is_err() {
            self.temporal = self.wanted.len();
            self.squares.clear();
        }
        view.transpose()
    }
}

/// Takes note of what a clip has to say by now.
pub(super) fn note_new(notes: &mut Vec<String>, clip: &Clip) {
    for note in clip.notes() {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
}

/// Says that a frame rate had to be assumed, where that makes a difference.
fn note_rate(spec: &ViewSpec, said: Option<f64>, source: &Source, notes: &mut Vec<String>) {
    if spec.sampling.segments || source.fps.is_some() || source.frames == 1 {
        return;
    }
    let assumed = spec.sampling.target_fps;
    notes.push(match said {
        None => format!("The clip does not say how many frames a second it has: {assumed} are assumed."),
        Some(said) => format!("The clip claims {said} frames a second, which cannot be: {assumed} are assumed."),
    });
}

/// Says that a clip, or each of its windows, is too short for views of different frames.
pub(super) fn note_shortness(spec: &ViewSpec, what: &str, count: usize, fps: Option<f64>, notes: &mut Vec<String>) -> Result<()> {
    let (sampling, length) = (&spec.sampling, frames(count));
    if sampling.segments {
        if count < sampling.count as usize {
            notes.push(format!("{what} has {length} and a view takes {}: some are repeated.", sampling.count));
        }
        return Ok(());
    }
    let window = sampling.window(fps)?;
    // The last of a view's places, truncated, lies beyond the last frame.
    if sampling.count > 1 && window - 1.0 >= count as f64 {
        notes.push(format!("{what} has {length} and a view spans {window:.0}: its last frame is repeated."));
    }
    Ok(())
}

/// A number of frames, in words.
pub(super) fn frames(count: usize) -> String {
    if count == 1 { "1 frame".to_owned() } else { format!("{count} frames") }
}
