//! Compiled kernels.

use super::engine::Engine;
use crate::error::{Error, Result};
use crate::kernel::{Kernel, KernelRow};
use crate::wgsl::{self, Assembled};

/// Everything that is baked into a pipeline: the kernel and the values of its shader constants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PipelineKey {
    pub kernel: Kernel,
    pub constants: Vec<u32>,
}

/// A compiled kernel.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub layout: wgpu::BindGroupLayout,
    pub pipeline: wgpu::ComputePipeline,
}

impl Pipeline {
    /// Assembles, compiles and links a kernel. A shader that does not compile is reported by file and line.
    pub fn compile(engine: &Engine, key: &PipelineKey) -> Result<Self> {
        let row = key.kernel.row();
        let assembled = wgsl::assemble(row, &key.constants)?;
        let source = wgpu::ShaderSource::Wgsl(assembled.source.as_str().into());
        let mut module = None;
        let created = engine.checked(row.stem, || {
            module = Some(engine.device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some(row.stem), source }));
        });
        let module = match (module, created) {
            (Some(module), Ok(())) => module,
            (Some(module), Err(error)) => return Err(shader_error(&module, &assembled, row, error)),
            (None, error) => {
                error?;
                return Err(Error::Device { doing: row.stem.to_owned(), message: "no shader module was made".to_owned() });
            }
        };
        engine.checked(row.stem, || {
            let layout = bind_group_layout(&engine.device, row);
            let pipeline_layout = engine.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(row.stem),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = engine.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(row.stem),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            });
            Self { layout, pipeline }
        })
    }
}

/// Binding 0 is the params struct, the row's storage bindings follow.
fn bind_group_layout(device: &wgpu::Device, row: &KernelRow) -> wgpu::BindGroupLayout {
    let entry = |binding: usize, ty: wgpu::BufferBindingType| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    };
    let storage = row
        .bindings
        .iter()
        .enumerate()
        .map(|(index, binding)| entry(index + 1, wgpu::BufferBindingType::Storage { read_only: !binding.written }));
    let entries: Vec<_> = std::iter::once(entry(0, wgpu::BufferBindingType::Uniform)).chain(storage).collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(row.stem), entries: &entries })
}

/// Puts file and line to a compiler's complaint.
fn shader_error(module: &wgpu::ShaderModule, assembled: &Assembled, row: &KernelRow, error: Error) -> Error {
    let info = pollster::block_on(module.get_compilation_info());
    let complaint = info.messages.into_iter().find(|message| message.message_type == wgpu::CompilationMessageType::Error);
    match complaint {
        Some(complaint) => Error::Shader {
            place: match complaint.location {
                Some(location) => assembled.place(location.line_number as usize),
                None => format!("shaders/{}.wgsl", row.stem),
            },
            message: complaint.message,
        },
        None => error,
    }
}
