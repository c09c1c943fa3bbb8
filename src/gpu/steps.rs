//! A plan's dispatches on a device: compiled, cut into slices, with uploaded params.

use std::sync::Arc;

use wgpu::{BufferUsages, ComputePass};

use super::engine::Engine;
use super::pipeline::{Pipeline, SLICE_BINDING};
use super::run::RunOptions;
use super::slices::{Slice, fine_slices};
use crate::error::{Error, Result};
use crate::plan::{BufferId, Dispatch, Element, Plan, check_iterations};

/// Uniform bindings start at multiples of this many bytes on every WebGPU device.
const PARAMS_ALIGNMENT: usize = 256;
const UPLOADING: &str = "uploading what the plan brings";

/// A bind group for each dispatch; the beginning of a slice is a dynamic offset.
pub(super) type BindGroups = Vec<wgpu::BindGroup>;

/// How a dispatch runs.
#[derive(Clone)]
struct Step {
    pipeline: Arc<Pipeline>,
    workgroups: u64,
    slices: Vec<Slice>,
}

/// Compiled dispatches.
pub(super) struct Steps {
    steps: Vec<Step>,
    /// First workgroups of slices, each once.
    beginnings: Vec<u32>,
    /// The params of all dispatches, then the beginnings of slices.
    params: wgpu::Buffer,
    /// Workgroups in one dimension of a grid.
    per_dimension: u32,
}

impl Engine {
    /// Compiles a plan's kernels and uploads their params.
    pub(super) async fn steps(&self, plan: &Plan, options: RunOptions) -> Result<Steps> {
        self.takes(plan)?;
        let mut steps = Vec::new();
        for dispatch in plan.dispatches() {
            let launch = self.launch(dispatch, options);
            let slices = self.pace().slices(dispatch.kernel.row().stem, launch.workgroups, dispatch.multiply_adds)?;
            steps.push(Step { pipeline: self.pipeline(&launch.key).await?, workgroups: launch.workgroups, slices });
        }
        let beginnings = beginnings(&steps);
        let params = self.filled_buffer("params", &params(plan, &beginnings), BufferUsages::UNIFORM).await?;
        Ok(Steps { steps, beginnings, params, per_dimension: self.pace().per_dimension })
    }

    /// Checks that the device meets a plan's requirements.
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

    /// A buffer with initial contents. Nothing is submitted.
    pub(super) async fn filled_buffer(&self, label: &str, contents: &[u8], usage: BufferUsages) -> Result<wgpu::Buffer> {
        self.checked(UPLOADING, || self.fill(label, contents, usage)).await?
    }

    fn fill(&self, label: &str, contents: &[u8], usage: BufferUsages) -> Result<wgpu::Buffer> {
        let size = contents.len().next_multiple_of(4) as u64;
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: true };
        self.buffers_made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let buffer = self.device.create_buffer(&descriptor);
        let written = buffer.get_mapped_range_mut(..contents.len() as u64).map(|mut view| view.copy_from_slice(contents));
        buffer.unmap();
        written.map_err(|error| Error::Device { doing: UPLOADING.to_owned(), message: error.to_string() })?;
        Ok(buffer)
    }
}

/// First workgroups of all slices, each once.
fn beginnings(steps: &[Step]) -> Vec<u32> {
    let mut beginnings: Vec<u32> = steps.iter().flat_map(|step| &step.slices).map(|slice| slice.first).collect();
    beginnings.sort_unstable();
    beginnings.dedup();
    beginnings
}

/// Contents of the uniform bindings of a plan, each in a slot of its own.
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

    /// The same dispatches in finer slices, by the same pipelines. Nothing is compiled, submitted or waited for.
    pub fn finer(&self, engine: &Engine, plan: &Plan) -> Result<Self> {
        let per_dimension = self.per_dimension;
        let finer = |step: &Step| Step { slices: fine_slices(step.workgroups, per_dimension), ..step.clone() };
        let steps: Vec<Step> = self.steps.iter().map(finer).collect();
        let beginnings = beginnings(&steps);
        let contents = params(plan, &beginnings);
        let params = engine.checked_now(UPLOADING, || engine.fill("params", &contents, BufferUsages::UNIFORM))??;
        Ok(Self { steps, beginnings, params, per_dimension })
    }

    /// Workgroups of a dispatch.
    pub fn workgroups(&self, index: usize) -> u64 {
        self.steps.get(index).map_or(0, |step| step.workgroups)
    }

    /// Most workgroups that are recorded as one run.
    pub fn per_dimension(&self) -> u64 {
        self.per_dimension.into()
    }

    /// Slices of a dispatch.
    pub fn slices(&self, index: usize) -> &[Slice] {
        self.steps.get(index).map_or(&[], |step| &step.slices)
    }

    /// The bind groups of all dispatches. `locate` returns the device buffer, and the offset in bytes, of a buffer of the plan during a dispatch.
    pub fn bind<'b>(
        &self,
        engine: &Engine,
        plan: &Plan,
        locate: impl Fn(BufferId, usize) -> Option<(&'b wgpu::Buffer, u64)>,
    ) -> BindGroups {
        plan.dispatches().enumerate().map(|(index, dispatch)| self.bind_dispatch(engine, index, dispatch, &locate)).collect()
    }

    fn bind_dispatch<'b>(
        &self,
        engine: &Engine,
        index: usize,
        dispatch: &Dispatch,
        locate: &impl Fn(BufferId, usize) -> Option<(&'b wgpu::Buffer, u64)>,
    ) -> wgpu::BindGroup {
        let part = |buffer, offset, size| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(size) })
        };
        // The whole slot, so that no API has to round the size of the params up.
        let slot = |number: usize| part(&self.params, (number * PARAMS_ALIGNMENT) as u64, PARAMS_ALIGNMENT as u64);
        let storage = dispatch.bindings.iter().zip(&dispatch.elements).filter_map(|(binding, element)| {
            let (buffer, first) = locate(binding.buffer, index)?;
            // Whole words, which buffers have too.
            let size = (binding.len * element.bytes()).next_multiple_of(4);
            Some(part(buffer, first + binding.first * element.bytes(), size))
        });
        let numbered = std::iter::once(slot(index)).chain(storage).zip(0..);
        let entries: Vec<_> = numbered
            .chain([(slot(0), SLICE_BINDING)])
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
        let step = &self.steps[index];
        pass.set_pipeline(&step.pipeline.pipeline);
        step.slices.iter().for_each(|slice| self.record_slice(groups, index, slice, pass));
    }

    /// Records slices of a dispatch that follow each other, which fit into one dimension of a grid together.
    pub fn record_run(&self, groups: &BindGroups, index: usize, run: &[Slice], pass: &mut ComputePass<'_>) {
        let Some(first) = run.first() else { return };
        let workgroups = run.iter().map(Slice::workgroups).sum::<u64>() as u32;
        pass.set_pipeline(&self.steps[index].pipeline.pipeline);
        self.record_slice(groups, index, &Slice { first: first.first, grid: [workgroups, 1, 1] }, pass);
    }

    fn record_slice(&self, groups: &BindGroups, index: usize, slice: &Slice, pass: &mut ComputePass<'_>) {
        let beginning = self.steps.len() + self.beginnings.binary_search(&slice.first).unwrap_or(0);
        pass.set_bind_group(0, &groups[index], &[(beginning * PARAMS_ALIGNMENT) as u32]);
        let [x, y, z] = slice.grid;
        pass.dispatch_workgroups(x, y, z);
    }
}
