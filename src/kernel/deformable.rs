//! The rows of deformable attention's kernels.

use super::binding::{any, read, write};
use super::{Kernel, KernelRow};
use crate::params::{DeformableParams, DeformableScoresParams, MatchBlocksParams};
use crate::reference::{deformable, deformable_scores, match_blocks};

pub(super) static DEFORMABLE: KernelRow = KernelRow {
    kernel: Kernel::Deformable,
    stem: "deformable",
    source: include_str!("../../shaders/deformable.wgsl"),
    libraries: &["grid", "constants", "exponential", "samples"],
    bindings: &[any("StoredValues", read("values")), read("displacements"), read("logits"), any("StoredTokens", write("tokens"))],
    fields: DeformableParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: deformable::run,
};

pub(super) static DEFORMABLE_SCORES: KernelRow = KernelRow {
    kernel: Kernel::DeformableScores,
    stem: "deformable_scores",
    source: include_str!("../../shaders/deformable_scores.wgsl"),
    libraries: &["grid", "samples"],
    bindings: &[any("StoredQueries", read("queries")), any("StoredKeys", read("keys")), read("displacements"), write("logits")],
    fields: DeformableScoresParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: deformable_scores::run,
};

pub(super) static MATCH_BLOCKS: KernelRow = KernelRow {
    kernel: Kernel::MatchBlocks,
    stem: "match_blocks",
    source: include_str!("../../shaders/match_blocks.wgsl"),
    libraries: &["grid"],
    bindings: &[any("StoredClip", read("clip")), write("motion")],
    fields: MatchBlocksParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: match_blocks::run,
};
