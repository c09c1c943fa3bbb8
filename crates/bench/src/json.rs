//! Types of `orthoformer`, which knows no serde, as reports and caches have them.

use orthoformer::compare::Comparison;
use orthoformer::gpu::{AdapterSummary, KernelLimits, Tier, Tiers};
#[cfg(feature = "files")]
use orthoformer::{plan::Element, variant::Variant};
#[cfg(feature = "files")]
use serde::Deserialize;
use serde::{Serialize, Serializer};

/// An adapter as `orthoformer devices --json` has it.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(transparent)]
pub struct Adapter<'a>(#[serde(serialize_with = "adapter")] pub &'a AdapterSummary);

fn adapter<S: Serializer>(summary: &&AdapterSummary, serializer: S) -> Result<S::Ok, S::Error> {
    AdapterFields::serialize(summary, serializer)
}

#[derive(Serialize)]
#[serde(remote = "AdapterSummary")]
struct AdapterFields {
    name: String,
    backend: String,
    kind: String,
    driver: String,
    pci: [u32; 2],
    #[serde(with = "LimitsFields")]
    limits: KernelLimits,
    #[serde(with = "TiersFields")]
    tiers: Tiers,
    unusable: Option<String>,
}

#[derive(Serialize)]
#[serde(remote = "KernelLimits")]
struct LimitsFields {
    max_buffer_size: u64,
    max_storage_buffer_binding_size: u64,
    max_storage_buffers_per_shader_stage: u32,
    max_compute_workgroup_storage_size: u32,
    max_compute_invocations_per_workgroup: u32,
    max_compute_workgroups_per_dimension: u32,
}

#[derive(Serialize)]
#[serde(remote = "Tiers")]
struct TiersFields {
    #[serde(with = "TierFields")]
    f16: Tier,
    #[serde(with = "TierFields")]
    subgroups: Tier,
    #[serde(with = "TierFields")]
    timestamps: Tier,
    #[serde(with = "TierFields")]
    cooperative_matrix: Tier,
}

#[derive(Serialize)]
#[serde(remote = "Tier")]
struct TierFields {
    on: bool,
    detail: String,
}

#[derive(Serialize)]
#[serde(remote = "Comparison")]
pub(crate) struct ComparisonFields {
    worst_error: f64,
    share_of_tolerance: f64,
    worst_index: usize,
    wrong: usize,
    count: usize,
}

#[cfg(feature = "files")]
#[derive(Serialize, Deserialize)]
#[serde(remote = "Element", rename_all = "lowercase")]
pub(crate) enum ElementName {
    F32,
    F16,
}

#[cfg(feature = "files")]
#[derive(Serialize, Deserialize)]
#[serde(remote = "Variant", rename_all = "lowercase")]
pub(crate) enum VariantName {
    Baseline,
    Blocks,
    Tiles,
    Broadcast,
    Cooperative,
    Rows,
}
