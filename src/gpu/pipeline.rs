//! Compiled kernels.

use super::engine::Engine;
use crate::error::{Error, Result};
use crate::kernel::{Kernel, KernelRow};
use crate::plan::Element;
use crate::variant::{Variant, VariantRow};
use crate::wgsl::{self, Assembled};

/// No clamping of indices and no bounds on loops.
const RELAXED: wgpu::ShaderRuntimeChecks = wgpu::ShaderRuntimeChecks::unchecked();

/// Binding of the first workgroup's index (`shaders/lib/grid.wgsl`).
pub(super) const SLICE_BINDING: u32 = 8;

/// Everything that is baked into a pipeline: kernel, variant, values of shader constants, and storage.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PipelineKey {
    pub kernel: Kernel,
    pub variant: Variant,
    pub constants: Vec<u32>,
    pub elements: Vec<Element>,
}

/// A compiled kernel.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub layout: wgpu::BindGroupLayout,
    pub pipeline: wgpu::ComputePipeline,
}

impl Pipeline {
    /// Assembles, compiles and links a kernel. A shader that does not compile is reported by file and line.
    pub async fn compile(engine: &Engine, key: &PipelineKey) -> Result<Self> {
        let row = key.kernel.row();
        let parts = VariantRow::of(key.kernel, key.variant).map_or_else(|| row.parts(), VariantRow::parts);
        let assembled = wgsl::assemble(&parts, &key.constants, &key.elements)?;
        let source = wgpu::ShaderSource::Wgsl(assembled.source.as_str().into());
        let mut module = None;
        let created = engine.checked(parts.stem, || {
            let descriptor = wgpu::ShaderModuleDescriptor { label: Some(parts.stem), source };
            module = Some(match row.accesses_in_range && engine.trusts_plans {
                // SAFETY: a plan refuses a dispatch whose params access anything beyond its bindings, every index of these kernels follows from
                // params, and each of their loops ends after a number of iterations that the plan has counted.
                true => unsafe { engine.device.create_shader_module_trusted(descriptor, RELAXED) },
                false => engine.device.create_shader_module(descriptor),
            });
        });
        let created = created.await;
        let module = match (module, created) {
            (Some(module), Ok(())) => module,
            (Some(module), Err(error)) => return Err(shader_error(&module, &assembled, parts.stem, error).await),
            (None, error) => {
                error?;
                return Err(Error::Device { doing: parts.stem.to_owned(), message: "no shader module was made".to_owned() });
            }
        };
        let compiled = engine.checked(parts.stem, || {
            let layout = bind_group_layout(&engine.device, row);
            let pipeline_layout = engine.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(parts.stem),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = engine.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(parts.stem),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: engine.pipeline_cache.as_ref(),
            });
            Self { layout, pipeline }
        });
        compiled.await
    }
}

/// Binding 0 is the params struct, the row's storage bindings follow; the beginning of the slice comes last.
fn bind_group_layout(device: &wgpu::Device, row: &KernelRow) -> wgpu::BindGroupLayout {
    // The beginning of a slice is chosen as it is recorded, so that dispatches are cut without another bind group.
    let entry = |binding: usize, ty: wgpu::BufferBindingType| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: binding == SLICE_BINDING as usize, min_binding_size: None },
        count: None,
    };
    let storage = row
        .bindings
        .iter()
        .enumerate()
        .map(|(index, binding)| entry(index + 1, wgpu::BufferBindingType::Storage { read_only: !binding.written }));
    let uniform = |binding| entry(binding, wgpu::BufferBindingType::Uniform);
    let entries: Vec<_> = std::iter::once(uniform(0)).chain(storage).chain([uniform(SLICE_BINDING as usize)]).collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(row.stem), entries: &entries })
}

/// A compiler's message with file and line.
async fn shader_error(module: &wgpu::ShaderModule, assembled: &Assembled, stem: &str, error: Error) -> Error {
    let info = module.get_compilation_info().await;
    let complaint = info.messages.into_iter().find(|message| message.message_type == wgpu::CompilationMessageType::Error);
    match complaint {
        Some(complaint) => Error::Shader {
            location: match complaint.location {
                Some(location) => assembled.location(location.line_number as usize),
                None => format!("shaders/{stem}.wgsl"),
            },
            message: complaint.message,
        },
        None => error,
    }
}
