//! Running a plan: buffers, dispatches, results.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use wgpu::BufferUsages;

use super::engine::Engine;
use crate::error::{Error, Result};
use crate::plan::{BufferSpec, Dispatch, ELEMENT_BYTES, Plan, Role};
use crate::tensor::Tensors;
use crate::variant::Variant;

/// A quiet NaN whose payload says where it comes from.
const POISON: f32 = f32::from_bits(0x7fc0_dead);
/// Uniform bindings start at multiples of this many bytes on every WebGPU device.
const PARAMS_ALIGNMENT: usize = 256;

/// How to run a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Fill outputs and scratch with NaN first, so that an element that no kernel writes shows.
    pub poison: bool,
    /// Hand out scratch buffers too, under their names in the plan.
    pub read_scratch: bool,
    /// Run every dispatch that can as this variant and the others as the baseline. `None`: what suits the device best.
    pub variant: Option<Variant>,
}

/// What a run made and took.
#[derive(Clone, Debug)]
pub struct Run {
    /// Output tensors by name.
    pub outputs: Tensors,
    /// Bytes allocated on the device for this run: the plan's buffers, params and read-back. What wgpu stages uploads in is not
    /// counted: as much again as the inputs, for a moment.
    pub device_bytes: u64,
    /// From the first allocation to the last result, pipelines that had to be compiled included.
    pub wall: Duration,
}

/// The device memory of one run.
struct Allocations {
    buffers: Vec<wgpu::Buffer>,
    params: wgpu::Buffer,
    /// Index of the plan's buffer, and the mappable copy of it.
    read_back: Vec<(usize, wgpu::Buffer)>,
}

impl Allocations {
    fn bytes(&self) -> u64 {
        let read_back = self.read_back.iter().map(|(_, buffer)| buffer);
        self.buffers.iter().chain(read_back).chain([&self.params]).map(wgpu::Buffer::size).sum()
    }
}

impl Engine {
    /// Runs a plan and waits for its outputs.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] and [`Error::WrongShape`] for the inputs, [`Error::BufferTooLarge`], [`Error::OutOfMemory`],
    /// [`Error::DeviceLost`], [`Error::Shader`], [`Error::Device`].
    pub fn run(&self, plan: &Plan, inputs: &Tensors, options: RunOptions) -> Result<Run> {
        let start = Instant::now();
        let given = plan.inputs(inputs)?;
        let limit = self.adapter().limits.max_buffer_size;
        if let Some(spec) = plan.buffers().iter().find(|spec| spec.bytes() > limit) {
            return Err(Error::BufferTooLarge { buffer: spec.name.clone(), bytes: spec.bytes(), limit });
        }
        let choices = plan.dispatches().map(|dispatch| self.choice(dispatch, options.variant)).collect::<Result<Vec<_>>>()?;
        let pipelines = choices.iter().map(|choice| self.pipeline(&choice.key)).collect::<Result<Vec<_>>>()?;
        let allocations = self.checked("allocating the plan's buffers", || self.allocate(plan, options))?;
        self.checked("uploading the inputs", || {
            for (id, tensor) in given {
                self.queue.write_buffer(&allocations.buffers[id.index()], 0, bytemuck::cast_slice(tensor.data()));
            }
            self.upload_own(plan, &allocations, options);
        })?;
        self.checked("running the plan", || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("plan") });
            let mut pass =
                encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("plan"), timestamp_writes: None });
            for (index, ((dispatch, choice), pipeline)) in plan.dispatches().zip(&choices).zip(&pipelines).enumerate() {
                pass.set_pipeline(&pipeline.pipeline);
                pass.set_bind_group(0, &self.bind(dispatch, index, &pipeline.layout, &allocations), &[]);
                let [x, y, z] = choice.grid;
                pass.dispatch_workgroups(x, y, z);
            }
            drop(pass);
            for (index, copy) in &allocations.read_back {
                encoder.copy_buffer_to_buffer(&allocations.buffers[*index], 0, copy, 0, copy.size());
            }
            self.queue.submit([encoder.finish()]);
        })?;
        let outputs = self.read_back(plan, &allocations)?;
        Ok(Run { outputs, device_bytes: allocations.bytes(), wall: start.elapsed() })
    }

    fn allocate(&self, plan: &Plan, options: RunOptions) -> Allocations {
        let create = |label: &str, size: u64, usage: BufferUsages| {
            let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
            self.device.create_buffer(&descriptor)
        };
        let storage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let is_read = |spec: &BufferSpec| match spec.role {
            Role::Output | Role::Indices => true,
            Role::Scratch => options.read_scratch,
            Role::Input | Role::Constant(_) => false,
        };
        let params_bytes = (plan.dispatches().count() * PARAMS_ALIGNMENT) as u64;
        Allocations {
            buffers: plan.buffers().iter().map(|spec| create(&spec.name, spec.bytes(), storage)).collect(),
            params: create("params", params_bytes, BufferUsages::UNIFORM | BufferUsages::COPY_DST),
            read_back: plan
                .buffers()
                .iter()
                .enumerate()
                .filter(|(_, spec)| is_read(spec))
                .map(|(index, spec)| (index, create(&spec.name, spec.bytes(), BufferUsages::MAP_READ | BufferUsages::COPY_DST)))
                .collect(),
        }
    }

    /// Uploads what the plan itself brings: params, constants and, if asked for, poison.
    fn upload_own(&self, plan: &Plan, allocations: &Allocations, options: RunOptions) {
        for (buffer, spec) in allocations.buffers.iter().zip(plan.buffers()) {
            match &spec.role {
                Role::Constant(words) => self.queue.write_buffer(buffer, 0, bytemuck::cast_slice(words)),
                Role::Output | Role::Indices | Role::Scratch if options.poison => {
                    let poison = vec![POISON; spec.elements() as usize];
                    self.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&poison));
                }
                Role::Input | Role::Output | Role::Indices | Role::Scratch => {}
            }
        }
        let mut params = vec![0u8; allocations.params.size() as usize];
        for (slot, dispatch) in params.chunks_mut(PARAMS_ALIGNMENT).zip(plan.dispatches()) {
            slot[..dispatch.params.len()].copy_from_slice(&dispatch.params);
        }
        self.queue.write_buffer(&allocations.params, 0, &params);
    }

    fn bind(
        &self,
        dispatch: &Dispatch,
        index: usize,
        layout: &wgpu::BindGroupLayout,
        allocations: &Allocations,
    ) -> wgpu::BindGroup {
        let part = |buffer, offset, size| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(size) })
        };
        // The whole slot: what lies behind the params is zero, and no API has to round their size up.
        let params = part(&allocations.params, (index * PARAMS_ALIGNMENT) as u64, PARAMS_ALIGNMENT as u64);
        let storage = dispatch.bindings.iter().map(|binding| {
            part(&allocations.buffers[binding.buffer.index()], binding.first * ELEMENT_BYTES, binding.len * ELEMENT_BYTES)
        });
        let entries: Vec<_> = std::iter::once(params)
            .chain(storage)
            .enumerate()
            .map(|(binding, resource)| wgpu::BindGroupEntry { binding: binding as u32, resource })
            .collect();
        let descriptor = wgpu::BindGroupDescriptor { label: Some(dispatch.label), layout, entries: &entries };
        self.device.create_bind_group(&descriptor)
    }

    /// Waits for the device and copies the results to the host.
    fn read_back(&self, plan: &Plan, allocations: &Allocations) -> Result<Tensors> {
        let doing = "waiting for the results";
        let (sender, receiver) = mpsc::channel();
        self.checked(doing, || {
            for (_, copy) in &allocations.read_back {
                let sender = sender.clone();
                // The receiver outlives every callback, or nobody waits for the answer any more.
                copy.map_async(wgpu::MapMode::Read, .., move |result| drop(sender.send(result)));
            }
        })?;
        drop(sender);
        let failed = |message: String| Error::Device { doing: doing.to_owned(), message };
        let polled = self.device.poll(wgpu::PollType::wait_indefinitely());
        self.not_lost(doing)?;
        polled.map_err(|error| failed(error.to_string()))?;
        for _ in &allocations.read_back {
            let mapped = receiver.recv().map_err(|error| failed(error.to_string()))?;
            mapped.map_err(|error| failed(error.to_string()))?;
        }
        let mut outputs = Tensors::new();
        for (index, copy) in &allocations.read_back {
            let spec = &plan.buffers()[*index];
            let view = copy.get_mapped_range(..).map_err(|error| failed(error.to_string()))?;
            let data = bytemuck::pod_collect_to_vec(&view);
            outputs.insert(spec.name.clone(), spec.tensor(data)?);
        }
        Ok(outputs)
    }
}
