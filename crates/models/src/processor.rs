//! The `preprocessor_config.json` and `video_preprocessor_config.json` that transformers saves beside a checkpoint: how frames are made ready for its network.
//!
//! ```text
//! frame -> resize -> centre crop -> rescale: x f (- 1) -> normalise: (x - mean) / std
//! ```
//!
//! Each step is there if its `do_...` says so. What a file leaves out is as in the processor's class (transformers 5; TimeSformer's,
//! ViViT's, VideoMAE's and V-JEPA 2's, the Perceiver's), or the network's own where no class is said, else not done. Rescaling and
//! normalising together are one mean and deviation of values from 0 to 1.
//! The `pretrained_cfg` in a `config.json` of timm is read as the same.

mod entries;

use orthoformer::{Error, Result};
use orthoformer_video::views::{Filter, Framing, Middle, Normalisation, Resize};

use crate::checkpoint::{Checkpoint, DESCRIPTION, PROCESSORS};
use crate::config::{Config, Overrides, Protocol};
use crate::networks::{Network, Reader};
use entries::{Entries, Sides};

/// Whether a text of this name says how frames are made ready: newer files describe several processors, or something else.
pub(crate) fn is_one(name: &str, text: &str) -> bool {
    // Another that cannot be read is an error of whoever needs it.
    name != PROCESSORS[0] || Entries::is_nested(text)
}

/// What a checkpoint's processor makes of frames; nothing where there is no such file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Processor {
    found: Option<Found>,
}

#[derive(Clone, Debug, PartialEq)]
struct Found {
    /// The file's name.
    file: &'static str,
    /// Side of the squares that it cuts out, pixels; whatever the network sees if `None`.
    crop: Option<u32>,
    resize: Resize,
    filter: Filter,
    middle: Middle,
    mean: [f32; 3],
    std: [f32; 3],
    reversed_channels: bool,
    sampling: Option<FrameSampling>,
    /// What of it is done otherwise here.
    notes: Vec<String>,
}

/// Which frames a processor takes of a clip.
#[derive(Clone, Copy, Debug, PartialEq)]
enum FrameSampling {
    /// So many, at equal distances over the whole clip.
    Count(u32),
    /// So many a second.
    Rate(f64),
}

impl Processor {
    /// The processor beside a checkpoint.
    ///
    /// # Errors
    /// [`Error::Contents`] for a file that cannot be read, or says what cannot be done here.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let own = Reader::of(checkpoint).ok().and_then(|reader| (reader.processor)(checkpoint));
        // What timm says, it says in the description.
        let (file, entries) = match checkpoint.processor()? {
            Some((file, text)) => (file, Entries::read(text, own)),
            None => match checkpoint.description().ok().flatten().and_then(Entries::of_timm) {
                Some(entries) => (DESCRIPTION, entries),
                None => return Ok(Self::default()),
            },
        };
        let wrong = |reason: String| Error::Contents { path: checkpoint.path().with_file_name(file), reason };
        let entries = entries.map_err(wrong)?;
        let unknown = |reason| match entries.unknown_class() {
            Some(class) => format!("of the class {class}, which is not known here: {reason}"),
            None => reason,
        };
        let found = Found::of(file, &entries).map_err(unknown).map_err(wrong)?;
        Ok(Self { found: Some(found) })
    }

    /// What people should know of how clips are made ready for a checkpoint's network.
    ///
    /// # Errors
    /// Those of [`Processor::of`], of a network that takes notice of one.
    pub fn notes(checkpoint: &Checkpoint, network: &dyn Network) -> Result<Vec<String>> {
        if network.takes_processor() {
            return Ok(Self::of(checkpoint)?.found.map(|found| found.notes).unwrap_or_default());
        }
        let file = checkpoint.processor().ok().flatten().map(|(file, _)| file);
        Ok(file
            .map(|file| format!("{file} is passed over: a {}'s own configuration counts", network.name()))
            .into_iter()
            .collect())
    }

    /// A checkpoint's configuration, by what `read` makes of it, with clips as they are made ready here. What the caller says counts more.
    ///
    /// # Errors
    /// Those of `read`; [`Error::Contents`] for squares of a size that the network does not take.
    pub fn apply(
        self,
        checkpoint: &Checkpoint,
        overrides: &Overrides,
        read: fn(&Checkpoint, &Overrides) -> Result<Config>,
    ) -> Result<Config> {
        let Some(found) = self.found else { return read(checkpoint, overrides) };
        let mut config = found.sized(checkpoint, overrides, read)?;
        let [frames, side, _] = config.network.clip();
        let wrong = |reason: String| Error::Contents { path: checkpoint.path().with_file_name(found.file), reason };
        if frames > 1 {
            found.sample(&mut config, overrides, frames).map_err(wrong)?;
        }
        let protocol = &mut config.protocol;
        (protocol.resize, protocol.filter, protocol.middle) = (found.resize_to(side, overrides), found.filter, found.middle);
        (protocol.mean, protocol.std) = (found.mean, found.std);
        protocol.reversed_channels |= found.reversed_channels;
        Ok(config)
    }
}

impl Found {
    fn of(file: &'static str, entries: &Entries) -> std::result::Result<Self, String> {
        let (crop, resize) = entries.framing()?;
        let (mean, std) = entries.normalisation()?;
        Normalisation::new(mean, std, false).map_err(|error| error.to_string())?;
        if let Some(size) = crop {
            Framing { resize, ..size.into() }.check().map_err(|error| error.to_string())?;
        }
        let sampling = match (entries.do_sample_frames, entries.num_frames, entries.fps) {
            (Some(true), Some(_), Some(_)) => return Err("\"num_frames\" and \"fps\" exclude each other".to_owned()),
            (Some(true), Some(count), None) => Some(FrameSampling::Count(count)),
            (Some(true), None, Some(rate)) => Some(FrameSampling::Rate(rate)),
            _ => None,
        };
        let mut notes = Vec::new();
        if let Some(class) = entries.unknown_class() {
            notes.push(format!("{file} is of the class {class}, which is not known here: what it leaves out is not done"));
        }
        let is_scaled = !matches!(resize, Resize::Keep | Resize::Refuse);
        let filter = if is_scaled { entries.filter()? } else { Filter::Interpolated };
        if is_scaled && filter == Filter::Interpolated && entries.says_filter() {
            let other = "as in these networks' published code; the library smooths them";
            notes.push(format!("{file} says bilinear scaling: frames that are made smaller are not smoothed here, {other}"));
        }
        let middle = if entries.is_of_timm { Middle::Even } else { Middle::Down };
        let reversed_channels = entries.do_flip_channel_order.unwrap_or(false);
        Ok(Self { file, crop, resize, filter, middle, mean, std, reversed_channels, sampling, notes })
    }

    /// The configuration of a network that sees squares of this size, unless the caller says another.
    fn sized(
        &self,
        checkpoint: &Checkpoint,
        overrides: &Overrides,
        read: fn(&Checkpoint, &Overrides) -> Result<Config>,
    ) -> Result<Config> {
        let Some(crop) = self.crop.filter(|_| overrides.crop.is_none()) else { return read(checkpoint, overrides) };
        match read(checkpoint, &Overrides { crop: Some(crop), ..overrides.clone() }) {
            // It takes one size only.
            Err(Error::Argument { what: "crop" | "frames and crop", expected, .. }) => {
                let config = read(checkpoint, overrides)?;
                let [_, height, width] = config.network.clip();
                if [height, width] == [crop; 2] || height == 0 {
                    return Ok(config);
                }
                let reason = format!("cuts squares of {crop} pixels out of frames; expected {expected}");
                Err(Error::Contents { path: checkpoint.path().with_file_name(self.file), reason })
            }
            other => other,
        }
    }

    /// How frames are scaled for squares of this side: as the file says, or in proportion where the caller wants another side.
    fn resize_to(&self, side: u32, overrides: &Overrides) -> Resize {
        let Some(own) = self.crop.filter(|own| *own != side && overrides.crop.is_some()) else { return self.resize };
        let scaled = |length: u32| (u64::from(length) * u64::from(side) / u64::from(own.max(1))).try_into().unwrap_or(u32::MAX);
        match self.resize {
            Resize::ShortSide(length) => Resize::ShortSide(scaled(length)),
            Resize::Sides { height, width } => Resize::Sides { height: scaled(height), width: scaled(width) },
            other => other,
        }
    }

    /// Takes frames as the file says, unless the caller says otherwise.
    fn sample(&self, config: &mut Config, overrides: &Overrides, frames: u32) -> std::result::Result<(), String> {
        let Some(sampling) = self.sampling.filter(|_| overrides.segments.is_none() && overrides.sampling_rate.is_none()) else {
            return Ok(());
        };
        let guessed = overrides.assumed_rate(&config.protocol);
        config.assumed.retain(|assumed| Some(assumed) != guessed.as_ref());
        let own = config.protocol;
        config.protocol = match sampling {
            FrameSampling::Count(count) if count != frames => {
                return Err(format!("\"num_frames\" is {count}; expected {frames}, as many as the network sees"));
            }
            FrameSampling::Count(_) => Protocol { segments: true, segment_starts: true, ..own },
            FrameSampling::Rate(rate) => {
                return Err(format!(
                    "\"fps\" is {rate}: as many frames as the clip is long, where the network sees {frames}; --segments or --sampling-rate say which"
                ));
            }
        };
        Ok(())
    }
}

/// A square's side, or why it is none.
fn square(what: &str, sides: Sides) -> std::result::Result<u32, String> {
    match sides {
        Sides { height, width } if height == width => Ok(height),
        Sides { height, width } => Err(format!("{what} is {height} x {width}: networks see squares here")),
    }
}
