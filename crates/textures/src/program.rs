//! Shaders with textures among their bindings, which the kernels' table does not have.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use orthoformer::wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry,
    BindingResource, BindingType, Buffer, BufferBinding, BufferBindingType, BufferDescriptor, BufferSize, BufferSlice,
    BufferUsages, CommandEncoder, ComputePassDescriptor, ComputePipeline, ComputePipelineDescriptor, Device, PipelineLayout,
    PipelineLayoutDescriptor, ShaderModule, ShaderModuleDescriptor, ShaderSource, ShaderStages, StorageTextureAccess,
    TextureFormat, TextureSampleType, TextureView, TextureViewDimension,
};
use orthoformer::{Engine, Error, Result};

/// Uniform bindings start at multiples of this many bytes on every WebGPU device.
const PARAMS_ALIGNMENT: usize = 256;
/// Sets of resources whose bind groups are kept: enough for textures that alternate.
const SETS_KEPT: usize = 8;
/// Invocations of a workgroup.
const WORKGROUP: u32 = 64;

/// What is bound besides the params, which are at binding 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// A texture that is loaded.
    Texture,
    /// A storage buffer that is read.
    Read,
    /// A storage buffer that is written.
    Written,
    /// A storage texture that is written.
    Canvas,
}

/// What is bound, for one set of a host's textures and buffers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Resource {
    View(TextureView),
    Buffer { buffer: Buffer, offset: u64, size: u64 },
}

/// Layout, params and bind groups of a shader.
pub(crate) struct Bindings {
    label: &'static str,
    layout: BindGroupLayout,
    numbers: Vec<u32>,
    params: Buffer,
    slots: u32,
    params_bytes: u64,
    groups: Mutex<VecDeque<(Vec<Resource>, BindGroup)>>,
}

/// A compute shader.
pub(crate) struct Program {
    pub bindings: Bindings,
    pipeline: ComputePipeline,
}

impl From<&Buffer> for Resource {
    fn from(buffer: &Buffer) -> Self {
        Self::from(buffer.slice(..))
    }
}

impl From<BufferSlice<'_>> for Resource {
    fn from(slice: BufferSlice<'_>) -> Self {
        Self::Buffer { buffer: slice.buffer().clone(), offset: slice.offset(), size: slice.size() }
    }
}

impl Bindings {
    /// Bindings of these numbers, and params for each slot. Must run in error scopes.
    pub fn new<P: bytemuck::Pod>(
        device: &Device,
        label: &'static str,
        stages: ShaderStages,
        bound: &[(u32, Bound)],
        params: &[P],
    ) -> Self {
        let uniform =
            (0, BindingType::Buffer { ty: BufferBindingType::Uniform, has_dynamic_offset: true, min_binding_size: None });
        let others = bound.iter().map(|&(number, bound)| (number, bound.ty()));
        let entry = |(binding, ty)| BindGroupLayoutEntry { binding, visibility: stages, ty, count: None };
        let entries: Vec<_> = std::iter::once(uniform).chain(others).map(entry).collect();
        let layout = device.create_bind_group_layout(&BindGroupLayoutDescriptor { label: Some(label), entries: &entries });
        let mut contents = vec![0u8; params.len() * PARAMS_ALIGNMENT];
        for (slot, params) in contents.chunks_mut(PARAMS_ALIGNMENT).zip(params) {
            let bytes = bytemuck::bytes_of(params);
            slot[..bytes.len()].copy_from_slice(bytes);
        }
        Self {
            label,
            layout,
            numbers: bound.iter().map(|(number, _)| *number).collect(),
            params: filled(device, label, BufferUsages::UNIFORM, &contents),
            slots: params.len() as u32,
            params_bytes: size_of::<P>() as u64,
            groups: Mutex::default(),
        }
    }

    pub fn pipeline_layout(&self, device: &Device) -> PipelineLayout {
        device.create_pipeline_layout(&PipelineLayoutDescriptor {
            label: Some(self.label),
            bind_group_layouts: &[Some(&self.layout)],
            immediate_size: 0,
        })
    }

    /// The bind group of these resources, and the dynamic offset of a slot's params.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a slot that there is not; what the device reports.
    pub fn group(&self, engine: &Engine, slot: usize, resources: &[Resource]) -> Result<(BindGroup, u32)> {
        if slot >= self.slots as usize {
            return Err(Error::OutOfRange { what: "slot", index: slot as u64, count: self.slots.into() });
        }
        let offset = (slot * PARAMS_ALIGNMENT) as u32;
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = groups.iter().position(|(known, _)| known == resources).and_then(|at| groups.remove(at)) {
            let group = found.1.clone();
            groups.push_front(found);
            return Ok((group, offset));
        }
        let group = engine.checked_now(self.label, || self.make(engine.device(), resources))?;
        groups.push_front((resources.to_vec(), group.clone()));
        groups.truncate(SETS_KEPT);
        Ok((group, offset))
    }

    fn make(&self, device: &Device, resources: &[Resource]) -> BindGroup {
        let part = |buffer, offset, size| BindingResource::Buffer(BufferBinding { buffer, offset, size: BufferSize::new(size) });
        let params = part(&self.params, 0, self.params_bytes);
        let others = resources.iter().map(|resource| match resource {
            Resource::View(view) => BindingResource::TextureView(view),
            Resource::Buffer { buffer, offset, size } => part(buffer, *offset, *size),
        });
        let numbered = std::iter::once((0, params)).chain(self.numbers.iter().copied().zip(others));
        let entries: Vec<_> = numbered.map(|(binding, resource)| BindGroupEntry { binding, resource }).collect();
        device.create_bind_group(&BindGroupDescriptor { label: Some(self.label), layout: &self.layout, entries: &entries })
    }
}

impl Bound {
    fn ty(self) -> BindingType {
        let buffer = |read_only| BindingType::Buffer {
            ty: BufferBindingType::Storage { read_only },
            has_dynamic_offset: false,
            min_binding_size: None,
        };
        let view_dimension = TextureViewDimension::D2;
        match self {
            Self::Texture => {
                let sample_type = TextureSampleType::Float { filterable: false };
                BindingType::Texture { sample_type, view_dimension, multisampled: false }
            }
            Self::Read => buffer(true),
            Self::Written => buffer(false),
            Self::Canvas => {
                let (access, format) = (StorageTextureAccess::WriteOnly, TextureFormat::Rgba8Unorm);
                BindingType::StorageTexture { access, format, view_dimension }
            }
        }
    }
}

impl Program {
    /// Compiles the parts of a shader, in order, with params for each slot.
    ///
    /// # Errors
    /// What the device reports.
    pub fn new<P: bytemuck::Pod>(
        engine: &Engine,
        label: &'static str,
        parts: &[&str],
        bound: &[(u32, Bound)],
        params: &[P],
    ) -> Result<Self> {
        let device = engine.device();
        engine.checked_now(label, || {
            let bindings = Bindings::new(device, label, ShaderStages::COMPUTE, bound, params);
            let pipeline = device.create_compute_pipeline(&ComputePipelineDescriptor {
                label: Some(label),
                layout: Some(&bindings.pipeline_layout(device)),
                module: &module(device, label, parts),
                entry_point: Some("main"),
                compilation_options: Default::default(),
                cache: None,
            });
            Self { bindings, pipeline }
        })
    }

    /// Records a grid of workgroups, made by [`folded`] or [`pixels`], with the params of a slot, in a pass of its own.
    ///
    /// # Errors
    /// Those of [`Bindings::group`].
    pub fn record(
        &self,
        engine: &Engine,
        encoder: &mut CommandEncoder,
        slot: usize,
        resources: &[Resource],
        [columns, rows]: [u32; 2],
    ) -> Result<()> {
        let (group, offset) = self.bindings.group(engine, slot, resources)?;
        let descriptor = ComputePassDescriptor { label: Some(self.bindings.label), timestamp_writes: None };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &group, &[offset]);
        pass.dispatch_workgroups(columns, rows, 1);
        Ok(())
    }
}

/// Workgroups folded over two dimensions of a grid.
pub(crate) fn folded(engine: &Engine, workgroups: u32) -> [u32; 2] {
    let rows = workgroups.div_ceil(engine.adapter().limits.max_compute_workgroups_per_dimension.max(1)).max(1);
    [workgroups.div_ceil(rows), rows]
}

/// Workgroups with an invocation for each of so many.
pub(crate) fn workgroups(invocations: u32) -> u32 {
    invocations.div_ceil(WORKGROUP)
}

/// The grid with an invocation for each pixel: a row of pixels a row of workgroups.
pub(crate) fn pixels(width: u32, height: u32) -> [u32; 2] {
    [workgroups(width), height]
}

/// A shader of several parts.
pub(crate) fn module(device: &Device, label: &str, parts: &[&str]) -> ShaderModule {
    let source = ShaderSource::Wgsl(parts.join("\n").into());
    device.create_shader_module(ShaderModuleDescriptor { label: Some(label), source })
}

/// A storage buffer of so many elements of 4 bytes.
///
/// # Errors
/// What the device reports.
pub(crate) fn storage(engine: &Engine, label: &'static str, elements: u64) -> Result<Buffer> {
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    let descriptor = BufferDescriptor { label: Some(label), size: elements * 4, usage, mapped_at_creation: false };
    engine.checked_now(label, || engine.device().create_buffer(&descriptor))
}

/// A storage buffer with contents that stay.
///
/// # Errors
/// What the device reports.
pub(crate) fn table<T: bytemuck::NoUninit>(engine: &Engine, label: &'static str, contents: &[T]) -> Result<Buffer> {
    let contents = bytemuck::cast_slice(contents);
    engine.checked_now(label, || filled(engine.device(), label, BufferUsages::STORAGE, contents))
}

/// A buffer with contents, which are a multiple of 4 bytes. Nothing is submitted.
fn filled(device: &Device, label: &str, usage: BufferUsages, contents: &[u8]) -> Buffer {
    let size = contents.len() as u64;
    let buffer = device.create_buffer(&BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: true });
    // A buffer that could not be made is not mapped; the scope around this has the reason.
    if let Ok(mut view) = buffer.get_mapped_range_mut(..) {
        view.copy_from_slice(contents);
    }
    buffer.unmap();
    buffer
}
