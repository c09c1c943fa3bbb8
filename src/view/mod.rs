//! Views: offsets and strides of operands.
//!
//! A [`View`] is a part of a buffer seen as an array. Operations make one of a whole buffer and cut it with verbs. A kernel's declaration names the axes of
//! each of its views; sizes, accesses, alignment and bindings of a dispatch follow from them. A [`BoundView`] is what shaders and references
//! see: element `c` of the row at `[i0, i1, ...]` is element `offset + i0 * strides[0] + i1 * strides[1] + ... + c` of the binding. The same struct
//! is `View` in WGSL, where the prelude of a shader has an accessor for each of its views.

mod bound;
mod cut;

pub use bound::{BoundView, Extent, indices};
pub use cut::View;
pub(crate) use cut::aligned;

/// Most axes of a view that have a stride of their own in shaders.
pub const MAX_AXES: usize = 5;
/// Bindings start at multiples of this many elements (WebGPU's 256-byte offset alignment, for elements of two bytes too).
pub const BINDING_ALIGNMENT: u64 = 128;

/// Index of a buffer in its plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub(crate) usize);

impl BufferId {
    /// Index into [`Plan::buffers`](crate::Plan::buffers).
    pub fn index(self) -> usize {
        self.0
    }
}

/// A contiguous part of a buffer, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The buffer.
    pub(crate) buffer: BufferId,
    /// First element; a multiple of [`BINDING_ALIGNMENT`].
    pub(crate) first: u64,
    /// Number of elements.
    pub(crate) len: u64,
}

impl Binding {
    /// The buffer.
    pub fn buffer(&self) -> BufferId {
        self.buffer
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.len
    }

    /// The elements of the buffer that it covers.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.first as usize..(self.first + self.len) as usize
    }
}
