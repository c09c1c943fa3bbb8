//! The table of kernels: one row a shader, with its bindings, its params and the reference function of the same name.
//!
//! Folders and table are held together by a test: every `shaders/STEM.wgsl` has a row and a `src/reference/STEM.rs`. Another
//! test reflects each shader and compares struct offsets, binding order and access with this table.

mod binding;
mod deformable;
mod softmax;
mod table;
mod windows;

pub use binding::BindingRow;

use crate::params::Field;
pub use crate::params::KernelParams;
use crate::wgsl::Parts;

/// The kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kernel {
    /// Segmented attention: a softmax and an output per query row and key segment.
    Attend,
    /// The softmax rows of chosen queries, written out.
    AttendRows,
    /// Matrix product with optional bias, activation and residual.
    Linear,
    /// Softmax over frames of projected queries against trajectory tokens.
    TemporalWeights,
    /// Trajectory tokens summed over frames with given weights.
    TemporalPool,
    /// The softmax rows of all queries over one segment, written out.
    AttendWeights,
    /// Copies of chosen rows, as they are or scaled to length one.
    GatherRows,
    /// Greedy selection of the candidates that are least like those before.
    Select,
    /// The centre that each row is closest to.
    Nearest,
    /// Means of the rows assigned to each centre.
    ClusterMeans,
    /// Means of consecutive tokens in patch-major order.
    SegmentMeans,
    /// Where the iteration for the pseudo-inverse begins.
    InverseStart,
    /// What positive random features need to know of each row.
    FeatureRows,
    /// Positive random features.
    Features,
    /// Attention by features.
    FeatureAttend,
    /// Rows brought to mean zero and variance one, with learned scales and shifts.
    LayerNorm,
    /// A clip cut in cuboids, each a row.
    Cuboids,
    /// Attention within shifted windows of a grid, with biases by relative position.
    AttendWindows,
    /// Softmax of rows, and the logarithms of their sums.
    SoftmaxRows,
    /// Attention to sampled points of a query's own sub-clip.
    Deformable,
    /// Queries against keys at sampled points.
    DeformableScores,
    /// Motion of patches by block matching.
    MatchBlocks,
    /// Motion on a coarser grid.
    CoarseMotion,
    /// Tokens of a coarser grid brought back to the finer one.
    RepeatCells,
}

/// A kernel's row. Binding 0 is the params struct (uniform); `bindings` follow from 1.
#[derive(Debug)]
pub struct KernelRow {
    /// Which kernel.
    pub kernel: Kernel,
    /// Stem of `shaders/STEM.wgsl` and `src/reference/STEM.rs`.
    pub stem: &'static str,
    /// The shader's text, without libraries and prelude.
    pub source: &'static str,
    /// Library files under `shaders/lib/` that precede it.
    pub libraries: &'static [&'static str],
    /// Storage bindings in order.
    pub bindings: &'static [BindingRow],
    /// Fields of the params struct.
    pub fields: &'static [Field],
    /// Names of the `const`s that the prelude defines (all u32).
    pub constants: &'static [&'static str],
    /// Invocations of a workgroup, in x.
    pub workgroup: u32,
    /// Whether all indices follow from the params, which the plan has checked: bounds checks may be left out. Not so where a kernel indexes
    /// by numbers that it reads.
    pub accesses_in_range: bool,
    /// The CPU twin: params as bytes, inputs in order, output.
    pub(crate) reference: fn(&[u8], &[&[f32]], &mut [f32]),
}

impl KernelRow {
    /// What the shader is made of.
    pub fn parts(&self) -> Parts {
        let Self { stem, source, libraries, bindings, constants, .. } = *self;
        Parts { stem, source, libraries, bindings, constants, matrices: false, subgroups: false }
    }
}

impl Kernel {
    /// All kernels.
    pub const ALL: [Self; 24] = [
        Self::Attend,
        Self::AttendRows,
        Self::Linear,
        Self::TemporalWeights,
        Self::TemporalPool,
        Self::AttendWeights,
        Self::GatherRows,
        Self::Select,
        Self::Nearest,
        Self::ClusterMeans,
        Self::SegmentMeans,
        Self::InverseStart,
        Self::FeatureRows,
        Self::Features,
        Self::FeatureAttend,
        Self::LayerNorm,
        Self::Cuboids,
        Self::AttendWindows,
        Self::SoftmaxRows,
        Self::Deformable,
        Self::DeformableScores,
        Self::MatchBlocks,
        Self::CoarseMotion,
        Self::RepeatCells,
    ];

    /// The kernel's row in the table.
    pub fn row(self) -> &'static KernelRow {
        match self {
            Self::Attend => &table::ATTEND,
            Self::AttendRows => &table::ATTEND_ROWS,
            Self::Linear => &table::LINEAR,
            Self::TemporalWeights => &table::TEMPORAL_WEIGHTS,
            Self::TemporalPool => &table::TEMPORAL_POOL,
            Self::AttendWeights => &table::ATTEND_WEIGHTS,
            Self::GatherRows => &table::GATHER_ROWS,
            Self::Select => &table::SELECT,
            Self::Nearest => &table::NEAREST,
            Self::ClusterMeans => &table::CLUSTER_MEANS,
            Self::SegmentMeans => &table::SEGMENT_MEANS,
            Self::InverseStart => &table::INVERSE_START,
            Self::FeatureRows => &table::FEATURE_ROWS,
            Self::Features => &table::FEATURES,
            Self::FeatureAttend => &table::FEATURE_ATTEND,
            Self::LayerNorm => &table::LAYER_NORM,
            Self::Cuboids => &table::CUBOIDS,
            Self::AttendWindows => &windows::ATTEND_WINDOWS,
            Self::SoftmaxRows => &softmax::SOFTMAX_ROWS,
            Self::Deformable => &deformable::DEFORMABLE,
            Self::DeformableScores => &deformable::DEFORMABLE_SCORES,
            Self::MatchBlocks => &deformable::MATCH_BLOCKS,
            Self::CoarseMotion => &deformable::COARSE_MOTION,
            Self::RepeatCells => &deformable::REPEAT_CELLS,
        }
    }
}
