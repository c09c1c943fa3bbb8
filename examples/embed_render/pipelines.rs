//! The application's pipelines: nothing here knows of attention.

use wgpu::{BindGroup, Buffer, CommandEncoder, ComputePipeline, Device, RenderPipeline, TextureFormat, TextureView};

use crate::scene::{ENLARGED, SIDE, grid};

const PICTURE_FORMAT: TextureFormat = TextureFormat::Rgba8Unorm;

pub struct Pipelines {
    picture: (RenderPipeline, BindGroup),
    keys: (ComputePipeline, BindGroup),
    overlay: (RenderPipeline, BindGroup),
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
    pub fn new(device: &Device, target: TextureFormat, [frame, keys, attention]: [&Buffer; 3], picture: &TextureView) -> Self {
        let module = |source| device.create_shader_module(source);
        let drawing = module(wgpu::include_wgsl!("picture.wgsl"));
        let describing = module(wgpu::include_wgsl!("keys.wgsl"));
        let showing = module(wgpu::include_wgsl!("overlay.wgsl"));
        let [columns, rows] = grid();
        let constants = [("columns", columns.into()), ("patches", (columns * rows).into()), ("side", SIDE.into())];
        let enlarged = [&constants[..], &[("enlarged", ENLARGED.into())]].concat();
        let draw = render_pipeline(device, &drawing, "draw", PICTURE_FORMAT, &[]);
        let show = render_pipeline(device, &showing, "show", target, &enlarged);
        let describe = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("describe"),
            layout: None,
            module: &describing,
            entry_point: Some("describe"),
            compilation_options: wgpu::PipelineCompilationOptions { constants: &constants, ..Default::default() },
            cache: None,
        });
        let view = wgpu::BindingResource::TextureView(picture);
        let frame = frame.as_entire_binding();
        let picture_group = bind_group(device, &draw.get_bind_group_layout(0), std::slice::from_ref(&frame));
        let keys_group =
            bind_group(device, &describe.get_bind_group_layout(0), &[frame.clone(), view.clone(), keys.as_entire_binding()]);
        let overlay_group = bind_group(device, &show.get_bind_group_layout(0), &[frame, view, attention.as_entire_binding()]);
        Self { picture: (draw, picture_group), keys: (describe, keys_group), overlay: (show, overlay_group) }
    }

    /// Draws the picture.
    pub fn draw_picture(&self, encoder: &mut CommandEncoder, picture: &TextureView) {
        draw(encoder, &self.picture, picture);
    }

    /// Computes the descriptors of all patches.
    pub fn describe_patches(&self, encoder: &mut CommandEncoder) {
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("describe"), timestamp_writes: None });
        pass.set_pipeline(&self.keys.0);
        pass.set_bind_group(0, &self.keys.1, &[]);
        pass.dispatch_workgroups(grid().iter().product::<u32>().div_ceil(64), 1, 1);
    }

    /// Draws the picture with the attention over it.
    pub fn draw_overlay(&self, encoder: &mut CommandEncoder, target: &TextureView) {
        draw(encoder, &self.overlay, target);
    }
}

fn bind_group(device: &Device, layout: &wgpu::BindGroupLayout, resources: &[wgpu::BindingResource<'_>]) -> BindGroup {
    let numbered = (0..).zip(resources.iter().cloned());
    let entries: Vec<_> = numbered.map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
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
