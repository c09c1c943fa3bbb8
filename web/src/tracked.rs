//! A followed point, for the page to draw.

use orthoformer_video::draw::heat_layer;
use orthoformer_video::patches::Grid;
use orthoformer_video::track::{Sighting, Track};
use serde::Serialize;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::kernels::KernelTimes;
use crate::{Answer, json};

/// A followed point.
#[wasm_bindgen]
pub struct Tracked {
    track: Track,
    times: KernelTimes,
}

#[derive(Serialize)]
struct Report<'a> {
    /// The point that was followed, pixels of the clip.
    point: (f64, f64),
    /// Width and height of a patch, pixels of the clip.
    patch_size: (f64, f64),
    /// Frames in a patch.
    patch_depth: u32,
    /// Columns and rows of patches.
    grid: [u32; 2],
    /// Width and height of heat maps, pixels.
    heat_size: [u32; 2],
    /// Bytes on the device at the most.
    device_bytes: u64,
    times: &'a KernelTimes,
    steps: Vec<Step>,
}

/// Where attention is in one frame of patches.
#[derive(Serialize)]
struct Step {
    /// Mean position under the attention, pixels of the clip.
    centroid: (f64, f64),
    /// Centre of the patch with the largest weight, pixels of the clip.
    peak: (f64, f64),
    /// That weight.
    peak_weight: f64,
    /// Entropy of the weights, nats.
    entropy: f64,
}

impl Step {
    fn new(grid: &Grid, sighting: &Sighting) -> Self {
        let peak = grid.centre(sighting.peak.0.into(), sighting.peak.1.into());
        let Sighting { centroid, peak_weight, entropy, .. } = *sighting;
        Self { centroid, peak, peak_weight, entropy }
    }
}

impl Tracked {
    pub(crate) fn new(track: Track, times: KernelTimes) -> Answer<Self> {
        Ok(Self { track, times })
    }
}

#[wasm_bindgen]
impl Tracked {
    /// Positions and times, as JSON.
    ///
    /// # Errors
    /// None that are known.
    pub fn report(&self) -> Answer<String> {
        let Track { grid, point, sightings, device_bytes, .. } = &self.track;
        json(&Report {
            point: *point,
            patch_size: grid.patch_size(),
            patch_depth: grid.depth,
            grid: [grid.columns, grid.rows],
            heat_size: [grid.width, grid.height],
            device_bytes: *device_bytes,
            times: &self.times,
            steps: sightings.iter().map(|sighting| Step::new(grid, sighting)).collect(),
        })
    }

    /// The heat map of a frame of patches, on the scale of the whole clip: red, green, blue and alpha of its pixels; nothing if there is no such frame.
    pub fn heat(&self, step: usize) -> Vec<u8> {
        heat_layer(&self.track, step).map(|layer| layer.into_raw()).unwrap_or_default()
    }
}
