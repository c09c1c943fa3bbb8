//! Params structs of the kernels, shared by host, shader and reference, and what each of them reaches in its bindings.
//!
//! Offsets and strides are in elements and relative to the start of their binding. A shader declares the same struct by hand; a
//! test compares name, type and offset of every field. A plan refuses a dispatch whose params reach beyond what is bound, so kernels
//! index within range by construction.

mod approximation;
mod attend;
mod deformable;
mod grids;
mod linear;
mod network;
mod prototypes;
mod softmax;
mod temporal;
mod windows;

use crate::kernel::Kernel;
pub use approximation::{FeatureAttendParams, FeatureRowsParams, FeaturesParams, InverseStartParams, SegmentMeansParams};
pub use attend::{AttendParams, AttendRowsParams, AttendWeightsParams};
pub use deformable::{DeformableParams, DeformableScoresParams, MatchBlocksParams};
pub(crate) use deformable::{MAX_MATCHED_NUMBERS, MAX_RADIUS};
pub use grids::{CoarseMotionParams, RepeatCellsParams};
pub use linear::{Activation, LinearParams};
pub use network::{CuboidsParams, LayerNormParams};
pub use prototypes::{ClusterMeansParams, GatherRowsParams, NearestParams, SelectParams};
pub use softmax::SoftmaxRowsParams;
pub use temporal::{TemporalPoolParams, TemporalWeightsParams};
pub use windows::AttendWindowsParams;

/// A field of a params struct, for reflection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name, the same in Rust and WGSL.
    pub name: &'static str,
    /// `u32` or `f32`.
    pub kind: &'static str,
    /// Byte offset in the struct.
    pub offset: usize,
}

/// What a kernel reaches of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// One more than the highest index.
    pub end: u64,
    /// How many different elements, at the most.
    pub elements: u64,
}

impl Reach {
    /// Nothing.
    pub const NONE: Self = Self { end: 0, elements: 0 };

    /// So many elements that follow each other.
    fn dense(offset: u32, elements: u64) -> Self {
        Self { end: elements.saturating_add(offset.into()), elements }
    }

    /// This and that, which have nothing in common.
    fn and(self, other: Self) -> Self {
        Self { end: self.end.max(other.end), elements: self.elements.saturating_add(other.elements) }
    }
}

/// Params of a kernel: what a dispatch needs to know beside its bindings. Sealed, because kernels rely on what these say they reach.
pub trait KernelParams: bytemuck::Pod + Sealed {
    /// The kernel these belong to.
    const KERNEL: Kernel;
    /// What is reached of each binding, in order.
    fn reaches(&self) -> Vec<Reach>;
    /// Counts that must be at least one and at most the second number: sizes that shaders are built for, and turns of their loops.
    fn counts(&self) -> Vec<(&'static str, u32, u32)>;
    /// Turns that all loops of one invocation take together, at the most: nested ones multiplied, none unrolled. Mesa 22.3's software
    /// driver stops every loop once an invocation has taken 65,535 turns in all, without a word.
    fn loop_turns(&self) -> u64;
    /// Multiplications, each with its addition, that the formula takes; what a kernel wastes at its edges is not counted.
    fn multiply_adds(&self) -> u64;
    /// Workgroups needed.
    fn workgroups(&self) -> u64;
    /// Values of the row's `constants`, in order.
    fn constants(&self) -> Vec<u32> {
        Vec::new()
    }
}

/// Keeps [`KernelParams`] to this crate.
mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

macro_rules! params {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ident,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }

        impl crate::params::sealed::Sealed for $name {}

        impl $name {
            /// The fields in order.
            pub const FIELDS: &'static [crate::params::Field] = &[$(crate::params::Field {
                name: stringify!($field),
                kind: stringify!($kind),
                offset: std::mem::offset_of!($name, $field),
            },)*];
        }
    };
}
use params;

/// What is reached from `offset` along axes of `(count, stride)`, the last axis having stride one. Along an axis of stride zero it is the same
/// elements again.
fn extent(offset: u32, axes: &[(u32, u32)], innermost: impl Into<u64>) -> Reach {
    let innermost = innermost.into();
    let reach = |&(count, stride): &(u32, u32)| u64::from(count.saturating_sub(1)) * u64::from(stride);
    let end = axes.iter().map(reach).fold(u64::from(offset).saturating_add(innermost), u64::saturating_add);
    let counts = axes.iter().filter(|(_, stride)| *stride > 0).map(|&(count, _)| u64::from(count));
    let different = counts.fold(innermost, u64::saturating_mul);
    Reach { end, elements: different.min(end - u64::from(offset).min(end)) }
}

pub(crate) fn count(factors: &[u32]) -> u64 {
    factors.iter().fold(1u64, |total, &factor| total.saturating_mul(factor.into()))
}

/// Turns of a loop over `count` items with `inner` turns inside each: the last test, which ends the loop, is a turn too.
pub(crate) fn looped(count: u64, inner: u64) -> u64 {
    count.saturating_mul(inner.saturating_add(1)).saturating_add(1)
}

/// Counts without a limit of their own.
fn any(named: &[(&'static str, u32)]) -> Vec<(&'static str, u32, u32)> {
    named.iter().map(|&(name, count)| (name, count, u32::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reaches_end_behind_the_last_element_and_count_each_once() {
        assert_eq!(extent(5, &[(3, 10), (2, 4)], 4u32), Reach { end: 5 + 20 + 4 + 4, elements: 24 });
        // A bias that all rows share is there once, and rows that overlap are no more than what they span.
        assert_eq!(extent(1, &[(7, 0)], 4u32), Reach { end: 5, elements: 4 });
        assert_eq!(extent(0, &[(3, 1)], 4u32), Reach { end: 6, elements: 6 });
        assert_eq!(Reach::dense(2, 3).and(extent(9, &[], 1u32)), Reach { end: 10, elements: 4 });
        assert_eq!(extent(u32::MAX, &[(u32::MAX, u32::MAX)], u64::MAX).end, u64::MAX);
    }
}
