//! A small graphics application: a texture in which something moves, and the attention of one patch to the last frames drawn over it.
//!
//! Everything belongs to the application: device, queue, textures, buffers, pipelines and the command encoder. The engine gets a device to
//! compile on, buffers to read and write, and an encoder to record into. A frame is one encoder and one submit.

use orthoformer::gpu::Bindings;
use orthoformer::ops::Approximation;
use orthoformer::ops::follow::{self, FollowSpec};
use orthoformer::{Engine, Plan, PlanLimits};
use wgpu::util::DeviceExt;

use crate::pipelines::{self, Pipelines};

/// Width and height of the picture, pixels.
pub const PICTURE: [u32; 2] = [160, 96];
/// Width and height of a patch, pixels.
pub const SIDE: u32 = 8;
/// How many pixels on the screen a pixel of the picture takes in each direction.
pub const ENLARGED: u32 = 4;
/// Width and height of what is drawn, pixels.
pub const SIZE: [u32; 2] = [PICTURE[0] * ENLARGED, PICTURE[1] * ENLARGED];
/// Frames that are kept: attention goes to all of them.
const FRAMES: usize = 4;
/// Numbers in the descriptor of a patch.
const DESCRIPTOR: usize = 12;
/// How sharp the attention is.
const SCALE: f32 = 60.0;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The application's own things on the device.
pub struct Scene {
    queue: wgpu::Queue,
    engine: Engine,
    plan: Plan,
    pipelines: Pipelines,
    picture: wgpu::TextureView,
    frame: wgpu::Buffer,
    query: wgpu::Buffer,
    keys: wgpu::Buffer,
    attention: wgpu::Buffer,
}

/// Columns and rows of patches.
pub fn grid() -> [u32; 2] {
    PICTURE.map(|size| size / SIDE)
}

/// Where the disc is at a time, in pixels of the picture.
pub fn centre(time: u32) -> [f32; 2] {
    let turn = time as f32 * 0.12;
    [80.0 - 56.0 * turn.cos(), 48.0 - 28.0 * (1.7 * turn).sin()]
}

impl Scene {
    /// Makes everything once, for a target of this format.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, target: wgpu::TextureFormat) -> Result<Self> {
        let patches = grid().iter().product::<u32>() as usize;
        let spec =
            FollowSpec { queries: 1, frames: FRAMES, patches, head_size: DESCRIPTOR, value_size: DESCRIPTOR, scale: SCALE };
        let plan = follow::attention(&spec, &Approximation::Exact, PlanLimits::default())?;
        let engine = Engine::from_device(device, queue)?;
        // Now rather than in the first frame.
        engine.compile(&plan)?;
        let storage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let buffer = |label, numbers: usize, usage| {
            let zeros = vec![0.0f32; numbers];
            let contents: &[u8] = bytemuck::cast_slice(&zeros);
            device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: Some(label), contents, usage })
        };
        let frame = buffer("frame", 4, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST);
        let keys = buffer("keys", FRAMES * patches * DESCRIPTOR, storage);
        let attention = buffer("attention", FRAMES * patches, storage);
        let picture = pipelines::picture(device, PICTURE);
        let pipelines = Pipelines::new(device, target, [&frame, &keys, &attention], &picture);
        let query = buffer("query", DESCRIPTOR, storage);
        Ok(Self { queue: queue.clone(), engine, plan, pipelines, picture, frame, query, keys, attention })
    }

    /// Records one frame: the picture, its descriptors, the attention, and both drawn together. What is followed is what the patch under the
    /// disc's centre shows at time 0.
    pub fn record(&self, time: u32, encoder: &mut wgpu::CommandEncoder, target: &wgpu::TextureView) -> Result<()> {
        let (slot, [x, y]) = (time % FRAMES as u32, centre(time));
        self.queue.write_buffer(&self.frame, 0, bytemuck::cast_slice(&[x.to_bits(), y.to_bits(), slot, 0]));
        self.pipelines.draw_picture(encoder, &self.picture);
        self.pipelines.describe_patches(encoder);
        if time == 0 {
            let bytes = (DESCRIPTOR * size_of::<f32>()) as u64;
            let patch = u64::from((y as u32 / SIDE) * grid()[0] + x as u32 / SIDE);
            encoder.copy_buffer_to_buffer(&self.keys, patch * bytes, &self.query, 0, bytes);
        }
        let bindings = Bindings::new()
            .bind("query", self.query.slice(..))
            .bind("keys", self.keys.slice(..))
            .bind("attention", self.attention.slice(..));
        self.engine.record(&self.plan, &bindings, encoder)?;
        self.pipelines.draw_overlay(encoder, target);
        Ok(())
    }
}
