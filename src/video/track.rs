//! Following a patch through a clip with trajectory attention.
//!
//! The clip is cut into space-time patches; queries and keys are the patches' contrast-normalised descriptors, values the patches
//! themselves. In every frame of patches the softmax over that frame alone says where the followed patch is, and the trajectory token
//! is what it looks like there.

use image::RgbImage;

use super::patches::{Grid, mean_colour};
use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::ops::follow::{self, FollowSpec};
use crate::plan::PlanLimits;
use crate::tensor::{Tensor, Tensors};

/// What to follow, and how sharply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackOptions {
    /// Temperature of the softmax over descriptors of length one.
    pub temperature: f32,
    /// The point to follow, pixels of the source picture; `None` is its centre.
    pub at: Option<(f64, f64)>,
    /// The frame that the point is in, from 0.
    pub frame: usize,
}

impl Default for TrackOptions {
    fn default() -> Self {
        Self { temperature: 0.03, at: None, frame: 0 }
    }
}

/// Frames of a clip, scaled for a grid.
#[derive(Clone, Debug)]
pub struct ScaledClip {
    grid: Grid,
    frames: Vec<RgbImage>,
}

/// Where attention is in one frame of patches.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// Mean position under the attention weights, pixels of the source picture.
    pub centroid: (f64, f64),
    /// Column and row of the patch with the largest weight.
    pub peak: (u32, u32),
    /// Its weight.
    pub peak_weight: f64,
    /// Entropy of the weights, nats: 0 is one patch, `ln S` is all of them alike.
    pub entropy: f64,
    /// The weights `[S]`.
    pub weights: Vec<f32>,
    /// The trajectory token `[depth, side, side, 3]`: what the followed patch looks like here.
    pub token: Vec<f32>,
}

/// A followed patch.
#[derive(Clone, Debug)]
pub struct Track {
    /// The clip's grid, moved so that a patch is centred on the point.
    pub grid: Grid,
    /// The point that was followed, pixels of the source picture.
    pub point: (f64, f64),
    /// The patch that was followed, as column and row.
    pub query: (u32, u32),
    /// The frame of patches it was taken from.
    pub query_step: usize,
    /// One sighting for each frame of patches: `depth` frames of the clip, the last perhaps fewer.
    pub sightings: Vec<Sighting>,
    /// Most bytes on the device at a time.
    pub device_bytes: u64,
}

/// Patches and descriptors of one frame of patches.
struct Step {
    patches: Vec<f32>,
    descriptors: Vec<f32>,
}

impl ScaledClip {
    /// Frames that [`Grid::scale`] has made.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] if there are none, [`Error::WrongShape`] if one has not the grid's size.
    pub fn new(grid: Grid, frames: Vec<RgbImage>) -> Result<Self> {
        if frames.is_empty() {
            return Err(Error::ZeroSize { what: "frames" });
        }
        if let Some(frame) = frames.iter().find(|frame| frame.dimensions() != (grid.width, grid.height)) {
            let found = vec![frame.width() as usize, frame.height() as usize];
            let expected = format!("{} x {}, as the grid scales frames", grid.width, grid.height);
            return Err(Error::WrongShape { name: "frame".to_owned(), found, expected });
        }
        Ok(Self { grid, frames })
    }

    /// How the frames were scaled; a track moves the grid to its point.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The scaled frames.
    pub fn frames(&self) -> &[RgbImage] {
        &self.frames
    }

    fn steps(&self) -> usize {
        self.frames.len().div_ceil(self.grid.depth as usize)
    }

    /// The frames of one frame of patches; where the clip ends within it, the last frame is repeated.
    fn moment(&self, index: usize) -> Vec<&RgbImage> {
        let depth = self.grid.depth as usize;
        let frame = |index: usize| self.frames.get(index).or(self.frames.last());
        (index * depth..(index + 1) * depth).filter_map(frame).collect()
    }

    /// Follows a patch; `progress` is told after each slice how many frames of patches are done.
    ///
    /// # Errors
    /// [`Error::PointOutside`], [`Error::OutOfRange`] for a frame that is not there, [`Error::Argument`] for a temperature that is not
    /// positive, [`Error::TooLarge`], and those of the executor.
    pub fn follow(&self, options: &TrackOptions, executor: &Executor, mut progress: impl FnMut(usize)) -> Result<Track> {
        if options.frame >= self.frames.len() {
            return Err(Error::OutOfRange { what: "frame", index: options.frame as u64, count: self.frames.len() as u64 });
        }
        let scale = 1.0 / options.temperature;
        if !(options.temperature > 0.0 && options.temperature.is_finite() && scale.is_finite()) {
            let given = options.temperature.to_string();
            return Err(Error::Argument {
                what: "temperature",
                given,
                expected: "a number above 0, and not beyond 1e38".to_owned(),
            });
        }
        let centre = (f64::from(self.grid.source_width) / 2.0, f64::from(self.grid.source_height) / 2.0);
        let (x, y) = options.at.unwrap_or(centre);
        let grid = &self.grid.anchored(x, y)?;
        let patch = grid.patch_at(x, y);
        let mean = mean_colour(&self.frames);
        let query_step = options.frame / grid.depth as usize;
        let size = grid.descriptor_size();
        let query = grid.describe(&self.moment(query_step), mean)[patch * size..][..size].to_vec();

        let limits = PlanLimits::default();
        let step_bytes = (grid.patches() * grid.patch_numbers() * 4) as u64;
        let steps_at_once = (limits.scratch_bytes / step_bytes).max(1) as usize;
        let (mut sightings, mut device_bytes) = (Vec::new(), 0);
        for first in (0..self.steps()).step_by(steps_at_once) {
            let last = (first + steps_at_once).min(self.steps());
            let moments = (first..last).map(|index| self.moment(index));
            let steps: Vec<Step> =
                moments.map(|frames| Step { patches: grid.cut(&frames), descriptors: grid.describe(&frames, mean) }).collect();
            let spec = FollowSpec {
                queries: 1,
                frames: steps.len(),
                patches: grid.patches(),
                head_size: size,
                value_size: grid.patch_numbers(),
                scale,
            };
            let run = executor.run(&follow::plan(&spec, limits)?, &inputs(&query, &steps, grid)?)?;
            device_bytes = device_bytes.max(run.device_bytes);
            let weights = run.outputs["attention"].data().chunks(grid.patches());
            let tokens = run.outputs["tokens"].data().chunks(grid.patch_numbers());
            sightings.extend(weights.zip(tokens).map(|(weights, token)| Sighting::new(grid, weights, token)));
            progress(sightings.len());
        }
        let query = (patch as u32 % grid.columns, patch as u32 / grid.columns);
        Ok(Track { grid: *grid, point: (x, y), query, query_step, sightings, device_bytes })
    }
}

fn inputs(query: &[f32], steps: &[Step], grid: &Grid) -> Result<Tensors> {
    let (frames, patches) = (steps.len(), grid.patches());
    let keys = steps.iter().flat_map(|step| step.descriptors.iter().copied()).collect();
    let values = steps.iter().flat_map(|step| step.patches.iter().copied()).collect();
    Ok(Tensors::from([
        ("query".to_owned(), Tensor::new(vec![1, query.len()], query.to_vec())?),
        ("keys".to_owned(), Tensor::new(vec![frames, patches, query.len()], keys)?),
        ("values".to_owned(), Tensor::new(vec![frames, patches, grid.patch_numbers()], values)?),
    ]))
}

impl Sighting {
    fn new(grid: &Grid, weights: &[f32], token: &[f32]) -> Self {
        let place = |index: usize| (index as u32 % grid.columns, index as u32 / grid.columns);
        let (mut column, mut row, mut entropy, mut peak) = (0.0, 0.0, 0.0, 0);
        for (index, weight) in weights.iter().map(|&weight| f64::from(weight)).enumerate() {
            column += weight * f64::from(place(index).0);
            row += weight * f64::from(place(index).1);
            entropy -= if weight > 0.0 { weight * weight.ln() } else { 0.0 };
            if weights[index] > weights[peak] {
                peak = index;
            }
        }
        Self {
            centroid: grid.centre(column, row),
            peak: place(peak),
            peak_weight: weights[peak].into(),
            entropy,
            weights: weights.to_vec(),
            token: token.to_vec(),
        }
    }
}
