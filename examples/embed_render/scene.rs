//! A small graphics application: a texture in which something moves, and the attention of one patch to the last frames drawn over it.
//!
//! Everything belongs to the application: device, queue, textures, pipelines and the command encoder. The overlay gets a device to compile on, a
//! texture to look at, an encoder to record into, and a target to draw over. A frame is one encoder and one submit.

use orthoformer::{Engine, wgpu};
use orthoformer_textures::{Overlay, OverlayOptions};

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
/// How sharp the attention is: less is sharper.
const TEMPERATURE: f32 = 0.015;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The application's own things on the device.
pub struct Scene {
    queue: wgpu::Queue,
    engine: Engine,
    overlay: Overlay,
    pipelines: Pipelines,
    picture: wgpu::TextureView,
    frame: wgpu::Buffer,
}

/// Where the disc is at a time, in pixels of the picture.
pub fn centre(time: u32) -> [f32; 2] {
    let turn = time as f32 * 0.12;
    [80.0 - 56.0 * turn.cos(), 48.0 - 28.0 * (1.7 * turn).sin()]
}

impl Scene {
    /// Makes everything once, for a target of this format.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, target: wgpu::TextureFormat) -> Result<Self> {
        let engine = Engine::from_device(device, queue)?;
        let picture = pipelines::picture(device, PICTURE);
        let sizes = OverlayOptions { size: PICTURE[1], side: SIDE, moments: FRAMES, ..OverlayOptions::default() };
        let options = OverlayOptions { temperature: TEMPERATURE, ..sizes };
        let [x, y] = centre(0).map(f64::from);
        let overlay = pollster::block_on(Overlay::new(&engine, &picture, (x, y), &options))?;
        let frame = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("frame"),
            size: 16,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let pipelines = Pipelines::new(device, target, &frame, &picture);
        Ok(Self { queue: queue.clone(), engine, overlay, pipelines, picture, frame })
    }

    /// Records one frame: the picture, the attention to it, and both drawn together. What is followed is the disc, as it is the first time.
    pub fn record(&mut self, time: u32, encoder: &mut wgpu::CommandEncoder, target: &wgpu::TextureView) -> Result<()> {
        let [x, y] = centre(time);
        self.queue.write_buffer(&self.frame, 0, bytemuck::cast_slice(&[x, y, 0.0, 0.0]));
        self.pipelines.draw_picture(encoder, &self.picture);
        self.overlay.follow(&self.engine, encoder)?;
        self.pipelines.show_picture(encoder, target);
        self.overlay.draw(&self.engine, encoder, target)?;
        Ok(())
    }
}
