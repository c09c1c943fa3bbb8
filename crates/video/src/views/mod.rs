//! Views: from a clip to the inputs of a network, by the published test protocol of Patrick et al., 2021 (SlowFast's).
//!
//! A clip is looked at several times. Temporal views take frames from different parts of it, spatial views cut different squares out of
//! those frames; what the network says about all of them is averaged by whoever runs it.
//!
//! ```text
//! clip -> frames of each temporal view (sampling) -> squares of each spatial view (crops) -> tensors, one at a time (stream)
//! ```
//!
//! Long clips and streams are looked at window by window (windows), as a clip each.

pub mod crops;
mod filters;
pub mod sampling;
#[cfg(feature = "files")]
mod squares;
#[cfg(feature = "files")]
pub mod stream;
#[cfg(feature = "files")]
mod window_stream;
pub mod windows;

use std::fmt;
use std::str::FromStr;

use orthoformer::{Error, Result};

pub use crops::{Crop, CropGeometry, Framing, Middle, Normalisation, Resize, crop_geometry, cropped_picture};
pub use filters::Filter;
pub use sampling::Sampling;
#[cfg(feature = "files")]
pub use stream::{Source, View, ViewStream};
#[cfg(feature = "files")]
pub use window_stream::WindowStream;
pub use windows::{Window, WindowSpec};

use crate::Damage;

/// Most temporal views of a clip.
pub const MOST_TEMPORAL: u32 = 100;
/// Most numbers of one view's tensor: 1 GiB.
const MOST_NUMBERS: u64 = 1 << 28;
/// Most numbers of the squares that windows which are not complete need: 4 GiB.
#[cfg(feature = "files")]
const MOST_HELD: u64 = 1 << 30;

/// How often a clip is looked at. Written as `10x3`: ten temporal views of three spatial ones each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Views {
    /// Temporal views: 1 to [`MOST_TEMPORAL`], spread evenly over the clip.
    pub temporal: u32,
    /// Squares cut out of each frame: 1 (the centre) or 3 (both ends of its longer side too).
    pub spatial: u32,
}

impl Views {
    /// The squares, in the order of the spatial views: the centre alone, or left, centre and right (top, centre and bottom of a frame
    /// that is higher than wide).
    pub fn crops(&self) -> &'static [Crop] {
        if self.spatial == 1 { &[Crop::Centre] } else { &[Crop::Start, Crop::Centre, Crop::End] }
    }

    /// How many there are: temporal times spatial ones.
    pub fn count(&self) -> u32 {
        self.temporal.saturating_mul(self.spatial)
    }

    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// [`Error::Argument`] if not.
    pub fn check(&self) -> Result<()> {
        let right = (1..=MOST_TEMPORAL).contains(&self.temporal) && matches!(self.spatial, 1 | 3);
        if right { Ok(()) } else { Err(not_views(&self.to_string())) }
    }
}

impl fmt::Display for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.temporal, self.spatial)
    }
}

impl FromStr for Views {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('x').and_then(|(temporal, spatial)| Some((temporal.parse().ok()?, spatial.parse().ok()?)));
        let (temporal, spatial) = numbers.ok_or_else(|| not_views(text))?;
        let views = Self { temporal, spatial };
        views.check().map_err(|_| not_views(text))?;
        Ok(views)
    }
}

fn not_views(given: &str) -> Error {
    let expected = format!("temporal x spatial views such as 10x3: 1 to {MOST_TEMPORAL} temporal ones, 1 or 3 spatial ones");
    Error::Argument { what: "views", given: given.to_owned(), expected }
}

/// What a network wants to see of a clip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ViewSpec {
    /// Which frames a view takes.
    pub sampling: Sampling,
    /// How many views.
    pub views: Views,
    /// Side of the square that is cut out of each scaled frame, pixels.
    pub size: u32,
    /// How frames are scaled before.
    pub resize: Resize,
    /// What their pixels are made of then.
    pub filter: Filter,
    /// Where their middle is.
    pub middle: Middle,
    /// What is subtracted from red, green and blue, which range from 0 to 1.
    pub mean: [f32; 3],
    /// What red, green and blue are divided by after that.
    pub std: [f32; 3],
    /// Whether the network takes blue first. Mean and deviation are in the order of red, green, blue even so.
    pub reversed_channels: bool,
    /// Whether views come with their squares as pictures, to draw on.
    pub pictures: bool,
    /// What becomes of clips that are damaged.
    pub damage: Damage,
}

impl ViewSpec {
    /// Red, green and blue from -1 to 1 and the shorter side as long as the square's, as the published networks have them; no pictures,
    /// and damaged clips are refused.
    pub fn new(sampling: Sampling, views: Views, size: u32) -> Self {
        let Framing { size, resize, filter, middle } = size.into();
        Self {
            sampling,
            views,
            size,
            resize,
            filter,
            middle,
            mean: [0.5; 3],
            std: [0.5; 3],
            reversed_channels: false,
            pictures: false,
            damage: Damage::Refused,
        }
    }

    /// The squares that are cut out.
    pub fn framing(&self) -> Framing {
        Framing { size: self.size, resize: self.resize, filter: self.filter, middle: self.middle }
    }

    /// Whether all of it makes sense.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::TooLarge`] and [`Error::Argument`] with what does not.
    pub fn check(&self) -> Result<()> {
        self.sampling.check()?;
        self.views.check()?;
        self.framing().check()?;
        Normalisation::new(self.mean, self.std, self.reversed_channels)?;
        if self.sampling.segments && self.views.temporal > 1 {
            let expected = "one temporal view, such as 1x3: segments cover the whole clip".to_owned();
            return Err(Error::Argument { what: "views", given: self.views.to_string(), expected });
        }
        let numbers = 3 * u64::from(self.sampling.count) * u64::from(self.size) * u64::from(self.size);
        if numbers > MOST_NUMBERS {
            return Err(Error::TooLarge {
                what: "numbers of a view (3 x frames x side x side)",
                given: numbers,
                most: MOST_NUMBERS,
            });
        }
        Ok(())
    }
}
