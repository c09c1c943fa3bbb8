//! Flags that say which network to run, and how; shared by the commands that run one.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use orthoformer::gpu::{AdapterChoice, EngineOptions};
use orthoformer::kernel::Activation;
use orthoformer::ops::TemporalValue;
use orthoformer::plan::Element;
use orthoformer::{Error, Result};
use orthoformer_cpu::Executor;
use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::{Config, Model, Overrides, Preset};

use super::ExecutorArg;
use super::approximation::ApproximationArgs;
use super::clips::DamageArgs;
use super::element;
use super::terminal::{complain, complain_notes};

/// Over what says how clips are shown.
pub(super) const CLIPS: &str = "Clips";

/// The network, and what its checkpoint may leave open.
#[derive(Args)]
#[command(next_help_heading = "Network")]
pub(super) struct OverrideArgs {
    /// A published network that this one is like, for what the checkpoint does not say.
    #[arg(long, value_enum, hide_short_help = true)]
    pub preset: Option<PresetName>,
    /// Attention heads.
    #[arg(long, value_name = "H", hide_short_help = true)]
    heads: Option<u32>,
    /// Values of the temporal stage.
    #[arg(long, value_enum, hide_short_help = true)]
    temporal_value: Option<ValueName>,
    /// Activation of the head's hidden layer.
    #[arg(long, value_enum, hide_short_help = true)]
    head_activation: Option<ActivationName>,
    /// Height and width that clips are brought to, pixels.
    #[arg(long, help_heading = CLIPS, value_name = "PIXELS", hide_short_help = true)]
    crop: Option<u32>,
    /// Frames that the network sees of a clip.
    #[arg(long, help_heading = CLIPS, value_name = "N", hide_short_help = true)]
    frames: Option<u32>,
    /// Take every Nth frame of a clip of 30 a second.
    #[arg(long, help_heading = CLIPS, value_name = "N", conflicts_with = "segments", hide_short_help = true)]
    sampling_rate: Option<u32>,
    /// Take the middle frames of equal segments of the clip [default for networks of Something-Something V2].
    #[arg(long, help_heading = CLIPS, hide_short_help = true)]
    segments: bool,
    /// Take frames at equal distances in time [default for all other networks].
    #[arg(long, help_heading = CLIPS, conflicts_with = "segments", hide_short_help = true)]
    dense: bool,
    /// Give the network blue first.
    #[arg(long, help_heading = CLIPS, hide_short_help = true)]
    reversed_channels: bool,
    #[command(flatten)]
    approximation: ApproximationArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PresetName {
    /// 16 frames of 224 x 224.
    MotionformerB,
    /// 32 frames of 224 x 224.
    MotionformerL,
    /// 16 frames of 336 x 336.
    MotionformerHr,
}

impl PresetName {
    pub fn preset(self) -> Preset {
        match self {
            Self::MotionformerB => Preset::Base,
            Self::MotionformerL => Preset::Long,
            Self::MotionformerHr => Preset::HighResolution,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ValueName {
    /// Trajectory tokens as they are: the authors' checkpoints.
    Identity,
    /// Projected trajectory tokens: the corrected layer.
    Projected,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ActivationName {
    Tanh,
    Gelu,
    Relu,
}

impl OverrideArgs {
    pub fn overrides(&self) -> Result<Overrides> {
        Ok(Overrides {
            preset: self.preset.map(PresetName::preset),
            heads: self.heads,
            temporal_value: self.temporal_value.map(|value| match value {
                ValueName::Identity => TemporalValue::Identity,
                ValueName::Projected => TemporalValue::Projected,
            }),
            head_activation: self.head_activation.map(|activation| match activation {
                ActivationName::Tanh => Activation::Tanh,
                ActivationName::Gelu => Activation::Gelu,
                ActivationName::Relu => Activation::Relu,
            }),
            crop: self.crop,
            frames: self.frames,
            approximation: self.approximation.wanted()?,
            sampling_rate: self.sampling_rate,
            segments: if self.dense { Some(false) } else { self.segments.then_some(true) },
            reversed_channels: self.reversed_channels,
        })
    }

    /// Whether any flag counts more than what a checkpoint says.
    pub fn says_something(&self) -> Result<bool> {
        Ok(self.overrides()? != Overrides::default())
    }

    /// The configuration of a checkpoint's network; what is open is asked for by the name of its flag.
    pub fn config(&self, checkpoint: &Checkpoint) -> Result<Config> {
        Config::of(checkpoint, &self.overrides()?).map_err(|error| match error {
            Error::Argument { what, given, expected } if given == orthoformer_models::NOT_SAID => {
                let (file, flag) = (checkpoint.path().display(), what.replace(' ', "-"));
                let other =
                    if Config::has_presets(checkpoint) { "--preset for a published network" } else { "a config.json beside it" };
                let reason = format!("says nothing about the {what}: give --{flag}, {expected}; or {other}");
                Error::Contents { path: file.to_string().into(), reason }
            }
            other => in_file(checkpoint.path(), other),
        })
    }
}

/// A network to run.
#[derive(Args)]
pub(super) struct NetworkArgs {
    /// Checkpoint: PyTorch's or safetensors, or a folder with one.
    #[arg(long, value_name = "FILE", display_order = 0)]
    pub weights: PathBuf,
    /// What elements are stored as: f32 or f16.
    ///
    /// f16 takes half the memory, and logits are right to about 5e-2.
    #[arg(long, value_name = "TYPE", value_parser = element, default_value_t = Element::F32)]
    storage: Element,
    /// Where to run.
    #[arg(long, value_enum, default_value_t = ExecutorArg::Auto, hide_short_help = true)]
    executor: ExecutorArg,
    #[command(flatten)]
    damage: DamageArgs,
    #[command(flatten)]
    overrides: OverrideArgs,
}

impl NetworkArgs {
    /// Reads what the checkpoint says, before anything is opened.
    pub fn open(&self) -> Result<(Checkpoint, Config)> {
        self.open_noted().map(|(checkpoint, config, _)| (checkpoint, config))
    }

    /// The same, with the notes that were printed.
    pub fn open_noted(&self) -> Result<(Checkpoint, Config, Vec<String>)> {
        let checkpoint = Checkpoint::open(&self.weights)?;
        let mut config = self.overrides.config(&checkpoint)?;
        config.sees_clips()?;
        config.protocol.damage = self.damage.damage();
        let notes = note_assumptions(&checkpoint, &config)?;
        Ok((checkpoint, config, notes))
    }

    /// Where it will run.
    pub fn executor(&self, choice: AdapterChoice) -> Result<Executor> {
        // Weights are inputs of their own, far below the smallest limit that adapters have for one buffer.
        let options = EngineOptions { choice, matrix_units: self.storage == Element::F16, ..EngineOptions::default() };
        self.executor.open(&options)
    }

    /// Uploads the weights.
    pub fn model<'e>(&self, executor: &'e Executor, checkpoint: Checkpoint, config: Config) -> Result<Model<'e>> {
        let path = checkpoint.path().to_owned();
        Model::new(executor.into(), checkpoint, config, self.storage).map_err(|error| in_file(&path, error))
    }
}

/// Says how a checkpoint was read, and what nothing says of its network and is taken for granted: returns the former.
pub(super) fn note_assumptions(checkpoint: &Checkpoint, config: &Config) -> Result<Vec<String>> {
    let notes = config.notes(checkpoint)?;
    complain_notes(checkpoint.path().display(), &notes);
    for what in &config.assumed {
        complain(&format!("note: taken for granted, as {} does not say: {what}", checkpoint.path().display()));
    }
    Ok(notes)
}

/// What a checkpoint is called for people: after its folder, where it has a name that libraries give all of them.
pub(super) fn name_of(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let is_any = ["model.safetensors", "pytorch_model.bin"].iter().any(|own| name.starts_with(own));
    match path.parent().and_then(Path::file_name).filter(|_| is_any) {
        Some(folder) => folder.to_string_lossy().into_owned(),
        None => super::track::name(path),
    }
}

/// Names the file in an error about its contents.
pub(super) fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::MissingTensor { .. } | Error::WrongShape { .. } | Error::WrongType { .. } | Error::Metadata { .. } => {
            Error::contents(path)(error)
        }
        other => other,
    }
}
