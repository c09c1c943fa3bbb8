//! A graphics application with textures, and a way to look at what is on its device.

use std::sync::{Arc, Mutex};

use image::{Rgb, RgbImage};
use orthoformer::wgpu::{self, TextureFormat, TextureUsages};
use orthoformer::{Engine, required_features, required_limits};
use orthoformer_textures::Picture;

pub struct Host {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub engine: Engine,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Host {
    pub fn new() -> Self {
        Self::with(wgpu::Features::empty())
    }

    /// A device with these features, as far as its adapter has them.
    pub fn with(wished: wgpu::Features) -> Self {
        let adapter = support::adapter();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("the host's"),
            required_features: required_features(&adapter) | (wished & adapter.features()),
            required_limits: wgpu::Limits::downlevel_defaults().or_better_values_from(&required_limits()),
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).expect("opens");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let errors = heard.clone();
        device.on_uncaptured_error(Arc::new(move |error| errors.lock().expect("whole").push(format!("{error}"))));
        let engine = Engine::from_device(&device, &queue).expect("a device with what kernels need");
        Self { device, queue, engine, heard }
    }

    /// Nothing reached the host's handler.
    pub fn assert_silent(&self) {
        assert_eq!(*self.heard.lock().expect("whole"), Vec::<String>::new());
    }

    pub fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("a frame") })
    }

    pub fn texture(&self, (width, height): (u32, u32), format: TextureFormat, usage: TextureUsages) -> wgpu::Texture {
        self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("the host's"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: usage | TextureUsages::COPY_DST | TextureUsages::COPY_SRC,
            view_formats: &[],
        })
    }

    /// A texture with contents, rows without gaps.
    pub fn filled(&self, size: (u32, u32), format: TextureFormat, usage: TextureUsages, bytes: &[u8]) -> wgpu::Texture {
        let texture = self.texture(size, format, usage);
        let bytes_per_row = Some(bytes.len() as u32 / size.1);
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row, rows_per_image: None };
        self.queue.write_texture(texture.as_image_copy(), bytes, layout, texture.size());
        texture
    }

    /// A picture in a texture of this format, whose colours are encoded unless the format is of linear light.
    pub fn upload(&self, frame: &RgbImage, format: TextureFormat) -> Picture {
        let pixels = frame.pixels().map(|&Rgb([red, green, blue])| match format {
            TextureFormat::Bgra8Unorm | TextureFormat::Bgra8UnormSrgb => vec![blue, green, red, 9],
            TextureFormat::Rgba16Float => {
                [red, green, blue, 255].iter().flat_map(|&step| half::f16::from_f32(decoded(step)).to_le_bytes()).collect()
            }
            _ => vec![red, green, blue, 9],
        });
        let bytes: Vec<u8> = pixels.flatten().collect();
        Picture::from(&self.filled(frame.dimensions(), format, TextureUsages::TEXTURE_BINDING, &bytes))
    }

    /// A buffer full of NaN.
    pub fn poisoned(&self, elements: usize) -> wgpu::Buffer {
        self.elements(&vec![f32::from_bits(u32::MAX); elements])
    }

    pub fn elements(&self, elements: &[f32]) -> wgpu::Buffer {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let size = (4 * elements.len()) as u64;
        let descriptor = wgpu::BufferDescriptor { label: Some("the host's"), size, usage, mapped_at_creation: false };
        let buffer = self.device.create_buffer(&descriptor);
        self.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(elements));
        buffer
    }

    pub fn submit(&self, encoder: wgpu::CommandEncoder) {
        self.queue.submit([encoder.finish()]);
    }

    /// The words of a buffer, after everything that was submitted.
    pub fn words(&self, buffer: &wgpu::Buffer) -> Vec<u32> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let descriptor = wgpu::BufferDescriptor { label: None, size: buffer.size(), usage, mapped_at_creation: false };
        let copy = self.device.create_buffer(&descriptor);
        let mut encoder = self.encoder();
        encoder.copy_buffer_to_buffer(buffer, 0, &copy, 0, buffer.size());
        self.submit(encoder);
        self.mapped(&copy)
    }

    pub fn floats(&self, buffer: &wgpu::Buffer) -> Vec<f32> {
        self.words(buffer).into_iter().map(f32::from_bits).collect()
    }

    /// The bytes of a texture of four bytes a pixel.
    pub fn pixels(&self, texture: &wgpu::Texture) -> Vec<[u8; 4]> {
        let (width, height) = (texture.width(), texture.height());
        let row = (4 * width).next_multiple_of(256);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let size = u64::from(row * height);
        let copy = self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: None };
        let mut encoder = self.encoder();
        let to = wgpu::TexelCopyBufferInfo { buffer: &copy, layout };
        encoder.copy_texture_to_buffer(texture.as_image_copy(), to, texture.size());
        self.submit(encoder);
        let words = self.mapped(&copy);
        words.chunks(row as usize / 4).flat_map(|row| &row[..width as usize]).map(|word| word.to_le_bytes()).collect()
    }

    fn mapped(&self, copy: &wgpu::Buffer) -> Vec<u32> {
        copy.map_async(wgpu::MapMode::Read, .., |mapped| mapped.expect("maps"));
        self.device.poll(wgpu::PollType::wait_indefinitely()).expect("polls");
        bytemuck::pod_collect_to_vec(&copy.get_mapped_range(..).expect("mapped"))
    }
}

/// Linear light of a step of sRGB.
pub fn decoded(step: u8) -> f32 {
    let value = f32::from(step) / 255.0;
    if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

/// The step of sRGB of linear light.
pub fn encoded(linear: f64) -> f64 {
    255.0 * if linear <= 0.0031308 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

/// A picture with structure at every scale, and the darkest and brightest steps.
pub fn picture(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (fx, fy, s) = (f64::from(x), f64::from(y), f64::from(seed));
        let wave = |a: f64, b: f64| 127.5 + 127.5 * ((fx * a + fy * b + s).sin() * 1.2).clamp(-1.0, 1.0);
        let noise = (x * 73 + y * 151 + seed * 37) % 23;
        Rgb([wave(0.13, 0.05), wave(-0.07, 0.21), wave(0.9, 0.8)]
            .map(|value| (value as u32).saturating_sub(noise).min(255) as u8))
    })
}

/// The frames that a scaler made, as pictures.
pub fn frames(words: &[u32], width: u32, height: u32) -> Vec<RgbImage> {
    let pixel = |word: &u32| [*word as u8, (*word >> 8) as u8, (*word >> 16) as u8];
    let frame = |words: &[u32]| RgbImage::from_raw(width, height, words.iter().flat_map(pixel).collect()).expect("whole");
    words.chunks((width * height) as usize).map(frame).collect()
}
