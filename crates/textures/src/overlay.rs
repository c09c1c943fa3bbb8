//! A point of a moving picture, followed: all of it in a few lines.

use std::time::Duration;

use orthoformer::gpu::Bindings;
use orthoformer::ops::Approximation;
use orthoformer::ops::follow::{FollowSpec, Stream};
use orthoformer::wgpu::{Buffer, BufferSlice, CommandEncoder, TextureView};
use orthoformer::{Engine, Error, Plan, Result};
use orthoformer_video::patches::Grid;

use crate::describer::Describer;
use crate::heat::{Heat, HeatTarget};
use crate::picture::Picture;
use crate::program::storage;
use crate::scaler::Scaler;

/// How a point is followed.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlayOptions {
    /// Shorter side of the scaled picture, pixels.
    pub size: u32,
    /// Side of a patch, pixels of the scaled picture.
    pub side: u32,
    /// Frames in a patch.
    pub depth: u32,
    /// Moments of `depth` frames that are kept.
    pub moments: usize,
    /// Temperature of the softmax over descriptors of length one.
    pub temperature: f32,
    /// How attention is computed. Approximations take the patches of all moments for landmarks, and cost as many times more a frame.
    pub approximation: Approximation,
}

impl Default for OverlayOptions {
    fn default() -> Self {
        Self { size: 224, side: 16, depth: 1, moments: 8, temperature: 0.03, approximation: Approximation::Exact }
    }
}

/// The attention of one point's patch to the last frames of a picture, on the device.
pub struct Overlay {
    picture: Picture,
    grid: Grid,
    /// The patch that is followed.
    patch: usize,
    stream: Stream,
    scaler: Scaler,
    describer: Describer,
    heat: Heat,
    frames: u64,
    query: Buffer,
    keys: Buffer,
    attention: Buffer,
    /// The plan of a moment whose patches are there and whose attention is not.
    unfinished: Option<Plan>,
    /// Attention of the last moment that is finished, and its slot.
    shown: Buffer,
    shown_moment: Option<usize>,
}

impl std::fmt::Debug for Overlay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overlay").field("grid", &self.grid).field("frames", &self.frames).finish_non_exhaustive()
    }
}

/// Follows what a point of a picture shows in its first frame. Blocks while the driver compiles; submits nothing.
///
/// # Errors
/// Those of [`Overlay::new`].
#[cfg(not(target_arch = "wasm32"))]
pub fn attention_overlay(engine: &Engine, picture: impl Into<Picture>, point: (f64, f64)) -> Result<Overlay> {
    pollster::block_on(Overlay::new(engine, picture, point, &OverlayOptions::default()))
}

impl Overlay {
    /// Compiles everything and allocates the rings. `point` is in pixels of the picture.
    ///
    /// # Errors
    /// [`Error::PointOutside`], [`Error::Argument`] for a picture that shaders cannot load or a temperature that is not above 0, those of [`Grid::new`],
    /// [`Stream::attention`] and [`Engine::compile_async`].
    pub async fn new(engine: &Engine, picture: impl Into<Picture>, point: (f64, f64), options: &OverlayOptions) -> Result<Self> {
        let picture = picture.into();
        let (width, height) = picture.size();
        let grid = Grid::new(width, height, options.size, options.side, options.depth)?.anchored(point.0, point.1)?;
        let stream = stream(&grid, options, engine)?;
        for plan in stream.plans() {
            engine.compile_async(plan).await?;
        }
        let (size, patches, moments) = (grid.descriptor_size() as u64, grid.patches() as u64, options.moments as u64);
        Ok(Self {
            scaler: Scaler::new(engine, &picture, &grid)?,
            describer: Describer::new(engine, &grid, options.moments)?,
            heat: Heat::new(engine, &grid, options.moments)?,
            query: storage(engine, "query", size)?,
            keys: storage(engine, "keys", moments * patches * size)?,
            attention: storage(engine, "attention", moments * patches)?,
            shown: storage(engine, "attention that is shown", moments * patches)?,
            patch: grid.patch_at(point.0, point.1),
            picture,
            grid,
            stream,
            frames: 0,
            unfinished: None,
            shown_moment: None,
        })
    }

    /// Follows as other options say, from the next moment on: temperature and approximation can change, nothing else. Natively the new plans are compiled
    /// when they are first needed; a browser has to [compile](Engine::compile_async) [`Overlay::plans`] before.
    ///
    /// # Errors
    /// [`Error::Argument`] for other changes, and for a temperature that is not above 0.
    pub fn set_options(&mut self, engine: &Engine, options: &OverlayOptions) -> Result<()> {
        let grid = Grid::new(self.grid.source_width, self.grid.source_height, options.size, options.side, options.depth)?;
        let moments = self.keys.size() / (self.grid.patches() * self.grid.descriptor_size() * size_of::<f32>()) as u64;
        if [grid.width, grid.height, grid.side, grid.depth]
            != [self.grid.width, self.grid.height, self.grid.side, self.grid.depth]
            || options.moments as u64 != moments
        {
            let expected = "the sizes that the overlay was made with".to_owned();
            return Err(Error::Argument { what: "options of an overlay", given: format!("{options:?}"), expected });
        }
        self.stream.replan(&spec(&self.grid, options)?, &options.approximation, engine.plan_limits())
    }

    /// Records the attention to the picture as it is now. What is followed is what the point shows the first time.
    ///
    /// # Errors
    /// What the device reports.
    pub fn follow(&mut self, engine: &Engine, encoder: &mut CommandEncoder) -> Result<()> {
        let picture = self.picture.clone();
        self.follow_picture(engine, encoder, &picture)
    }

    /// The same with another picture of the same kind and size, as decoders have several.
    ///
    /// # Errors
    /// [`Error::Argument`] for one of another kind or size; what the device reports.
    pub fn follow_picture(&mut self, engine: &Engine, encoder: &mut CommandEncoder, picture: &Picture) -> Result<()> {
        self.finish(engine, encoder)?;
        self.take(engine, encoder, picture)?;
        self.finish(engine, encoder)
    }

    /// The same spread over as many frames as it takes for attention to cost each of them no more than `budget`, by [`Engine::record_within`]. Pictures
    /// that come before the attention to the last one is there are passed over, and heat is that of the last moment that is finished. In a frame that
    /// takes a picture, scaling and describing it counts as half of the budget.
    ///
    /// # Errors
    /// Those of [`Overlay::follow_picture`].
    pub fn follow_within(
        &mut self,
        engine: &Engine,
        encoder: &mut CommandEncoder,
        picture: &Picture,
        budget: Duration,
    ) -> Result<()> {
        let is_new = self.unfinished.is_none();
        if is_new {
            self.take(engine, encoder, picture)?;
        }
        let Some(plan) = self.unfinished.clone() else { return Ok(()) };
        let budget = if is_new { budget / 2 } else { budget };
        if engine.record_within(&plan, &self.bindings(), encoder, budget)?.is_finished {
            self.show(engine, encoder)?;
        }
        Ok(())
    }

    /// Records a picture's patches. Once a moment is complete, its plan is to be run.
    fn take(&mut self, engine: &Engine, encoder: &mut CommandEncoder, picture: &Picture) -> Result<()> {
        let depth = u64::from(self.grid.depth);
        self.scaler.record(engine, encoder, picture, (self.frames % depth) as usize)?;
        self.frames += 1;
        if !self.frames.is_multiple_of(depth) {
            return Ok(());
        }
        let is_first = self.frames == depth;
        if is_first {
            self.describer.record_mean(engine, encoder, &self.scaler)?;
        }
        self.describer.record(engine, encoder, &self.scaler, self.keys.slice(..), self.stream.slot())?;
        if is_first {
            let first = (self.patch * self.grid.descriptor_size() * size_of::<f32>()) as u64;
            encoder.copy_buffer_to_buffer(&self.keys, first, &self.query, 0, self.query.size());
        }
        self.unfinished = Some(self.stream.advance().clone());
        Ok(())
    }

    /// Records what is left of the last moment, if anything is.
    fn finish(&mut self, engine: &Engine, encoder: &mut CommandEncoder) -> Result<()> {
        let Some(plan) = self.unfinished.clone() else { return Ok(()) };
        engine.record(&plan, &self.bindings(), encoder)?;
        self.show(engine, encoder)
    }

    /// Records that heat is that of the latest moment from now on: a copy, as the next plan is spread over frames.
    fn show(&mut self, engine: &Engine, encoder: &mut CommandEncoder) -> Result<()> {
        self.heat.record_strongest(engine, encoder, self.attention.slice(..), self.stream.order().count())?;
        encoder.copy_buffer_to_buffer(&self.attention, 0, &self.shown, 0, self.shown.size());
        (self.unfinished, self.shown_moment) = (None, self.stream.order().last());
        Ok(())
    }

    fn bindings(&self) -> Bindings<'_> {
        Bindings::new()
            .bind("query", self.query.slice(..))
            .bind("keys", self.keys.slice(..))
            .bind("attention", self.attention.slice(..))
    }

    /// Records the heat of the latest moment over what a render target shows: the whole picture, at any size. Draws nothing before there is one.
    ///
    /// # Errors
    /// Those of [`Heat::draw`].
    pub fn draw<'t>(&mut self, engine: &Engine, encoder: &mut CommandEncoder, target: impl Into<HeatTarget<'t>>) -> Result<()> {
        let Some(moment) = self.shown_moment else { return Ok(()) };
        self.heat.draw(engine, encoder, self.shown.slice(..), moment, target)
    }

    /// Records the heat of the latest moment into a storage texture. Records nothing before there is one.
    ///
    /// # Errors
    /// Those of [`Heat::record_map`].
    pub fn record_map(&self, engine: &Engine, encoder: &mut CommandEncoder, canvas: &TextureView) -> Result<()> {
        let Some(moment) = self.shown_moment else { return Ok(()) };
        self.heat.record_map(engine, encoder, self.shown.slice(..), moment, canvas)
    }

    /// The plans of the moments to come.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.stream.plans()
    }

    /// Whether the attention to the last picture that was taken is not there yet.
    pub fn is_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    /// The ring of attention, `[moments, S]`.
    pub fn attention(&self) -> BufferSlice<'_> {
        self.attention.slice(..)
    }

    /// Slots of the ring that hold moments, oldest first.
    pub fn order(&self) -> impl Iterator<Item = usize> + use<> {
        self.stream.order()
    }

    /// How the picture is cut, with a patch centred on the point.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }
}

fn spec(grid: &Grid, options: &OverlayOptions) -> Result<FollowSpec> {
    let scale = 1.0 / options.temperature;
    if !(options.temperature > 0.0 && scale.is_finite()) {
        let (given, expected) = (options.temperature.to_string(), "a number above 0".to_owned());
        return Err(Error::Argument { what: "temperature", given, expected });
    }
    Ok(FollowSpec {
        queries: 1,
        frames: options.moments,
        patches: grid.patches(),
        head_size: grid.descriptor_size(),
        value_size: grid.patch_numbers(),
        scale,
    })
}

fn stream(grid: &Grid, options: &OverlayOptions, engine: &Engine) -> Result<Stream> {
    Stream::attention(&spec(grid, options)?, &options.approximation, engine.plan_limits())
}
