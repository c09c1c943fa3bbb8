//! A plan with everything that its runs share: buffers, pipelines and bind groups, made once.

use std::sync::Arc;

use wgpu::{BufferUsages, ComputePass};

use super::engine::Engine;
use super::pipeline::Pipeline;
use super::run::{RunOptions, mapped};
use super::timing::Timing;
use crate::error::{Error, Result};
use crate::plan::{BufferSpec, Dispatch, ELEMENT_BYTES, Plan, Role};
use crate::tensor::Tensors;

/// A quiet NaN whose payload says where it comes from.
const POISON: f32 = f32::from_bits(0x7fc0_dead);
/// Uniform bindings start at multiples of this many bytes on every WebGPU device.
const PARAMS_ALIGNMENT: usize = 256;
/// Elements of poison that are uploaded at a time.
const POISON_PIECE: usize = 1 << 20;

/// What is timed separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// All dispatches in one pass.
    Whole,
    /// Each dispatch in a pass of its own.
    Dispatches,
}

/// How a dispatch runs.
struct Step {
    pipeline: Arc<Pipeline>,
    /// Workgroups in x, y and z.
    grid: [u32; 3],
}

/// A plan ready to run on an engine, again and again.
pub struct Prepared<'a> {
    engine: &'a Engine,
    plan: &'a Plan,
    options: RunOptions,
    /// The plan's buffers; inputs are those of the first set.
    buffers: Vec<wgpu::Buffer>,
    params: wgpu::Buffer,
    /// Index of the plan's buffer, and the mappable copy of it.
    read_back: Vec<(usize, wgpu::Buffer)>,
    /// For each dispatch the kernel's variant, compiled, and its workgroups.
    steps: Vec<Step>,
    /// For each set of inputs the bind groups of all dispatches.
    bind_groups: Vec<Vec<wgpu::BindGroup>>,
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
    /// [`Error::BufferTooLarge`], [`Error::OutOfMemory`], [`Error::DeviceLost`], [`Error::Shader`], [`Error::Device`].
    pub fn prepare<'a>(&'a self, plan: &'a Plan, options: RunOptions) -> Result<Prepared<'a>> {
        let limit = self.adapter().limits.max_buffer_size;
        if let Some(spec) = plan.buffers().iter().find(|spec| spec.bytes() > limit) {
            return Err(Error::BufferTooLarge { buffer: spec.name.clone(), bytes: spec.bytes(), limit });
        }
        let step = |dispatch: &Dispatch| {
            let choice = self.choice(dispatch, options.variant)?;
            Ok(Step { pipeline: self.pipeline(&choice.key)?, grid: choice.grid })
        };
        let steps = plan.dispatches().map(step).collect::<Result<Vec<_>>>()?;
        let mut prepared = self.checked("allocating the plan's buffers", || self.allocate(plan, options, steps))?;
        self.checked("uploading what the plan brings", || prepared.upload_own())?;
        prepared.bind_groups.push(self.checked("binding the plan's buffers", || prepared.bind(&prepared.buffers))?);
        Ok(prepared)
    }

    fn allocate<'a>(&'a self, plan: &'a Plan, options: RunOptions, steps: Vec<Step>) -> Prepared<'a> {
        let is_read = |spec: &BufferSpec| match spec.role {
            Role::Output | Role::Indices => true,
            Role::Scratch => options.read_scratch,
            Role::Input | Role::Constant(_) => false,
        };
        let read_back = plan.buffers().iter().enumerate().filter(|(_, spec)| is_read(spec));
        let to_read = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let params_bytes = (plan.dispatches().count() * PARAMS_ALIGNMENT) as u64;
        Prepared {
            engine: self,
            plan,
            options,
            buffers: plan.buffers().iter().map(|spec| self.storage(spec)).collect(),
            params: self.buffer("params", params_bytes, BufferUsages::UNIFORM | BufferUsages::COPY_DST),
            read_back: read_back.map(|(index, spec)| (index, self.buffer(&spec.name, spec.bytes(), to_read))).collect(),
            steps,
            bind_groups: Vec::new(),
        }
    }

    fn storage(&self, spec: &BufferSpec) -> wgpu::Buffer {
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        self.buffer(&spec.name, spec.bytes(), usage)
    }

    pub(super) fn buffer(&self, label: &str, size: u64, usage: BufferUsages) -> wgpu::Buffer {
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        self.device.create_buffer(&descriptor)
    }
}

impl Prepared<'_> {
    /// Uploads the inputs, into the first set.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] and [`Error::WrongShape`]; what the device reports.
    pub fn upload(&self, inputs: &Tensors) -> Result<()> {
        let given = self.plan.inputs(inputs)?;
        self.engine.checked("uploading the inputs", || {
            for (id, tensor) in given {
                self.engine.queue.write_buffer(&self.buffers[id.index()], 0, bytemuck::cast_slice(tensor.data()));
            }
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
                let mut buffers = self.buffers.clone();
                let inputs = self.plan.buffers().iter().enumerate().filter(|(_, spec)| spec.role == Role::Input);
                for (index, spec) in inputs {
                    let copy = self.engine.storage(spec);
                    encoder.copy_buffer_to_buffer(&self.buffers[index], 0, &copy, 0, spec.bytes());
                    buffers[index] = copy;
                }
                self.engine.queue.submit([encoder.finish()]);
                self.bind(&buffers)
            })?;
            self.bind_groups.push(set);
        }
        Ok(())
    }

    /// Bytes on the device for one set of inputs: the plan's buffers, params and read-back.
    pub fn device_bytes(&self) -> u64 {
        let read_back = self.read_back.iter().map(|(_, buffer)| buffer);
        self.buffers.iter().chain(read_back).chain([&self.params]).map(wgpu::Buffer::size).sum()
    }

    /// Runs the plan on the first set of inputs, waits, and hands out its outputs.
    ///
    /// # Errors
    /// What the device reports.
    pub fn run(&self) -> Result<Tensors> {
        self.engine.checked("running the plan", || {
            let mut encoder = self.engine.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("plan") });
            let descriptor = wgpu::ComputePassDescriptor { label: Some("plan"), timestamp_writes: None };
            self.record_all(0, &mut encoder.begin_compute_pass(&descriptor));
            for (index, copy) in &self.read_back {
                encoder.copy_buffer_to_buffer(&self.buffers[*index], 0, copy, 0, copy.size());
            }
            self.engine.queue.submit([encoder.finish()]);
        })?;
        let copies: Vec<&wgpu::Buffer> = self.read_back.iter().map(|(_, copy)| copy).collect();
        let numbers = mapped(self.engine, "waiting for the results", &copies)?;
        let specs = self.read_back.iter().map(|(index, _)| &self.plan.buffers()[*index]);
        specs.zip(numbers).map(|(spec, numbers)| Ok((spec.name.clone(), spec.tensor(numbers)?))).collect()
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
            Granularity::Dispatches => self.engine.timed(doing, self.steps.len(), |index, pass| self.record(set, index, pass)),
        }
    }

    fn record_all(&self, set: usize, pass: &mut ComputePass<'_>) {
        (0..self.steps.len()).for_each(|index| self.record(set, index, pass));
    }

    fn record(&self, set: usize, index: usize, pass: &mut ComputePass<'_>) {
        pass.set_pipeline(&self.steps[index].pipeline.pipeline);
        pass.set_bind_group(0, &self.bind_groups[set][index], &[]);
        let [x, y, z] = self.steps[index].grid;
        pass.dispatch_workgroups(x, y, z);
    }

    /// Uploads what the plan itself brings: params, constants and, if asked for, poison.
    fn upload_own(&self) {
        let queue = &self.engine.queue;
        for (buffer, spec) in self.buffers.iter().zip(self.plan.buffers()) {
            match &spec.role {
                Role::Constant(words) => queue.write_buffer(buffer, 0, bytemuck::cast_slice(words)),
                Role::Output | Role::Indices | Role::Scratch if self.options.poison => {
                    let poison = vec![POISON; POISON_PIECE.min(spec.elements() as usize)];
                    for first in (0..spec.elements()).step_by(POISON_PIECE) {
                        let piece = &poison[..poison.len().min((spec.elements() - first) as usize)];
                        queue.write_buffer(buffer, first * ELEMENT_BYTES, bytemuck::cast_slice(piece));
                    }
                }
                Role::Input | Role::Output | Role::Indices | Role::Scratch => {}
            }
        }
        let mut params = vec![0u8; self.params.size() as usize];
        for (slot, dispatch) in params.chunks_mut(PARAMS_ALIGNMENT).zip(self.plan.dispatches()) {
            slot[..dispatch.params.len()].copy_from_slice(&dispatch.params);
        }
        queue.write_buffer(&self.params, 0, &params);
    }

    /// The bind groups of all dispatches over these buffers.
    fn bind(&self, buffers: &[wgpu::Buffer]) -> Vec<wgpu::BindGroup> {
        let part = |buffer, offset, size| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(size) })
        };
        let of_dispatch = |(index, (dispatch, step)): (usize, (&Dispatch, &Step))| {
            // The whole slot: what lies behind the params is zero, and no API has to round their size up.
            let params = part(&self.params, (index * PARAMS_ALIGNMENT) as u64, PARAMS_ALIGNMENT as u64);
            let storage = dispatch.bindings.iter().map(|binding| {
                part(&buffers[binding.buffer.index()], binding.first * ELEMENT_BYTES, binding.len * ELEMENT_BYTES)
            });
            let entries: Vec<_> = std::iter::once(params)
                .chain(storage)
                .enumerate()
                .map(|(binding, resource)| wgpu::BindGroupEntry { binding: binding as u32, resource })
                .collect();
            let descriptor =
                wgpu::BindGroupDescriptor { label: Some(dispatch.label), layout: &step.pipeline.layout, entries: &entries };
            self.engine.device.create_bind_group(&descriptor)
        };
        self.plan.dispatches().zip(&self.steps).enumerate().map(of_dispatch).collect()
    }
}
