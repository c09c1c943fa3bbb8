//! The rows of the table.

use super::{Kernel, KernelRow};
use super::{any, read, write};
use crate::params::{
    ClusterMeansParams, CuboidsParams, FeatureAttendParams, FeatureRowsParams, FeaturesParams, GatherRowsParams,
    InverseStartParams, LayerNormParams, LinearParams, NearestParams, SegmentMeansParams, SelectParams, TemporalPoolParams,
    TemporalWeightsParams,
};
use crate::reference::{
    cluster_means, cuboids, feature_attend, feature_rows, features, gather_rows, inverse_start, layer_norm, linear, nearest,
    segment_means, select, temporal_pool, temporal_weights,
};

pub(super) static LINEAR: KernelRow = KernelRow {
    kernel: Kernel::Linear,
    stem: "linear",
    source: include_str!("../../shaders/linear.wgsl"),
    bindings: &[any(read("x")), any(read("w")), any(read("bias")), any(read("residual")), any(write("y"))],
    fields: LinearParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: linear::run,
};

pub(super) static TEMPORAL_WEIGHTS: KernelRow = KernelRow {
    kernel: Kernel::TemporalWeights,
    stem: "temporal_weights",
    source: include_str!("../../shaders/temporal_weights.wgsl"),
    bindings: &[any(read("queries")), any(read("tokens")), write("weights")],
    fields: TemporalWeightsParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: temporal_weights::run,
};

pub(super) static TEMPORAL_POOL: KernelRow = KernelRow {
    kernel: Kernel::TemporalPool,
    stem: "temporal_pool",
    source: include_str!("../../shaders/temporal_pool.wgsl"),
    bindings: &[read("weights"), any(read("tokens")), any(write("pooled"))],
    fields: TemporalPoolParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: temporal_pool::run,
};

pub(super) static GATHER_ROWS: KernelRow = KernelRow {
    kernel: Kernel::GatherRows,
    stem: "gather_rows",
    source: include_str!("../../shaders/gather_rows.wgsl"),
    bindings: &[any(read("queries")), any(read("keys")), read("indices"), any(write("rows"))],
    fields: GatherRowsParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: gather_rows::run,
};

pub(super) static SELECT: KernelRow = KernelRow {
    kernel: Kernel::Select,
    stem: "select",
    source: include_str!("../../shaders/select.wgsl"),
    bindings: &[read("candidates"), read("ids"), read("starts"), write("state")],
    fields: SelectParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: select::run,
};

pub(super) static NEAREST: KernelRow = KernelRow {
    kernel: Kernel::Nearest,
    stem: "nearest",
    source: include_str!("../../shaders/nearest.wgsl"),
    bindings: &[read("x"), read("centres"), write("assignments")],
    fields: NearestParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: nearest::run,
};

pub(super) static CLUSTER_MEANS: KernelRow = KernelRow {
    kernel: Kernel::ClusterMeans,
    stem: "cluster_means",
    source: include_str!("../../shaders/cluster_means.wgsl"),
    bindings: &[read("x"), read("assignments"), read("centres"), write("means")],
    fields: ClusterMeansParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: cluster_means::run,
};

pub(super) static SEGMENT_MEANS: KernelRow = KernelRow {
    kernel: Kernel::SegmentMeans,
    stem: "segment_means",
    source: include_str!("../../shaders/segment_means.wgsl"),
    bindings: &[read("x"), write("means")],
    fields: SegmentMeansParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: segment_means::run,
};

pub(super) static INVERSE_START: KernelRow = KernelRow {
    kernel: Kernel::InverseStart,
    stem: "inverse_start",
    source: include_str!("../../shaders/inverse_start.wgsl"),
    bindings: &[read("matrices"), write("starts")],
    fields: InverseStartParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: inverse_start::run,
};

pub(super) static FEATURE_ROWS: KernelRow = KernelRow {
    kernel: Kernel::FeatureRows,
    stem: "feature_rows",
    source: include_str!("../../shaders/feature_rows.wgsl"),
    bindings: &[read("x"), read("projections"), write("stats")],
    fields: FeatureRowsParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: feature_rows::run,
};

pub(super) static FEATURES: KernelRow = KernelRow {
    kernel: Kernel::Features,
    stem: "features",
    source: include_str!("../../shaders/features.wgsl"),
    bindings: &[read("stats"), write("projections")],
    fields: FeaturesParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: features::run,
};

pub(super) static FEATURE_ATTEND: KernelRow = KernelRow {
    kernel: Kernel::FeatureAttend,
    stem: "feature_attend",
    source: include_str!("../../shaders/feature_attend.wgsl"),
    bindings: &[read("queries"), read("key_values"), read("key_sums"), write("tokens")],
    fields: FeatureAttendParams::FIELDS,
    constants: &["VALUE_VECTORS"],
    shared: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: feature_attend::run,
};

pub(super) static LAYER_NORM: KernelRow = KernelRow {
    kernel: Kernel::LayerNorm,
    stem: "layer_norm",
    source: include_str!("../../shaders/layer_norm.wgsl"),
    bindings: &[any(read("x")), any(read("scales")), any(read("shifts")), any(write("y"))],
    fields: LayerNormParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: layer_norm::run,
};

pub(super) static CUBOIDS: KernelRow = KernelRow {
    kernel: Kernel::Cuboids,
    stem: "cuboids",
    source: include_str!("../../shaders/cuboids.wgsl"),
    bindings: &[any(read("clip")), any(write("rows"))],
    fields: CuboidsParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: cuboids::run,
};
