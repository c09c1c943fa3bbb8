//! Running a plan once: inputs in, outputs out.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::engine::Engine;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::plan::Plan;
use crate::tensor::Tensors;
use crate::variant::Variant;

/// How to run a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Fill outputs and scratch with NaN first, so that an element that no kernel writes shows.
    pub poison: bool,
    /// Hand out scratch buffers too, under their names in the plan.
    pub read_scratch: bool,
    /// Run every dispatch that can as this variant and the others as the baseline. `None`: what suits the device best.
    pub variant: Option<Variant>,
    /// With a variant: in this tile size of its row's, where a dispatch can; `None` leaves it to the variant.
    pub tile: Option<usize>,
    /// With a variant: only for dispatches of this kernel, the baseline for all others.
    pub kernel: Option<Kernel>,
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
    /// How much of that went by until everything was compiled, allocated and uploaded.
    pub ready: Duration,
}

impl Engine {
    /// Runs a plan and waits for its outputs.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] and [`Error::WrongShape`] for the inputs, [`Error::NoHalf`], [`Error::BufferTooLarge`], [`Error::OutOfMemory`],
    /// [`Error::DeviceLost`], [`Error::Shader`], [`Error::Device`].
    pub fn run(&self, plan: &Plan, inputs: &Tensors, options: RunOptions) -> Result<Run> {
        let start = Instant::now();
        // Before anything is allocated.
        plan.inputs(inputs)?;
        let mut prepared = self.prepare(plan, options)?;
        prepared.upload(inputs)?;
        let ready = start.elapsed();
        let outputs = prepared.run()?;
        Ok(Run { outputs, device_bytes: prepared.device_bytes(), wall: start.elapsed(), ready })
    }

    /// Waits until the device has done everything.
    pub(super) fn wait(&self, doing: &str) -> Result<()> {
        let polled = self.device.poll(wgpu::PollType::wait_indefinitely());
        self.not_lost(doing)?;
        polled.map_err(|error| Error::Device { doing: doing.to_owned(), message: error.to_string() })?;
        Ok(())
    }
}

/// Waits for the device and copies mappable buffers to the host.
pub(super) fn mapped<T: bytemuck::Pod>(engine: &Engine, doing: &str, copies: &[&wgpu::Buffer]) -> Result<Vec<Vec<T>>> {
    map(engine, doing, copies, wgpu::MapMode::Read)?;
    let numbers = |copy: &&wgpu::Buffer| {
        let view = copy.get_mapped_range(..).map_err(|error| failed(doing, &error))?;
        let numbers = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        // So that the next run can copy into it.
        copy.unmap();
        Ok(numbers)
    };
    copies.iter().map(numbers).collect()
}

/// Waits until a mappable buffer is free, and writes into its beginning.
pub(super) fn write_mapped(engine: &Engine, doing: &str, buffer: &wgpu::Buffer, bytes: &[u8]) -> Result<()> {
    map(engine, doing, &[buffer], wgpu::MapMode::Write)?;
    let mut view = buffer.get_mapped_range_mut(..bytes.len() as u64).map_err(|error| failed(doing, &error))?;
    view.copy_from_slice(bytes);
    drop(view);
    buffer.unmap();
    Ok(())
}

/// Maps buffers, once the device is done with them.
fn map(engine: &Engine, doing: &str, buffers: &[&wgpu::Buffer], mode: wgpu::MapMode) -> Result<()> {
    let (sender, receiver) = mpsc::channel();
    engine.checked(doing, || {
        for buffer in buffers {
            let sender = sender.clone();
            // The receiver outlives every callback, or nobody waits for the answer any more.
            buffer.map_async(mode, .., move |result| drop(sender.send(result)));
        }
    })?;
    drop(sender);
    engine.wait(doing)?;
    for _ in buffers {
        let mapped = receiver.recv().map_err(|error| failed(doing, &error))?;
        mapped.map_err(|error| failed(doing, &error))?;
    }
    Ok(())
}

fn failed(doing: &str, error: &dyn std::error::Error) -> Error {
    Error::Device { doing: doing.to_owned(), message: error.to_string() }
}
