//! The rows of deformable attention's kernels.

use super::{Kernel, KernelRow};
use super::{any, read, write};
use crate::params::{CoarseMotionParams, DeformableParams, DeformableScoresParams, MatchBlocksParams, RepeatCellsParams};
use crate::reference::{coarse_motion, deformable, deformable_scores, match_blocks, repeat_cells};

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

pub(super) static MATCH_BLOCKS: KernelRow = KernelRow {
    kernel: Kernel::MatchBlocks,
    stem: "match_blocks",
    source: include_str!("../../shaders/match_blocks.wgsl"),
    bindings: &[any(read("clip")), write("motion")],
    fields: MatchBlocksParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: match_blocks::run,
};

pub(super) static COARSE_MOTION: KernelRow = KernelRow {
    kernel: Kernel::CoarseMotion,
    stem: "coarse_motion",
    source: include_str!("../../shaders/coarse_motion.wgsl"),
    bindings: &[read("motion"), write("coarse")],
    fields: CoarseMotionParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: coarse_motion::run,
};

pub(super) static REPEAT_CELLS: KernelRow = KernelRow {
    kernel: Kernel::RepeatCells,
    stem: "repeat_cells",
    source: include_str!("../../shaders/repeat_cells.wgsl"),
    bindings: &[any(read("x")), any(write("y"))],
    fields: RepeatCellsParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: repeat_cells::run,
};
