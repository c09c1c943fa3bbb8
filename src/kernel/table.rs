//! The rows of the table.

use super::{Kernel, KernelRow};
use super::{any, read, write};
use crate::params::{
    AttendParams, AttendRowsParams, AttendWeightsParams, ClusterMeansParams, CuboidsParams, GatherRowsParams, LayerNormParams,
    LinearParams, NearestParams, SelectParams, TemporalPoolParams, TemporalWeightsParams,
};
use crate::reference::{
    attend, attend_rows, attend_weights, cluster_means, cuboids, gather_rows, layer_norm, linear, nearest, select, temporal_pool,
    temporal_weights,
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
