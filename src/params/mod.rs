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
mod temporal;
mod windows;

pub use crate::kernel::{Activation, SoftmaxRowsParams};
pub use crate::kernel::{Field, KernelParams};
pub(crate) use crate::kernel::{MAX_MATCHED_VALUES as MAX_MATCHED_NUMBERS, MAX_RADIUS};
pub(crate) use crate::kernel::{count, looped};
use crate::view::{BoundView, Extent};
pub use approximation::{FeatureAttendParams, FeatureRowsParams, FeaturesParams, InverseStartParams, SegmentMeansParams};
pub use attend::{AttendParams, AttendRowsParams, AttendWeightsParams};
pub use deformable::{DeformableParams, DeformableScoresParams, MatchBlocksParams};
pub use grids::{CoarseMotionParams, RepeatCellsParams};
pub use linear::LinearParams;
pub use network::{CuboidsParams, LayerNormParams};
pub use prototypes::{ClusterMeansParams, GatherRowsParams, NearestParams, SelectParams};
pub use temporal::{TemporalPoolParams, TemporalWeightsParams};
pub use windows::AttendWindowsParams;

macro_rules! params {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ident,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }

        impl crate::kernel::Sealed for $name {}

        impl crate::kernel::IntoParams for $name {
            type Params = Self;

            fn into_params(self) -> Self {
                self
            }
        }

        impl $name {
            /// The fields in order.
            pub const FIELDS: &'static [crate::kernel::Field] = &[$(crate::kernel::Field {
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
fn extent(offset: u32, axes: &[(u32, u32)], innermost: impl Into<u64>) -> Extent {
    let innermost = innermost.into();
    let reach = |&(count, stride): &(u32, u32)| u64::from(count.saturating_sub(1)) * u64::from(stride);
    let end = axes.iter().map(reach).fold(u64::from(offset).saturating_add(innermost), u64::saturating_add);
    let counts = axes.iter().filter(|(_, stride)| *stride > 0).map(|&(count, _)| u64::from(count));
    let different = counts.fold(innermost, u64::saturating_mul);
    Extent { end, elements: different.min(end - u64::from(offset).min(end)) }
}

/// An array of this shape without gaps; the last axis is the elements of a row.
fn dense(offset: u32, shape: &[u32]) -> BoundView {
    let inner = |axis: usize| shape.iter().skip(axis + 1).fold(1u32, |all, &size| all.saturating_mul(size));
    let strides: Vec<u32> = (0..shape.len().saturating_sub(1)).map(inner).collect();
    BoundView::new(offset, &strides)
}

/// The first of each `step` along an axis.
fn first_of_each(view: BoundView, axis: usize, step: u32) -> BoundView {
    view.with_stride(axis, view.stride(axis).saturating_mul(step))
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
        assert_eq!(extent(5, &[(3, 10), (2, 4)], 4u32), Extent { end: 5 + 20 + 4 + 4, elements: 24 });
        // A bias that all rows share is there once, and rows that overlap are no more than what they span.
        assert_eq!(extent(1, &[(7, 0)], 4u32), Extent { end: 5, elements: 4 });
        assert_eq!(extent(0, &[(3, 1)], 4u32), Extent { end: 6, elements: 6 });
        assert_eq!(Extent::dense(2, 3).and(extent(9, &[], 1u32)), Extent { end: 10, elements: 4 });
        assert_eq!(extent(u32::MAX, &[(u32::MAX, u32::MAX)], u64::MAX).end, u64::MAX);
    }
}
