//! A prepared plan: buffers, pipelines and bind groups that its runs share.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use wgpu::BufferUsages;

use super::engine::Engine;
use super::memory::Memory;
use super::run::RunOptions;
use super::shared::SharedInputs;
use super::steps::{BindGroups, Steps};
use super::timing::Timing;
use super::waiting::Waiting;
use crate::error::{Error, Result};
use crate::plan::{BufferId, BufferSpec, Plan, Role};
use crate::tensor::{Tensor, Tensors};

/// Unit of timing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// All dispatches in one pass.
    Whole,
    /// Each dispatch in a pass of its own.
    Dispatches,
    /// Only this dispatch of the plan.
    Dispatch(usize),
}

/// A plan ready to run on an engine, again and again.
pub struct Prepared<'a> {
    engine: &'a Engine,
    plan: Cow<'a, Plan>,
    /// Inputs are those of the first set.
    memory: Memory,
    /// The plan's buffer, and the mappable copy of it.
    read_back: Vec<(BufferId, wgpu::Buffer)>,
    /// Memory through which inputs are uploaded one by one, again and again.
    staging: BTreeMap<BufferId, wgpu::Buffer>,
    steps: Steps,
    /// For each set of inputs.
    bind_groups: Vec<BindGroups>,
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
    /// Compiles a plan's kernels, allocates its buffers and uploads its constants. Its inputs are zero until [`Prepared::upload`].
    /// Blocks.
    ///
    /// # Errors
    /// [`Error::NoHalf`], [`Error::BufferTooLarge`], [`Error::BindingTooLarge`], [`Error::OutOfMemory`], [`Error::DeviceLost`],
    /// [`Error::Shader`], [`Error::Device`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn prepare<'a>(&'a self, plan: &'a Plan, options: RunOptions) -> Result<Prepared<'a>> {
        pollster::block_on(self.prepare_async(plan, options))
    }

    /// [`Engine::prepare`] as a future.
    ///
    /// # Errors
    /// Those of [`Engine::prepare`].
    pub async fn prepare_async<'a>(&'a self, plan: &'a Plan, options: RunOptions) -> Result<Prepared<'a>> {
        self.prepare_plan(Cow::Borrowed(plan), &SharedInputs::default(), options).await
    }

    /// The same with shared inputs that are on the device already; all other inputs are the plan's own.
    /// Blocks.
    ///
    /// # Errors
    /// Those of [`Engine::prepare`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn prepare_sharing<'a>(&'a self, plan: Plan, inputs: &SharedInputs, options: RunOptions) -> Result<Prepared<'a>> {
        pollster::block_on(self.prepare_plan(Cow::Owned(plan), inputs, options))
    }

    async fn prepare_plan<'a>(&'a self, plan: Cow<'a, Plan>, inputs: &SharedInputs, options: RunOptions) -> Result<Prepared<'a>> {
        let steps = self.steps(&plan, options).await?;
        let allocating = self.checked("allocating the plan's buffers", || self.allocate(plan, inputs, options, steps));
        let mut prepared = allocating.await?;
        let (memory, plan) = (&prepared.memory, &prepared.plan);
        self.checked("uploading what the plan brings", || memory.fill(&self.queue, plan, options.poison)).await?;
        prepared.bind_groups.push(self.checked("binding the plan's buffers", || prepared.bind(&prepared.memory)).await?);
        Ok(prepared)
    }

    fn allocate<'a>(&'a self, plan: Cow<'a, Plan>, inputs: &SharedInputs, options: RunOptions, steps: Steps) -> Prepared<'a> {
        let is_read = |spec: &BufferSpec| match spec.role {
            Role::Output | Role::Indices => true,
            Role::Scratch => options.read_scratch,
            Role::Input | Role::Constant(_) => false,
        };
        let memory = Memory::new(self, &plan, inputs, options);
        let read = plan.numbered_buffers().filter(|&(id, spec)| is_read(spec) && memory.last(id).is_some());
        let to_read = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let read_back = read.map(|(id, spec)| (id, self.buffer(&spec.name, spec.bytes(), to_read))).collect();
        Prepared { engine: self, plan, memory, read_back, staging: BTreeMap::new(), steps, bind_groups: Vec::new() }
    }
}

impl Prepared<'_> {
    /// Uploads the inputs, into the first set. Those that are shared with other plans need not be given, and stay as they are. Blocks.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] and [`Error::WrongShape`]; what the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn upload(&mut self, inputs: &Tensors) -> Result<()> {
        pollster::block_on(self.upload_async(inputs))
    }

    /// [`Prepared::upload`] as a future.
    ///
    /// # Errors
    /// Those of [`Prepared::upload`].
    pub async fn upload_async(&mut self, inputs: &Tensors) -> Result<()> {
        let given = self.plan.inputs_where(inputs, |id| !self.memory.is_shared(id))?;
        let uploading = self.engine.checked("uploading the inputs", || {
            for (id, tensor) in given {
                let Some(buffer) = self.memory.kept(id) else { continue };
                let element = self.plan.buffers()[id.index()].element;
                self.engine.queue.write_buffer(buffer, 0, &element.encode(tensor.data()));
            }
        });
        uploading.await
    }

    /// Uploads one input, by way of memory that is kept for the next time. Blocks until the device no longer uses that memory.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] if the plan has no input of this name of its own, [`Error::WrongShape`]; what the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn feed(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        pollster::block_on(self.feed_by(name, tensor, Waiting::Polling))
    }

    /// [`Prepared::feed`] as a future.
    ///
    /// # Errors
    /// Those of [`Prepared::feed`].
    pub async fn feed_async(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        self.feed_by(name, tensor, Waiting::Future).await
    }

    async fn feed_by(&mut self, name: &str, tensor: &Tensor, waiting: Waiting) -> Result<()> {
        let id = self.own_input(name)?;
        let spec = &self.plan.buffers()[id.index()];
        spec.check(tensor)?;
        let Some(buffer) = self.memory.kept(id) else { return Ok(()) };
        let (doing, engine) = ("uploading an input", self.engine);
        let staging = match self.staging.entry(id) {
            Entry::Occupied(staging) => staging.into_mut(),
            Entry::Vacant(place) => {
                let to_write = BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC;
                place.insert(engine.checked(doing, || engine.buffer("staging", buffer.size(), to_write)).await?)
            }
        };
        engine.write_mapped(doing, staging, &spec.element.encode(tensor.data()), waiting).await?;
        let copying = engine.checked(doing, || {
            let mut encoder = engine.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(doing) });
            encoder.copy_buffer_to_buffer(staging, 0, buffer, 0, buffer.size());
            engine.queue.submit([encoder.finish()]);
        });
        copying.await
    }

    fn own_input(&self, name: &str) -> Result<BufferId> {
        let is_own = |(id, spec): &(BufferId, &BufferSpec)| spec.role == Role::Input && !self.memory.is_shared(*id);
        let found = self.plan.numbered_buffers().filter(is_own).find(|(_, spec)| spec.name == name);
        found.map(|(id, _)| id).ok_or_else(|| {
            let own: Vec<&str> = self.plan.numbered_buffers().filter(is_own).map(|(_, spec)| spec.name.as_str()).collect();
            Error::MissingTensor { name: name.to_owned(), given: format!("the plan's own inputs {}", own.join(", ")) }
        })
    }

    /// Copies the inputs, so that there are `sets` of them in different memory. Timed runs alternate between them. Blocks.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], and what else the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn multiply_inputs(&mut self, sets: usize) -> Result<()> {
        while self.bind_groups.len() < sets {
            let copying = self.engine.checked("copying the inputs", || {
                let mut encoder = self.engine.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                let memory = self.memory.with_copied_inputs(self.engine, &self.plan, &mut encoder);
                self.engine.queue.submit([encoder.finish()]);
                self.bind(&memory)
            });
            let set = pollster::block_on(copying)?;
            self.bind_groups.push(set);
        }
        Ok(())
    }

    /// Number of dispatches of the plan.
    pub fn dispatches(&self) -> usize {
        self.steps.len()
    }

    /// Bytes on the device of this plan alone: [`Prepared::device_bytes`] without shared inputs.
    pub fn own_bytes(&self) -> u64 {
        self.device_bytes() - self.memory.shared_bytes()
    }

    /// Bytes on the device for one set of inputs: the plan's buffers, params, read-back and upload memory of [`Prepared::feed`].
    pub fn device_bytes(&self) -> u64 {
        let read_back = self.read_back.iter().map(|(_, buffer)| buffer.size());
        let staging = self.staging.values().map(wgpu::Buffer::size);
        self.memory.bytes() + self.steps.bytes() + read_back.chain(staging).sum::<u64>()
    }

    /// Runs the plan on the first set of inputs, blocks until it is done, and hands out its outputs.
    ///
    /// # Errors
    /// What the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run(&mut self) -> Result<Tensors> {
        pollster::block_on(self.run_by(Waiting::Polling))
    }

    /// [`Prepared::run`] as a future.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn run_async(&mut self) -> Result<Tensors> {
        self.run_by(Waiting::Future).await
    }

    pub(super) async fn run_by(&mut self, waiting: Waiting) -> Result<Tensors> {
        let running = self.engine.checked("running the plan", || {
            let mut encoder = self.engine.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("plan") });
            let descriptor = wgpu::ComputePassDescriptor { label: Some("plan"), timestamp_writes: None };
            self.steps.record_all(&self.bind_groups[0], &mut encoder.begin_compute_pass(&descriptor));
            for (buffer, copy) in self.read_back.iter().filter_map(|(id, copy)| Some((self.memory.last(*id)?, copy))) {
                encoder.copy_buffer_to_buffer(buffer, 0, copy, 0, copy.size());
            }
            self.engine.queue.submit([encoder.finish()]);
        });
        running.await?;
        let copies: Vec<&wgpu::Buffer> = self.read_back.iter().map(|(_, copy)| copy).collect();
        let found = self.engine.mapped("waiting for the results", &copies, waiting).await?;
        let specs = self.read_back.iter().map(|(id, _)| &self.plan.buffers()[id.index()]);
        let tensor = |(spec, bytes): (&BufferSpec, Vec<u8>)| {
            let elements = spec.element.decode(&bytes, spec.elements() as usize);
            Ok((spec.name.clone(), spec.tensor(elements)?))
        };
        specs.zip(found).map(tensor).collect()
    }

    /// Runs the plan once, without reading anything back. Returns how long it took. `number` chooses the set of inputs, modulo their number. Blocks.
    ///
    /// # Errors
    /// What the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn time(&self, granularity: Granularity, number: usize) -> Result<Timing> {
        pollster::block_on(self.time_by(granularity, number, Waiting::Polling))
    }

    /// [`Prepared::time`] as a future.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn time_async(&self, granularity: Granularity, number: usize) -> Result<Timing> {
        self.time_by(granularity, number, Waiting::Future).await
    }

    async fn time_by(&self, granularity: Granularity, number: usize, waiting: Waiting) -> Result<Timing> {
        let groups = &self.bind_groups[number % self.bind_groups.len().max(1)];
        let (doing, steps) = ("timing the plan", &self.steps);
        match granularity {
            Granularity::Whole => self.engine.timed(doing, 1, |_, pass| steps.record_all(groups, pass), waiting).await,
            Granularity::Dispatch(index) if index >= steps.len() => {
                Err(Error::OutOfRange { what: "dispatch", index: index as u64, count: steps.len() as u64 })
            }
            Granularity::Dispatch(index) => {
                self.engine.timed(doing, 1, |_, pass| steps.record(groups, index, pass), waiting).await
            }
            Granularity::Dispatches => {
                self.engine.timed(doing, steps.len(), |index, pass| steps.record(groups, index, pass), waiting).await
            }
        }
    }

    /// The bind groups of all dispatches over this memory.
    fn bind(&self, memory: &Memory) -> BindGroups {
        self.steps.bind(self.engine, &self.plan, |buffer, dispatch| Some((memory.at(buffer, dispatch)?, 0)))
    }
}
