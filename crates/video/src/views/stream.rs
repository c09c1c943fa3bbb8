//! Views of a clip, one after the other, while it is decoded once from start to end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use image::RgbImage;
use orthoformer::{Result, Tensor};

use super::ViewSpec;
use super::crops::{Crop, Normalisation, cropped_picture, stacked};
use super::sampling::BELIEVED_FPS;
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
}

/// A square of a frame.
struct Square {
    numbers: Tensor,
    picture: Option<RgbImage>,
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
    spec: ViewSpec,
    source: Source,
    normalisation: Normalisation,
    /// Frames of each temporal view.
    wanted: Vec<Vec<usize>>,
    /// How many unfinished temporal views need a frame.
    needs: BTreeMap<usize, usize>,
    /// Squares of the decoded frames that are needed, in the order of the spatial views.
    held: BTreeMap<usize, Vec<Square>>,
    most_held: usize,
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
        write!(f, "ViewStream({:?}, {} views, {} frames decoded)", self.clip, self.spec.views, self.decoded)
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
        spec.check()?;
        let (clip, frames) = Clip::open_counted(path, spec.damage)?;
        let mut notes = clip.notes();
        let fps = clip.frame_rate.filter(|fps| BELIEVED_FPS.contains(fps));
        let source = Source { width: clip.width, height: clip.height, frames, fps };
        note_rate(spec, clip.frame_rate, &source, &mut notes);
        note_shortness(spec, &source, &mut notes)?;
        let views = spec.views.temporal;
        let wanted: Result<Vec<_>> = (0..views).map(|view| spec.sampling.indices(frames, fps, view, views)).collect();
        let mut stream = Self {
            clip,
            spec: *spec,
            source,
            normalisation: Normalisation::new(spec.mean, spec.std, spec.reversed_channels)?,
            wanted: wanted?,
            needs: BTreeMap::new(),
            held: BTreeMap::new(),
            most_held: 0,
            latest: None,
            decoded: 0,
            ended: false,
            temporal: 0,
            spatial: 0,
            notes,
        };
        stream.count_needs();
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
        self.held.len()
    }

    /// Most frames whose squares have been in memory at a time.
    pub fn most_held(&self) -> usize {
        self.most_held
    }

    /// Counts anew how many of the views that are left need each frame.
    fn count_needs(&mut self) {
        self.needs.clear();
        for indices in self.wanted.iter().skip(self.temporal) {
            for index in distinct(indices) {
                *self.needs.entry(index).or_default() += 1;
            }
        }
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
        let view = self.assemble()?;
        self.spatial += 1;
        if self.spatial == self.spec.views.crops().len() {
            self.release();
            (self.temporal, self.spatial) = (self.temporal + 1, 0);
        }
        Ok(Some(view))
    }

    /// Decodes a frame, and keeps its squares if a view needs them.
    fn decode_frame(&mut self) -> Result<()> {
        let Some(frame) = self.clip.next().transpose()? else { return self.end_early() };
        if self.needs.contains_key(&self.decoded) {
            self.hold(self.decoded, &frame)?;
        }
        self.latest = Some(frame);
        self.decoded += 1;
        Ok(())
    }

    fn hold(&mut self, index: usize, frame: &RgbImage) -> Result<()> {
        let crops = self.spec.views.crops().iter();
        let squares: Result<Vec<_>> = crops.map(|&crop| self.square(frame, crop)).collect();
        self.held.insert(index, squares?);
        self.most_held = self.most_held.max(self.held.len());
        Ok(())
    }

    fn square(&self, frame: &RgbImage, crop: Crop) -> Result<Square> {
        let framing = self.spec.framing();
        let picture = self.spec.pictures.then(|| cropped_picture(frame, framing, crop)).transpose()?;
        Ok(Square { numbers: self.normalisation.crop(frame, framing, crop)?, picture })
    }

    /// The clip has fewer frames than its file says: its last frame stands for those that are missing.
    fn end_early(&mut self) -> Result<()> {
        self.ended = true;
        let last = self.decoded.saturating_sub(1);
        self.wanted.iter_mut().skip(self.temporal).flatten().for_each(|index| *index = (*index).min(last));
        self.count_needs();
        if let Some(frame) = self.latest.take().filter(|_| !self.held.contains_key(&last)) {
            self.hold(last, &frame)?;
        }
        let note = format!("The clip ends after {} of {}: its last frame is repeated.", frames(self.decoded), self.source.frames);
        self.notes.push(note);
        Ok(())
    }

    /// Puts the next view together from the squares of its frames.
    fn assemble(&self) -> Result<View> {
        let indices = self.wanted.get(self.temporal).cloned().unwrap_or_default();
        let squares: Vec<&Square> = indices.iter().filter_map(|index| self.held.get(index)?.get(self.spatial)).collect();
        let pictures = squares.iter().filter_map(|square| square.picture.clone()).collect();
        let numbers: Vec<&Tensor> = squares.iter().map(|square| &square.numbers).collect();
        // Should a frame be missing against all expectation, the tensor's size tells.
        let clip = stacked(&numbers, indices.len(), self.spec.size)?;
        Ok(View { temporal: self.temporal as u32, spatial: self.spatial as u32, clip, indices, pictures })
    }

    /// Drops what the view that is complete was the last to need, and takes note of what the clip has to say by then.
    fn release(&mut self) {
        for note in self.clip.notes() {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        for index in distinct(self.wanted.get(self.temporal).map_or(&[], Vec::as_slice)) {
            let left = self.needs.get(&index).map_or(0, |needs| needs.saturating_sub(1));
            if left == 0 {
                self.needs.remove(&index);
                self.held.remove(&index);
            } else {
                self.needs.insert(index, left);
            }
        }
    }
}

impl Iterator for ViewStream {
    type Item = Result<View>;

    fn next(&mut self) -> Option<Self::Item> {
        let view = self.advance();
        if view.is_err() {
            self.temporal = self.wanted.len();
            self.held.clear();
        }
        view.transpose()
    }
}

/// Each index once.
fn distinct(indices: &[usize]) -> BTreeSet<usize> {
    indices.iter().copied().collect()
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

/// Says that a clip is too short for views of different frames.
fn note_shortness(spec: &ViewSpec, source: &Source, notes: &mut Vec<String>) -> Result<()> {
    let (sampling, length) = (&spec.sampling, frames(source.frames));
    if sampling.segments {
        if source.frames < sampling.count as usize {
            notes.push(format!("The clip has {length} and a view takes {}: some are repeated.", sampling.count));
        }
        return Ok(());
    }
    let window = sampling.window(source.fps)?;
    // The last of a view's places, truncated, lies beyond the last frame.
    if sampling.count > 1 && window - 1.0 >= source.frames as f64 {
        notes.push(format!("The clip has {length} and a view spans {window:.0}: its last frame is repeated."));
    }
    Ok(())
}

fn frames(count: usize) -> String {
    if count == 1 { "1 frame".to_owned() } else { format!("{count} frames") }
}
