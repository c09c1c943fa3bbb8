//! What has to be known of a network beside its weights.

use orthoformer::kernel::Activation;
use orthoformer::ops::{Approximation, TemporalValue};
use orthoformer::{Error, Result};
use orthoformer_video::Damage;
use orthoformer_video::views::{Filter, Middle, Resize};

use crate::checkpoint::Checkpoint;
use crate::networks::motionformer::Preset;
use crate::networks::{Network, Reader};
use crate::probe::Head;
use crate::processor::Processor;

/// How clips are sampled and normalised for a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Protocol {
    /// Every so many frames of a clip of `target_fps` frames a second one is taken.
    pub sampling_rate: u32,
    /// Frames a second that `sampling_rate` is meant for.
    pub target_fps: f64,
    /// Frames are the middles of equal segments of the whole clip, as for Something-Something V2, instead.
    pub segments: bool,
    /// Or their first frames, as transformers' video processors have it.
    pub segment_starts: bool,
    /// How frames are scaled before a square of the network's size is cut out.
    pub resize: Resize,
    /// What their pixels are made of then.
    pub filter: Filter,
    /// Where their middle is, which is cut out.
    pub middle: Middle,
    /// What is taken off each channel, of values from 0 to 1.
    pub mean: [f32; 3],
    /// What each channel is divided by then.
    pub std: [f32; 3],
    /// Blue first.
    pub reversed_channels: bool,
    /// What becomes of clips that are damaged.
    pub damage: Damage,
}

impl Default for Protocol {
    /// The published networks' on Kinetics: every fourth frame at 30 a second, values from -1 to 1.
    fn default() -> Self {
        Self {
            sampling_rate: 4,
            target_fps: 30.0,
            segments: false,
            segment_starts: false,
            resize: Resize::ToSquare,
            filter: Filter::Interpolated,
            middle: Middle::Up,
            mean: [0.5; 3],
            std: [0.5; 3],
            reversed_channels: false,
            damage: Damage::Refused,
        }
    }
}

impl Protocol {
    /// How frames are scaled before squares of this side are cut out, in words.
    pub fn scaling(&self, side: u32) -> String {
        let filter = self.filter.name().map(|name| format!(", {name}")).unwrap_or_default();
        let cut = if self.middle == Middle::Even { "cut, middles rounded to even" } else { "cut" };
        match self.resize {
            Resize::ToSquare => format!("shorter side to {side} pixels{filter}"),
            Resize::ShortSide(length) => format!("shorter side to {length} pixels{filter}, then {cut}"),
            Resize::Sides { height, width } => format!("to {width} x {height} pixels{filter}, then {cut}"),
            Resize::Keep => "not scaled, but cut".to_owned(),
            Resize::Refuse => "neither scaled nor cut".to_owned(),
        }
    }
}

/// A network and how clips are made ready for it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network.
    pub network: Box<dyn Network>,
    /// The clips.
    pub protocol: Protocol,
    /// Names of the classes, where the configuration has them.
    pub labels: Option<Vec<String>>,
    /// What nothing says and is taken for granted, in words.
    pub assumed: Vec<String>,
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        let rest = |config: &Self| (config.protocol, config.labels.clone(), config.assumed.clone());
        *self.network == *other.network && rest(self) == rest(other)
    }
}

/// What the caller says of a network: it counts more than what the checkpoint says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
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

impl Config {
    /// The configuration of a checkpoint's network. Which network it is, tensors tell; the `config.json` beside the checkpoint of any
    /// but a Motionformer has to agree. How frames are made ready, the `preprocessor_config.json` beside it says of networks that take notice of one.
    ///
    /// # Errors
    /// [`Error::Contents`] if it is none of the networks there are, for configurations that cannot be read, say something unheard of or contradict the tensors
    /// ([`Error::Metadata`] for a Motionformer's), and for sizes that do not fit each other; [`Error::Argument`] naming what neither configuration nor tensors nor `overrides` say.
    pub fn of(checkpoint: &Checkpoint, overrides: &Overrides) -> Result<Self> {
        if checkpoint.metadata().contains_key("op") {
            let reason = "a case, not a checkpoint: `run` and `check` take it".to_owned();
            return Err(Error::Contents { path: checkpoint.path().to_owned(), reason });
        }
        if Head::is_one(checkpoint) {
            let reason =
                "a head for the features of a network, not a network: `classify` takes it as --head, beside --weights".to_owned();
            return Err(Error::Contents { path: checkpoint.path().to_owned(), reason });
        }
        let read = Reader::of(checkpoint)?.read;
        let config = match read(checkpoint, overrides) {
            Ok(config) if !config.network.takes_processor() => config,
            _ => Processor::of(checkpoint)?.apply(checkpoint, overrides, read)?,
        };
        config.network.check().map_err(Error::contents(checkpoint.path()))?;
        Ok(config)
    }

    /// What people should know about how a checkpoint was read, and how clips are made ready for its network.
    ///
    /// # Errors
    /// [`Error::Contents`] for a configuration that cannot be read.
    pub fn notes(&self, checkpoint: &Checkpoint) -> Result<Vec<String>> {
        let mut notes = checkpoint.notes().to_vec();
        notes.extend(Processor::notes(checkpoint, &*self.network)?);
        Ok(notes)
    }

    /// Whether published presets may be of a checkpoint's kind.
    pub fn has_presets(checkpoint: &Checkpoint) -> bool {
        Reader::of(checkpoint).is_ok_and(|reader| reader.has_presets)
    }

    /// The configuration of a checkpoint that nobody says anything else about.
    ///
    /// # Errors
    /// [`Error::Contents`] for what the checkpoint leaves open; those of [`Config::of`].
    pub fn whole(checkpoint: &Checkpoint) -> Result<Self> {
        Self::of(checkpoint, &Overrides::default()).map_err(|error| match error {
            Error::Argument { what, given, .. } if given == NOT_SAID => Error::Contents {
                path: checkpoint.path().to_owned(),
                reason: format!("says nothing about the {what}; a config.json beside it may"),
            },
            other => other,
        })
    }

    /// Whether clips can be shown to the network: inputs may be made of anything, and frames are shown as squares.
    ///
    /// # Errors
    /// [`Error::Argument`] if not.
    pub fn sees_clips(&self) -> Result<()> {
        self.network.check_sees_clips()?;
        let [_, height, width] = self.network.clip();
        if height != width {
            let expected = "as high as wide, as squares of clips are shown; `run` takes any size, in a case".to_owned();
            return Err(Error::Argument { what: "size of frames", given: format!("{height} x {width}"), expected });
        }
        Ok(())
    }
}

/// Says that the height and width of clips are taken for granted.
pub(crate) fn assumed_side(side: u32) -> String {
    format!("clips of {side} x {side} pixels (--crop)")
}

impl Overrides {
    /// How clips are made ready for a network of which no configuration says that: every so manieth frame, unless the caller says otherwise.
    pub(crate) fn protocol(&self, usual_rate: u32, mean: [f32; 3], std: [f32; 3]) -> Protocol {
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
    pub(crate) fn assumed_rate(&self, protocol: &Protocol) -> Option<String> {
        let is_said = self.sampling_rate.is_some() || protocol.segments;
        let rate = || format!("one frame in {} at {} a second (--sampling-rate)", protocol.sampling_rate, protocol.target_fps);
        (!is_said).then(rate)
    }

    /// Refuses what only networks of the published presets' kind have.
    pub(crate) fn check_for_other_networks(&self) -> Result<()> {
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
pub(crate) fn agreed<T: Copy + PartialEq>(
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
pub(crate) fn needless(what: &'static str, given: &str, taken_by: &str) -> Error {
    Error::Argument { what, given: given.to_owned(), expected: format!("none, as the network does not have {taken_by}") }
}

/// What is given in the error about something that nothing says.
pub const NOT_SAID: &str = "not said by the checkpoint";

/// Something that nothing says.
pub(crate) fn unspecified(what: &'static str, expected: &str) -> Error {
    let given = NOT_SAID.to_owned();
    Error::Argument { what, given, expected: expected.to_owned() }
}
