//! A network looking at clips: views are decoded in a thread of their own while the device works on those before.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use image::RgbImage;
use orthoformer::{Error, Result, Tensor, Tensors};
use orthoformer_video::views::crops::stacked;
use orthoformer_video::views::{Crop, Framing, Normalisation, Sampling, Source, View, ViewSpec, ViewStream, Views, Window};

use crate::config::{Config, Protocol};
use crate::model::Model;
use crate::networks::NetworkOutputs;
use crate::streams::{Decoder, Message, Stream};

/// How often it is asked whether to go on while nothing is decoded.
const ASKED_EVERY: Duration = Duration::from_millis(50);

impl Config {
    /// How clips are cut up for this network.
    pub fn views(&self, views: Views) -> ViewSpec {
        let ([frames, crop, _], p) = (self.network.clip(), &self.protocol);
        let &Protocol { sampling_rate: rate, target_fps, segments, segment_starts, .. } = p;
        let sampling = Sampling { count: frames, rate, target_fps, segments, segment_starts };
        let own = ViewSpec::new(sampling, views, crop);
        let &Protocol { resize, filter, middle, mean, std, reversed_channels, damage, .. } = p;
        ViewSpec { resize, filter, middle, mean, std, reversed_channels, damage, ..own }
    }

    /// Clips `[B, 3, frames, crop, crop]` of pictures that are in memory: all frames of each, one after the other, centres cut out.
    ///
    /// # Errors
    /// [`Error::WrongShape`] if a clip has not as many frames as the network sees; those of [`Normalisation::new`] and [`Normalisation::crop`].
    pub fn clips(&self, clips: &[&[RgbImage]]) -> Result<Tensor> {
        let [frames, crop, _] = self.network.clip();
        let frames = frames as usize;
        let p = &self.protocol;
        let normalisation = Normalisation::new(p.mean, p.std, p.reversed_channels)?;
        let framing = Framing { size: crop, resize: p.resize, filter: p.filter, middle: p.middle };
        let mut values = Vec::new();
        for clip in clips {
            if clip.len() != frames {
                let expected = format!("{frames} frames");
                return Err(Error::WrongShape { name: "clip".to_owned(), found: vec![clip.len()], expected });
            }
            let squares =
                clip.iter().map(|frame| normalisation.crop(frame, framing, Crop::Centre)).collect::<Result<Vec<_>>>()?;
            values.extend(stacked(&squares.iter().collect::<Vec<_>>(), frames, crop)?.into_data());
        }
        Tensor::new(vec![clips.len(), 3, frames, crop as usize, crop as usize], values)
    }
}

/// What is known of a clip after it has been watched.
#[derive(Debug, Default)]
pub struct Watched {
    /// Size, length and frame rate, unless it could not be opened.
    pub source: Option<Source>,
    /// Views that the network has seen.
    pub views: u32,
    /// What to know about those, as whole sentences.
    pub notes: Vec<String>,
    /// Why it was not, or not wholly, watched.
    pub failure: Option<Error>,
}

/// A view that the network has seen.
#[derive(Debug)]
pub struct Seen<'o> {
    /// The clip, as an index into those that were given.
    pub clip: usize,
    /// Which temporal view, from 0.
    pub temporal: u32,
    /// Which spatial view, from 0.
    pub spatial: u32,
    /// The clip's frames that it is made of.
    pub frames: &'o [usize],
    /// The window that it is a view of; `None` for views of the whole clip.
    pub window: Option<Window>,
    /// The network's outputs for the batch that it was part of.
    pub outputs: &'o Tensors,
    /// Its place in that batch.
    pub row: usize,
}

impl Seen<'_> {
    /// This view's part of an output, `None` if there is no such output.
    pub fn values(&self, name: &str) -> Option<&[f32]> {
        let tensor = self.outputs.get(name)?;
        let size: usize = tensor.shape().get(1..)?.iter().product();
        tensor.data().get(self.row * size..(self.row + 1) * size)
    }

    /// A value of any output that is NaN or infinite. A logit may be minus infinity, as of a class that a bias masks, unless all of a head are.
    fn not_finite(&self, logits: &[(String, u32)]) -> Option<f32> {
        let wrong = |name: &String| {
            let values = self.values(name).unwrap_or_default();
            let is_masked = logits.iter().any(|(logit, _)| logit == name) && values.iter().any(|value| value.is_finite());
            values.iter().copied().find(|value| !(value.is_finite() || is_masked && *value == f32::NEG_INFINITY))
        };
        self.outputs.keys().find_map(wrong)
    }
}

/// What is told while clips are watched.
pub trait Observer {
    /// Takes a view that the network has seen.
    ///
    /// # Errors
    /// Whatever ends the watching.
    fn seen(&mut self, seen: Seen<'_>) -> Result<()>;

    /// Takes what is known of a clip of which nothing more comes. Clips are done in the order in which they were given.
    ///
    /// # Errors
    /// Whatever ends the watching.
    fn done(&mut self, clip: usize, watched: Watched) -> Result<()>;

    /// Whether to go on. Asked before each batch, and while nothing is decoded.
    fn flow(&mut self) -> ControlFlow<()>;
}

/// What is told while something is made of each clip. A list collects all of it.
pub trait Progress<T> {
    /// Told after each view that the network has seen.
    fn view(&mut self);

    /// Takes what was made of a clip. Clips come in the order in which they were given.
    ///
    /// # Errors
    /// Whatever ends the work.
    fn clip(&mut self, clip: usize, made: T) -> Result<()>;

    /// Whether to go on.
    fn flow(&mut self) -> ControlFlow<()>;
}

impl<T> Progress<T> for Vec<T> {
    fn view(&mut self) {}

    fn clip(&mut self, _clip: usize, made: T) -> Result<()> {
        self.push(made);
        Ok(())
    }

    fn flow(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Shows clips to a network, `batch` views at a time, and hands on what it makes of each view. A clip that cannot be decoded is reported in its
/// place, and so is one of which the network makes values that are not finite; the others go on. Breaks where the observer does: what is not done by
/// then is lost, and nothing is waited for.
///
/// # Errors
/// Those of [`ViewSpec::check`] and [`Model::run`], and what the observer returns.
pub fn watch(
    model: &Model<'_>,
    clips: &[PathBuf],
    views: Views,
    batch: u32,
    outputs: &NetworkOutputs,
    observer: &mut impl Observer,
) -> Result<ControlFlow<()>> {
    let spec = model.config().views(views);
    watch_streams(model, clips, &spec, move |path| ViewStream::open(path, &spec), batch, outputs, observer)
}

/// The same for views of this kind that come from anywhere.
pub(crate) fn watch_streams<S: Stream>(
    model: &Model<'_>,
    clips: &[PathBuf],
    spec: &ViewSpec,
    open: impl FnMut(&Path) -> Result<S> + Send + 'static,
    batch: u32,
    outputs: &NetworkOutputs,
    observer: &mut impl Observer,
) -> Result<ControlFlow<()>> {
    model.config().sees_clips()?;
    spec.check()?;
    let (decoder, receiver) = Decoder::start(clips.to_vec(), open);
    let watched = clips.iter().map(|_| Watched::default()).collect();
    let batch = batch.max(1) as usize;
    let watcher =
        Watcher { model, outputs, clips, batch, waiting: Vec::new(), watched, ended: BTreeSet::new(), next: 0, observer };
    let flow = watcher.listen(receiver)?;
    if flow.is_break() || decoder.finish() {
        return Ok(flow);
    }
    let given = clips.iter().map(|clip| clip.display().to_string()).collect::<Vec<_>>().join(", ");
    let expected = "clips whose decoders do not give up (the message above says why one did)".to_owned();
    Err(Error::Argument { what: "clips", given, expected })
}

/// The network's side.
struct Watcher<'w, 'e, O> {
    model: &'w Model<'e>,
    outputs: &'w NetworkOutputs,
    clips: &'w [PathBuf],
    batch: usize,
    /// Views that are to go through together.
    waiting: Vec<(usize, View)>,
    /// What is known of the clips that are not done.
    watched: Vec<Watched>,
    /// Clips of which no more views come, though some may wait.
    ended: BTreeSet<usize>,
    /// The first clip that is not done.
    next: usize,
    observer: &'w mut O,
}

impl<O: Observer> Watcher<'_, '_, O> {
    fn listen(mut self, messages: Receiver<Message>) -> Result<ControlFlow<()>> {
        while self.observer.flow().is_continue() {
            match messages.recv_timeout(ASKED_EVERY) {
                Ok(message) => self.take(message)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.look()?;
                    return Ok(ControlFlow::Continue(()));
                }
            }
        }
        Ok(ControlFlow::Break(()))
    }

    fn take(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Opened(clip, source) => self.watched[clip].source = source,
            Message::View(clip, view) => {
                self.waiting.push((clip, view));
                return if self.waiting.len() == self.batch { self.look() } else { Ok(()) };
            }
            Message::Ended(clip, notes) => {
                self.watched[clip].notes = notes;
                self.ended.insert(clip);
            }
            Message::Failed(clip, error) => {
                // Half a clip is not a clip: what waits of it need not be looked at, unless they are windows, which are whole.
                self.waiting.retain(|(other, view)| *other != clip || view.window.is_some());
                self.watched[clip].failure = Some(error);
                self.ended.insert(clip);
            }
        }
        self.hand_on()
    }

    /// Hands on the clips of which nothing more comes.
    fn hand_on(&mut self) -> Result<()> {
        while self.ended.contains(&self.next) && !self.waiting.iter().any(|(clip, _)| *clip == self.next) {
            let (clip, watched) = (self.next, std::mem::take(&mut self.watched[self.next]));
            self.ended.remove(&clip);
            self.next += 1;
            self.observer.done(clip, watched)?;
        }
        Ok(())
    }

    /// Runs the views that wait.
    fn look(&mut self) -> Result<()> {
        let Some((_, first)) = self.waiting.first() else { return Ok(()) };
        let shape = [&[self.waiting.len()], first.clip.shape()].concat();
        let values = self.waiting.iter().flat_map(|(_, view)| view.clip.data()).copied().collect();
        let outputs = self.model.run(&Tensor::new(shape, values)?, self.outputs)?;
        let logits = self.model.config().network.logits();
        for row in 0..self.waiting.len() {
            let (clip, View { temporal, spatial, window, indices, .. }) = self.waiting.remove(0);
            let seen = Seen { clip, temporal, spatial, frames: &indices, window, outputs: &outputs, row };
            match seen.not_finite(&logits) {
                None => {
                    self.observer.seen(seen)?;
                    self.watched[clip].views += 1;
                }
                Some(wrong) => {
                    let reason = format!("the network makes {wrong} of it: damaged weights, or too large for float16");
                    let failure = Error::Contents { path: self.clips[clip].clone(), reason };
                    // The end of a stream, at which the others are told, may never come.
                    if window.is_some() {
                        return Err(failure);
                    }
                    self.watched[clip].failure = Some(failure);
                }
            }
            // Ahead of the next clip's views.
            self.hand_on()?;
        }
        Ok(())
    }
}
