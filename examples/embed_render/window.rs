//! The scene in a window, until it is closed.

use std::sync::Arc;

use orthoformer::wgpu;
use winit::application::ApplicationHandler;
use winit::dpi::PhysicalSize;
use winit::event::WindowEvent;
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop};
use winit::window::{Window, WindowId};

use crate::scene::{SIZE, Scene};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Opens the window and draws frames. `FRAMES` in the environment closes it after so many.
pub fn run() -> Result<()> {
    let event_loop = EventLoop::new()?;
    event_loop.set_control_flow(ControlFlow::Poll);
    let last = std::env::var("FRAMES").ok().and_then(|frames| frames.parse().ok());
    let mut application = Application { view: None, failure: None, time: 0, last };
    event_loop.run_app(&mut application)?;
    application.failure.map_or(Ok(()), Err)
}

struct Application {
    view: Option<View>,
    failure: Option<Box<dyn std::error::Error>>,
    time: u32,
    last: Option<u32>,
}

struct View {
    window: Arc<Window>,
    surface: wgpu::Surface<'static>,
    device: wgpu::Device,
    queue: wgpu::Queue,
    configuration: wgpu::SurfaceConfiguration,
    scene: Scene,
}

impl ApplicationHandler for Application {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        match View::open(event_loop) {
            Ok(view) => self.view = Some(view),
            Err(error) => self.stop(event_loop, Some(error)),
        }
    }

    fn window_event(&mut self, event_loop: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        let Some(view) = &mut self.view else { return };
        match event {
            WindowEvent::CloseRequested => event_loop.exit(),
            // The drawing keeps its size; what the window shows of it changes.
            WindowEvent::Resized(size) => view.resize(size),
            WindowEvent::RedrawRequested => match view.draw(self.time) {
                Ok(drawn) => {
                    self.time += u32::from(drawn);
                    if self.last.is_some_and(|last| self.time >= last) {
                        event_loop.exit();
                    }
                    view.window.request_redraw();
                }
                Err(error) => self.stop(event_loop, Some(error)),
            },
            _ => {}
        }
    }
}

impl Application {
    fn stop(&mut self, event_loop: &ActiveEventLoop, failure: Option<Box<dyn std::error::Error>>) {
        self.failure = failure;
        event_loop.exit();
    }
}

impl View {
    fn open(event_loop: &ActiveEventLoop) -> Result<Self> {
        let size = PhysicalSize::new(SIZE[0], SIZE[1]);
        let attributes =
            Window::default_attributes().with_title("orthoformer: attention over a moving texture").with_inner_size(size);
        let window = Arc::new(event_loop.create_window(attributes)?);
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let surface = instance.create_surface(window.clone())?;
        let options = wgpu::RequestAdapterOptions { compatible_surface: Some(&surface), ..Default::default() };
        let adapter = pollster::block_on(instance.request_adapter(&options))?;
        let limits = wgpu::Limits::downlevel_defaults().or_better_values_from(&orthoformer::required_limits());
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            required_features: orthoformer::required_features(&adapter),
            required_limits: limits.using_resolution(adapter.limits()),
            ..Default::default()
        }))?;
        let found = window.inner_size();
        let mut configuration = surface
            .get_default_config(&adapter, found.width.max(1), found.height.max(1))
            .ok_or("the adapter cannot draw into this window")?;
        // The shader's colours are what the screen is to show.
        let plain = surface.get_capabilities(&adapter).formats.into_iter().find(|format| !format.is_srgb());
        configuration.format = plain.unwrap_or(configuration.format);
        surface.configure(&device, &configuration);
        let scene = Scene::new(&device, &queue, configuration.format)?;
        window.request_redraw();
        Ok(Self { window, surface, device, queue, configuration, scene })
    }

    fn resize(&mut self, size: PhysicalSize<u32>) {
        (self.configuration.width, self.configuration.height) = (size.width.max(1), size.height.max(1));
        self.surface.configure(&self.device, &self.configuration);
    }

    /// Whether there was anything to draw into.
    fn draw(&mut self, time: u32) -> Result<bool> {
        use wgpu::CurrentSurfaceTexture::{Outdated, Suboptimal, Success};
        let texture = match self.surface.get_current_texture() {
            Success(texture) | Suboptimal(texture) => texture,
            Outdated => {
                self.surface.configure(&self.device, &self.configuration);
                return Ok(false);
            }
            _ => return Ok(false),
        };
        let view = texture.texture.create_view(&wgpu::TextureViewDescriptor::default());
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("frame") });
        self.scene.record(time, &mut encoder, &view)?;
        self.queue.submit([encoder.finish()]);
        self.window.pre_present_notify();
        self.queue.present(texture);
        Ok(true)
    }
}
