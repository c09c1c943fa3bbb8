//! Following a patch through a clip with trajectory attention.
//!
//! The clip is cut into space-time patches; queries and keys are the patches' contrast-normalised descriptors, values the patches
//! themselves. In every frame of patches the softmax over that frame alone says where the followed patch is, and the trajectory token
//! is what it looks like there.

use std::ops::Range;

use image::RgbImage;
#[cfg(not(target_arch = "wasm32"))]
use orthoformer::Executor;
use orthoformer::gpu::Run;
use orthoformer::ops::Approximation;
use orthoformer::ops::follow::{self, FollowSpec};
use orthoformer::tensor::missing;
use orthoformer::{Error, Plan, PlanLimits, Result, Tensor, Tensors};

use super::patches::{Grid, mean_colour};

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
    /// Mean position under the attention weights (negative ones count as zero), pixels of the source picture.
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
    /// The share of this frame of patches in what the network makes of the patch, where it is a network's attention.
    pub temporal_weight: Option<f64>,
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

    /// Follows a patch exactly; `progress` is told after each slice how many frames of patches are done.
    ///
    /// # Errors
    /// [`Error::PointOutside`], [`Error::OutOfRange`] for a frame that is not there, [`Error::Argument`] for a temperature that is not
    /// positive, [`Error::TooLarge`], and those of the executor.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn follow(&self, options: &TrackOptions, executor: &Executor, progress: impl FnMut(usize)) -> Result<Track> {
        self.follow_with(options, &Approximation::Exact, executor, progress)
    }

    /// As [`ScaledClip::follow`], through an approximation whose landmarks are patches of the whole clip. Its weights may be negative (Nyström).
    ///
    /// # Errors
    /// Those of [`ScaledClip::follow`] and [`follow::attention`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn follow_with(
        &self,
        options: &TrackOptions,
        approximation: &Approximation,
        executor: &Executor,
        progress: impl FnMut(usize),
    ) -> Result<Track> {
        let run = async |plan: &Plan, inputs: &Tensors| executor.run(plan, inputs);
        pollster::block_on(self.follow_by(options, approximation, run, progress))
    }

    /// As [`ScaledClip::follow_with`], where `run` runs the plans.
    ///
    /// # Errors
    /// Those of [`ScaledClip::follow_with`], with those of `run` for the executor's.
    pub async fn follow_by(
        &self,
        options: &TrackOptions,
        approximation: &Approximation,
        run: impl AsyncFn(&Plan, &Tensors) -> Result<Run>,
        mut progress: impl FnMut(usize),
    ) -> Result<Track> {
        let (point, scale) = self.check(options)?;
        let grid = &self.grid.anchored(point.0, point.1)?;
        let patch = grid.patch_at(point.0, point.1);
        let mean = mean_colour(&self.frames);
        let query_step = options.frame / grid.depth as usize;
        let size = grid.descriptor_size();
        let query = grid.describe(&self.moment(query_step), mean)[patch * size..][..size].to_vec();
        let spec = FollowSpec {
            queries: 1,
            frames: 1,
            patches: grid.patches(),
            head_size: size,
            value_size: grid.patch_numbers(),
            scale,
        };
        let mut follower = Follower { clip: self, grid, mean, query, spec, runs: run, device_bytes: 0 };
        // Approximations look at all frames to choose their landmarks; exact attention sees each frame alone.
        let whole = match approximation {
            Approximation::Exact => None,
            _ => Some(follower.attention(0..self.steps(), approximation).await?),
        };
        let step_bytes = (grid.patches() * grid.patch_numbers() * 4) as u64;
        let steps_at_once = (PlanLimits::default().scratch_bytes / step_bytes).max(1) as usize;
        let mut sightings = Vec::new();
        for first in (0..self.steps()).step_by(steps_at_once) {
            let steps = first..(first + steps_at_once).min(self.steps());
            let attention = match &whole {
                Some(all) => all[first * grid.patches()..steps.end * grid.patches()].to_vec(),
                None => follower.attention(steps.clone(), approximation).await?,
            };
            let tokens = follower.tokens(steps, attention.clone()).await?;
            let (weights, tokens) = (attention.chunks(grid.patches()), tokens.data().chunks(grid.patch_numbers()));
            sightings.extend(weights.zip(tokens).map(|(weights, token)| Sighting::new(grid, weights, token)));
            progress(sightings.len());
        }
        let query = (patch as u32 % grid.columns, patch as u32 / grid.columns);
        let device_bytes = follower.device_bytes;
        Ok(Track { grid: *grid, point, query, query_step, sightings, device_bytes })
    }

    /// The point that is followed, and the factor on scores.
    fn check(&self, options: &TrackOptions) -> Result<((f64, f64), f32)> {
        if options.frame >= self.frames.len() {
            return Err(Error::OutOfRange { what: "frame", index: options.frame as u64, count: self.frames.len() as u64 });
        }
        let scale = 1.0 / options.temperature;
        if !(options.temperature > 0.0 && options.temperature.is_finite() && scale.is_finite()) {
            let (what, given) = ("temperature", options.temperature.to_string());
            return Err(Error::Argument { what, given, expected: "a number above 0, and not beyond 1e38".to_owned() });
        }
        let centre = (f64::from(self.grid.source_width) / 2.0, f64::from(self.grid.source_height) / 2.0);
        Ok((options.at.unwrap_or(centre), scale))
    }
}

/// One patch being followed.
struct Follower<'f, R> {
    clip: &'f ScaledClip,
    grid: &'f Grid,
    mean: [f32; 3],
    query: Vec<f32>,
    /// Sizes, with the number of frames still open.
    spec: FollowSpec,
    runs: R,
    device_bytes: u64,
}

impl<R: AsyncFn(&Plan, &Tensors) -> Result<Run>> Follower<'_, R> {
    /// The attention over some frames of patches, `[F,S]`.
    async fn attention(&mut self, steps: Range<usize>, approximation: &Approximation) -> Result<Vec<f32>> {
        let spec = FollowSpec { frames: steps.len(), ..self.spec };
        let keys = steps.flat_map(|step| self.grid.describe(&self.clip.moment(step), self.mean)).collect();
        let inputs = Tensors::from([
            ("query".to_owned(), Tensor::new(vec![1, spec.head_size], self.query.clone())?),
            ("keys".to_owned(), Tensor::new(vec![spec.frames, spec.patches, spec.head_size], keys)?),
        ]);
        let plan = follow::attention(&spec, approximation, PlanLimits::default())?;
        Ok(self.run(&plan, &inputs, "attention").await?.into_data())
    }

    /// What that attention makes of the patches, `[1,F,V]`.
    async fn tokens(&mut self, steps: Range<usize>, attention: Vec<f32>) -> Result<Tensor> {
        let spec = FollowSpec { frames: steps.len(), ..self.spec };
        let values = steps.flat_map(|step| self.grid.cut(&self.clip.moment(step))).collect();
        let inputs = Tensors::from([
            ("attention".to_owned(), Tensor::new(vec![1, spec.frames, spec.patches], attention)?),
            ("values".to_owned(), Tensor::new(vec![spec.frames, spec.patches, spec.value_size], values)?),
        ]);
        self.run(&follow::tokens(&spec, PlanLimits::default())?, &inputs, "tokens").await
    }

    async fn run(&mut self, plan: &Plan, inputs: &Tensors, output: &str) -> Result<Tensor> {
        let mut run = (self.runs)(plan, inputs).await?;
        self.device_bytes = self.device_bytes.max(run.device_bytes);
        run.outputs.remove(output).ok_or_else(|| missing(output, &run.outputs))
    }
}

impl Sighting {
    /// Whether nothing of the frame is attended to: then there is neither centroid nor peak.
    pub fn is_blank(&self) -> bool {
        self.weights.iter().all(|&weight| weight <= 0.0)
    }

    /// What the attention weights `[S]` of a frame of patches say, and the token that they make.
    ///
    /// # Panics
    /// If there are no weights.
    pub fn new(grid: &Grid, weights: &[f32], token: &[f32]) -> Self {
        let place = |index: usize| (index as u32 % grid.columns, index as u32 / grid.columns);
        let (mut column, mut row, mut entropy, mut peak) = (0.0, 0.0, 0.0, 0);
        // Exact weights sum to one; those of an approximation need not, and some may be negative.
        let positive = |weight: f32| if weight < 0.0 { 0.0 } else { f64::from(weight) };
        let total: f64 = weights.iter().map(|&weight| positive(weight)).sum();
        for (index, weight) in weights.iter().map(|&weight| positive(weight) / total.max(1e-30)).enumerate() {
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
            temporal_weight: None,
        }
    }
}
