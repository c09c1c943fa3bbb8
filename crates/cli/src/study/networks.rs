//! Several networks on the same clips: what each says, and what it costs.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use orthoformer::plan::Element;
use orthoformer::{Error, Result};
use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::{Average, Config, Cost, Model, Observer, Placed, Seen, Watched, watch};
use orthoformer_video::views::Views;

/// What a network makes of a clip.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct NetworkAnswer {
    /// The clip.
    pub clip: PathBuf,
    /// Why it could not be looked at.
    pub error: Option<String>,
    /// The likeliest class of the first head with its probability; `None` of a network without classifier.
    pub likeliest: Option<(String, f64)>,
    /// Half the sum of differences of probabilities from the first network's, from 0, the same, to 1; `None` where classes are not as many.
    pub distance: Option<f64>,
    /// From the clip's file to the answer, milliseconds; the first clip's has the compilation of shaders in it.
    pub milliseconds: f64,
    #[serde(skip)]
    probabilities: Vec<f64>,
}

/// A network and its answers.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct NetworkRow {
    /// The checkpoint.
    pub weights: PathBuf,
    /// Name and kind of attention.
    pub network: String,
    /// Frames, height and width of the clips that it sees.
    pub clip: [u32; 3],
    /// Multiply-adds of what is usually wanted of a clip.
    pub multiply_adds: u64,
    /// Most bytes on the device.
    pub device_bytes: u64,
    /// For each clip.
    pub answers: Vec<NetworkAnswer>,
}

/// Shows clips to networks, one view each, one network after the other. `progress` is told after each clip; its error ends the work.
///
/// # Errors
/// Those of [`Checkpoint::open`], [`Config::whole`], [`Model::new`], [`watch`] and `progress`. A clip that cannot be decoded is an answer with an error.
pub fn networks(
    weights: &[PathBuf],
    clips: &[PathBuf],
    placed: Placed<'_>,
    mut progress: impl FnMut() -> Result<()>,
) -> Result<Vec<NetworkRow>> {
    let mut rows: Vec<NetworkRow> = Vec::new();
    for path in weights {
        let mut row = row(path, clips, placed, &mut progress)?;
        if let Some(first) = rows.first() {
            for (answer, other) in row.answers.iter_mut().zip(&first.answers) {
                answer.distance = distance(&answer.probabilities, &other.probabilities);
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

fn row(path: &Path, clips: &[PathBuf], placed: Placed<'_>, progress: &mut impl FnMut() -> Result<()>) -> Result<NetworkRow> {
    let checkpoint = Checkpoint::open(path)?;
    let config = Config::whole(&checkpoint)?;
    config.sees_clips().map_err(Error::contents(path))?;
    let multiply_adds = Cost::of(&config, Element::F32)?.multiply_adds_for_logits;
    let model = Model::new(placed, checkpoint, config, Element::F32)?;
    let mut answers = Vec::new();
    for clip in clips {
        answers.push(answer(&model, clip)?);
        progress()?;
    }
    let network = &model.config().network;
    Ok(NetworkRow {
        weights: path.to_owned(),
        network: network.title(),
        clip: network.clip(),
        multiply_adds,
        device_bytes: model.device_bytes(),
        answers,
    })
}

fn answer(model: &Model<'_>, clip: &Path) -> Result<NetworkAnswer> {
    let config = model.config();
    let head = config.network.logits().into_iter().next().map(|(name, _)| name);
    let mut answering = Answering { head, average: Average::default(), start: Instant::now(), milliseconds: 0.0, failure: None };
    let one = Views { temporal: 1, spatial: 1 };
    // Nothing breaks it off.
    let _ = watch(model, &[clip.to_owned()], one, 1, &config.network.usual_outputs(), &mut answering)?;
    let label = |class: usize| {
        let named = config.labels.as_ref().and_then(|labels| labels.get(class).cloned());
        named.unwrap_or_else(|| format!("class {class}"))
    };
    let Answering { average, milliseconds, failure, .. } = answering;
    Ok(NetworkAnswer {
        clip: clip.to_owned(),
        error: failure.as_ref().map(Error::to_string),
        likeliest: average.top(1).first().map(|&(class, probability)| (label(class), probability)),
        distance: None,
        milliseconds,
        probabilities: average.probabilities(),
    })
}

/// Takes in the one view of a clip.
struct Answering {
    /// Name of the first head's logits.
    head: Option<String>,
    average: Average,
    start: Instant,
    /// Until the view was seen.
    milliseconds: f64,
    failure: Option<Error>,
}

impl Observer for Answering {
    fn seen(&mut self, seen: Seen<'_>) -> Result<()> {
        if let Some(name) = &self.head {
            self.average.add(seen.values(name).unwrap_or_default());
        }
        self.milliseconds = self.start.elapsed().as_secs_f64() * 1e3;
        Ok(())
    }

    fn done(&mut self, _clip: usize, watched: Watched) -> Result<()> {
        self.failure = watched.failure;
        Ok(())
    }

    fn flow(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Half the sum of the differences of probabilities, if there are as many.
fn distance(own: &[f64], other: &[f64]) -> Option<f64> {
    let comparable = !own.is_empty() && own.len() == other.len();
    comparable.then(|| own.iter().zip(other).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_between_none_and_all() {
        assert_eq!(distance(&[0.25, 0.75], &[0.75, 0.25]), Some(0.5));
        assert_eq!(distance(&[1.0, 0.0], &[0.0, 1.0]), Some(1.0));
        assert_eq!(distance(&[1.0], &[0.5, 0.5]), None);
        assert_eq!(distance(&[], &[]), None);
    }
}
