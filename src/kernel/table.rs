//! The rows of the table.

use super::{Kernel, KernelRow};
use super::{any, read, write};
use crate::params::{
    AttendParams, AttendRowsParams, AttendWeightsParams, ClusterMeansParams, FeatureAttendParams, FeatureRowsParams,
    FeaturesParams, GatherRowsParams, InverseStartParams, NearestParams, SegmentMeansParams, SelectParams, TemporalPoolParams,
    TemporalWeightsParams,
};
use crate::reference::{
    attend, attend_rows, attend_weights, cluster_means, feature_attend, feature_rows, features, gather_rows, inverse_start,
    nearest, segment_means, select, temporal_pool, temporal_weights,
};

pub(super) static ATTEND: KernelRow = KernelRow {
    kernel: Kernel::Attend,
    stem: "attend",
    source: include_str!("../../shaders/attend.wgsl"),
    bindings: &[any(read("queries")), any(read("keys")), any(read("values")), any(write("tokens"))],
    fields: AttendParams::FIELDS,
    constants: &["HEAD_VECTORS", "VALUE_VECTORS", "KEYS_PER_TILE"],
    shared: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: attend::run,
};

pub(super) static ATTEND_ROWS: KernelRow = KernelRow {
    kernel: Kernel::AttendRows,
    stem: "attend_rows",
    source: include_str!("../../shaders/attend_rows.wgsl"),
    bindings: &[any(read("queries")), any(read("keys")), read("chosen"), write("weights")],
    fields: AttendRowsParams::FIELDS,
    constants: &[],
    shared: &[],
    workgroup: 64,
    accesses_in_range: false,
    reference: attend_rows::run,
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

pub(super) static ATTEND_WEIGHTS: KernelRow = KernelRow {
    kernel: Kernel::AttendWeights,
    stem: "attend_weights",
    source: include_str!("../../shaders/attend_weights.wgsl"),
    bindings: &[any(read("queries")), any(read("keys")), any(write("weights"))],
    fields: AttendWeightsParams::FIELDS,
    constants: &["HEAD_VECTORS", "KEYS_PER_TILE"],
    shared: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: attend_weights::run,
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
