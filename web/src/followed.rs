//! A clip in textures, followed on the device: what comes back are positions and heat maps.

use orthoformer::gpu::{Bindings, Engine};
use orthoformer::ops::Approximation;
use orthoformer::ops::follow::{self, FollowSpec};
use orthoformer::wgpu::{self, Buffer, BufferUsages, CommandEncoder, TextureFormat, TextureUsages};
use orthoformer::{Error, PlanLimits, Result};
use orthoformer_textures::{Describer, Heat, Picture, Scaler};
use orthoformer_video::patches::Grid;
use orthoformer_video::track::{Sighting, Track, TrackOptions};
use web_time::Instant;

use crate::kernels::{KernelTimes, milliseconds, timed};

/// Rows of textures are copied at multiples of this many bytes.
const ROW_ALIGNMENT: u32 = wgpu::COPY_BYTES_PER_ROW_ALIGNMENT;

/// Frames of a clip, each in a texture.
pub(crate) struct DeviceClip {
    grid: Grid,
    frames: Vec<Picture>,
    /// Of all pixels, each channel 0 to 1.
    mean: [f32; 3],
}

/// A followed point, and its heat maps: red, green, blue and alpha of the pixels of the grid's pictures.
pub(crate) struct Followed {
    pub track: Track,
    pub heat: Vec<Vec<u8>>,
    pub times: KernelTimes,
}

/// What a following needs on the device.
struct Buffers {
    query: Buffer,
    keys: Buffer,
    attention: Buffer,
    /// Heat maps of all moments, rows padded.
    maps: Buffer,
}

impl DeviceClip {
    /// Uploads frames of red, green, blue and alpha, one after the other.
    ///
    /// # Errors
    /// [`Error::WrongShape`] for bytes that are not whole frames, [`Error::ZeroSize`] for none.
    pub fn upload(engine: &Engine, grid: Grid, pixels: &[u8]) -> Result<Self> {
        let (width, height) = (grid.source_width, grid.source_height);
        let of_frame = width as usize * height as usize * 4;
        if pixels.is_empty() {
            return Err(Error::ZeroSize { what: "frames" });
        }
        if !pixels.len().is_multiple_of(of_frame) {
            let expected = format!("whole frames of {width} x {height} x 4 bytes");
            return Err(Error::WrongShape { name: "pixels".to_owned(), found: vec![pixels.len()], expected });
        }
        let frames = pixels.chunks_exact(of_frame).map(|bytes| {
            let usage = TextureUsages::TEXTURE_BINDING | TextureUsages::COPY_DST;
            let texture = texture(engine, (width, height), usage)?;
            let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * width), rows_per_image: None };
            engine.queue().write_texture(texture.as_image_copy(), bytes, layout, texture.size());
            Ok(Picture::from(&texture))
        });
        let frames = frames.collect::<Result<_>>()?;
        let mut sums = [0u64; 3];
        for pixel in pixels.as_chunks::<4>().0 {
            sums.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += u64::from(value));
        }
        let mean = sums.map(|sum| (sum as f64 / (pixels.len() as f64 / 4.0 * 255.0)) as f32);
        Ok(Self { grid, frames, mean })
    }

    /// Follows a point, pixels of the clip, that is in a frame of it.
    ///
    /// # Errors
    /// [`Error::PointOutside`], [`Error::OutOfRange`], and what the device reports.
    pub async fn follow(&self, engine: &Engine, point: (f64, f64), frame: usize) -> Result<Followed> {
        if frame >= self.frames.len() {
            return Err(Error::OutOfRange { what: "frame", index: frame as u64, count: self.frames.len() as u64 });
        }
        let start = Instant::now();
        let grid = self.grid.anchored(point.0, point.1)?;
        let depth = grid.depth as usize;
        let (steps, step) = (self.frames.len().div_ceil(depth), frame / depth);
        let (patch, size) = (grid.patch_at(point.0, point.1), grid.descriptor_size());
        let (patches, scale) = (grid.patches(), 1.0 / TrackOptions::default().temperature);
        let spec = FollowSpec { queries: 1, frames: steps, patches, head_size: size, value_size: 1, scale };
        let plan = follow::attention(&spec, &Approximation::Exact, PlanLimits::default())?;
        engine.compile_async(&plan).await?;
        let buffers = Buffers::new(engine, &spec, &grid)?;
        let reading = engine.read_back(&plan, "attention")?;
        let mut encoder = engine.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("follow") });
        self.describe(engine, &mut encoder, &grid, &buffers.keys)?;
        let first = ((step * patches + patch) * size * size_of::<f32>()) as u64;
        encoder.copy_buffer_to_buffer(&buffers.keys, first, &buffers.query, 0, buffers.query.size());
        let bindings = Bindings::new()
            .bind("query", buffers.query.slice(..))
            .bind("keys", buffers.keys.slice(..))
            .bind("attention", buffers.attention.slice(..));
        engine.record(&plan, &bindings, &mut encoder)?;
        buffers.draw(engine, &mut encoder, &grid, steps)?;
        reading.record(engine, buffers.attention.slice(..), &mut encoder)?;
        engine.queue().submit([encoder.finish()]);
        let attention = reading.tensor(engine).await?;
        let heat = buffers.maps(&grid).await?;
        let sightings = attention.data().chunks(patches).map(|weights| Sighting::new(&grid, weights, &[])).collect();
        let query = (patch as u32 % grid.columns, patch as u32 / grid.columns);
        let run = start.elapsed();
        let (times, device_bytes) = timed(engine, &plan).await?;
        let times = KernelTimes { run_ms: milliseconds(run), ..times };
        let track = Track { grid, point, query, query_step: step, sightings, device_bytes };
        Ok(Followed { track, heat, times })
    }

    /// Records the descriptors of all moments; where the clip ends within one, the last frame is repeated.
    fn describe(&self, engine: &Engine, encoder: &mut CommandEncoder, grid: &Grid, keys: &Buffer) -> Result<()> {
        let depth = grid.depth as usize;
        let steps = self.frames.len().div_ceil(depth);
        let Some((first, last)) = self.frames.first().zip(self.frames.last()) else { return Ok(()) };
        let (scaler, describer) = (Scaler::new(engine, first, grid)?, Describer::new(engine, grid, steps)?);
        describer.set_mean(engine, self.mean);
        for step in 0..steps {
            for frame in 0..depth {
                let picture = self.frames.get(step * depth + frame).unwrap_or(last);
                scaler.record(engine, encoder, picture, frame)?;
            }
            describer.record(engine, encoder, &scaler, keys.slice(..), step)?;
        }
        Ok(())
    }
}

impl Buffers {
    fn new(engine: &Engine, spec: &FollowSpec, grid: &Grid) -> Result<Self> {
        let FollowSpec { frames, patches, head_size, .. } = *spec;
        let storage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let buffer = |label, size: u64, usage| {
            let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
            engine.checked_now(label, || engine.device().create_buffer(&descriptor))
        };
        let floats = |label, count: usize| buffer(label, 4 * count as u64, storage);
        let of_maps = u64::from(row_bytes(grid)) * u64::from(grid.height) * frames as u64;
        Ok(Self {
            query: floats("query", head_size)?,
            keys: floats("keys", frames * patches * head_size)?,
            attention: floats("attention", frames * patches)?,
            maps: buffer("heat maps", of_maps, BufferUsages::MAP_READ | BufferUsages::COPY_DST)?,
        })
    }

    /// Records the heat maps of all moments.
    fn draw(&self, engine: &Engine, encoder: &mut CommandEncoder, grid: &Grid, steps: usize) -> Result<()> {
        let heat = Heat::new(engine, grid, steps)?;
        let canvas = texture(engine, (grid.width, grid.height), TextureUsages::STORAGE_BINDING | TextureUsages::COPY_SRC)?;
        let view = canvas.create_view(&Default::default());
        heat.record_strongest(engine, encoder, self.attention.slice(..), steps)?;
        let row = row_bytes(grid);
        for step in 0..steps {
            heat.record_map(engine, encoder, self.attention.slice(..), step, &view)?;
            let offset = u64::from(row) * u64::from(grid.height) * step as u64;
            let layout = wgpu::TexelCopyBufferLayout { offset, bytes_per_row: Some(row), rows_per_image: None };
            let to = wgpu::TexelCopyBufferInfo { buffer: &self.maps, layout };
            encoder.copy_texture_to_buffer(canvas.as_image_copy(), to, canvas.size());
        }
        Ok(())
    }

    /// The heat maps, once the device has drawn them.
    async fn maps(&self, grid: &Grid) -> Result<Vec<Vec<u8>>> {
        let (sender, receiver) = futures_intrusive::channel::shared::oneshot_channel();
        self.maps.map_async(wgpu::MapMode::Read, .., move |mapped| drop(sender.send(mapped)));
        let cancelled = || Error::ReadCancelled { doing: "reading heat maps".to_owned() };
        receiver.receive().await.ok_or_else(cancelled)?.map_err(|_| cancelled())?;
        let bytes = self.maps.get_mapped_range(..).map_err(|_| cancelled())?;
        let row = row_bytes(grid) as usize;
        let map = |bytes: &[u8]| bytes.chunks(row).flat_map(|row| &row[..4 * grid.width as usize]).copied().collect();
        Ok(bytes.chunks(row * grid.height as usize).map(map).collect())
    }
}

/// Bytes of a row of a heat map as it is copied.
fn row_bytes(grid: &Grid) -> u32 {
    (4 * grid.width).next_multiple_of(ROW_ALIGNMENT)
}

fn texture(engine: &Engine, (width, height): (u32, u32), usage: TextureUsages) -> Result<wgpu::Texture> {
    let descriptor = wgpu::TextureDescriptor {
        label: Some("clip"),
        size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: TextureFormat::Rgba8Unorm,
        usage,
        view_formats: &[],
    };
    engine.checked_now("making a texture", || engine.device().create_texture(&descriptor))
}
