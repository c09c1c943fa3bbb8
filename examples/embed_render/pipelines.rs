//! The application's pipelines: nothing here knows of attention.

use orthoformer::wgpu::{self, BindGroup, Buffer, CommandEncoder, Device, RenderPipeline, TextureFormat, TextureView};

use crate::scene::ENLARGED;

const PICTURE_FORMAT: TextureFormat = TextureFormat::Rgba8Unorm;

pub struct Pipelines {
    picture: (RenderPipeline, BindGroup),
    show: (RenderPipeline, BindGroup),
}

/// A texture that is drawn into and looked at.
pub fn picture(device: &Device, [width, height]: [u32; 2]) -> TextureView {
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("picture"),
        size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: PICTURE_FORMAT,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::TEXTURE_BINDING,
        view_formats: &[],
    });
    texture.create_view(&wgpu::TextureViewDescriptor::default())
}

impl Pipelines {
    pub fn new(device: &Device, target: TextureFormat, frame: &Buffer, picture: &TextureView) -> Self {
        let drawing = device.create_shader_module(wgpu::include_wgsl!("picture.wgsl"));
        let showing = device.create_shader_module(wgpu::include_wgsl!("show.wgsl"));
        let draw = render_pipeline(device, &drawing, "draw", PICTURE_FORMAT, &[]);
        let show = render_pipeline(device, &showing, "show", target, &[("enlarged", ENLARGED.into())]);
        let frame = bind_group(device, &draw.get_bind_group_layout(0), frame.as_entire_binding());
        let picture = bind_group(device, &show.get_bind_group_layout(0), wgpu::BindingResource::TextureView(picture));
        Self { picture: (draw, frame), show: (show, picture) }
    }

    /// Draws the picture.
    pub fn draw_picture(&self, encoder: &mut CommandEncoder, picture: &TextureView) {
        draw(encoder, &self.picture, picture);
    }

    /// Shows the picture, enlarged.
    pub fn show_picture(&self, encoder: &mut CommandEncoder, target: &TextureView) {
        draw(encoder, &self.show, target);
    }
}

fn bind_group(device: &Device, layout: &wgpu::BindGroupLayout, resource: wgpu::BindingResource<'_>) -> BindGroup {
    let entries = [wgpu::BindGroupEntry { binding: 0, resource }];
    device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
}

fn render_pipeline(
    device: &Device,
    module: &wgpu::ShaderModule,
    entry_point: &str,
    format: TextureFormat,
    constants: &[(&str, f64)],
) -> RenderPipeline {
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some(entry_point),
        layout: None,
        vertex: wgpu::VertexState {
            module,
            entry_point: Some("cover"),
            compilation_options: wgpu::PipelineCompilationOptions { constants, ..Default::default() },
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module,
            entry_point: Some(entry_point),
            compilation_options: wgpu::PipelineCompilationOptions { constants, ..Default::default() },
            targets: &[Some(format.into())],
        }),
        multiview_mask: None,
        cache: None,
    })
}

fn draw(encoder: &mut CommandEncoder, (pipeline, group): &(RenderPipeline, BindGroup), target: &TextureView) {
    let ops = wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::BLACK), store: wgpu::StoreOp::Store };
    let attachment = wgpu::RenderPassColorAttachment { view: target, depth_slice: None, resolve_target: None, ops };
    let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        label: Some("draw"),
        color_attachments: &[Some(attachment)],
        ..Default::default()
    });
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, group, &[]);
    pass.draw(0..3, 0..1);
}
