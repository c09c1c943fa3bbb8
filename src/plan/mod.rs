//! A [`Plan`]: the dispatches of one operation, as data.
//!
//! An operation in [`crate::ops`] turns sizes into a plan; the GPU engine and the CPU reference each walk it. A plan refers to buffers by
//! index and to kernels by their row in [`crate::kernel`]; it depends on no graphics API. Every dispatch is checked when it is added: its params
//! may not access anything beyond its bindings, a binding may not exceed [`PlanLimits::binding_bytes`], and its workgroups fit a grid.

mod builder;
mod identity;
mod lifetime;
mod storage;

pub use crate::element::Element;
pub use builder::PlanBuilder;
pub(crate) use builder::{BINDING_SLACK, check_iterations, fold_grid};
use identity::Identity;
pub(crate) use identity::Memory as PlanMemory;
pub use lifetime::ScratchLayout;

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::shape::MAX_LOOP;
use crate::tensor::{Tensor, Tensors, missing};
pub use crate::view::{Binding, BufferId, View};

/// Size of an element in bytes, unless [`Plan::stored_as`] makes it smaller.
pub const ELEMENT_BYTES: u64 = 4;
/// Limits of a plan. The default is the minimum that every device has; [`Engine::plan_limits`](crate::Engine::plan_limits) returns those of
/// one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanLimits {
    /// Largest part of a buffer that one binding may cover, in bytes.
    pub binding_bytes: u64,
    /// Most workgroups in one dimension of a dispatch.
    pub workgroups_per_dimension: u32,
    /// Size in bytes that scratch buffers are not to exceed by much: operations are cut into slices for it. It bounds memory, not results.
    pub scratch_bytes: u64,
    /// Most iterations of all loops of an invocation together, on drivers that end loops after that many ([`MAX_LOOP`]).
    pub loop_iterations: Option<u32>,
}

impl Default for PlanLimits {
    fn default() -> Self {
        Self {
            binding_bytes: 128 << 20,
            workgroups_per_dimension: 65_535,
            scratch_bytes: 32 << 20,
            loop_iterations: Some(MAX_LOOP),
        }
    }
}

/// Purpose of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Given by the caller under the buffer's name.
    Input,
    /// Handed to the caller under the buffer's name.
    Output,
    /// An output of integers, stored as float32 on the device.
    Indices,
    /// Written and read by the plan alone.
    Scratch,
    /// 32-bit integers fixed when the plan was made.
    Constant(Vec<u32>),
}

/// One buffer of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferSpec {
    /// Name; for inputs and outputs the tensor's name.
    pub name: String,
    /// Sizes of the axes, outermost first.
    pub shape: Vec<u64>,
    /// Purpose.
    pub role: Role,
    /// Storage of its elements; [`Role::Constant`] has integers of four bytes.
    pub element: Element,
}

impl BufferSpec {
    /// Number of elements. Their product was checked when the buffer was added.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }
    /// The buffer's elements as a tensor.
    ///
    /// # Errors
    /// [`Error::WrongShape`] for another number of them.
    pub fn tensor(&self, data: Vec<f32>) -> Result<Tensor> {
        let tensor = Tensor::new(self.shape.iter().map(|&size| size as usize).collect(), data)?;
        Ok(if self.role == Role::Indices { tensor.into_indices() } else { tensor })
    }
    /// Whether a tensor has this shape.
    ///
    /// # Errors
    /// [`Error::WrongShape`] if not.
    pub fn check(&self, tensor: &Tensor) -> Result<()> {
        self.check_shape(tensor.shape())
    }

    /// Whether this is its shape.
    ///
    /// # Errors
    /// [`Error::WrongShape`] if not.
    pub fn check_shape(&self, found: &[usize]) -> Result<()> {
        if found.iter().map(|&size| size as u64).eq(self.shape.iter().copied()) {
            return Ok(());
        }
        Err(Error::WrongShape { name: self.name.clone(), found: found.to_vec(), expected: format!("{:?}", self.shape) })
    }

    /// Whether it is handed to the caller.
    pub fn is_output(&self) -> bool {
        matches!(self.role, Role::Output | Role::Indices)
    }
    /// Size in bytes, a multiple of four.
    pub fn bytes(&self) -> u64 {
        (self.elements() * self.element.bytes()).next_multiple_of(4)
    }
}

/// One run of one kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// What the dispatch computes, for people.
    pub label: &'static str,
    /// The kernel.
    pub kernel: Kernel,
    /// The kernel's params struct, as bytes.
    pub params: Vec<u8>,
    /// Values of the kernel's shader constants, in its table row's order.
    pub constants: Vec<u32>,
    /// Bindings in the order of the kernel's row; the last one is written.
    pub bindings: Vec<Binding>,
    /// Storage of each binding's elements.
    pub elements: Vec<Element>,
    /// Most different elements of each binding that the kernel accesses.
    pub accessed: Vec<u64>,
    /// Sizes by name.
    pub sizes: Vec<(&'static str, u32)>,
    /// Number of workgroups of the kernel's baseline.
    pub workgroups: u64,
    /// Multiply-adds of the formula.
    pub multiply_adds: u64,
    /// Most iterations of all loops of an invocation of the kernel's baseline together.
    pub iterations: u64,
}

/// A step of a plan.
#[derive(Clone, Debug)]
pub enum Stage {
    /// One kernel; its reference computes the same buffers.
    Kernel(Dispatch),
    /// Several kernels that together take an algebraic shortcut; the reference takes the direct route between the same buffers.
    Shortcut {
        /// Dispatches of the kernels.
        dispatches: Vec<Dispatch>,
        /// The direct route.
        direct: Arc<dyn Direct>,
    },
}

/// The direct route of a shortcut: the published order of the computation.
pub trait Direct: std::fmt::Debug + Send + Sync {
    /// Computes the stage on the buffers of its plan.
    fn run(&self, buffers: &mut [Vec<f32>]);
}

impl PartialEq for Stage {
    fn eq(&self, other: &Self) -> bool {
        let direct = |stage: &Self| match stage {
            Self::Kernel(_) => None,
            Self::Shortcut { direct, .. } => Some(format!("{direct:?}")),
        };
        self.dispatches() == other.dispatches() && direct(self) == direct(other)
    }
}

impl Stage {
    /// The dispatches of this stage, in order.
    pub fn dispatches(&self) -> &[Dispatch] {
        match self {
            Self::Kernel(dispatch) => std::slice::from_ref(dispatch),
            Self::Shortcut { dispatches, .. } => dispatches,
        }
    }
}

/// The dispatches of one operation and the buffers they use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    buffers: Vec<BufferSpec>,
    stages: Vec<Stage>,
    /// Index of the dispatch before which a scratch buffer's live range ends, and the buffer.
    releases: Vec<(usize, BufferId)>,
    /// Scratch buffers that stay float32.
    exact: Vec<BufferId>,
    identity: Identity,
}

impl Plan {
    /// The buffers with their ids.
    pub fn numbered_buffers(&self) -> impl Iterator<Item = (BufferId, &BufferSpec)> {
        self.buffers.iter().enumerate().map(|(index, spec)| (BufferId(index), spec))
    }
    /// The buffers, by [`BufferId::index`].
    pub fn buffers(&self) -> &[BufferSpec] {
        &self.buffers
    }
    /// The steps, in order.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }
    /// All dispatches, in order.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.stages.iter().flat_map(Stage::dispatches)
    }
    /// Multiply-adds of all dispatches.
    pub fn multiply_adds(&self) -> u64 {
        self.dispatches().fold(0, |total, dispatch| total.saturating_add(dispatch.multiply_adds))
    }
    /// Allocations that scratch buffers share if their live ranges do not overlap.
    pub fn shared_scratch(&self) -> ScratchLayout {
        ScratchLayout::shared(self)
    }
    /// An allocation a scratch buffer, so that all can be read when the plan has run.
    pub fn scratch_apart(&self) -> ScratchLayout {
        ScratchLayout::apart(self)
    }
    /// Bytes of the plan on a device: inputs, outputs, constants and shared allocations of scratch buffers.
    pub fn peak_bytes(&self) -> u64 {
        let kept = self.buffers.iter().filter(|spec| spec.role != Role::Scratch).map(BufferSpec::bytes);
        kept.chain(self.shared_scratch().allocations().iter().copied()).sum()
    }
    /// Bytes of all buffers of the plan together.
    pub fn buffer_bytes(&self) -> u64 {
        self.buffers.iter().map(BufferSpec::bytes).sum()
    }
    /// Size of the largest buffer, in bytes: a device must be able to allocate it.
    pub fn largest_buffer_bytes(&self) -> u64 {
        self.buffers.iter().map(BufferSpec::bytes).max().unwrap_or(0)
    }

    /// The plan's identity.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The tensor for each input buffer, checked against its shape.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] and [`Error::WrongShape`]. Tensors that the plan does not name are ignored.
    pub fn inputs<'t>(&self, tensors: &'t Tensors) -> Result<Vec<(BufferId, &'t Tensor)>> {
        self.inputs_where(tensors, |_| true)
    }

    /// The same for some of the input buffers.
    ///
    /// # Errors
    /// Those of [`Plan::inputs`].
    pub fn inputs_where<'t>(
        &self,
        tensors: &'t Tensors,
        is_wanted: impl Fn(BufferId) -> bool,
    ) -> Result<Vec<(BufferId, &'t Tensor)>> {
        let mut inputs = Vec::new();
        for (id, spec) in self.numbered_buffers().filter(|(id, spec)| spec.role == Role::Input && is_wanted(*id)) {
            let tensor = tensors.get(&spec.name).ok_or_else(|| missing(&spec.name, tensors))?;
            spec.check(tensor)?;
            inputs.push((id, tensor));
        }
        Ok(inputs)
    }
}
