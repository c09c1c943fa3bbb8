//! The entries of a processor's file, and what its class has for those that are not there.

mod timm;

use orthoformer_video::views::{Filter, Resize};
use serde::Deserialize;
use serde_json::Value;

use super::square;
use crate::{IMAGENET_MEAN, IMAGENET_STD};
use timm::Timm;

type Sound<T> = std::result::Result<T, String>;

/// How PyTorch's helpers number the filters of Pillow.
const FILTERS: [&str; 4] = ["nearest", "lanczos", "bilinear", "bicubic"];
/// Steps that are done here as a file says, or change nothing: decoded frames have three colours, and there are no labels of pixels.
const STEPS: [&str; 8] = [
    "do_resize",
    "do_center_crop",
    "do_rescale",
    "do_normalize",
    "do_sample_frames",
    "do_flip_channel_order",
    "do_convert_rgb",
    "do_reduce_labels",
];
/// Where newer files have the processor of clips, and that of pictures.
const NESTED: [&str; 2] = ["video_processor", "image_processor"];

/// The entries; of all others only steps count.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Entries {
    /// The class where the file says none.
    #[serde(skip)]
    own_class: Option<&'static str>,
    /// Whether timm says it, which cuts squares out with torchvision.
    #[serde(skip)]
    pub is_of_timm: bool,
    image_processor_type: Option<String>,
    video_processor_type: Option<String>,
    feature_extractor_type: Option<String>,
    do_resize: Option<bool>,
    do_center_crop: Option<bool>,
    do_rescale: Option<bool>,
    do_normalize: Option<bool>,
    pub do_sample_frames: Option<bool>,
    pub do_flip_channel_order: Option<bool>,
    offset: Option<bool>,
    rescale_factor: Option<f64>,
    size: Option<Size>,
    crop_size: Option<Size>,
    crop_pct: Option<f64>,
    resample: Option<Value>,
    image_mean: Option<Colours>,
    image_std: Option<Colours>,
    pub num_frames: Option<u32>,
    pub fps: Option<f64>,
}

/// A size as files have it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number of pixels, or \"shortest_edge\", or \"height\" and \"width\"")]
enum Size {
    One(u32),
    HeightWidth([u32; 2]),
    Named(Named),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    shortest_edge: Option<u32>,
    longest_edge: Option<u32>,
    height: Option<u32>,
    width: Option<u32>,
}

/// Height and width, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sides {
    pub height: u32,
    pub width: u32,
}

/// One value for all channels, or one for each.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "expected one number, or three")]
enum Colours {
    All(f64),
    Each([f64; 3]),
}

impl Colours {
    fn each(self) -> [f64; 3] {
        match self {
            Self::All(value) => [value; 3],
            Self::Each(values) => values,
        }
    }
}

/// What a class of processors does where its file says nothing.
#[derive(Clone, Copy)]
struct Usual {
    /// Shorter side that frames are scaled to, pixels.
    short_side: u32,
    crop: u32,
    factor: f64,
    offset: bool,
    mean: [f32; 3],
    std: [f32; 3],
}

impl Entries {
    /// Whether a text describes several processors, one of them of frames.
    pub fn is_nested(text: &str) -> bool {
        serde_json::from_str::<Value>(text)
            .is_ok_and(|value| NESTED.iter().any(|key| value.get(key).is_some_and(Value::is_object)))
    }

    /// The entries of a file; `own_class` is that of the network's processors.
    pub fn read(text: &str, own_class: Option<&'static str>) -> Sound<Self> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("cannot be read as JSON: {error}"))?;
        let nested = NESTED.iter().find_map(|key| value.get(key).filter(|value| value.is_object()));
        let own = nested.unwrap_or(&value).clone();
        let Some(said) = own.as_object() else {
            return Err("expected an object of JSON, as transformers saves a processor".to_owned());
        };
        let is_step = |key: &str| key.starts_with("do_") && !STEPS.contains(&key) || key == "rescale_offset";
        if let Some((key, _)) = said.iter().find(|(key, value)| is_step(key) && **value == Value::Bool(true)) {
            return Err(format!("{key:?} is true: frames are not made ready that way here"));
        }
        let entries: Self = serde_path_to_error::deserialize(own).map_err(|error| error.to_string())?;
        Ok(Self { own_class, ..entries })
    }

    /// The entries that the `pretrained_cfg` of timm's description amounts to, if there is one.
    pub fn of_timm(description: &str) -> Option<Sound<Self>> {
        let value: Value = serde_json::from_str(description).ok()?;
        let timm: Timm = match serde_path_to_error::deserialize(value.get("pretrained_cfg").filter(|value| value.is_object())?) {
            Ok(timm) => timm,
            Err(error) => return Some(Err(format!("pretrained_cfg: {error}"))),
        };
        Some(timm.entries())
    }

    /// The class that the file says.
    fn said_class(&self) -> Option<&str> {
        [&self.video_processor_type, &self.image_processor_type, &self.feature_extractor_type]
            .into_iter()
            .flatten()
            .next()
            .map(String::as_str)
    }

    /// The class that the file says, if it is none of those below.
    pub fn unknown_class(&self) -> Option<String> {
        self.said_class().filter(|_| self.usual().is_none()).map(|class| format!("{class:.80}"))
    }

    /// The class, without what all names of classes end in.
    fn class(&self) -> &str {
        let class = self.said_class().or(self.own_class).unwrap_or("");
        ["VideoProcessor", "ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor"]
            .iter()
            .find_map(|end| class.strip_suffix(end))
            .unwrap_or(class)
    }

    fn usual(&self) -> Option<Usual> {
        let usual = Usual { short_side: 224, crop: 224, factor: 1.0 / 255.0, offset: false, mean: [0.5; 3], std: [0.5; 3] };
        let imagenet = Usual { mean: IMAGENET_MEAN, std: IMAGENET_STD, ..usual };
        match self.class() {
            "VideoMAE" => Some(usual),
            "Timesformer" => Some(imagenet),
            "Vivit" => Some(Usual { short_side: 256, factor: 1.0 / 127.5, offset: true, ..usual }),
            "VJEPA2" => Some(Usual { crop: 256, ..imagenet }),
            "Perceiver" => Some(Usual { short_side: 256, ..imagenet }),
            _ => None,
        }
    }

    /// Side of the squares that the network sees, where it is said, and how frames are scaled before they are cut.
    pub fn framing(&self) -> Sound<(Option<u32>, Resize)> {
        if let Some(share) = self.crop_pct {
            return Err(format!("\"crop_pct\" is {share}: a share of the frame is not cut out here"));
        }
        let usual = self.usual();
        let crops = self.do_center_crop.unwrap_or(usual.is_some() || self.crop_size.is_some());
        let crop = match (&self.crop_size, usual) {
            _ if !crops => None,
            (Some(size), _) => Some(square("\"crop_size\"", size.sides("crop_size")?)?),
            (None, Some(usual)) => Some(usual.crop),
            (None, None) => return Err("\"do_center_crop\" is true without a \"crop_size\"".to_owned()),
        };
        if self.class() == "Perceiver" {
            return self.perceiver(crop);
        }
        if !self.do_resize.unwrap_or(usual.is_some() || self.size.is_some()) {
            return Ok((crop, if crop.is_some() { Resize::Keep } else { Resize::Refuse }));
        }
        let resize = match (&self.size, usual) {
            // Whatever its file says, the class makes one of the other.
            _ if self.class() == "VJEPA2" => {
                Resize::ShortSide((u64::from(crop.unwrap_or(256)) * 256 / 224).try_into().unwrap_or(u32::MAX))
            }
            (Some(size), _) => size.resize(usual.is_some() || crop.is_some())?,
            (None, Some(usual)) => Resize::ShortSide(usual.short_side),
            (None, None) => return Err("\"do_resize\" is true without a \"size\"".to_owned()),
        };
        match (crop, resize) {
            (Some(_), _) => Ok((crop, resize)),
            (None, Resize::Sides { height, width }) => Ok((Some(square("\"size\"", Sides { height, width })?), resize)),
            (None, _) => Err("frames keep their shape, as \"do_center_crop\" is false: networks see squares here".to_owned()),
        }
    }

    /// A Perceiver's pictures are cut first, to a share of them, and scaled to the size then.
    fn perceiver(&self, cut: Option<u32>) -> Sound<(Option<u32>, Resize)> {
        let side = match &self.size {
            Some(size) => square("\"size\"", size.sides("size")?)?,
            None => 224,
        };
        match cut {
            Some(cut) => Ok((Some(side), Resize::ShortSide(cut))),
            None => Ok((Some(side), Resize::Sides { height: side, width: side })),
        }
    }

    /// What is taken off values from 0 to 1, and what they are divided by then.
    pub fn normalisation(&self) -> Sound<([f32; 3], [f32; 3])> {
        let usual = self.usual();
        let rescales = self.do_rescale.unwrap_or(true);
        let is_vivit_clip = self.class() == "Vivit" && self.video_processor_type.is_some();
        let offset =
            if is_vivit_clip { rescales } else { self.offset.unwrap_or(rescales && usual.is_some_and(|usual| usual.offset)) };
        if offset && !rescales {
            return Err("\"offset\" is true, and \"do_rescale\" is false: values are moved after they are rescaled".to_owned());
        }
        let factor = match rescales {
            true => self.rescale_factor.unwrap_or(usual.map_or(1.0 / 255.0, |usual| usual.factor)),
            false => 1.0,
        };
        if !(factor.is_finite() && factor > 0.0) {
            return Err(format!("\"rescale_factor\" is {factor}; expected a number above zero"));
        }
        let normalises = self.do_normalize.unwrap_or(usual.is_some() || self.image_mean.is_some());
        let of = |said: Option<Colours>, usual: Option<[f32; 3]>, key: &str| {
            let known = said.map(Colours::each).or(usual.map(|values| values.map(f64::from)));
            known.ok_or_else(|| format!("\"do_normalize\" is true without an \"{key}\""))
        };
        let (mean, std) = match normalises {
            true => (
                of(self.image_mean, usual.map(|usual| usual.mean), "image_mean")?,
                of(self.image_std, usual.map(|usual| usual.std), "image_std")?,
            ),
            false => ([0.0; 3], [1.0; 3]),
        };
        if std.iter().any(|value| !(value.is_finite() && *value > 0.0)) || mean.iter().any(|value| !value.is_finite()) {
            return Err(format!("means {mean:?} and deviations {std:?}; expected finite numbers, and deviations above zero"));
        }
        // (x f - o - m) / s of bytes x, as (x / 255 - mean) / std.
        let whole = 255.0 * factor;
        let moved = if offset { 1.0 } else { 0.0 };
        Ok((mean.map(|mean| ((mean + moved) / whole) as f32), std.map(|std| (std / whole) as f32)))
    }

    /// Whether the file says what pixels of scaled frames are made of.
    pub fn says_filter(&self) -> bool {
        self.resample.as_ref().is_some_and(|said| !said.is_null())
    }

    /// What pixels of scaled frames are made of. Bilinear is as in the published code of the networks, which does not smooth frames that it makes smaller.
    pub fn filter(&self) -> Sound<Filter> {
        let number = match &self.resample {
            None | Some(Value::Null) if self.class() == "Perceiver" => return Ok(Filter::Bicubic),
            None | Some(Value::Null) => return Ok(Filter::Interpolated),
            Some(Value::String(name)) => {
                let name = name.rsplit('.').next().unwrap_or(name).to_lowercase();
                FILTERS.iter().position(|filter| *filter == name).map(|number| number as f64)
            }
            Some(number) => number.as_f64(),
        };
        match number {
            Some(0.0) => Ok(Filter::Nearest),
            Some(2.0) => Ok(Filter::Interpolated),
            Some(3.0) => Ok(Filter::Bicubic),
            _ => {
                let said = self.resample.as_ref().map(Value::to_string).unwrap_or_default();
                Err(format!("\"resample\" is {said:.80}; expected 0, 2 or 3: nearest, bilinear or bicubic"))
            }
        }
    }
}

impl Size {
    fn sides(&self, key: &str) -> Sound<Sides> {
        match *self {
            Self::One(side) => Ok(Sides { height: side, width: side }),
            Self::HeightWidth([height, width]) => Ok(Sides { height, width }),
            Self::Named(Named { height: Some(height), width: Some(width), .. }) => Ok(Sides { height, width }),
            // Old files.
            Self::Named(Named { shortest_edge: Some(side), longest_edge: None, .. }) if key == "crop_size" => {
                Ok(Sides { height: side, width: side })
            }
            Self::Named(_) => Err(format!("{key:?} has neither \"shortest_edge\" nor both \"height\" and \"width\"")),
        }
    }

    /// How frames are scaled. One number is the shorter side, in classes of clips and wherever squares are cut out then; else both.
    fn resize(&self, is_shorter: bool) -> Sound<Resize> {
        match *self {
            Self::One(side) if is_shorter => Ok(Resize::ShortSide(side)),
            Self::Named(Named { shortest_edge: Some(side), longest_edge: None, .. }) => Ok(Resize::ShortSide(side)),
            Self::Named(Named { longest_edge: Some(longest), .. }) => Err(format!(
                "\"size\" has a \"longest_edge\" of {longest}: only the shorter side or both are scaled to a length here"
            )),
            ref both => both.sides("size").map(|Sides { height, width }| Resize::Sides { height, width }),
        }
    }
}
