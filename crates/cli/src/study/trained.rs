//! What approximations do to the answers of a network that was trained with exact attention: the one that ships.

use std::time::Instant;

use image::RgbImage;
use orthoformer::ops::approximation::{Approximation, Greedy, Prototypes, Selection};
use orthoformer::{Error, Result, Tensor};
use orthoformer_models::{Cost, Model, Placed, ball};
use orthoformer_video::ball_motion::MotionClip;

use super::Method;

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedStudy {
    /// Clips, with the seeds 0, 1, ...
    pub clips: u32,
    /// Methods.
    pub methods: Vec<Method>,
    /// `R`: prototypes, landmarks or features.
    pub counts: Vec<u32>,
    /// Clips that go through the network together.
    pub batch: u32,
}

/// The network with one approximation.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct TrainedRow {
    /// The method; `None` is exact attention.
    pub method: Option<Method>,
    /// Its name for people.
    pub name: String,
    /// Prototypes, landmarks or features; 0 for exact attention.
    pub count: u32,
    /// Share of clips whose likeliest class is the right one.
    pub accuracy: f64,
    /// Share of clips whose likeliest class is that of exact attention.
    pub agreement: f64,
    /// Mean of `|logit - exact attention's|` over clips and classes.
    pub logit_difference: f64,
    /// Multiplications with their additions that the logits of one clip need.
    pub multiply_adds: u64,
    /// Time of a clip in a batch, read-back included: the median of the batches.
    pub milliseconds: f64,
}

impl TrainedStudy {
    /// How often [`trained`] reports progress.
    pub fn steps(&self) -> usize {
        (1 + self.methods.len() * self.counts.len()) * self.clips as usize
    }
}

/// Runs the shipped network with exact attention and every method with every count on rendered clips. `progress` is told after each batch, with its clips; its error ends
/// the work.
///
/// # Errors
/// [`Error::ZeroSize`] for no clips; those of [`ball::model`], [`Model::forward`] and `progress`.
pub fn trained(
    study: &TrainedStudy,
    placed: Placed<'_>,
    mut progress: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<TrainedRow>> {
    if study.clips == 0 {
        return Err(Error::ZeroSize { what: "clips" });
    }
    let clips: Vec<MotionClip> = (0..study.clips.into()).map(MotionClip::render).collect();
    let counted = |&method: &Method| study.counts.iter().map(move |&count| Some((method, count)));
    let variants = std::iter::once(None).chain(study.methods.iter().flat_map(counted));
    let (mut rows, mut exact) = (Vec::new(), None);
    for variant in variants {
        let approximation = variant.map_or(Approximation::Exact, |(method, count)| approximation(method, count));
        let model = ball::model(placed, approximation)?;
        let (answers, milliseconds) = answers(&model, &clips, study.batch, &mut progress)?;
        let exact = exact.get_or_insert_with(|| answers.clone());
        rows.push(TrainedRow {
            method: variant.map(|(method, _)| method),
            name: variant.map_or("exact", |(method, _)| method.name()).to_owned(),
            count: variant.map_or(0, |(_, count)| count),
            accuracy: share(answers.iter().zip(&clips).map(|(logits, clip)| likeliest(logits) == Some(clip.class))),
            agreement: share(answers.iter().zip(exact.iter()).map(|(logits, exact)| likeliest(logits) == likeliest(exact))),
            logit_difference: mean_difference(&answers, exact),
            multiply_adds: Cost::of(model.config(), model.element())?.multiply_adds_for_logits,
            milliseconds,
        });
    }
    Ok(rows)
}

/// A method's approximation; greedy selections begin with the first patch, so that a clip's answer does not depend on its place in a batch.
fn approximation(method: Method, count: u32) -> Approximation {
    match method.approximation(count, 0) {
        Approximation::Orthoformer(Prototypes { selection: Selection::Greedy(greedy), count, candidates, per_frame }) => {
            let selection = Selection::Greedy(Greedy { start: Some(vec![0]), ..greedy });
            Approximation::Orthoformer(Prototypes { selection, count, candidates, per_frame })
        }
        other => other,
    }
}

/// The logits of every clip, and the median milliseconds a clip.
fn answers(
    model: &Model<'_>,
    clips: &[MotionClip],
    batch: u32,
    progress: &mut impl FnMut(usize) -> Result<()>,
) -> Result<(Vec<Vec<f32>>, f64)> {
    let (mut answers, mut times) = (Vec::new(), Vec::new());
    for (number, clips) in clips.chunks(batch.max(1) as usize).enumerate() {
        let frames: Vec<&[RgbImage]> = clips.iter().map(|clip| clip.frames.as_slice()).collect();
        let input = model.config().clips(&frames)?;
        if number == 0 && !matches!(model.placed(), Placed::Reference) {
            // Plans and pipelines are made ready before anything is timed.
            model.forward(&input)?;
        }
        let start = Instant::now();
        let logits = model.forward(&input)?;
        times.push(start.elapsed().as_secs_f64() * 1e3 / clips.len() as f64);
        let classes = logits.first().and_then(|logits| logits.shape().last().copied()).unwrap_or(1);
        answers.extend(logits.first().map_or(&[][..], Tensor::data).chunks(classes.max(1)).map(<[f32]>::to_vec));
        progress(clips.len())?;
    }
    times.sort_by(f64::total_cmp);
    Ok((answers, times.get(times.len() / 2).copied().unwrap_or_default()))
}

/// The class with the largest logit, the first of equals.
fn likeliest(logits: &[f32]) -> Option<usize> {
    let all = logits.iter().enumerate().filter(|(_, logit)| !logit.is_nan());
    all.max_by(|(a, left), (b, right)| left.total_cmp(right).then(b.cmp(a))).map(|(class, _)| class)
}

fn share(right: impl ExactSizeIterator<Item = bool>) -> f64 {
    let count = right.len().max(1);
    right.filter(|&right| right).count() as f64 / count as f64
}

fn mean_difference(answers: &[Vec<f32>], exact: &[Vec<f32>]) -> f64 {
    let pairs = answers.iter().flatten().zip(exact.iter().flatten());
    let (sum, count) = pairs.fold((0.0, 0), |(sum, count), (a, b)| (sum + f64::from((a - b).abs()), count + 1));
    sum / f64::from(count.max(1))
}
