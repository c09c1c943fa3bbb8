//! The kernels: one declaration a file, with its reference as plain loops.
//!
//! From a declaration (the macro is in `declaration.rs`) come the params of a kernel, the request that operations make of views, the prelude of its shader, its row in
//! the table, and the checks of a plan. `shaders/STEM.wgsl` is the baseline; [`crate::variant`] has the variants.

pub(crate) mod arithmetic;
pub(crate) mod declaration;
pub(crate) mod pieces;
mod placement;
pub(crate) mod row;
pub(crate) mod samples;

pub use linear::Activation;
pub use match_blocks::{MAX_MATCHED_VALUES, MAX_RADIUS};
pub use placement::Request;
pub use row::{BindingRow, Field, KernelParams, KernelRow, ViewRow};
pub(crate) use row::{Sealed, count, looped};

/// The list of all kernels: module, request, params and row of each.
macro_rules! kernels {
    ($($(#[$doc:meta])* $kernel:ident $params:ident in $module:ident,)*) => {
        $(pub(crate) mod $module;)*
        $(pub use $module::{$kernel, $params};)*

        /// The kernels.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kernel {
            $($(#[$doc])* $kernel,)*
        }

        impl Kernel {
            /// All kernels.
            pub const ALL: &'static [Self] = &[$(Self::$kernel),*];

            /// The kernel's row in the table.
            pub fn row(self) -> &'static KernelRow {
                match self {
                    $(Self::$kernel => &$module::ROW,)*
                }
            }
        }
    };
}

kernels! {
    /// Segmented attention: a softmax and an output per query row and key segment.
    Attend AttendParams in attend,
    /// The softmax rows of chosen queries, written out.
    AttendRows AttendRowsParams in attend_rows,
    /// Matrix product with optional bias, activation and residual.
    Linear LinearParams in linear,
    /// Softmax over frames of projected queries against trajectory tokens.
    TemporalWeights TemporalWeightsParams in temporal_weights,
    /// Trajectory tokens summed over frames with given weights.
    TemporalPool TemporalPoolParams in temporal_pool,
    /// The softmax rows of all queries over one segment, written out.
    AttendWeights AttendWeightsParams in attend_weights,
    /// Copies of chosen rows, as they are or scaled to length one.
    GatherRows GatherRowsParams in gather_rows,
    /// Greedy selection of candidates of least similarity to the earlier ones.
    Select SelectParams in select,
    /// The centre that each row is closest to.
    Nearest NearestParams in nearest,
    /// Means of the rows assigned to each centre.
    ClusterMeans ClusterMeansParams in cluster_means,
    /// Means of consecutive tokens in patch-major order.
    SegmentMeans SegmentMeansParams in segment_means,
    /// Start of the iteration for the pseudo-inverse.
    InverseStart InverseStartParams in inverse_start,
    /// Statistics of each row for positive random features.
    FeatureRows FeatureRowsParams in feature_rows,
    /// Positive random features.
    Features FeaturesParams in features,
    /// Attention by features.
    FeatureAttend FeatureAttendParams in feature_attend,
    /// Rows brought to mean zero and variance one, with learned scales and shifts.
    LayerNorm LayerNormParams in layer_norm,
    /// A clip cut in patches, each a row.
    Patchify PatchifyParams in patchify,
    /// Attention within shifted windows of a grid, with biases by relative position.
    AttendWindows AttendWindowsParams in attend_windows,
    /// Softmax of rows, and their log sums.
    SoftmaxRows SoftmaxRowsParams in softmax_rows,
    /// Attention to sampled points of a query's own sub-clip.
    Deformable DeformableParams in deformable,
    /// Queries against keys at sampled points.
    DeformableScores DeformableScoresParams in deformable_scores,
    /// Motion of patches by block matching.
    MatchBlocks MatchBlocksParams in match_blocks,
    /// Motion on a coarser grid.
    CoarseMotion CoarseMotionParams in coarse_motion,
    /// Tokens of a coarser grid brought back to the finer one.
    RepeatCells RepeatCellsParams in repeat_cells,
    /// Tokens turned by their positions along three axes.
    Rotary RotaryParams in rotary,
}
