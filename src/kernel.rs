//! The table of kernels: one row a shader, with its bindings, its params and the reference function of the same name.
//!
//! Folders and table are held together by a test: every `shaders/STEM.wgsl` has a row and a `src/reference/STEM.rs`. Another
//! test reflects each shader and compares struct offsets, binding order and access with this table.

mod binding;

pub use binding::BindingRow;
use binding::{any, read, write};

use crate::params::Field;
pub use crate::params::KernelParams;
use crate::params::{
    AttendParams, AttendRowsParams, AttendWeightsParams, ClusterMeansParams, CuboidsParams, FeatureAttendParams,
    FeatureRowsParams, FeaturesParams, GatherRowsParams, InverseStartParams, LayerNormParams, LinearParams, NearestParams,
    SegmentMeansParams, SelectParams, TemporalPoolParams, TemporalWeightsParams,
};
use crate::reference::{
    attend, attend_rows, attend_weights, cluster_means, cuboids, feature_attend, feature_rows, features, gather_rows,
    inverse_start, layer_norm, linear, nearest, segment_means, select, temporal_pool, temporal_weights,
};
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
        Parts { stem, source, libraries, bindings, constants, matrices: false }
    }
}

impl Kernel {
    /// All kernels.
    pub const ALL: [Self; 17] = [
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
    ];

    /// The kernel's row in the table.
    pub fn row(self) -> &'static KernelRow {
        match self {
            Self::Attend => &ATTEND,
            Self::AttendRows => &ATTEND_ROWS,
            Self::Linear => &LINEAR,
            Self::TemporalWeights => &TEMPORAL_WEIGHTS,
            Self::TemporalPool => &TEMPORAL_POOL,
            Self::AttendWeights => &ATTEND_WEIGHTS,
            Self::GatherRows => &GATHER_ROWS,
            Self::Select => &SELECT,
            Self::Nearest => &NEAREST,
            Self::ClusterMeans => &CLUSTER_MEANS,
            Self::SegmentMeans => &SEGMENT_MEANS,
            Self::InverseStart => &INVERSE_START,
            Self::FeatureRows => &FEATURE_ROWS,
            Self::Features => &FEATURES,
            Self::FeatureAttend => &FEATURE_ATTEND,
            Self::LayerNorm => &LAYER_NORM,
            Self::Cuboids => &CUBOIDS,
        }
    }
}

static ATTEND: KernelRow = KernelRow {
    kernel: Kernel::Attend,
    stem: "attend",
    source: include_str!("../shaders/attend.wgsl"),
    libraries: &["grid", "constants", "score", "segments", "key_tile"],
    bindings: &[
        any("StoredQueries", read("queries")),
        any("StoredKeys", read("keys")),
        any("StoredValues", read("values")),
        any("StoredTokens", write("tokens")),
    ],
    fields: AttendParams::FIELDS,
    constants: &["HEAD_VECTORS", "VALUE_VECTORS", "KEYS_PER_TILE"],
    workgroup: 64,
    accesses_in_range: true,
    reference: attend::run,
};

static ATTEND_ROWS: KernelRow = KernelRow {
    kernel: Kernel::AttendRows,
    stem: "attend_rows",
    source: include_str!("../shaders/attend_rows.wgsl"),
    libraries: &["grid", "constants", "score", "reduce"],
    bindings: &[any("StoredQueries", read("queries")), any("StoredKeys", read("keys")), read("chosen"), write("weights")],
    fields: AttendRowsParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: attend_rows::run,
};

static LINEAR: KernelRow = KernelRow {
    kernel: Kernel::Linear,
    stem: "linear",
    source: include_str!("../shaders/linear.wgsl"),
    libraries: &["grid", "gelu", "activation", "product"],
    bindings: &[
        any("StoredX", read("x")),
        any("StoredW", read("w")),
        any("StoredBias", read("bias")),
        any("StoredResidual", read("residual")),
        any("StoredY", write("y")),
    ],
    fields: LinearParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: linear::run,
};

static TEMPORAL_WEIGHTS: KernelRow = KernelRow {
    kernel: Kernel::TemporalWeights,
    stem: "temporal_weights",
    source: include_str!("../shaders/temporal_weights.wgsl"),
    libraries: &["grid", "constants", "temporal_weights_params", "temporal_softmax"],
    bindings: &[any("StoredQueries", read("queries")), any("StoredTokens", read("tokens")), write("weights")],
    fields: TemporalWeightsParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: temporal_weights::run,
};

static TEMPORAL_POOL: KernelRow = KernelRow {
    kernel: Kernel::TemporalPool,
    stem: "temporal_pool",
    source: include_str!("../shaders/temporal_pool.wgsl"),
    libraries: &["grid", "temporal_pool_params"],
    bindings: &[read("weights"), any("StoredTokens", read("tokens")), any("StoredPooled", write("pooled"))],
    fields: TemporalPoolParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: temporal_pool::run,
};

static ATTEND_WEIGHTS: KernelRow = KernelRow {
    kernel: Kernel::AttendWeights,
    stem: "attend_weights",
    source: include_str!("../shaders/attend_weights.wgsl"),
    libraries: &["grid", "constants", "score", "attend_weights_params", "key_tile"],
    bindings: &[any("StoredQueries", read("queries")), any("StoredKeys", read("keys")), any("StoredWeights", write("weights"))],
    fields: AttendWeightsParams::FIELDS,
    constants: &["HEAD_VECTORS", "KEYS_PER_TILE"],
    workgroup: 64,
    accesses_in_range: true,
    reference: attend_weights::run,
};

static GATHER_ROWS: KernelRow = KernelRow {
    kernel: Kernel::GatherRows,
    stem: "gather_rows",
    source: include_str!("../shaders/gather_rows.wgsl"),
    libraries: &["grid", "constants", "score"],
    bindings: &[
        any("StoredQueries", read("queries")),
        any("StoredKeys", read("keys")),
        read("indices"),
        any("StoredRows", write("rows")),
    ],
    fields: GatherRowsParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: gather_rows::run,
};

static SELECT: KernelRow = KernelRow {
    kernel: Kernel::Select,
    stem: "select",
    source: include_str!("../shaders/select.wgsl"),
    libraries: &["grid", "square", "best"],
    bindings: &[read("candidates"), read("ids"), read("starts"), write("state")],
    fields: SelectParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: select::run,
};

static NEAREST: KernelRow = KernelRow {
    kernel: Kernel::Nearest,
    stem: "nearest",
    source: include_str!("../shaders/nearest.wgsl"),
    libraries: &["grid"],
    bindings: &[read("x"), read("centres"), write("assignments")],
    fields: NearestParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: nearest::run,
};

static CLUSTER_MEANS: KernelRow = KernelRow {
    kernel: Kernel::ClusterMeans,
    stem: "cluster_means",
    source: include_str!("../shaders/cluster_means.wgsl"),
    libraries: &["grid"],
    bindings: &[read("x"), read("assignments"), read("centres"), write("means")],
    fields: ClusterMeansParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: cluster_means::run,
};

static SEGMENT_MEANS: KernelRow = KernelRow {
    kernel: Kernel::SegmentMeans,
    stem: "segment_means",
    source: include_str!("../shaders/segment_means.wgsl"),
    libraries: &["grid"],
    bindings: &[read("x"), write("means")],
    fields: SegmentMeansParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: segment_means::run,
};

static INVERSE_START: KernelRow = KernelRow {
    kernel: Kernel::InverseStart,
    stem: "inverse_start",
    source: include_str!("../shaders/inverse_start.wgsl"),
    libraries: &["grid"],
    bindings: &[read("matrices"), write("starts")],
    fields: InverseStartParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: inverse_start::run,
};

static FEATURE_ROWS: KernelRow = KernelRow {
    kernel: Kernel::FeatureRows,
    stem: "feature_rows",
    source: include_str!("../shaders/feature_rows.wgsl"),
    libraries: &["grid"],
    bindings: &[read("x"), read("projections"), write("stats")],
    fields: FeatureRowsParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: feature_rows::run,
};

static FEATURES: KernelRow = KernelRow {
    kernel: Kernel::Features,
    stem: "features",
    source: include_str!("../shaders/features.wgsl"),
    libraries: &["grid", "constants"],
    bindings: &[read("stats"), write("projections")],
    fields: FeaturesParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: features::run,
};

static FEATURE_ATTEND: KernelRow = KernelRow {
    kernel: Kernel::FeatureAttend,
    stem: "feature_attend",
    source: include_str!("../shaders/feature_attend.wgsl"),
    libraries: &["grid"],
    bindings: &[read("queries"), read("key_values"), read("key_sums"), write("tokens")],
    fields: FeatureAttendParams::FIELDS,
    constants: &["VALUE_VECTORS"],
    workgroup: 64,
    accesses_in_range: false,
    reference: feature_attend::run,
};

static LAYER_NORM: KernelRow = KernelRow {
    kernel: Kernel::LayerNorm,
    stem: "layer_norm",
    source: include_str!("../shaders/layer_norm.wgsl"),
    libraries: &["grid"],
    bindings: &[
        any("StoredX", read("x")),
        any("StoredScales", read("scales")),
        any("StoredShifts", read("shifts")),
        any("StoredY", write("y")),
    ],
    fields: LayerNormParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: layer_norm::run,
};

static CUBOIDS: KernelRow = KernelRow {
    kernel: Kernel::Cuboids,
    stem: "cuboids",
    source: include_str!("../shaders/cuboids.wgsl"),
    libraries: &["grid"],
    bindings: &[any("StoredClip", read("clip")), any("StoredRows", write("rows"))],
    fields: CuboidsParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: cuboids::run,
};
