//! Frames without a window, for files and tests.

use orthoformer::wgpu;

use crate::scene::{SIZE, Scene};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

/// Opens a device as any application would: its own limits, and what the engine needs of them.
pub fn open() -> Result<(wgpu::Device, wgpu::Queue)> {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    let adapter = pollster::block_on(wgpu::Instance::new(descriptor).request_adapter(&wgpu::RequestAdapterOptions::default()))?;
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("application"),
        required_features: orthoformer::required_features(&adapter),
        required_limits: wgpu::Limits::downlevel_defaults().or_better_values_from(&orthoformer::required_limits()),
        ..Default::default()
    };
    Ok(pollster::block_on(adapter.request_device(&descriptor))?)
}

/// Runs the scene from time 0 on and hands out the frames at these times, which ascend: RGBA, [`SIZE`].
pub fn frames(device: &wgpu::Device, queue: &wgpu::Queue, times: &[u32]) -> Result<Vec<Vec<u8>>> {
    let [width, height] = SIZE;
    let mut scene = Scene::new(device, queue, FORMAT)?;
    let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
    let target = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("target"),
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: FORMAT,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    });
    let view = target.create_view(&wgpu::TextureViewDescriptor::default());
    // Rows of 640 pixels are multiples of the 256 bytes that copies want.
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * width), rows_per_image: None };
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
    let bytes = u64::from(4 * width * height);
    let mut pictures = Vec::new();
    for time in 0..=times.last().copied().unwrap_or(0) {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("frame") });
        scene.record(time, &mut encoder, &view)?;
        if !times.contains(&time) {
            queue.submit([encoder.finish()]);
            continue;
        }
        let descriptor = wgpu::BufferDescriptor { label: Some("picture"), size: bytes, usage, mapped_at_creation: false };
        let copy = device.create_buffer(&descriptor);
        encoder.copy_texture_to_buffer(target.as_image_copy(), wgpu::TexelCopyBufferInfo { buffer: &copy, layout }, size);
        queue.submit([encoder.finish()]);
        copy.map_async(wgpu::MapMode::Read, .., |_| {});
        device.poll(wgpu::PollType::wait_indefinitely())?;
        pictures.push(copy.get_mapped_range(..)?.to_vec());
    }
    Ok(pictures)
}
