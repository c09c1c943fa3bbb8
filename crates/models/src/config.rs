//! What has to be known of a network beside its weights.

use orthoformer::kernel::Activation;
use orthoformer::ops::TemporalValue;
use orthoformer::ops::approximation::Approximation;
use orthoformer::ops::motionformer::{self, BlockAttention, Head};
use orthoformer::ops::network::Architecture;
use orthoformer::{Error, Result};

use super::{deformable, perceiver, published, swin, vit};
use crate::checkpoint::{Checkpoint, DESCRIPTION};

/// How clips are sampled and normalised for a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Protocol {
    /// Every so many frames of a clip of `target_fps` frames a second one is taken.
    pub sampling_rate: u32,
    /// Frames a second that `sampling_rate` is meant for.
    pub target_fps: f64,
    /// Frames are the middles of equal segments of the whole clip, as for Something-Something V2, instead.
    pub segments: bool,
    /// What is taken off each channel, of numbers from 0 to 1.
    pub mean: [f32; 3],
    /// What each channel is divided by then.
    pub std: [f32; 3],
    /// Blue first.
    pub reversed_channels: bool,
}

impl Default for Protocol {
    /// The published networks' on Kinetics: every fourth frame at 30 a second, numbers from -1 to 1.
    fn default() -> Self {
        Self { sampling_rate: 4, target_fps: 30.0, segments: false, mean: [0.5; 3], std: [0.5; 3], reversed_channels: false }
    }
}

/// A network and how clips are made ready for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The network.
    pub architecture: Architecture,
    /// The clips.
    pub protocol: Protocol,
    /// Names of the classes, where the configuration has them.
    pub labels: Option<Vec<String>>,
    /// What nothing says and is taken for granted, in words.
    pub assumed: Vec<String>,
}

/// What the caller knows of a network: it counts more than what the checkpoint says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// A published network that this one is like, for what neither checkpoint nor the fields below say.
    pub preset: Option<Preset>,
    /// Attention heads.
    pub heads: Option<u32>,
    /// Values of the temporal stage.
    pub temporal_value: Option<TemporalValue>,
    /// Activation of the head's hidden layer.
    pub head_activation: Option<Activation>,
    /// Height and width of clips, pixels.
    pub crop: Option<u32>,
    /// Frames of clips.
    pub frames: Option<u32>,
    /// How trajectory tokens are computed.
    pub approximation: Option<Approximation>,
    /// Every how many frames of a clip of 30 a second one is taken.
    pub sampling_rate: Option<u32>,
    /// Whether frames are the middles of segments of the clip.
    pub segments: Option<bool>,
    /// Blue first.
    pub reversed_channels: bool,
}

/// The published networks (Patrick et al., NeurIPS 2021, table 5), on Kinetics-400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preset {
    /// Motionformer: 16 frames of 224 x 224.
    Base,
    /// Motionformer-L: 32 frames of 224 x 224.
    Long,
    /// Motionformer-HR: 16 frames of 336 x 336.
    HighResolution,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Base, Self::Long, Self::HighResolution];

    /// The network's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "motionformer-b",
            Self::Long => "motionformer-l",
            Self::HighResolution => "motionformer-hr",
        }
    }

    /// The network's structure.
    pub fn architecture(self) -> motionformer::Architecture {
        let (frames, crop) = match self {
            Self::Base => (16, 224),
            Self::Long => (32, 224),
            Self::HighResolution => (16, 336),
        };
        motionformer::Architecture {
            frames,
            crop,
            patch: 16,
            patch_depth: 2,
            channels: 768,
            heads: 12,
            depth: 12,
            hidden: 3072,
            attention: BlockAttention::Trajectory(TemporalValue::Identity),
            approximation: Approximation::Exact,
            qkv_bias: true,
            head: Head { hidden: Some(Activation::Tanh), classes: vec![400] },
        }
    }

    /// The network's configuration.
    pub fn config(self) -> Config {
        let sampling_rate = match self {
            Self::Base => 4,
            Self::Long => 3,
            Self::HighResolution => 8,
        };
        let architecture = Architecture::Motionformer(self.architecture());
        Config { architecture, protocol: Protocol { sampling_rate, ..Protocol::default() }, labels: None, assumed: Vec::new() }
    }
}

impl Config {
    /// The configuration of a checkpoint's network. Which network it is, tensors tell; the `config.json` beside the checkpoint of any
    /// but a Motionformer has to agree.
    ///
    /// # Errors
    /// [`Error::Contents`] if it is none of the networks there are, for a configuration that cannot be read, says something unheard of or contradicts the tensors
    /// ([`Error::Metadata`] for a Motionformer's), and for sizes that do not fit each other; [`Error::Argument`] naming what neither configuration nor tensors nor `known` say.
    pub fn of(checkpoint: &Checkpoint, known: &Known) -> Result<Self> {
        if checkpoint.metadata().contains_key("op") {
            let reason = "a case, not a checkpoint: `run` and `check` take it".to_owned();
            return Err(Error::Contents { path: checkpoint.path().to_owned(), reason });
        }
        let family = Family::of(checkpoint);
        if family != Family::Motionformer {
            known.is_for_any_network()?;
        }
        let config = Self::read(family, checkpoint, known).map_err(|error| match error {
            // Of the file beside it; a Motionformer's own configuration is another.
            Error::Metadata { key, found, expected } if family != Family::Motionformer => {
                let said = if key == DESCRIPTION { found } else { format!("{key:?} is {found}") };
                let reason = format!("its {DESCRIPTION}: {said}; expected {expected}");
                Error::Contents { path: checkpoint.path().to_owned(), reason }
            }
            other => other,
        })?;
        config.architecture.check().map_err(Error::contents(checkpoint.path()))?;
        Ok(config)
    }

    fn read(family: Family, checkpoint: &Checkpoint, known: &Known) -> Result<Self> {
        match family {
            Family::Motionformer => {
                let (architecture, protocol) = published::read(checkpoint, known)?;
                let mut assumed = Vec::new();
                if checkpoint.config().is_none() && known.preset.is_none() {
                    assumed.extend(known.crop.is_none().then(|| assumed_side(architecture.crop)));
                    assumed.extend(known.assumed_rate(&protocol));
                }
                Ok(Self { architecture: Architecture::Motionformer(architecture), protocol, labels: None, assumed })
            }
            Family::Vit => vit::read(checkpoint, known),
            Family::Swin => swin::read(checkpoint, known),
            Family::Perceiver => perceiver::read(checkpoint, known),
            Family::Deformable => deformable::read(checkpoint, known),
        }
    }

    /// Whether published presets may be of a checkpoint's kind.
    pub fn has_presets(checkpoint: &Checkpoint) -> bool {
        Family::of(checkpoint) == Family::Motionformer
    }

    /// The configuration of a checkpoint that nobody says anything else about.
    ///
    /// # Errors
    /// [`Error::Contents`] for what the checkpoint leaves open; those of [`Config::of`].
    pub fn whole(checkpoint: &Checkpoint) -> Result<Self> {
        Self::of(checkpoint, &Known::default()).map_err(|error| match error {
            Error::Argument { what, given, .. } if given == NOT_SAID => Error::Contents {
                path: checkpoint.path().to_owned(),
                reason: format!("says nothing about the {what}; a config.json beside it may"),
            },
            other => other,
        })
    }

    /// The Motionformer that it is.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is another network.
    pub fn motionformer(&self) -> Result<&motionformer::Architecture> {
        match &self.architecture {
            Architecture::Motionformer(architecture) => Ok(architecture),
            other => {
                let expected = "a Motionformer".to_owned();
                Err(Error::Argument { what: "network", given: other.name().to_owned(), expected })
            }
        }
    }
}

/// What kind of checkpoint it is: whose naming its tensors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Motionformer,
    Vit,
    Swin,
    Perceiver,
    Deformable,
}

impl Family {
    /// Whatever is nothing else is taken for a Motionformer, whose reader says what is missing.
    fn of(checkpoint: &Checkpoint) -> Self {
        let ends = |end: &str| checkpoint.tensors().any(|(name, _)| name.ends_with(end));
        if ends("embeddings.patch_embeddings.projection.weight") {
            Self::Vit
        } else if swin::is_one(checkpoint) {
            Self::Swin
        } else if perceiver::is_one(checkpoint) {
            Self::Perceiver
        } else if deformable::is_one(checkpoint) {
            Self::Deformable
        } else {
            Self::Motionformer
        }
    }
}

/// Says that the height and width of clips are taken for granted.
pub(super) fn assumed_side(side: u32) -> String {
    format!("clips of {side} x {side} pixels (--crop)")
}

impl Known {
    /// How clips are made ready for a network of which no configuration says that: every so manieth frame, unless the caller says otherwise.
    pub(super) fn protocol(&self, usual_rate: u32, mean: [f32; 3], std: [f32; 3]) -> Protocol {
        Protocol {
            sampling_rate: self.sampling_rate.unwrap_or(usual_rate),
            segments: self.segments.unwrap_or(false),
            reversed_channels: self.reversed_channels,
            mean,
            std,
            ..Protocol::default()
        }
    }

    /// Says that the sampling rate is taken for granted, unless it is said or does not count.
    pub(super) fn assumed_rate(&self, protocol: &Protocol) -> Option<String> {
        let is_said = self.sampling_rate.is_some() || protocol.segments;
        let rate = || format!("one frame in {} at {} a second (--sampling-rate)", protocol.sampling_rate, protocol.target_fps);
        (!is_said).then(rate)
    }

    /// Refuses what only a Motionformer has.
    fn is_for_any_network(&self) -> Result<()> {
        if let Some(preset) = self.preset {
            return Err(needless("preset", preset.name(), "a published preset"));
        }
        if let Some(value) = self.temporal_value {
            return Err(needless("temporal value", value.name(), "trajectory attention"));
        }
        if let Some(activation) = self.head_activation {
            return Err(needless("head activation", activation.name(), "a head with a hidden layer"));
        }
        match &self.approximation {
            Some(approximation) if *approximation != Approximation::Exact => {
                Err(needless("approximation", &approximation.to_string(), "trajectory attention"))
            }
            _ => Ok(()),
        }
    }
}

/// What a flag or the configuration says; not two different things, as weights were trained with one of them.
pub(super) fn agreed<T: Copy + PartialEq>(
    what: &'static str,
    known: Option<T>,
    said: Option<T>,
    name: fn(&T) -> String,
) -> Result<Option<T>> {
    match (known, said) {
        (Some(known), Some(said)) if known != said => {
            let expected = format!("{}, as the checkpoint's configuration says", name(&said));
            Err(Error::Argument { what, given: name(&known), expected })
        }
        _ => Ok(known.or(said)),
    }
}

/// Something that is said and does nothing.
pub(super) fn needless(what: &'static str, given: &str, taken_by: &str) -> Error {
    Error::Argument { what, given: given.to_owned(), expected: format!("none, as the network does not have {taken_by}") }
}

/// What is given in the error about something that nothing says.
pub const NOT_SAID: &str = "not said by the checkpoint";

/// Something that nothing says.
pub(super) fn open(what: &'static str, expected: &str) -> Error {
    let given = NOT_SAID.to_owned();
    Error::Argument { what, given, expected: expected.to_owned() }
}
