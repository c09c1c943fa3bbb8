//! The device memory of a prepared plan: a buffer each for what the caller gives or gets, and pieces that scratch buffers share.

use wgpu::BufferUsages;

use super::engine::Engine;
use super::run::RunOptions;
use super::shared::SharedInputs;
use crate::plan::{BufferId, BufferSpec, Plan, Role, ScratchLayout};

/// A quiet NaN, as one float32 and as two float16.
const POISON: u32 = 0x7fc0_7fc0;
/// Words of poison that are uploaded at a time.
const POISON_CHUNK: u64 = 1 << 20;
pub(super) const STORAGE: BufferUsages = BufferUsages::STORAGE.union(BufferUsages::COPY_SRC).union(BufferUsages::COPY_DST);

/// Buffers on the device.
#[derive(Clone)]
pub(super) struct Memory {
    /// By the plan's buffer: its own memory, unless it is scratch.
    kept: Vec<Option<wgpu::Buffer>>,
    /// By the plan's buffer: whether others have it too.
    shared: Vec<bool>,
    allocations: Vec<wgpu::Buffer>,
    layout: ScratchLayout,
}

impl Memory {
    /// Allocates what a plan needs. Scratch buffers share memory unless they are to be read or watched.
    pub fn new(engine: &Engine, plan: &Plan, inputs: &SharedInputs, options: RunOptions) -> Self {
        let watched = options.poison || options.read_scratch;
        let layout = if watched { plan.scratch_apart() } else { plan.shared_scratch() };
        let shared = plan.buffers().iter().map(|spec| inputs.has(spec)).collect();
        let keep = |spec: &BufferSpec| match inputs.get(spec) {
            Some(shared) => shared.clone(),
            None => engine.buffer(&spec.name, spec.bytes(), STORAGE),
        };
        let kept: Vec<_> = plan.buffers().iter().map(|spec| (spec.role != Role::Scratch).then(|| keep(spec))).collect();
        let allocations = layout.allocations().iter().map(|&bytes| engine.buffer("scratch", bytes, STORAGE));
        let allocations = allocations.collect();
        Self { kept, shared, allocations, layout }
    }

    /// The memory of a buffer that is not scratch.
    pub fn kept(&self, buffer: BufferId) -> Option<&wgpu::Buffer> {
        self.kept.get(buffer.index())?.as_ref()
    }

    /// Where a buffer of the plan lies while a dispatch runs.
    pub fn at(&self, buffer: BufferId, dispatch: usize) -> Option<&wgpu::Buffer> {
        self.kept(buffer).or_else(|| self.allocations.get(self.layout.allocation(buffer, dispatch)?))
    }

    /// Where a buffer of the plan lies when it has run: nowhere if it is scratch that no dispatch used.
    pub fn last(&self, buffer: BufferId) -> Option<&wgpu::Buffer> {
        self.kept(buffer).or_else(|| self.allocations.get(self.layout.last_allocation(buffer)?))
    }

    /// The same with other memory for the inputs, which an encoder fills with what is in this one's.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn with_copied_inputs(&self, engine: &Engine, plan: &Plan, encoder: &mut wgpu::CommandEncoder) -> Self {
        let mut copied = self.clone();
        for (slot, spec) in copied.kept.iter_mut().zip(plan.buffers()).filter(|(_, spec)| spec.role == Role::Input) {
            let copy = engine.buffer(&spec.name, spec.bytes(), STORAGE);
            if let Some(original) = slot {
                encoder.copy_buffer_to_buffer(original, 0, &copy, 0, spec.bytes());
            }
            *slot = Some(copy);
        }
        copied
    }

    /// Whether a buffer is other plans' too.
    pub fn is_shared(&self, buffer: BufferId) -> bool {
        self.shared.get(buffer.index()).copied().unwrap_or(false)
    }

    /// Bytes of buffers that are other plans' too.
    pub fn shared_bytes(&self) -> u64 {
        let shared = self.kept.iter().zip(&self.shared).filter(|(_, shared)| **shared);
        shared.filter_map(|(buffer, _)| buffer.as_ref()).map(wgpu::Buffer::size).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.kept.iter().flatten().chain(&self.allocations).map(wgpu::Buffer::size).sum()
    }

    /// Uploads the constants that the plan brings and, if asked for, poison.
    pub fn fill(&self, queue: &wgpu::Queue, plan: &Plan, poison: bool) {
        for (buffer, spec) in self.kept.iter().zip(plan.buffers()) {
            match (buffer, &spec.role) {
                (Some(buffer), Role::Constant(words)) => queue.write_buffer(buffer, 0, bytemuck::cast_slice(words)),
                (Some(buffer), Role::Output | Role::Indices) if poison => fill_with_poison(queue, buffer),
                _ => {}
            }
        }
        if poison {
            self.allocations.iter().for_each(|allocation| fill_with_poison(queue, allocation));
        }
    }
}

fn fill_with_poison(queue: &wgpu::Queue, buffer: &wgpu::Buffer) {
    let words = buffer.size() / 4;
    let poison = vec![POISON; POISON_CHUNK.min(words) as usize];
    for first in (0..words).step_by(POISON_CHUNK as usize) {
        let chunk = &poison[..poison.len().min((words - first) as usize)];
        queue.write_buffer(buffer, 4 * first, bytemuck::cast_slice(chunk));
    }
}
