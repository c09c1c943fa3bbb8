//! The clip on the device, with a point that is followed in it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use orthoformer::wgpu::{self, TextureFormat, TextureUsages};
use orthoformer::{Engine, Plan, Result};
use orthoformer_textures::{Overlay, OverlayOptions, Picture};
use orthoformer_video::ball::{BallClip, HEIGHT, WIDTH};

/// Frames of the clip.
const FRAMES: usize = 48;
const SEED: u64 = 1;
/// Time that attention may take in a frame of the application.
const BUDGET: Duration = Duration::from_millis(8);

/// An overlay that may still be compiling.
type Compiled = Rc<RefCell<Option<Result<Overlay>>>>;

/// The clip, playing on a device of egui's.
pub struct Player {
    device: wgpu::Device,
    queue: wgpu::Queue,
    engine: Rc<Engine>,
    /// Red, green, blue and alpha of each frame.
    frames: Vec<Vec<u8>>,
    frame: Option<usize>,
    video: wgpu::Texture,
    shown: wgpu::Texture,
    overlay: Compiled,
    /// Whether the overlay's plans are.
    is_compiled: Rc<Cell<bool>>,
}

impl Player {
    /// Renders the clip, and follows the ball.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, options: &OverlayOptions) -> Result<Self> {
        let ball = BallClip::render(SEED, FRAMES);
        let rgba = |frame: &image::RgbImage| frame.pixels().flat_map(|pixel| [pixel.0[0], pixel.0[1], pixel.0[2], 255]).collect();
        let engine = Rc::new(Engine::from_device(device, queue)?);
        let texture = |usage| {
            device.create_texture(&wgpu::TextureDescriptor {
                label: Some("clip"),
                size: wgpu::Extent3d { width: WIDTH, height: HEIGHT, depth_or_array_layers: 1 },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: TextureFormat::Rgba8Unorm,
                usage: usage | TextureUsages::TEXTURE_BINDING | TextureUsages::COPY_DST,
                view_formats: &[],
            })
        };
        let mut player = Self {
            device: device.clone(),
            queue: queue.clone(),
            engine,
            frames: ball.frames.iter().map(rgba).collect(),
            frame: None,
            video: texture(TextureUsages::COPY_SRC),
            shown: texture(TextureUsages::RENDER_ATTACHMENT),
            overlay: Compiled::default(),
            is_compiled: Rc::default(),
        };
        player.follow(ball.centres[0], options);
        Ok(player)
    }

    /// The texture for egui to show: the clip with heat over it.
    pub fn shown(&self) -> wgpu::TextureView {
        self.shown.create_view(&Default::default())
    }

    /// Width and height of the clip, pixels.
    pub fn size(&self) -> [f32; 2] {
        [WIDTH as f32, HEIGHT as f32]
    }

    /// The engine's adapter.
    pub fn adapter(&self) -> String {
        self.engine.adapter().name.clone()
    }

    /// Follows a point, pixels of the clip, from the next frame on, once its plans are compiled.
    pub fn follow(&mut self, point: (f64, f64), options: &OverlayOptions) {
        self.overlay = Compiled::default();
        let (engine, overlay, picture, options) =
            (self.engine.clone(), self.overlay.clone(), Picture::from(&self.video), options.clone());
        self.is_compiled = Rc::new(Cell::new(true));
        soon(async move {
            let made = Overlay::new(&engine, picture, point, &options).await;
            *overlay.borrow_mut() = Some(made);
        });
    }

    /// Changes temperature or approximation.
    pub fn set_options(&mut self, options: &OverlayOptions) -> Result<()> {
        let Some(Ok(overlay)) = &mut *self.overlay.borrow_mut() else { return Ok(()) };
        overlay.set_options(&self.engine, options)?;
        let plans: Vec<Plan> = overlay.plans().cloned().collect();
        self.is_compiled = Rc::new(Cell::new(false));
        let (engine, is_compiled) = (self.engine.clone(), self.is_compiled.clone());
        soon(async move {
            for plan in &plans {
                // What does not compile says so again when it is recorded.
                drop(engine.compile_async(plan).await);
            }
            is_compiled.set(true);
        });
        Ok(())
    }

    /// Shows a frame of the clip: one encoder, one submit.
    ///
    /// # Errors
    /// Those of the overlay, why there is none included.
    pub fn show(&mut self, time: f64, frames_per_second: f64) -> Result<()> {
        let frame = (time * frames_per_second) as usize % self.frames.len();
        let is_new = self.frame.replace(frame) != Some(frame);
        if is_new {
            let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * WIDTH), rows_per_image: None };
            self.queue.write_texture(self.video.as_image_copy(), &self.frames[frame], layout, self.video.size());
        }
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("clip") });
        encoder.copy_texture_to_texture(self.video.as_image_copy(), self.shown.as_image_copy(), self.video.size());
        let overlay = &mut *self.overlay.borrow_mut();
        match overlay {
            Some(Ok(overlay)) => {
                if self.is_compiled.get() && (is_new || overlay.is_unfinished()) {
                    overlay.follow_within(&self.engine, &mut encoder, &Picture::from(&self.video), BUDGET)?;
                }
                overlay.draw(&self.engine, &mut encoder, &self.shown())?;
            }
            Some(Err(_)) => {
                if let Some(Err(error)) = overlay.take() {
                    return Err(error);
                }
            }
            None => {}
        }
        self.queue.submit([encoder.finish()]);
        Ok(())
    }
}

/// Runs a future: natively at once, in a browser while frames go on.
fn soon(future: impl Future<Output = ()> + 'static) {
    #[cfg(not(target_arch = "wasm32"))]
    pollster::block_on(future);
    #[cfg(target_arch = "wasm32")]
    wasm_bindgen_futures::spawn_local(future);
}
