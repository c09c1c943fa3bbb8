//! A plan's dispatches on a device: compiled, cut in slices, and with their params there.

use std::sync::Arc;

use wgpu::{BufferUsages, ComputePass};

use super::engine::Engine;
use super::pipeline::{Pipeline, SLICE_BINDING};
use super::run::RunOptions;
use super::slices::Slice;
use crate::error::{Error, Result};
use crate::plan::{BufferId, Dispatch, Element, Plan, check_iterations};

/// Uniform bindings start at multiples of this many bytes on every WebGPU device.
const PARAMS_ALIGNMENT: usize = 256;

/// For each dispatch and each of its slices what is bound.
pub(super) type BindGroups = Vec<Vec<wgpu::BindGroup>>;

/// How a dispatch runs.
struct Step {
    pipeline: Arc<Pipeline>,
    slices: Vec<Slice>,
}

/// Compiled dispatches.
pub(super) struct Steps {
    steps: Vec<Step>,
    /// First workgroups of slices, each once.
    beginnings: Vec<u32>,
    /// The params of all dispatches, then the beginnings of slices.
    params: wgpu::Buffer,
}

impl Engine {
    /// Compiles a plan's kernels and uploads their params.
    pub(super) async fn steps(&self, plan: &Plan, options: RunOptions) -> Result<Steps> {
        self.takes(plan)?;
        let mut steps = Vec::new();
        for dispatch in plan.dispatches() {
            let launch = self.launch(dispatch, options);
            let slices = self.pace().slices(dispatch.kernel.row().stem, launch.workgroups, dispatch.multiply_adds)?;
            steps.push(Step { pipeline: self.pipeline(&launch.key).await?, slices });
        }
        let mut beginnings: Vec<u32> = steps.iter().flat_map(|step| &step.slices).map(|slice| slice.first).collect();
        beginnings.sort_unstable();
        beginnings.dedup();
        let contents = params(plan, &beginnings);
        let params = self.filled_buffer("params", &contents, BufferUsages::UNIFORM).await?;
        Ok(Steps { steps, beginnings, params })
    }

    /// Whether the device has what a plan asks for.
    fn takes(&self, plan: &Plan) -> Result<()> {
        if plan.dispatches().any(|dispatch| dispatch.elements.contains(&Element::F16)) && !self.capabilities.f16 {
            return Err(Error::NoHalf { adapter: self.adapter().name.clone() });
        }
        for dispatch in plan.dispatches() {
            check_iterations(dispatch.iterations, self.capabilities.loop_iterations)?;
        }
        let limits = &self.adapter().limits;
        let limit = limits.max_buffer_size;
        if let Some(spec) = plan.buffers().iter().find(|spec| spec.bytes() > limit) {
            return Err(Error::BufferTooLarge { buffer: spec.name.clone(), bytes: spec.bytes(), limit });
        }
        let limit = limits.max_storage_buffer_binding_size;
        for dispatch in plan.dispatches() {
            for (binding, element) in dispatch.bindings.iter().zip(&dispatch.elements) {
                let bytes = binding.len * element.bytes();
                if bytes > limit {
                    let buffer = plan.buffers()[binding.buffer.index()].name.clone();
                    return Err(Error::BindingTooLarge { buffer, bytes, limit });
                }
            }
        }
        Ok(())
    }

    pub(super) fn buffer(&self, label: &str, size: u64, usage: BufferUsages) -> wgpu::Buffer {
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        self.buffers_made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.device.create_buffer(&descriptor)
    }

    /// A buffer with something in it from the beginning: nothing is submitted.
    pub(super) async fn filled_buffer(&self, label: &str, contents: &[u8], usage: BufferUsages) -> Result<wgpu::Buffer> {
        let size = contents.len().next_multiple_of(4) as u64;
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: true };
        self.buffers_made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let filling = self.checked("uploading what the plan brings", || {
            let buffer = self.device.create_buffer(&descriptor);
            let written = buffer.get_mapped_range_mut(..contents.len() as u64).map(|mut view| view.copy_from_slice(contents));
            buffer.unmap();
            written.map(|()| buffer)
        });
        let filled = filling.await?;
        filled.map_err(|error| Error::Device { doing: "uploading what the plan brings".to_owned(), message: error.to_string() })
    }
}

/// What the uniform bindings of a plan hold, each in a slot of its own.
fn params(plan: &Plan, beginnings: &[u32]) -> Vec<u8> {
    let dispatches = plan.dispatches().count();
    let mut params = vec![0u8; (dispatches + beginnings.len()) * PARAMS_ALIGNMENT];
    for (slot, dispatch) in params.chunks_mut(PARAMS_ALIGNMENT).zip(plan.dispatches()) {
        slot[..dispatch.params.len()].copy_from_slice(&dispatch.params);
    }
    for (slot, beginning) in params.chunks_mut(PARAMS_ALIGNMENT).skip(dispatches).zip(beginnings) {
        slot[..4].copy_from_slice(&beginning.to_ne_bytes());
    }
    params
}

impl Steps {
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Bytes of the params on the device.
    pub fn bytes(&self) -> u64 {
        self.params.size()
    }

    /// The bind groups of all slices of all dispatches, where `place` says in which buffer, and from which of its bytes on, a buffer of the plan
    /// lies while a dispatch runs.
    pub fn bind<'b>(
        &self,
        engine: &Engine,
        plan: &Plan,
        locate: impl Fn(BufferId, usize) -> Option<(&'b wgpu::Buffer, u64)>,
    ) -> BindGroups {
        let of_dispatch = |(index, (dispatch, step)): (usize, (&Dispatch, &Step))| {
            let bind = |slice| self.bind_slice(engine, index, dispatch, slice, &locate);
            step.slices.iter().map(bind).collect()
        };
        plan.dispatches().zip(&self.steps).enumerate().map(of_dispatch).collect()
    }

    fn bind_slice<'b>(
        &self,
        engine: &Engine,
        index: usize,
        dispatch: &Dispatch,
        slice: &Slice,
        locate: &impl Fn(BufferId, usize) -> Option<(&'b wgpu::Buffer, u64)>,
    ) -> wgpu::BindGroup {
        let part = |buffer, offset, size| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(size) })
        };
        // The whole slot: what lies behind the params is zero, and no API has to round their size up.
        let slot = |number: usize| part(&self.params, (number * PARAMS_ALIGNMENT) as u64, PARAMS_ALIGNMENT as u64);
        let beginning = self.beginnings.binary_search(&slice.first).unwrap_or(0);
        let storage = dispatch.bindings.iter().zip(&dispatch.elements).filter_map(|(binding, element)| {
            let (buffer, first) = locate(binding.buffer, index)?;
            // Whole words, which buffers have too.
            let size = (binding.len * element.bytes()).next_multiple_of(4);
            Some(part(buffer, first + binding.first * element.bytes(), size))
        });
        let numbered = std::iter::once(slot(index)).chain(storage).zip(0..);
        let entries: Vec<_> = numbered
            .chain([(slot(self.steps.len() + beginning), SLICE_BINDING)])
            .map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource })
            .collect();
        let layout = &self.steps[index].pipeline.layout;
        let descriptor = wgpu::BindGroupDescriptor { label: Some(dispatch.label), layout, entries: &entries };
        engine.bind_groups_made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        engine.device.create_bind_group(&descriptor)
    }

    /// Records all dispatches.
    pub fn record_all(&self, groups: &BindGroups, pass: &mut ComputePass<'_>) {
        (0..self.steps.len()).for_each(|index| self.record(groups, index, pass));
    }

    /// Records one dispatch.
    pub fn record(&self, groups: &BindGroups, index: usize, pass: &mut ComputePass<'_>) {
        pass.set_pipeline(&self.steps[index].pipeline.pipeline);
        for (slice, bind_group) in self.steps[index].slices.iter().zip(&groups[index]) {
            pass.set_bind_group(0, bind_group, &[]);
            let [x, y, z] = slice.grid;
            pass.dispatch_workgroups(x, y, z);
        }
    }
}
