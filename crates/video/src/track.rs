//! Following a patch through a clip with trajectory attention.
//!
//! The clip is cut into space-time patches; queries and keys are the patches' contrast-normalised descriptors, values the patches
//! themselves. In every frame of patches the softmax over that frame alone says where the followed patch is, and the trajectory token
//! is what it looks like there.

use image::RgbImage;
use orthoformer::gpu::Run;
use orthoformer::ops::Approximation;
use orthoformer::ops::follow::{self, FollowSpec};
use orthoformer::tensor::missing;
use orthoformer::{Error, Plan, PlanLimits, Result, Tensor, Tensors};
#[cfg(not(target_arch = "wasm32"))]
use orthoformer_cpu::Executor;

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
    /// Whether the kind of attention alone decides the weights, whatever the clip shows.
    pub is_by_construction: bool,
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
    /// The frame of patches it was taken from; beyond the last where no patch was followed.
    pub query_step: usize,
    /// One sighting for each frame of patches: `depth` frames of the clip, the last perhaps fewer.
    pub sightings: Vec<Sighting>,
    /// Bytes on the device.
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

    /// Follows a patch exactly, in one plan for the whole clip.
    ///
    /// # Errors
    /// [`Error::PointOutside`], [`Error::OutOfRange`] for a frame that is not there, [`Error::Argument`] for a temperature that is not
    /// positive, [`Error::TooLarge`], and those of the executor.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn follow(&self, options: &TrackOptions, executor: &Executor) -> Result<Track> {
        self.follow_with(options, &Approximation::Exact, executor)
    }

    /// As [`ScaledClip::follow`], through an approximation whose landmarks are patches of the whole clip. Its weights may be negative (Nyström).
    ///
    /// # Errors
    /// Those of [`ScaledClip::follow`] and [`follow::plan`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn follow_with(&self, options: &TrackOptions, approximation: &Approximation, executor: &Executor) -> Result<Track> {
        let run = async |plan: &Plan, inputs: &Tensors| executor.run(plan, inputs);
        pollster::block_on(self.follow_by(options, approximation, run))
    }

    /// As [`ScaledClip::follow_with`], where `run` runs the plan.
    ///
    /// # Errors
    /// Those of [`ScaledClip::follow_with`], with those of `run` for the executor's.
    pub async fn follow_by(
        &self,
        options: &TrackOptions,
        approximation: &Approximation,
        run: impl AsyncFn(&Plan, &Tensors) -> Result<Run>,
    ) -> Result<Track> {
        let (point, scale) = self.check(options)?;
        let grid = &self.grid.anchored(point.0, point.1)?;
        let patch = grid.patch_at(point.0, point.1);
        let query_step = options.frame / grid.depth as usize;
        let size = grid.descriptor_size();
        let query = grid.describe(&self.moment(query_step), mean_colour(&self.frames))[patch * size..][..size].to_vec();
        let spec = FollowSpec {
            queries: 1,
            frames: self.steps(),
            patches: grid.patches(),
            head_size: size,
            value_size: grid.patch_numbers(),
            scale,
        };
        let (plan, inputs) = self.planned(grid, &spec, approximation, query)?;
        let mut run = run(&plan, &inputs).await?;
        let mut output = |name: &str| run.outputs.remove(name).ok_or_else(|| missing(name, &run.outputs));
        let (attention, tokens) = (output("attention")?, output("tokens")?);
        let of_steps = attention.data().chunks(grid.patches()).zip(tokens.data().chunks(grid.patch_numbers()));
        let sightings = of_steps.map(|(weights, token)| Sighting::new(grid, weights, token)).collect();
        let query = (patch as u32 % grid.columns, patch as u32 / grid.columns);
        Ok(Track { grid: *grid, point, query, query_step, sightings, device_bytes: run.device_bytes })
    }

    /// The plan of a following, and its inputs: descriptors of all patches, and the patches themselves.
    fn planned(&self, grid: &Grid, spec: &FollowSpec, approximation: &Approximation, query: Vec<f32>) -> Result<(Plan, Tensors)> {
        let (limits, mean) = (PlanLimits::default(), mean_colour(&self.frames));
        let keys = (0..spec.frames).flat_map(|step| grid.describe(&self.moment(step), mean)).collect();
        let mut inputs = Tensors::from([
            ("query".to_owned(), Tensor::new(vec![1, spec.head_size], query)?),
            ("keys".to_owned(), Tensor::new(vec![spec.frames, spec.patches, spec.head_size], keys)?),
        ]);
        for input in follow::value_inputs(spec, &limits)? {
            let shape = vec![input.frames.len(), spec.patches, spec.value_size];
            let values = input.frames.flat_map(|step| grid.cut(&self.moment(step))).collect();
            inputs.insert(input.name, Tensor::new(shape, values)?);
        }
        Ok((follow::plan(spec, approximation, limits)?, inputs))
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

impl Track {
    /// The largest weight of all sightings that are drawn, 0 if there are none: heat and colour bars of the whole clip are scaled by it.
    pub fn strongest(&self) -> f64 {
        let drawn = self.sightings.iter().filter(|sighting| sighting.is_drawn());
        drawn.map(|sighting| sighting.peak_weight).fold(0.0, f64::max)
    }
}

impl Sighting {
    /// Whether nothing of the frame is attended to: then there is neither centroid nor peak.
    pub fn is_blank(&self) -> bool {
        self.weights.iter().all(|&weight| weight <= 0.0)
    }

    /// Whether there is attention to draw, which says something about the clip.
    pub fn is_drawn(&self) -> bool {
        !self.is_by_construction && !self.is_blank()
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
            is_by_construction: false,
        }
    }
}
