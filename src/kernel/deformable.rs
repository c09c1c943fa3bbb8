//! The rows of deformable attention's kernels.

use super::binding::{any, read, write};
use super::{Kernel, KernelRow};
use crate::params::{CoarseMotionParams, DeformableParams, DeformableScoresParams, MatchBlocksParams, RepeatCellsParams};
use crate::reference::{coarse_motion, deformable, deformable_scores, match_blocks, repeat_cells};

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

pub(super) static COARSE_MOTION: KernelRow = KernelRow {
    kernel: Kernel::CoarseMotion,
    stem: "coarse_motion",
    source: include_str!("../../shaders/coarse_motion.wgsl"),
    libraries: &["grid"],
    bindings: &[read("motion"), write("coarse")],
    fields: CoarseMotionParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: coarse_motion::run,
};

pub(super) static REPEAT_CELLS: KernelRow = KernelRow {
    kernel: Kernel::RepeatCells,
    stem: "repeat_cells",
    source: include_str!("../../shaders/repeat_cells.wgsl"),
    libraries: &["grid"],
    bindings: &[any("StoredX", read("x")), any("StoredY", write("y"))],
    fields: RepeatCellsParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: repeat_cells::run,
};
