//! The table of kernels: one row a shader, with its bindings, its params and the reference function of the same name.
//!
//! Folders and table are held together by a test: every `shaders/STEM.wgsl` has a row and a `src/reference/STEM.rs`. Another
//! test reflects each shader and compares struct offsets, binding order and access with this table.

pub(crate) mod arithmetic;
mod cluster_means;
pub(crate) mod declaration;
mod deformable;
mod gather_rows;
mod nearest;
mod placement;
mod select;
mod softmax_rows;
mod table;
mod temporal_pool;
mod temporal_weights;
mod windows;

pub use cluster_means::{ClusterMeans, ClusterMeansParams};
pub use declaration::{BindingRow, Field, IntoParams, KernelParams, KernelRow, ViewRow};
pub(crate) use declaration::{Sealed, count, looped};
pub use gather_rows::{GatherRows, GatherRowsParams};
pub use nearest::{Nearest, NearestParams};
pub use placement::Request;
pub use select::{Select, SelectParams};
pub use softmax_rows::{SoftmaxRows, SoftmaxRowsParams};
pub use temporal_pool::{TemporalPool, TemporalPoolParams};
pub use temporal_weights::{TemporalWeights, TemporalWeightsParams};

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
            Self::TemporalWeights => &temporal_weights::ROW,
            Self::TemporalPool => &temporal_pool::ROW,
            Self::AttendWeights => &table::ATTEND_WEIGHTS,
            Self::GatherRows => &gather_rows::ROW,
            Self::Select => &select::ROW,
            Self::Nearest => &nearest::ROW,
            Self::ClusterMeans => &cluster_means::ROW,
            Self::SegmentMeans => &table::SEGMENT_MEANS,
            Self::InverseStart => &table::INVERSE_START,
            Self::FeatureRows => &table::FEATURE_ROWS,
            Self::Features => &table::FEATURES,
            Self::FeatureAttend => &table::FEATURE_ATTEND,
            Self::LayerNorm => &table::LAYER_NORM,
            Self::Cuboids => &table::CUBOIDS,
            Self::AttendWindows => &windows::ATTEND_WINDOWS,
            Self::SoftmaxRows => &softmax_rows::ROW,
            Self::Deformable => &deformable::DEFORMABLE,
            Self::DeformableScores => &deformable::DEFORMABLE_SCORES,
            Self::MatchBlocks => &deformable::MATCH_BLOCKS,
            Self::CoarseMotion => &deformable::COARSE_MOTION,
            Self::RepeatCells => &deformable::REPEAT_CELLS,
        }
    }
}

const fn read(name: &'static str) -> BindingRow {
    BindingRow { name, written: false, any: false, views: &[] }
}

const fn write(name: &'static str) -> BindingRow {
    BindingRow { name, written: true, any: false, views: &[] }
}

/// The same binding, stored as any element.
const fn any(row: BindingRow) -> BindingRow {
    BindingRow { any: true, ..row }
}
