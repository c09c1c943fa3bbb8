//! The memory of a prepared plan: an array for each input and output, and allocations that scratch buffers share.

use std::sync::Arc;

use orthoformer::gpu::RunOptions;
use orthoformer::plan::{Binding, BufferId, BufferSpec, Dispatch, Element, Role, ScratchLayout};
use orthoformer::{Error, Plan, Result};

use super::shared::CpuWeights;

/// Elements of a buffer that is not scratch.
#[derive(Debug)]
pub(crate) enum Kept {
    Scratch,
    Own(Vec<f32>),
    Shared(Arc<[f32]>),
}

/// Whether the dispatches of a stage may run as one step, which leaves the buffers between them unwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fusion {
    /// The buffers between are outputs.
    None,
    Direct,
    /// What the last one writes lies where earlier ones read: it has to wait for them.
    Staged,
}

/// Arrays in float32, whatever the plan is stored as: what is written is rounded to that.
#[derive(Debug)]
pub(crate) struct Memory {
    /// By the plan's buffer.
    kept: Vec<Kept>,
    allocations: Vec<Vec<f32>>,
    layout: ScratchLayout,
}

impl Memory {
    /// Allocates the buffers of a plan. Scratch buffers share allocations unless they are to be read or poisoned.
    pub fn new(plan: &Plan, weights: &CpuWeights, options: RunOptions) -> Result<Self> {
        let watched = options.poison || options.read_scratch;
        let layout = if watched { plan.scratch_apart() } else { plan.shared_scratch() };
        let unwritten = if options.poison { f32::NAN } else { 0.0 };
        let keep = |spec: &BufferSpec| match (&spec.role, weights.get(spec)) {
            (Role::Scratch, _) => Ok(Kept::Scratch),
            (Role::Constant(words), _) => Ok(Kept::Own(words.iter().map(|&word| f32::from_bits(word)).collect())),
            (Role::Input, Some(shared)) => Ok(Kept::Shared(shared.clone())),
            (Role::Input, None) => Ok(Kept::Own(filled(&spec.name, spec.elements(), 0.0)?)),
            (Role::Output | Role::Indices, _) => Ok(Kept::Own(filled(&spec.name, spec.elements(), unwritten)?)),
        };
        let kept = plan.buffers().iter().map(keep).collect::<Result<_>>()?;
        // An allocation may hold a buffer of half floats at one time and of floats at another.
        let is_half = |spec: &BufferSpec| spec.role == Role::Scratch && spec.element == Element::F16;
        let smallest = if plan.buffers().iter().any(is_half) { Element::F16 } else { Element::F32 }.bytes();
        let allocations = layout.allocations().iter().map(|&bytes| filled("scratch", bytes.div_ceil(smallest), unwritten));
        Ok(Self { kept, allocations: allocations.collect::<Result<_>>()?, layout })
    }

    /// The array of a buffer during a dispatch. Empty for scratch that no dispatch uses.
    pub fn at(&self, buffer: BufferId, dispatch: usize) -> &[f32] {
        match self.kept.get(buffer.index()) {
            Some(Kept::Own(elements)) => elements,
            Some(Kept::Shared(elements)) => elements,
            _ => self.layout.allocation(buffer, dispatch).map_or(&[], |allocation| &self.allocations[allocation]),
        }
    }

    /// How the dispatches of a stage, of which this is the number of the first, may run as one step.
    pub fn fusion(&self, dispatches: &[Dispatch], first: usize) -> Fusion {
        let is_scratch = |binding: &Binding| matches!(self.kept.get(binding.buffer().index()), Some(Kept::Scratch));
        let Some((last, others)) = dispatches.split_last() else { return Fusion::None };
        let Some((written, _)) = last.bindings.split_last() else { return Fusion::None };
        let between = || others.iter().filter_map(|dispatch| dispatch.bindings.last());
        if !between().all(is_scratch) {
            return Fusion::None;
        }
        let end = first + others.len();
        let own = is_scratch(written).then(|| self.layout.allocation(written.buffer(), end)).flatten();
        let shares = |(number, dispatch): (usize, &Dispatch)| {
            dispatch.bindings.iter().any(|binding| {
                is_scratch(binding) && self.layout.allocation(binding.buffer(), first + number).is_some_and(|at| Some(at) == own)
            })
        };
        if others.iter().enumerate().any(shares) { Fusion::Staged } else { Fusion::Direct }
    }

    /// The part of it that is bound.
    pub fn bound(&self, binding: &Binding, dispatch: usize) -> &[f32] {
        &self.at(binding.buffer(), dispatch)[binding.range()]
    }

    /// The same after a run.
    pub fn last(&self, buffer: BufferId) -> Option<&[f32]> {
        match self.kept.get(buffer.index())? {
            Kept::Own(elements) => Some(elements),
            Kept::Shared(elements) => Some(elements),
            Kept::Scratch => self.allocations.get(self.layout.last_allocation(buffer)?).map(Vec::as_slice),
        }
    }

    /// Takes a buffer's array out to be written during a dispatch; [`Memory::put`] puts it back.
    pub fn take(&mut self, buffer: BufferId, dispatch: usize) -> Vec<f32> {
        self.slot(buffer, dispatch).map(std::mem::take).unwrap_or_default()
    }

    pub fn put(&mut self, buffer: BufferId, dispatch: usize, elements: Vec<f32>) {
        if let Some(slot) = self.slot(buffer, dispatch) {
            *slot = elements;
        }
    }

    fn slot(&mut self, buffer: BufferId, dispatch: usize) -> Option<&mut Vec<f32>> {
        match self.kept.get_mut(buffer.index())? {
            Kept::Own(elements) => Some(elements),
            Kept::Shared(_) => None,
            Kept::Scratch => self.allocations.get_mut(self.layout.allocation(buffer, dispatch)?),
        }
    }

    /// The array of an input that is the plan's own.
    pub fn own_input(&mut self, buffer: BufferId) -> Option<&mut [f32]> {
        match self.kept.get_mut(buffer.index())? {
            Kept::Own(elements) => Some(elements),
            Kept::Shared(_) | Kept::Scratch => None,
        }
    }

    /// Whether other plans share the buffer.
    pub fn is_shared(&self, buffer: BufferId) -> bool {
        matches!(self.kept.get(buffer.index()), Some(Kept::Shared(_)))
    }

    /// Bytes of this plan alone.
    pub fn own_bytes(&self) -> u64 {
        let kept = self.kept.iter().map(|kept| if let Kept::Own(elements) = kept { elements.len() } else { 0 });
        4 * kept.chain(self.allocations.iter().map(Vec::len)).sum::<usize>() as u64
    }

    /// Bytes that other plans share.
    pub fn shared_bytes(&self) -> u64 {
        let shared = self.kept.iter().map(|kept| if let Kept::Shared(elements) = kept { elements.len() } else { 0 });
        4 * shared.sum::<usize>() as u64
    }
}

/// An array, or [`Error::OutOfMemory`].
pub(crate) fn filled(name: &str, count: u64, value: f32) -> Result<Vec<f32>> {
    let failed = |message: String| Error::OutOfMemory { doing: format!("allocating {name:?}"), message };
    let count = usize::try_from(count).map_err(|error| failed(error.to_string()))?;
    let mut elements = Vec::new();
    elements.try_reserve_exact(count).map_err(|error| failed(format!("{count} elements: {error}")))?;
    elements.resize(count, value);
    Ok(elements)
}
