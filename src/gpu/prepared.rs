//! A plan with everything that its runs share: buffers, pipelines and bind groups, made once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use wgpu::{BufferUsages, ComputePass};

use super::engine::Engine;
use super::memory::Memory;
use super::pipeline::{Pipeline, SLICE_BINDING};
use super::run::{RunOptions, mapped, write_mapped};
use super::shared::SharedInputs;
use super::slices::Slice;
use super::timing::Timing;
use crate::error::{Error, Result};
use crate::plan::{BufferId, BufferSpec, Dispatch, Element, Plan, Role};
use crate::tensor::{Tensor, Tensors};

/// Uniform bindings start at multiples of this many bytes on every WebGPU device.
const PARAMS_ALIGNMENT: usize = 256;

/// What is timed separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// All dispatches in one pass.
    Whole,
    /// Each dispatch in a pass of its own.
    Dispatches,
    /// Only this dispatch of the plan.
    Dispatch(usize),
}

/// How a dispatch runs.
struct Step {
    pipeline: Arc<Pipeline>,
    slices: Vec<Slice>,
}

/// A plan ready to run on an engine, again and again.
pub struct Prepared<'a> {
    engine: &'a Engine,
    plan: Cow<'a, Plan>,
    options: RunOptions,
    /// Inputs are those of the first set.
    memory: Memory,
    /// The params of all dispatches, then the beginnings of slices.
    params: wgpu::Buffer,
    /// First workgroups of slices, each once.
    beginnings: Vec<u32>,
    /// The plan's buffer, and the mappable copy of it.
    read_back: Vec<(BufferId, wgpu::Buffer)>,
    /// Memory through which inputs are uploaded one by one, again and again.
    staging: BTreeMap<BufferId, wgpu::Buffer>,
    /// For each dispatch the kernel's variant, compiled, and its workgroups.
    steps: Vec<Step>,
    /// For each set of inputs and each dispatch the bind groups of its slices.
    bind_groups: Vec<Vec<Vec<wgpu::BindGroup>>>,
}

impl std::fmt::Debug for Prepared<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("engine", self.engine)
            .field("input_sets", &self.bind_groups.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Compiles a plan's kernels, allocates its buffers and uploads what it brings itself. Its inputs are zero until [`Prepared::upload`].
    ///
    /// # Errors
    /// [`Error::NoHalf`], [`Error::BufferTooLarge`], [`Error::OutOfMemory`], [`Error::DeviceLost`], [`Error::Shader`], [`Error::Device`].
    pub fn prepare<'a>(&'a self, plan: &'a Plan, options: RunOptions) -> Result<Prepared<'a>> {
        self.prepare_plan(Cow::Borrowed(plan), &SharedInputs::default(), options)
    }

    /// The same with inputs that are on the device already, for as many plans as need them; those that are not among them are the plan's own.
    ///
    /// # Errors
    /// Those of [`Engine::prepare`].
    pub fn prepare_sharing<'a>(&'a self, plan: Plan, inputs: &SharedInputs, options: RunOptions) -> Result<Prepared<'a>> {
        self.prepare_plan(Cow::Owned(plan), inputs, options)
    }

    fn prepare_plan<'a>(&'a self, plan: Cow<'a, Plan>, inputs: &SharedInputs, options: RunOptions) -> Result<Prepared<'a>> {
        if plan.dispatches().any(|dispatch| dispatch.elements.contains(&Element::F16)) && !self.capabilities.f16 {
            return Err(Error::NoHalf { adapter: self.adapter().name.clone() });
        }
        let limit = self.adapter().limits.max_buffer_size;
        if let Some(spec) = plan.buffers().iter().find(|spec| spec.bytes() > limit) {
            return Err(Error::BufferTooLarge { buffer: spec.name.clone(), bytes: spec.bytes(), limit });
        }
        let step = |dispatch: &Dispatch| {
            let choice = self.choice(dispatch, options);
            let slices = self.pace().slices(dispatch.kernel.row().stem, choice.workgroups, dispatch.multiply_adds)?;
            Ok(Step { pipeline: self.pipeline(&choice.key)?, slices })
        };
        let steps = plan.dispatches().map(step).collect::<Result<Vec<_>>>()?;
        let mut prepared = self.checked("allocating the plan's buffers", || self.allocate(plan, inputs, options, steps))?;
        self.checked("uploading what the plan brings", || prepared.upload_own())?;
        prepared.bind_groups.push(self.checked("binding the plan's buffers", || prepared.bind(&prepared.memory))?);
        Ok(prepared)
    }

    fn allocate<'a>(&'a self, plan: Cow<'a, Plan>, inputs: &SharedInputs, options: RunOptions, steps: Vec<Step>) -> Prepared<'a> {
        let is_read = |spec: &BufferSpec| match spec.role {
            Role::Output | Role::Indices => true,
            Role::Scratch => options.read_scratch,
            Role::Input | Role::Constant(_) => false,
        };
        let memory = Memory::new(self, &plan, inputs, options);
        let read = plan.numbered_buffers().filter(|&(id, spec)| is_read(spec) && memory.last(id).is_some());
        let to_read = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let read_back = read.map(|(id, spec)| (id, self.buffer(&spec.name, spec.bytes(), to_read))).collect();
        let mut beginnings: Vec<u32> = steps.iter().flat_map(|step| &step.slices).map(|slice| slice.first).collect();
        beginnings.sort_unstable();
        beginnings.dedup();
        let params_bytes = ((steps.len() + beginnings.len()) * PARAMS_ALIGNMENT) as u64;
        let params = self.buffer("params", params_bytes, BufferUsages::UNIFORM | BufferUsages::COPY_DST);
        let (staging, bind_groups) = (BTreeMap::new(), Vec::new());
        Prepared { engine: self, plan, options, memory, params, beginnings, read_back, staging, steps, bind_groups }
    }

    pub(super) fn buffer(&self, label: &str, size: u64, usage: BufferUsages) -> wgpu::Buffer {
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        self.buffers_made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.device.create_buffer(&descriptor)
    }
}

impl Prepared<'_> {
    /// Uploads the inputs, into the first set. Those that are shared with other plans need not be given, and stay as they are.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] and [`Error::WrongShape`]; what the device reports.
    pub fn upload(&mut self, inputs: &Tensors) -> Result<()> {
        let given = self.plan.inputs_where(inputs, |id| !self.memory.is_shared(id))?;
        self.engine.checked("uploading the inputs", || {
            for (id, tensor) in given {
                let Some(buffer) = self.memory.kept(id) else { continue };
                let element = self.plan.buffers()[id.index()].element;
                self.engine.queue.write_buffer(buffer, 0, &element.encode(tensor.data()));
            }
        })
    }

    /// Uploads one input, by way of memory that is kept for the next time.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] if the plan has no input of this name of its own, [`Error::WrongShape`]; what the device reports.
    pub fn feed(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        let is_own = |(id, spec): &(BufferId, &BufferSpec)| spec.role == Role::Input && !self.memory.is_shared(*id);
        let found = self.plan.numbered_buffers().filter(is_own).find(|(_, spec)| spec.name == name);
        let (id, spec) = found.ok_or_else(|| {
            let own: Vec<&str> = self.plan.numbered_buffers().filter(is_own).map(|(_, spec)| spec.name.as_str()).collect();
            Error::MissingTensor { name: name.to_owned(), given: format!("the plan's own inputs {}", own.join(", ")) }
        })?;
        spec.check(tensor)?;
        let Some(buffer) = self.memory.kept(id) else { return Ok(()) };
        let (doing, engine) = ("uploading an input", self.engine);
        let staging = match self.staging.entry(id) {
            Entry::Occupied(staging) => staging.into_mut(),
            Entry::Vacant(place) => {
                let to_write = BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC;
                place.insert(engine.checked(doing, || engine.buffer("staging", buffer.size(), to_write))?)
            }
        };
        write_mapped(engine, doing, staging, &spec.element.encode(tensor.data()))?;
        engine.checked(doing, || {
            let mut encoder = engine.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(doing) });
            encoder.copy_buffer_to_buffer(staging, 0, buffer, 0, buffer.size());
            engine.queue.submit([encoder.finish()]);
        })
    }

    /// Makes copies of the inputs as they are, so that there are `sets` of them in different places. Timed runs take turns with them.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], and what else the device reports.
    pub fn multiply_inputs(&mut self, sets: usize) -> Result<()> {
        while self.bind_groups.len() < sets {
            let set = self.engine.checked("copying the inputs", || {
                let mut encoder = self.engine.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                let memory = self.memory.with_copied_inputs(self.engine, &self.plan, &mut encoder);
                self.engine.queue.submit([encoder.finish()]);
                self.bind(&memory)
            })?;
            self.bind_groups.push(set);
        }
        Ok(())
    }

    /// How many dispatches the plan has.
    pub fn dispatches(&self) -> usize {
        self.steps.len()
    }

    /// Bytes on the device that are this plan's alone: as [`Prepared::device_bytes`], without inputs that it shares.
    pub fn own_bytes(&self) -> u64 {
        self.device_bytes() - self.memory.shared_bytes()
    }

    /// Bytes on the device for one set of inputs: the plan's buffers, params, read-back, and what [`Prepared::feed`] uploads through.
    pub fn device_bytes(&self) -> u64 {
        let read_back = self.read_back.iter().map(|(_, buffer)| buffer.size());
        let staging = self.staging.values().map(wgpu::Buffer::size);
        self.memory.bytes() + self.params.size() + read_back.chain(staging).sum::<u64>()
    }

    /// Runs the plan on the first set of inputs, waits, and hands out its outputs.
    ///
    /// # Errors
    /// What the device reports.
    pub fn run(&mut self) -> Result<Tensors> {
        self.engine.checked("running the plan", || {
            let mut encoder = self.engine.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("plan") });
            let descriptor = wgpu::ComputePassDescriptor { label: Some("plan"), timestamp_writes: None };
            self.record_all(0, &mut encoder.begin_compute_pass(&descriptor));
            for (buffer, copy) in self.read_back.iter().filter_map(|(id, copy)| Some((self.memory.last(*id)?, copy))) {
                encoder.copy_buffer_to_buffer(buffer, 0, copy, 0, copy.size());
            }
            self.engine.queue.submit([encoder.finish()]);
        })?;
        let copies: Vec<&wgpu::Buffer> = self.read_back.iter().map(|(_, copy)| copy).collect();
        let found = mapped(self.engine, "waiting for the results", &copies)?;
        let specs = self.read_back.iter().map(|(id, _)| &self.plan.buffers()[id.index()]);
        let tensor = |(spec, bytes): (&BufferSpec, Vec<u8>)| {
            let numbers = spec.element.decode(&bytes, spec.elements() as usize);
            Ok((spec.name.clone(), spec.tensor(numbers)?))
        };
        specs.zip(found).map(tensor).collect()
    }

    /// Runs the plan once, without reading anything back, and says how long it took. `number` chooses the set of inputs, in turn.
    ///
    /// # Errors
    /// What the device reports.
    pub fn time(&self, granularity: Granularity, number: usize) -> Result<Timing> {
        let set = number % self.bind_groups.len().max(1);
        let doing = "timing the plan";
        match granularity {
            Granularity::Whole => self.engine.timed(doing, 1, |_, pass| self.record_all(set, pass)),
            Granularity::Dispatch(index) if index >= self.steps.len() => {
                Err(Error::OutOfRange { what: "dispatch", index: index as u64, count: self.steps.len() as u64 })
            }
            Granularity::Dispatch(index) => self.engine.timed(doing, 1, |_, pass| self.record(set, index, pass)),
            Granularity::Dispatches => self.engine.timed(doing, self.steps.len(), |index, pass| self.record(set, index, pass)),
        }
    }

    fn record_all(&self, set: usize, pass: &mut ComputePass<'_>) {
        (0..self.steps.len()).for_each(|index| self.record(set, index, pass));
    }

    fn record(&self, set: usize, index: usize, pass: &mut ComputePass<'_>) {
        pass.set_pipeline(&self.steps[index].pipeline.pipeline);
        for (slice, bind_group) in self.steps[index].slices.iter().zip(&self.bind_groups[set][index]) {
            pass.set_bind_group(0, bind_group, &[]);
            let [x, y, z] = slice.grid;
            pass.dispatch_workgroups(x, y, z);
        }
    }

    /// Uploads what the plan itself brings: params, constants and, if asked for, poison.
    fn upload_own(&self) {
        self.memory.fill(&self.engine.queue, &self.plan, self.options.poison);
        let mut params = vec![0u8; self.params.size() as usize];
        for (slot, dispatch) in params.chunks_mut(PARAMS_ALIGNMENT).zip(self.plan.dispatches()) {
            slot[..dispatch.params.len()].copy_from_slice(&dispatch.params);
        }
        let beginnings = params.chunks_mut(PARAMS_ALIGNMENT).skip(self.steps.len());
        for (slot, beginning) in beginnings.zip(&self.beginnings) {
            slot[..4].copy_from_slice(&beginning.to_ne_bytes());
        }
        self.engine.queue.write_buffer(&self.params, 0, &params);
    }

    /// The bind groups of all slices of all dispatches over this memory.
    fn bind(&self, memory: &Memory) -> Vec<Vec<wgpu::BindGroup>> {
        let of_dispatch = |(index, (dispatch, step)): (usize, (&Dispatch, &Step))| {
            step.slices.iter().map(|slice| self.bind_slice(memory, index, dispatch, step, slice)).collect()
        };
        self.plan.dispatches().zip(&self.steps).enumerate().map(of_dispatch).collect()
    }

    fn bind_slice(&self, memory: &Memory, index: usize, dispatch: &Dispatch, step: &Step, slice: &Slice) -> wgpu::BindGroup {
        let part = |buffer, offset, size| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(size) })
        };
        // The whole slot: what lies behind the params is zero, and no API has to round their size up.
        let slot = |number: usize| part(&self.params, (number * PARAMS_ALIGNMENT) as u64, PARAMS_ALIGNMENT as u64);
        let beginning = self.beginnings.binary_search(&slice.first).unwrap_or(0);
        let storage = dispatch.bindings.iter().zip(&dispatch.elements).filter_map(|(binding, element)| {
            let buffer = memory.at(binding.buffer, index)?;
            // Whole words, which buffers have too.
            Some(part(buffer, binding.first * element.bytes(), (binding.len * element.bytes()).next_multiple_of(4)))
        });
        let numbered = std::iter::once(slot(index)).chain(storage).zip(0..);
        let entries: Vec<_> = numbered
            .chain([(slot(self.steps.len() + beginning), SLICE_BINDING)])
            .map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource })
            .collect();
        let descriptor =
            wgpu::BindGroupDescriptor { label: Some(dispatch.label), layout: &step.pipeline.layout, entries: &entries };
        self.engine.device.create_bind_group(&descriptor)
    }
}
