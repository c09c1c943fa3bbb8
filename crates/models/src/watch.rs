//! A network looking at clips: views are decoded in a thread of their own while the device works on those before.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use image::RgbImage;
use orthoformer::{Error, Result, Tensor, Tensors};
use orthoformer_video::views::crops::stacked;
use orthoformer_video::views::{Crop, Framing, Normalisation, Sampling, Source, View, ViewSpec, ViewStream, Views};

use crate::config::{Config, Protocol};
use crate::model::Model;
use crate::networks::NetworkOutputs;

/// Views that wait for the device, beside the batch that is put together.
const MOST_WAITING: usize = 2;

impl Config {
    /// How clips are cut up for this network.
    pub fn views(&self, views: Views) -> ViewSpec {
        let ([frames, crop, _], p) = (self.network.clip(), &self.protocol);
        let &Protocol { sampling_rate: rate, target_fps, segments, segment_starts, .. } = p;
        let sampling = Sampling { count: frames, rate, target_fps, segments, segment_starts };
        let own = ViewSpec::new(sampling, views, crop);
        let &Protocol { resize, mean, std, reversed_channels, damage, .. } = p;
        ViewSpec { resize, mean, std, reversed_channels, damage, ..own }
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
        let framing = Framing { size: crop, resize: p.resize };
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

/// What the decoding thread has to say.
enum Message {
    Opened(usize, Source),
    View(usize, View),
    Ended(usize, Vec<String>),
    Failed(usize, Error),
}

/// Shows clips to a network, `batch` views at a time, and hands on what it makes of each view. A clip that cannot be decoded is reported in its
/// place, and so is one of which the network makes values that are not finite; the others go on. Should the network fail, the clip that is being decoded is
/// waited for, up to its next view.
///
/// # Errors
/// Those of [`ViewSpec::check`] and [`Model::run`], and what `on_seen` returns.
pub fn watch(
    model: &Model<'_>,
    clips: &[PathBuf],
    views: Views,
    batch: u32,
    outputs: &NetworkOutputs,
    on_seen: impl FnMut(Seen<'_>) -> Result<()>,
) -> Result<Vec<Watched>> {
    model.config().sees_clips()?;
    let spec = model.config().views(views);
    spec.check()?;
    let (sender, receiver) = sync_channel(MOST_WAITING);
    std::thread::scope(|scope| {
        let decoder = scope.spawn(|| decode(clips, &spec, sender));
        let watched = clips.iter().map(|_| Watched::default()).collect();
        let batch = batch.max(1) as usize;
        let watched = Watcher { model, outputs, clips, batch, waiting: Vec::new(), watched, on_seen }.listen(receiver)?;
        let gave_up = |_| Error::Argument {
            what: "clips",
            given: clips.iter().map(|clip| clip.display().to_string()).collect::<Vec<_>>().join(", "),
            expected: "clips whose decoders do not give up (the message above says why one did)".to_owned(),
        };
        decoder.join().map_err(gave_up)?;
        Ok(watched)
    })
}

/// Decodes clip after clip until all are done or nobody listens.
fn decode(paths: &[PathBuf], spec: &ViewSpec, sender: SyncSender<Message>) {
    for (number, path) in paths.iter().enumerate() {
        let mut stream = match ViewStream::open(path, spec) {
            Ok(stream) => stream,
            Err(error) => match sender.send(Message::Failed(number, error)) {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        if sender.send(Message::Opened(number, stream.source())).is_err() {
            return;
        }
        let mut failed = false;
        for view in &mut stream {
            failed = view.is_err();
            let message = view.map_or_else(|error| Message::Failed(number, error), |view| Message::View(number, view));
            if sender.send(message).is_err() {
                return;
            }
        }
        if !failed && sender.send(Message::Ended(number, stream.notes().to_vec())).is_err() {
            return;
        }
    }
}

/// The network's side.
struct Watcher<'w, 'e, F> {
    model: &'w Model<'e>,
    outputs: &'w NetworkOutputs,
    clips: &'w [PathBuf],
    batch: usize,
    /// Views that are to go through together.
    waiting: Vec<(usize, View)>,
    watched: Vec<Watched>,
    on_seen: F,
}

impl<F: FnMut(Seen<'_>) -> Result<()>> Watcher<'_, '_, F> {
    fn listen(mut self, messages: Receiver<Message>) -> Result<Vec<Watched>> {
        for message in messages {
            match message {
                Message::Opened(clip, source) => self.watched[clip].source = Some(source),
                Message::Ended(clip, notes) => self.watched[clip].notes = notes,
                Message::Failed(clip, error) => {
                    // Half a clip is not a clip: what waits of it need not be looked at.
                    self.waiting.retain(|(other, _)| *other != clip);
                    self.watched[clip].failure = Some(error);
                }
                Message::View(clip, view) => {
                    self.waiting.push((clip, view));
                    if self.waiting.len() == self.batch {
                        self.look()?;
                    }
                }
            }
        }
        self.look()?;
        Ok(self.watched)
    }

    /// Runs the views that wait.
    fn look(&mut self) -> Result<()> {
        let views = std::mem::take(&mut self.waiting);
        let Some((_, first)) = views.first() else { return Ok(()) };
        let shape = [&[views.len()], first.clip.shape()].concat();
        let values = views.iter().flat_map(|(_, view)| view.clip.data()).copied().collect();
        let outputs = self.model.run(&Tensor::new(shape, values)?, self.outputs)?;
        let logits = self.model.config().network.logits();
        for (row, (clip, view)) in views.iter().enumerate() {
            let &View { temporal, spatial, ref indices, .. } = view;
            let seen = Seen { clip: *clip, temporal, spatial, frames: indices, outputs: &outputs, row };
            if let Some(wrong) = seen.not_finite(&logits) {
                let reason = format!("the network makes {wrong} of it: damaged weights, or too large for float16");
                self.watched[*clip].failure = Some(Error::Contents { path: self.clips[*clip].clone(), reason });
                continue;
            }
            (self.on_seen)(seen)?;
            self.watched[*clip].views += 1;
        }
        Ok(())
    }
}

/// The probabilities of a head's classes, averaged over views.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Average {
    sum: Vec<f64>,
    views: u32,
}

impl Average {
    /// Takes in the logits `[classes]` of one more view: their softmax counts.
    pub fn add(&mut self, logits: &[f32]) {
        let peak = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let shares: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - peak).exp()).collect();
        let total: f64 = shares.iter().sum();
        self.sum.resize(logits.len(), 0.0);
        self.sum.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share / total);
        self.views += 1;
    }

    /// The mean probabilities `[classes]`; empty without any view.
    pub fn probabilities(&self) -> Vec<f64> {
        self.sum.iter().map(|sum| sum / f64::from(self.views.max(1))).collect()
    }

    /// The classes with the largest probabilities, the likeliest first; of equals the first comes first, and what is not a number comes last.
    pub fn top(&self, count: usize) -> Vec<(usize, f64)> {
        let mut ranked: Vec<(usize, f64)> = self.probabilities().into_iter().enumerate().collect();
        let key = |probability: f64| if probability.is_nan() { f64::NEG_INFINITY } else { probability };
        ranked.sort_by(|a, b| key(b.1).total_cmp(&key(a.1)));
        ranked.truncate(count);
        ranked
    }
}

/// What a network says about a clip.
#[derive(Debug)]
pub struct Classified {
    /// The clip, and whether it was decoded.
    pub watched: Watched,
    /// One for each head; empty if the clip could not be decoded.
    pub heads: Vec<Average>,
}

/// Classifies clips: the mean of the probabilities of all views. `progress` is told after each view.
///
/// # Errors
/// Those of [`watch`].
pub fn classify(
    model: &Model<'_>,
    clips: &[PathBuf],
    views: Views,
    batch: u32,
    mut progress: impl FnMut(),
) -> Result<Vec<Classified>> {
    let heads = model.config().network.logits();
    if heads.is_empty() {
        let expected = "one with a classifier: `features` hands out what this one makes of clips".to_owned();
        let given = model.config().network.name().to_owned();
        return Err(Error::Argument { what: "network", given, expected });
    }
    let mut averages: BTreeMap<usize, Vec<Average>> = BTreeMap::new();
    let watched = watch(model, clips, views, batch, &NetworkOutputs::LOGITS, |seen| {
        let own = averages.entry(seen.clip).or_insert_with(|| vec![Average::default(); heads.len()]);
        for ((name, _), average) in heads.iter().zip(own) {
            average.add(seen.values(name).unwrap_or_default());
        }
        progress();
        Ok(())
    })?;
    let classified = watched.into_iter().enumerate().map(|(clip, watched)| {
        let heads = averages.remove(&clip).filter(|_| watched.failure.is_none()).unwrap_or_default();
        Classified { watched, heads }
    });
    Ok(classified.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_averaged_not_logits() {
        let mut average = Average::default();
        average.add(&[0.0, 1000.0]);
        average.add(&[f32::ln(3.0), 0.0]);
        assert_eq!(average.probabilities().len(), 2);
        for (found, expected) in average.probabilities().into_iter().zip([0.375, 0.625]) {
            assert!((found - expected).abs() < 1e-7, "{found} {expected}");
        }
        assert_eq!(average.top(5).iter().map(|(class, _)| *class).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(average.top(1).len(), 1);
    }

    #[test]
    fn a_masked_class_has_no_probability() {
        let mut average = Average::default();
        average.add(&[0.0, f32::NEG_INFINITY, 0.0]);
        average.add(&[f32::NEG_INFINITY, 0.0, f32::MIN]);
        assert_eq!(average.probabilities(), [0.25, 0.5, 0.25]);
    }

    #[test]
    fn what_is_not_a_number_does_not_win() {
        let mut average = Average::default();
        average.add(&[0.5, f32::NAN, 0.25]);
        assert!(average.probabilities().iter().all(|probability| probability.is_nan()), "one NaN spoils the sum");
        assert_eq!(Average::default().top(3), []);
    }
}
