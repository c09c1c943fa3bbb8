//! Bindings of a host's buffers to a plan: inputs, outputs and, optionally, scratch memory.

use std::collections::BTreeMap;

use wgpu::{BufferSlice, BufferUsages};

use super::engine::Engine;
use super::shared::SharedInputs;
use crate::error::{Error, Result};
use crate::plan::{BufferSpec, Plan, Role};

/// Parts of a host's buffers, by the names of the plan's inputs and outputs.
///
/// A part is at least as large as [`BufferSpec::bytes`] of its plan's buffer and begins at a multiple of the device's
/// `min_storage_buffer_offset_alignment` (256 at the most); its buffer has the usage `STORAGE`, is neither mapped nor destroyed, and outputs
/// overlap nothing else. WebGPU tracks accesses by whole buffers: a dispatch must not write a buffer that it reads, whatever the offsets.
#[derive(Clone, Debug, Default)]
pub struct Bindings<'b> {
    slices: BTreeMap<&'b str, BufferSlice<'b>>,
    scratch: Vec<BufferSlice<'b>>,
    shared: Option<&'b SharedInputs>,
}

impl<'b> Bindings<'b> {
    /// Nothing bound.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds part of a buffer to the plan's input or output of this name; of several parts for a name the last counts.
    #[must_use]
    pub fn bind(mut self, name: &'b str, slice: BufferSlice<'b>) -> Self {
        self.slices.insert(name, slice);
        self
    }

    /// Binds scratch memory: a part for each allocation of [`Plan::shared_scratch`], in order and at least as large, each in a buffer
    /// of its own. Without it, the engine allocates scratch memory when it first records the plan, and keeps it.
    #[must_use]
    pub fn scratch(mut self, slices: impl IntoIterator<Item = BufferSlice<'b>>) -> Self {
        self.scratch = slices.into_iter().collect();
        self
    }

    /// Binds inputs that an engine uploaded; what is bound by name comes first.
    #[must_use]
    pub fn shared(mut self, inputs: &'b SharedInputs) -> Self {
        self.shared = Some(inputs);
        self
    }
}

/// A part of a host's buffer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BoundSlice {
    pub buffer: wgpu::Buffer,
    pub offset: u64,
    /// Offset of its end in the buffer, in bytes.
    pub end: u64,
}

/// All parts of buffers that a host binds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BoundSlices {
    /// By the plan's buffer; `None` for constants and scratch.
    pub named: Vec<Option<BoundSlice>>,
    /// By allocation of scratch memory; empty if the engine brings it.
    pub scratch: Vec<BoundSlice>,
}

impl Bindings<'_> {
    /// Looks up the part bound to each buffer of the plan, without checking it.
    pub(super) fn resolve(&self, plan: &Plan) -> Result<BoundSlices> {
        let given = || plan.buffers().iter().filter(|spec| is_given(spec)).map(|spec| spec.name.as_str());
        let known = given().filter(|name| self.slices.contains_key(name)).count();
        // Ahead of what is missing: a misspelt name is both.
        if known < self.slices.len()
            && let Some(stranger) = self.slices.keys().find(|name| !given().any(|known| known == **name))
        {
            let expected = format!("one of the plan's inputs and outputs: {}", given().collect::<Vec<_>>().join(", "));
            return Err(Error::HostBinding { buffer: (*stranger).to_owned(), found: "a buffer".to_owned(), expected });
        }
        let named = plan.buffers().iter().map(|spec| self.slice(spec)).collect::<Result<Vec<_>>>()?;
        Ok(BoundSlices { named, scratch: self.scratch.iter().map(BoundSlice::of).collect() })
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.slices.keys().copied().collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }

    fn slice(&self, spec: &BufferSpec) -> Result<Option<BoundSlice>> {
        if !is_given(spec) {
            return Ok(None);
        }
        if let Some(slice) = self.slices.get(spec.name.as_str()) {
            return Ok(Some(BoundSlice::of(slice)));
        }
        let shared = self.shared.and_then(|inputs| inputs.get(spec));
        let whole = shared.map(|buffer| BoundSlice { buffer: buffer.clone(), offset: 0, end: buffer.size() });
        whole.map(Some).ok_or_else(|| Error::HostBinding {
            buffer: spec.name.clone(),
            found: "nothing".to_owned(),
            expected: format!("{} bytes of a storage buffer; bound are: {}", spec.bytes(), self.names()),
        })
    }
}

fn is_given(spec: &BufferSpec) -> bool {
    matches!(spec.role, Role::Input | Role::Output | Role::Indices)
}

impl BoundSlice {
    fn of(slice: &BufferSlice<'_>) -> Self {
        let (offset, size) = (slice.offset(), slice.size());
        Self { buffer: slice.buffer().clone(), offset, end: offset.saturating_add(size) }
    }

    /// Checks that the part can hold a buffer of so many bytes.
    fn check(&self, name: &str, bytes: u64, alignment: u64) -> Result<()> {
        let wrong = |found: String, expected: String| Err(Error::HostBinding { buffer: name.to_owned(), found, expected });
        let size = self.end - self.offset;
        if size < bytes {
            return wrong(format!("{size} bytes"), format!("at least {bytes}"));
        }
        if !self.offset.is_multiple_of(alignment) {
            return wrong(format!("a part that begins at byte {}", self.offset), format!("a multiple of {alignment}"));
        }
        if !self.buffer.usage().contains(BufferUsages::STORAGE) {
            return wrong(format!("a buffer with the usages {:?}", self.buffer.usage()), "STORAGE among them".to_owned());
        }
        Ok(())
    }
}

impl BoundSlices {
    /// Checks that every part is large enough, aligned and usable as storage.
    pub fn check(&self, engine: &Engine, plan: &Plan) -> Result<()> {
        let alignment = u64::from(engine.device.limits().min_storage_buffer_offset_alignment);
        for (spec, slice) in plan.buffers().iter().zip(&self.named) {
            slice.as_ref().map_or(Ok(()), |slice| slice.check(&spec.name, spec.bytes(), alignment))?;
        }
        let layout = plan.shared_scratch();
        let (given, needed) = (self.scratch.len(), layout.allocations().len());
        if given != 0 && given != needed {
            let (found, expected) = (format!("{given} allocations"), format!("{needed}, or none at all"));
            return Err(Error::HostBinding { buffer: "scratch".to_owned(), found, expected });
        }
        for (number, (slice, bytes)) in self.scratch.iter().zip(layout.allocations()).enumerate() {
            slice.check(&format!("scratch {number}"), *bytes, alignment)?;
        }
        self.check_overlaps(plan)
    }

    /// Checks that written parts overlap nothing else. All scratch memory is written, and so has buffers of its own.
    fn check_overlaps(&self, plan: &Plan) -> Result<()> {
        let named = plan.buffers().iter().zip(&self.named);
        let named: Vec<_> = named.filter_map(|(spec, slice)| Some((spec, slice.as_ref()?))).collect();
        let clash = |buffer: &str, what: &str, other: &str, expected: &str| {
            let found = format!("the same {what} as {other:?}");
            Err(Error::HostBinding { buffer: buffer.to_owned(), found, expected: expected.to_owned() })
        };
        for (number, slice) in self.scratch.iter().enumerate() {
            let name = format!("scratch {number}");
            let expected = "a buffer of its own";
            if let Some((spec, _)) = named.iter().find(|(_, other)| other.buffer == slice.buffer) {
                return clash(&name, "buffer", &spec.name, expected);
            }
            if let Some(earlier) = self.scratch[..number].iter().position(|other| other.buffer == slice.buffer) {
                return clash(&name, "buffer", &format!("scratch {earlier}"), expected);
            }
        }
        for (number, (spec, slice)) in named.iter().enumerate().filter(|(_, (spec, _))| spec.is_output()) {
            let overlaps =
                |other: &BoundSlice| other.buffer == slice.buffer && slice.offset < other.end && other.offset < slice.end;
            let other = named.iter().enumerate().find(|(at, (_, other))| *at != number && overlaps(other));
            if let Some((_, (other, _))) = other {
                return clash(&spec.name, "memory", &other.name, "memory of its own, as it is written");
            }
        }
        Ok(())
    }
}
