//! Shaders outside of the kernel table, with storage buffers of their own. The benchmark measures ceilings with them.

use wgpu::{BindGroup, BufferUsages, ComputePipeline};

use super::engine::Engine;
use super::timing::Timing;
use super::waiting::Waiting;
use crate::error::{Error, Result};

/// A shader and its buffers.
#[derive(Clone, Debug)]
pub struct ProgramSpec<'s> {
    /// Its name, for messages.
    pub name: &'s str,
    /// WGSL with an entry point `main`.
    pub source: &'s str,
    /// Sizes of the storage buffers at bindings 0, 1, ... in bytes, and whether the shader writes them. They start as zeros.
    pub buffers: &'s [(u64, bool)],
}

/// A compiled shader with its buffers.
pub struct Program<'e> {
    engine: &'e Engine,
    name: String,
    pipeline: ComputePipeline,
    buffers: Vec<wgpu::Buffer>,
    bind_group: BindGroup,
}

impl std::fmt::Debug for Program<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Engine {
    /// Compiles a shader and allocates its buffers.
    ///
    /// # Errors
    /// [`Error::Device`] if it does not compile, [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn program(&self, spec: &ProgramSpec<'_>) -> Result<Program<'_>> {
        let source = wgpu::ShaderSource::Wgsl(spec.source.into());
        let compiling = self.checked(spec.name, || {
            let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some(spec.name), source });
            let layout = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(spec.name),
                entries: &spec.buffers.iter().enumerate().map(layout_entry).collect::<Vec<_>>(),
            });
            let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(spec.name),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(spec.name),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            });
            (layout, pipeline)
        });
        let (layout, pipeline) = pollster::block_on(compiling)?;
        let allocating = self.checked(spec.name, || {
            let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
            let buffers: Vec<wgpu::Buffer> = spec.buffers.iter().map(|(size, _)| self.buffer(spec.name, *size, usage)).collect();
            let entries: Vec<_> = buffers.iter().enumerate().map(group_entry).collect();
            let descriptor = wgpu::BindGroupDescriptor { label: Some(spec.name), layout: &layout, entries: &entries };
            let bind_group = self.device.create_bind_group(&descriptor);
            (buffers, bind_group)
        });
        let (buffers, bind_group) = pollster::block_on(allocating)?;
        Ok(Program { engine: self, name: spec.name.to_owned(), pipeline, buffers, bind_group })
    }

    /// Times an empty submission.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Device`].
    pub fn time_empty_submission(&self) -> Result<Timing> {
        pollster::block_on(self.timed("an empty submission", 0, |_, _| {}, Waiting::Polling))
    }
}

fn group_entry((binding, buffer): (usize, &wgpu::Buffer)) -> wgpu::BindGroupEntry<'_> {
    wgpu::BindGroupEntry { binding: binding as u32, resource: buffer.as_entire_binding() }
}

fn layout_entry((binding, (_, written)): (usize, &(u64, bool))) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only: !written },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    }
}

impl Program<'_> {
    /// Writes to a buffer, from its byte `first` on.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a buffer that there is not; what the device reports.
    pub fn write<T: bytemuck::NoUninit>(&self, binding: usize, first: u64, data: &[T]) -> Result<()> {
        let buffer = self.get(binding)?;
        let write = || self.engine.queue.write_buffer(buffer, first, bytemuck::cast_slice(data));
        pollster::block_on(self.engine.checked(&self.name, write))
    }

    /// Times a pass of `dispatches` dispatches, each of so many workgroups in x.
    ///
    /// # Errors
    /// What the device reports.
    pub fn time(&self, workgroups: u32, dispatches: u32) -> Result<Timing> {
        let record = |_: usize, pass: &mut wgpu::ComputePass<'_>| {
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.bind_group, &[]);
            for _ in 0..dispatches {
                pass.dispatch_workgroups(workgroups, 1, 1);
            }
        };
        pollster::block_on(self.engine.timed(&self.name, 1, record, Waiting::Polling))
    }

    /// Reads `bytes` of a buffer, from its byte `first` on.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a buffer that there is not; what the device reports.
    pub fn read(&self, binding: usize, first: u64, bytes: u64) -> Result<Vec<f32>> {
        let (engine, buffer) = (self.engine, self.get(binding)?);
        let copying = engine.checked(&self.name, || {
            let copy = engine.buffer(&self.name, bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST);
            let mut encoder = engine.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(&self.name) });
            encoder.copy_buffer_to_buffer(buffer, first, &copy, 0, bytes);
            engine.queue.submit([encoder.finish()]);
            copy
        });
        let copy = pollster::block_on(copying)?;
        Ok(pollster::block_on(engine.mapped(&self.name, &[&copy], Waiting::Polling))?.concat())
    }

    fn get(&self, binding: usize) -> Result<&wgpu::Buffer> {
        let count = self.buffers.len() as u64;
        self.buffers.get(binding).ok_or(Error::OutOfRange { what: "buffer", index: binding as u64, count })
    }
}
