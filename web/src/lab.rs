//! An open GPU with a clip on the bench.

use orthoformer::gpu::{AdapterSummary, Engine, EngineOptions};
use orthoformer::ops::Approximation;
use orthoformer_bench::json::Adapter;
use orthoformer_video::patches::Grid;
use orthoformer_video::track::{ScaledClip, TrackOptions};
use serde::Serialize;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::clips::{self, BallFrames};
use crate::kernels::Recorder;
use crate::tracked::Tracked;
use crate::{Answer, bench, cases, json};

/// The shorter side of frames as they are cut into patches, the side of a patch, pixels, and its frames: as in `orthoformer track`.
const SIZE: u32 = 224;
const SIDE: u32 = 16;
const DEPTH: u32 = 2;

/// The visitor's GPU, opened.
#[wasm_bindgen]
pub struct Lab {
    engine: Engine,
    adapter: AdapterSummary,
    clip: Option<ScaledClip>,
}

#[derive(Serialize)]
struct About<'a> {
    adapter: Adapter<'a>,
    /// The version of this crate.
    orthoformer: &'static str,
}

#[wasm_bindgen]
impl Lab {
    /// Opens the GPU that the browser prefers. `name` is what the browser calls it, where wgpu is not told.
    ///
    /// # Errors
    /// What [`Engine::open`] says: there is none, or it offers less than the kernels need.
    pub async fn open(name: String) -> Answer<Lab> {
        let engine = Engine::open(&EngineOptions::default()).await?;
        let mut adapter = engine.adapter().clone();
        if adapter.name.is_empty() {
            adapter.name = name;
        }
        Ok(Self { engine, adapter, clip: None })
    }

    /// Name, limits and tiers of the adapter, as JSON.
    ///
    /// # Errors
    /// None that are known.
    pub fn about(&self) -> Answer<String> {
        json(&About { adapter: Adapter(&self.adapter), orthoformer: orthoformer::VERSION })
    }

    /// Renders the ball and takes it as the clip.
    ///
    /// # Errors
    /// [`orthoformer::Error::ZeroSize`] for no frames.
    pub fn ball(&mut self, seed: u32, count: usize) -> Answer<BallFrames> {
        let ball = BallFrames::render(seed.into(), count);
        self.set_clip(ball.size(), ball.frames())?;
        Ok(ball)
    }

    /// Takes frames as the clip: `width x height` pixels of red, green, blue and alpha, one frame after the other.
    ///
    /// # Errors
    /// [`orthoformer::Error::ZeroSize`], [`orthoformer::Error::TooLarge`], and [`orthoformer::Error::WrongShape`] for bytes that are not whole frames.
    pub fn take(&mut self, width: u32, height: u32, pixels: &[u8]) -> Answer<()> {
        self.set_clip((width, height), &clips::frames(width, height, pixels)?)
    }

    /// Follows a point, pixels of the clip, that is in a frame of it.
    ///
    /// # Errors
    /// [`orthoformer::Error::PointOutside`], [`orthoformer::Error::OutOfRange`], and what the device reports.
    pub async fn track(&self, x: f64, y: f64, frame: usize) -> Answer<Tracked> {
        let clip = self.clip.as_ref().ok_or(orthoformer::Error::ZeroSize { what: "frames of the clip" })?;
        let options = TrackOptions { at: Some((x, y)), frame, ..TrackOptions::default() };
        let recorder = Recorder::new(&self.engine);
        let run = async |plan: &_, inputs: &_| recorder.run(plan, inputs).await;
        let track = clip.follow_by(&options, &Approximation::Exact, run).await?;
        Tracked::new(track, recorder.times())
    }

    /// Checks a conformance case, given as the bytes of its file, and reports as JSON.
    ///
    /// # Errors
    /// None that are known: what goes wrong is in the report.
    pub async fn check(&self, name: String, bytes: Vec<u8>) -> Answer<String> {
        json(&cases::check(&self.engine, name, &bytes).await)
    }

    /// Runs the benchmark and reports as JSON, which `orthoformer bench --compare` reads. `step` is called with what comes next, and with how many
    /// steps there are.
    ///
    /// # Errors
    /// [`orthoformer::Error::DeviceLost`], and shapes that are none.
    pub async fn bench(&self, shapes: Vec<String>, runs: usize, seconds: f64, step: js_sys::Function) -> Answer<String> {
        let mut report = bench::run(&self.engine, &shapes, (runs, seconds), &step).await?;
        report.adapter.name.clone_from(&self.adapter.name);
        json(&report)
    }
}

impl Lab {
    fn set_clip(&mut self, (width, height): (u32, u32), frames: &[image::RgbImage]) -> Answer<()> {
        let grid = Grid::new(width, height, SIZE, SIDE, DEPTH)?;
        self.clip = Some(ScaledClip::new(grid, frames.iter().map(|frame| grid.scale(frame)).collect())?);
        Ok(())
    }
}
