//! The `pretrained_cfg` in a description of timm's, which says how frames are made ready.

use serde::Deserialize;
use serde_json::Value;

use super::{Colours, Entries, Named, Size, Sound};
use crate::{IMAGENET_MEAN, IMAGENET_STD};

/// The entries that count.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Timm {
    input_size: Option<[u32; 3]>,
    crop_pct: Option<f64>,
    crop_mode: Option<String>,
    interpolation: Option<String>,
    mean: Option<Colours>,
    std: Option<Colours>,
}

impl Timm {
    /// The entries that it amounts to.
    pub fn entries(self) -> Sound<Entries> {
        let [_, height, width] = self.input_size.unwrap_or([3, 224, 224]);
        let share = self.crop_pct.unwrap_or(0.875);
        if !(share > 0.0 && share <= 1.0) {
            return Err(format!("\"crop_pct\" is {share}; expected a share of the frame"));
        }
        let whole = |side: u32| (f64::from(side) / share).floor() as u32;
        let size = match self.crop_mode.as_deref() {
            None | Some("center") => Size::Named(Named { shortest_edge: Some(whole(height.min(width))), ..Named::default() }),
            Some("squash") => Size::HeightWidth([whole(height), whole(width)]),
            Some(other) => return Err(format!("\"crop_mode\" is {other:?}; expected \"center\" or \"squash\"")),
        };
        Ok(Entries {
            is_of_timm: true,
            do_center_crop: Some(true),
            do_normalize: Some(true),
            size: Some(size),
            crop_size: Some(Size::HeightWidth([height, width])),
            resample: self.interpolation.filter(|name| name != "random").map(Value::from),
            image_mean: self.mean.or(Some(Colours::Each(IMAGENET_MEAN.map(f64::from)))),
            image_std: self.std.or(Some(Colours::Each(IMAGENET_STD.map(f64::from)))),
            ..Entries::default()
        })
    }
}
