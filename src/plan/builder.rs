//! Plans are put together here, each buffer and dispatch checked as it comes.

use std::cell::Cell;

use super::{Binding, BufferId, BufferSpec, Dispatch, ELEMENT_BYTES, Element, Plan, PlanLimits, Role, Stage};
use crate::error::{Error, Result};
use crate::kernel::{KernelParams, Request};
use crate::shape::{at_most, product};
use crate::view::{BINDING_ALIGNMENT, View};

/// Most dispatches of one plan: their params share a buffer.
const MAX_DISPATCHES: u32 = 1 << 18;
/// Bytes that a binding may be longer than what it is for, because of where it has to start.
pub(crate) const BINDING_SLACK: u64 = BINDING_ALIGNMENT * ELEMENT_BYTES;

/// Puts a [`Plan`] together, checking each buffer and dispatch as it comes.
#[derive(Debug)]
pub struct PlanBuilder {
    limits: PlanLimits,
    plan: Plan,
    /// Dispatches made so far.
    made: Cell<u64>,
    /// What the names of inputs and scratch begin with.
    prefix: String,
}

impl PlanBuilder {
    /// An empty plan for devices of these limits.
    pub fn new(limits: PlanLimits) -> Self {
        Self { limits, plan: Plan::default(), made: Cell::new(0), prefix: String::new() }
    }

    /// The limits the plan is made for.
    pub fn limits(&self) -> &PlanLimits {
        &self.limits
    }

    /// Puts these words before the names of all inputs and scratch buffers to come: one layer of many, `blocks.3.attn.` for example.
    pub fn name_under(&mut self, prefix: &str) {
        prefix.clone_into(&mut self.prefix);
    }

    /// Adds a buffer of `shape`.
    ///
    /// # Errors
    /// [`Error::SizeOverflow`] if its bytes do not fit in 64 bits, [`Error::WrongShape`] for constants of another number.
    pub fn buffer(&mut self, name: &str, shape: &[u64], role: Role) -> Result<BufferId> {
        let bytes: Vec<u64> = shape.iter().copied().chain([ELEMENT_BYTES]).collect();
        let bytes = product(&format!("bytes of buffer {name:?}"), &bytes)?;
        if let Role::Constant(words) = &role
            && words.len() as u64 * ELEMENT_BYTES != bytes
        {
            let expected = format!("a shape of {} elements", words.len());
            return Err(Error::WrongShape {
                name: name.to_owned(),
                found: shape.iter().map(|&size| size as usize).collect(),
                expected,
            });
        }
        let name = match role {
            Role::Input | Role::Scratch => format!("{}{name}", self.prefix),
            Role::Output | Role::Indices | Role::Constant(_) => name.to_owned(),
        };
        self.plan.buffers.push(BufferSpec { name, shape: shape.to_vec(), role, element: Element::F32 });
        Ok(BufferId(self.plan.buffers.len() - 1))
    }

    /// Binds the elements `first .. first + len` of a buffer. Bindings start at aligned places, so this one may start earlier:
    /// the second value is the number of elements between its start and `first`, to be added to the params' offset.
    ///
    /// # Errors
    /// [`Error::BindingTooLarge`]; [`Error::OutOfRange`] if the buffer ends before the binding does.
    pub fn bind(&self, buffer: BufferId, first: u64, len: u64) -> Result<(Binding, u32)> {
        let spec = self.spec(buffer)?;
        let end = first.saturating_add(len);
        if end > spec.elements() {
            return Err(Error::OutOfRange { what: "bound element", index: end, count: spec.elements() + 1 });
        }
        let ahead = first % BINDING_ALIGNMENT;
        let binding = Binding { buffer, first: first - ahead, len: len + ahead };
        let bytes = binding.len * ELEMENT_BYTES;
        // Shaders index with 32 bits, whatever a device can bind.
        let limit = self.limits.binding_bytes.min(u32::MAX.into());
        if bytes > limit {
            return Err(Error::BindingTooLarge { buffer: spec.name.clone(), bytes, limit });
        }
        Ok((binding, ahead as u32))
    }

    /// Binds a whole buffer.
    ///
    /// # Errors
    /// As [`PlanBuilder::bind`].
    pub fn bind_all(&self, buffer: BufferId) -> Result<Binding> {
        Ok(self.bind(buffer, 0, self.spec(buffer)?.elements())?.0)
    }

    fn spec(&self, buffer: BufferId) -> Result<&BufferSpec> {
        let count = self.plan.buffers.len() as u64;
        self.plan.buffers.get(buffer.0).ok_or(Error::OutOfRange { what: "buffer", index: buffer.0 as u64, count })
    }

    /// Makes a dispatch of the kernel that `P` belongs to, checked against the kernel's row, its bindings and the limits.
    ///
    /// # Errors
    /// [`Error::DispatchMismatch`], [`Error::ZeroSize`] and [`Error::TooLarge`] for counts the kernel is not built for,
    /// [`Error::BindingTooShort`], [`Error::TooManyWorkgroups`], [`Error::OutOfRange`] for bindings of another plan.
    pub fn dispatch<P: KernelParams>(&self, label: &'static str, params: P, bindings: &[Binding]) -> Result<Dispatch> {
        let row = P::KERNEL.row();
        if row.bindings.len() != bindings.len() {
            let (given, expected) = (bindings.len() as u64, row.bindings.len() as u64);
            return Err(Error::DispatchMismatch { kernel: row.stem, what: "bindings", given, expected });
        }
        self.made.set(self.made.get() + 1);
        at_most("dispatches of one plan", self.made.get(), MAX_DISPATCHES)?;
        for binding in bindings {
            // Again, as it may come from another builder.
            self.bind(binding.buffer, binding.first, binding.len)?;
        }
        let read_too =
            bindings.split_last().map_or(0, |(written, read)| read.iter().filter(|b| b.buffer == written.buffer).count());
        if read_too > 0 {
            let what = "bindings that read the buffer it writes";
            return Err(Error::DispatchMismatch { kernel: row.stem, what, given: read_too as u64, expected: 0 });
        }
        for (what, given, most) in params.counts() {
            match given {
                0 => return Err(Error::ZeroSize { what }),
                _ if given > most => return Err(Error::TooLarge { what, given: given.into(), most: most.into() }),
                _ => {}
            }
        }
        let iterations = params.iterations();
        check_iterations(iterations, self.limits.loop_iterations)?;
        let accesses = params.accesses();
        for ((reach, bound), name) in accesses.iter().zip(bindings).zip(row.bindings) {
            if reach.end > bound.len {
                let (needed, bound) = (reach.end, bound.len);
                return Err(Error::BindingTooShort { kernel: row.stem, binding: name.name, needed, bound });
            }
        }
        let workgroups = params.workgroups();
        fold_grid(row.stem, workgroups, self.limits.workgroups_per_dimension)?;
        let params_bytes = bytemuck::bytes_of(&params).to_vec();
        let (constants, multiply_adds) = (params.constants(), params.multiply_adds());
        let sizes = params.counts().into_iter().map(|(what, count, _)| (what, count)).collect();
        let elements = vec![Element::F32; bindings.len()];
        let (kernel, params, bindings) = (P::KERNEL, params_bytes, bindings.to_vec());
        let reached = accesses.iter().map(|reach| reach.elements).collect();
        Ok(Dispatch {
            label,
            kernel,
            params,
            constants,
            bindings,
            elements,
            reached,
            sizes,
            workgroups,
            multiply_adds,
            iterations,
        })
    }

    /// Makes a dispatch and appends it as a stage of its own.
    ///
    /// # Errors
    /// As [`PlanBuilder::dispatch`].
    pub fn push<P: KernelParams>(&mut self, label: &'static str, params: P, bindings: &[Binding]) -> Result<()> {
        let dispatch = self.dispatch(label, params, bindings)?;
        self.push_kernel(dispatch);
        Ok(())
    }

    /// Adds a buffer: the view of all of it.
    ///
    /// # Errors
    /// As [`PlanBuilder::buffer`].
    pub fn array(&mut self, name: &str, shape: &[u64], role: Role) -> Result<View> {
        Ok(View::of(self.buffer(name, shape, role)?, shape))
    }

    /// The view of a whole buffer, in its shape.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a buffer of another plan.
    pub fn view(&self, buffer: BufferId) -> Result<View> {
        Ok(View::of(buffer, &self.spec(buffer)?.shape))
    }

    /// Makes a dispatch of what a kernel is asked for.
    ///
    /// # Errors
    /// Those of [`Request::place`] and [`PlanBuilder::dispatch`].
    pub fn make<R: Request>(&self, label: &'static str, request: R) -> Result<Dispatch> {
        let (params, bindings) = request.place()?;
        self.dispatch(label, params, &bindings)
    }

    /// Makes a dispatch of what a kernel is asked for, and appends it as a stage of its own.
    ///
    /// # Errors
    /// As [`PlanBuilder::make`].
    pub fn launch<R: Request>(&mut self, label: &'static str, request: R) -> Result<()> {
        let dispatch = self.make(label, request)?;
        self.push_kernel(dispatch);
        Ok(())
    }

    /// Appends a dispatch that was made by this builder, as a stage of its own.
    pub(crate) fn push_kernel(&mut self, dispatch: Dispatch) {
        self.push_stage(Stage::Kernel(dispatch));
    }

    /// Appends a stage whose dispatches were made by this builder.
    pub(crate) fn push_stage(&mut self, stage: Stage) {
        self.plan.stages.push(stage);
    }

    /// Says that these scratch buffers hold numbers that have to be float32, whatever the plan is [stored as](Plan::stored_as).
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a buffer of another plan.
    pub fn keep_exact(&mut self, buffers: &[BufferId]) -> Result<()> {
        for &buffer in buffers {
            self.spec(buffer)?;
        }
        self.plan.exact.extend(buffers);
        Ok(())
    }

    /// Says that what these scratch buffers hold now is not needed any more: each may be used again, for something new.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a buffer of another plan.
    pub fn release(&mut self, buffers: &[BufferId]) -> Result<()> {
        for &buffer in buffers {
            self.spec(buffer)?;
        }
        let next = self.plan.dispatches().count();
        self.plan.releases.extend(buffers.iter().map(|&buffer| (next, buffer)));
        Ok(())
    }

    /// The finished plan.
    pub fn build(self) -> Plan {
        self.plan
    }
}

/// Whether an invocation's loops end by themselves on a driver with such a limit.
pub(crate) fn check_iterations(iterations: u64, most: Option<u32>) -> Result<()> {
    let what = "loop iterations of an invocation on this driver (fewer keys, frames or columns take fewer)";
    most.map_or(Ok(()), |most| at_most(what, iterations, most).map(drop))
}

/// Folds `workgroups`, numbered in one dimension, over x and y so that both stay within the limit and little is idle.
pub(crate) fn fold_grid(kernel: &'static str, workgroups: u64, per_dimension: u32) -> Result<[u32; 3]> {
    let limit = u64::from(per_dimension.max(1));
    let rows = workgroups.div_ceil(limit).max(1);
    if rows > limit {
        return Err(Error::TooManyWorkgroups { kernel, workgroups, most: limit * limit });
    }
    Ok([workgroups.div_ceil(rows) as u32, rows as u32, 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_fold_within_the_limit() {
        assert_eq!(fold_grid("k", 1, 65_535).expect("one"), [1, 1, 1]);
        assert_eq!(fold_grid("k", 65_535, 65_535).expect("a full row"), [65_535, 1, 1]);
        assert_eq!(fold_grid("k", 65_536, 65_535).expect("two rows"), [32_768, 2, 1]);
        assert!(matches!(fold_grid("k", 10, 3), Err(Error::TooManyWorkgroups { workgroups: 10, most: 9, .. })));
    }

    #[test]
    fn bindings_are_aligned_and_bounded() {
        let mut builder = PlanBuilder::new(PlanLimits { binding_bytes: 1024, ..PlanLimits::default() });
        let id = builder.buffer("b", &[1000], Role::Scratch).expect("small");
        let (binding, ahead) = builder.bind(id, 150, 50).expect("in range");
        assert_eq!((binding.first, binding.len, ahead), (128, 72, 22));
        assert!(matches!(builder.bind(id, 0, 257), Err(Error::BindingTooLarge { bytes: 1028, limit: 1024, .. })));
        assert!(matches!(builder.bind(id, 990, 11), Err(Error::OutOfRange { .. })));
        assert!(matches!(builder.buffer("huge", &[u64::MAX, 2], Role::Scratch), Err(Error::SizeOverflow { .. })));
    }
}
