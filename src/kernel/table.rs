//! The rows of the table.

use super::{Kernel, KernelRow};
use super::{any, read, write};
use crate::params::{
    AttendParams, AttendRowsParams, AttendWeightsParams, CuboidsParams, FeatureAttendParams, FeatureRowsParams, FeaturesParams,
    InverseStartParams, LayerNormParams, LinearParams, SegmentMeansParams,
};
use crate::reference::{
    attend, attend_rows, attend_weights, cuboids, feature_attend, feature_rows, features, inverse_start, layer_norm, linear,
    segment_means,
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
