//! Networks from checkpoints.

use std::path::PathBuf;
use std::sync::Arc;

use orthoformer::kernel::Activation;
use orthoformer::ops::TemporalValue;
use orthoformer::plan::Element;
use orthoformer::{Error, Result};
use orthoformer_cpu::Executor;
use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::networks::InputOrder;
use orthoformer_models::{
    AttendOptions, Config, Features, Model, NOT_SAID, NetworkOutputs, Overrides, Preset, Rollout, Tokens, labels,
};
use orthoformer_video::Damage;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::approximation::{ApproximationArgument, named};
use super::arrays::{Array, array, tensor};
use super::engine::Engine;
use super::failure::Failure;
use super::waiting::interruptible;
use super::watch::{Task, Watch, views};

self_cell::self_cell!(
    /// A network and the executor that it runs on.
    pub struct Loaded {
        owner: Arc<Executor>,
        #[not_covariant]
        dependent: Model,
    }
);

type Outcome<T> = std::result::Result<T, Failure>;

/// A network with its weights.
#[pyclass(frozen, module = "orthoformer")]
pub struct Network {
    loaded: Arc<Loaded>,
    /// For each head the names of its classes, where they are known.
    labels: Vec<Option<Vec<String>>>,
    notes: Vec<String>,
}

/// What the caller says of a checkpoint, by keyword.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Said<'py> {
    preset: Option<String>,
    heads: Option<u32>,
    frames: Option<u32>,
    crop: Option<u32>,
    sampling_rate: Option<u32>,
    segments: Option<bool>,
    reversed_channels: bool,
    temporal_value: Option<String>,
    head_activation: Option<String>,
    approximation: Option<ApproximationArgument<'py>>,
}

impl Said<'_> {
    fn overrides(&self) -> Result<Overrides> {
        let presets = Preset::ALL.map(|preset| (preset.name(), preset));
        let values = [TemporalValue::Identity, TemporalValue::Projected].map(|value| (value.name(), value));
        let activations = [("tanh", Activation::Tanh), ("gelu", Activation::Gelu), ("relu", Activation::Relu)];
        Ok(Overrides {
            preset: self.preset.as_deref().map(|name| named("preset", name, &presets)).transpose()?,
            heads: self.heads,
            temporal_value: self.temporal_value.as_deref().map(|name| named("temporal_value", name, &values)).transpose()?,
            head_activation: self
                .head_activation
                .as_deref()
                .map(|name| named("head_activation", name, &activations))
                .transpose()?,
            crop: self.crop,
            frames: self.frames,
            approximation: self.approximation.as_ref().map(ApproximationArgument::approximation),
            sampling_rate: self.sampling_rate,
            segments: self.segments,
            reversed_channels: self.reversed_channels,
        })
    }
}

/// Reads a checkpoint: `labels` are names of classes, or files of them, one for each head.
#[pyfunction]
pub fn load(
    py: Python<'_>,
    engine: &Engine,
    path: PathBuf,
    storage: &str,
    tolerant: bool,
    label_files: Vec<PathBuf>,
    said: Bound<'_, PyDict>,
) -> Outcome<Network> {
    let element = named("storage", storage, &Element::ALL.map(|element| (element.name(), element)))?;
    let overrides = said.extract::<Said<'_>>()?.overrides()?;
    let executor = engine.executor.clone();
    let read = move || {
        let checkpoint = Checkpoint::open(&path)?;
        let mut config = Config::of(&checkpoint, &overrides).map_err(|error| in_keywords(&checkpoint, error))?;
        config.protocol.damage = if tolerant { Damage::LeftOut } else { Damage::Refused };
        let assumed = config.assumed.iter().map(|what| format!("taken for granted, as {} does not say: {what}", path.display()));
        let notes = config.notes(&checkpoint)?.into_iter().chain(assumed).collect();
        let labels = read_labels(&label_files, &config)?;
        let loaded = Loaded::try_new(executor, |executor| {
            Model::new((&**executor).into(), checkpoint, config, element).map_err(|error| in_file(&path, error))
        })?;
        Ok(Network { loaded: Arc::new(loaded), labels, notes })
    };
    interruptible(py, read)
}

/// What is open is asked for by its keyword.
fn in_keywords(checkpoint: &Checkpoint, error: Error) -> Error {
    match error {
        Error::Argument { what, given, expected } if given == NOT_SAID => {
            let keyword = what.replace(' ', "_");
            let other =
                if Config::has_presets(checkpoint) { "preset= for a published network" } else { "a config.json beside it" };
            let reason = format!("says nothing about the {what}: give {keyword}=, {expected}; or {other}");
            Error::Contents { path: checkpoint.path().to_owned(), reason }
        }
        other => in_file(checkpoint.path(), other),
    }
}

/// Names the file in an error about its contents.
fn in_file(path: &std::path::Path, error: Error) -> Error {
    match error {
        Error::MissingTensor { .. } | Error::WrongShape { .. } | Error::WrongType { .. } | Error::Metadata { .. } => {
            Error::contents(path)(error)
        }
        other => other,
    }
}

/// Labels for each head: of the files, else of the configuration.
fn read_labels(files: &[PathBuf], config: &Config) -> Result<Vec<Option<Vec<String>>>> {
    let heads: Vec<u32> = config.network.logits().into_iter().map(|(_, classes)| classes).collect();
    if files.is_empty() {
        return Ok(heads.iter().map(|_| config.labels.clone()).collect());
    }
    if files.len() != heads.len() {
        let expected = format!("{}: one for each head of the network", heads.len());
        return Err(Error::Argument { what: "labels", given: format!("{} files", files.len()), expected });
    }
    heads.into_iter().zip(files).map(|(classes, file)| labels::read(file, classes).map(Some)).collect()
}

#[pymethods]
impl Network {
    /// Logits `[B, classes]` of each head.
    fn forward<'py>(&self, py: Python<'py>, video: &Bound<'py, Array>) -> Outcome<Vec<Bound<'py, Array>>> {
        let (input, loaded) = (tensor(video)?, self.loaded.clone());
        let run = move || {
            loaded.with_dependent(|_, model| {
                let network = &model.config().network;
                if network.logits().is_empty() {
                    let expected = "one with a classifier: `features` hands out what this one makes of clips".to_owned();
                    return Err(Error::Argument { what: "network", given: network.name().to_owned(), expected });
                }
                let clips = match network.inputs_of(&input)? {
                    Some(made) => made,
                    None => network.clone().take(input)?,
                };
                model.forward(&clips)
            })
        };
        let logits = interruptible(py, run)?;
        Ok(logits.into_iter().map(|logits| array(py, logits)).collect::<PyResult<_>>()?)
    }

    /// Names what happens in clips: for each what [`Watch`] says of it.
    fn classify(&self, clips: Vec<PathBuf>, of_views: (u32, u32), batch: Option<u32>, top: usize) -> Outcome<Watch> {
        if top == 0 {
            return Err(Error::ZeroSize { what: "top" }.into());
        }
        Watch::start(self.loaded.clone(), clips, views(of_views)?, batch, Task::Classify(top))
    }

    /// Tokens of clips.
    fn features(
        &self,
        clips: Vec<PathBuf>,
        of_views: (u32, u32),
        batch: Option<u32>,
        tokens: Option<&str>,
        layer: Option<u32>,
    ) -> Outcome<Watch> {
        let layer = layer.map_or(Features::Final, Features::Block);
        let tokens = self.loaded.with_dependent(|_, model| {
            let network = &model.config().network;
            NetworkOutputs { features: Some(layer), ..NetworkOutputs::NOTHING }.check(network.depth())?;
            let axes = network.tokens(layer)?;
            let known = Tokens::ALL.map(|tokens| (tokens.name(), tokens));
            let tokens = tokens.map(|name| named("tokens", name, &known)).transpose()?.unwrap_or_else(|| Tokens::usual(&axes));
            tokens.check(&axes)?;
            Result::Ok(tokens)
        })?;
        Watch::start(self.loaded.clone(), clips, views(of_views)?, batch, Task::Features(layer, tokens))
    }

    /// What the patch at a point of a frame attends to.
    fn attend<'py>(
        &self,
        py: Python<'py>,
        clip: PathBuf,
        point: (Option<(f64, f64)>, usize),
        layer: Option<u32>,
        head: Option<u32>,
        rollout: Option<&str>,
    ) -> Outcome<Bound<'py, PyDict>> {
        let (at, frame) = point;
        let known = Rollout::ALL.map(|rollout| (rollout.name(), rollout));
        let rollout = rollout.map(|name| named("rollout", name, &known)).transpose()?;
        super::attend::attend(py, self.loaded.clone(), clip, AttendOptions { at, frame, block: layer, head, rollout })
    }

    /// Name and kind of attention.
    #[getter]
    fn title(&self) -> String {
        self.loaded.with_dependent(|_, model| model.config().network.title())
    }

    /// The order of axes of videos.
    #[getter]
    fn input_axes(&self) -> &'static str {
        self.loaded.with_dependent(|_, model| match model.config().network.library_order() {
            InputOrder::FramesFirst => "BF3HW",
            InputOrder::ChannelsFirst => "B3FHW",
            InputOrder::Picture => "B3HW",
        })
    }

    /// Frames, height and width of the clips that it sees.
    #[getter]
    fn clip(&self) -> (u32, u32, u32) {
        self.loaded.with_dependent(|_, model| model.config().network.clip().into())
    }

    /// Classes of each head.
    #[getter]
    fn classes(&self) -> Vec<u32> {
        self.loaded.with_dependent(|_, model| model.config().network.logits().into_iter().map(|(_, classes)| classes).collect())
    }

    /// Blocks, after each of which there are features.
    #[getter]
    fn depth(&self) -> u32 {
        self.loaded.with_dependent(|_, model| model.config().network.depth())
    }

    /// For each head the names of its classes, or `None`.
    #[getter]
    fn labels(&self) -> Vec<Option<Vec<String>>> {
        self.labels.clone()
    }

    /// How the checkpoint was read, and what is taken for granted.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    /// Bytes on the device.
    #[getter]
    fn device_bytes(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.loaded.with_dependent(|_, model| model.device_bytes()))
    }

    /// Fingerprint of its tensors.
    fn fingerprint(&self, py: Python<'_>) -> Outcome<String> {
        let loaded = self.loaded.clone();
        interruptible(py, move || loaded.with_dependent(|_, model| model.fingerprint()))
    }
}
