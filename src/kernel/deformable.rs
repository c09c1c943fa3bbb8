//! The rows of deformable attention's kernels.

use super::{Kernel, KernelRow};
use super::{any, read, write};
use crate::params::{DeformableParams, DeformableScoresParams};
use crate::reference::{deformable, deformable_scores};

pub(super) static DEFORMABLE: KernelRow = KernelRow {
    kernel: Kernel::Deformable,
    stem: "deformable",
    source: include_str!("../../shaders/deformable.wgsl"),
    bindings: &[any(read("values")), read("displacements"), read("logits"), any(write("tokens"))],
    fields: DeformableParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: deformable::run,
};

pub(super) static DEFORMABLE_SCORES: KernelRow = KernelRow {
    kernel: Kernel::DeformableScores,
    stem: "deformable_scores",
    source: include_str!("../../shaders/deformable_scores.wgsl"),
    bindings: &[any(read("queries")), any(read("keys")), read("displacements"), write("logits")],
    fields: DeformableScoresParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: deformable_scores::run,
};
