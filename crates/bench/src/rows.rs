//! The report's rows.

use std::collections::BTreeMap;

use orthoformer::gpu::{AdapterSummary, Engine};
use serde::{Deserialize, Serialize};

use super::ceilings::Ceilings;
use super::clock::Clock;
use super::made::Made;

/// The version of wgpu that this crate is built on, as its manifest asks for it.
pub const WGPU: &str = "30";

/// Everything that the benchmark measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchReport {
    /// When, where and by which command; a browser does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// The browser, as it calls itself, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// What it was measured on.
    pub adapter: BenchAdapter,
    /// What the adapter can do at the most.
    pub ceilings: Ceilings,
    /// Rounds that were completed.
    #[serde(default)]
    pub rounds: usize,
    /// How fast the machine was, round by round: how much of some fixed work was done a second (the host's: multiplications), whatever the kernels.
    #[serde(default)]
    pub calibrations: BTreeMap<String, Vec<f64>>,
    /// What was measured, stages after the operation that they belong to.
    pub rows: Vec<Row>,
    /// Whether measuring was stopped before the last row.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}

impl BenchReport {
    /// What was measured on an adapter, in no rounds yet.
    pub(super) fn of(adapter: BenchAdapter, ceilings: Ceilings, rows: Vec<Row>) -> Self {
        let calibrations = BTreeMap::new();
        Self { made: None, user_agent: None, adapter, ceilings, rounds: 0, calibrations, rows, interrupted: false }
    }

    /// The rows for people: one that was timed under the name `auto` as well is shown by that name alone.
    pub fn shown(&self) -> Vec<&Row> {
        let stem = |row: &Row| row.variant.trim_end_matches("-f16").to_owned();
        let hides = |auto: &Row, row: &Row| {
            let [same, other] = [auto, row].map(|row| (&row.operation, &row.shape, row.batch, &row.approximation));
            same == other && auto.is_half() == row.is_half() && stem(auto) == "auto" && auto.chosen == Some(stem(row))
        };
        self.rows.iter().filter(|row| !self.rows.iter().any(|auto| hides(auto, row))).collect()
    }
}

/// An adapter, its driver, and what drove it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenchAdapter {
    /// The adapter's name.
    pub name: String,
    /// `vulkan`, `metal`, `dx12` or `gl`; `cpu` for the CPU engine.
    pub backend: String,
    /// `discrete gpu`, `cpu`, ...
    pub kind: String,
    /// Driver name and version.
    pub driver: String,
    /// PCI identifiers of vendor and device; zeros where the API does not tell.
    #[serde(default)]
    pub pci: [u32; 2],
    /// Which clock times were taken by.
    pub clock: Clock,
    /// Version of this crate.
    pub orthoformer: String,
    /// Version of wgpu.
    pub wgpu: String,
}

impl BenchAdapter {
    /// The adapter that an engine runs on.
    pub(super) fn of(engine: &Engine, clock: Clock) -> Self {
        let AdapterSummary { name, backend, kind, driver, pci, .. } = engine.adapter().clone();
        let (orthoformer, wgpu) = (orthoformer::VERSION.to_owned(), WGPU.to_owned());
        Self { name, backend, kind, driver, pci, clock, orthoformer, wgpu }
    }

    /// The CPU engine.
    #[cfg(feature = "files")]
    pub(super) fn of_cpu(name: String, clock: Clock) -> Self {
        let (backend, kind, driver, pci) = ("cpu".to_owned(), "cpu".to_owned(), "orthoformer-cpu".to_owned(), [0; 2]);
        let (orthoformer, wgpu) = (orthoformer::VERSION.to_owned(), WGPU.to_owned());
        Self { name, backend, kind, driver, pci, clock, orthoformer, wgpu }
    }

    /// Adapter, driver and versions in a line.
    pub fn line(&self) -> String {
        let Self { name, backend, kind, driver, orthoformer, wgpu, .. } = self;
        format!("{name}, {driver} ({backend}, {kind}); orthoformer {orthoformer}, wgpu {wgpu}")
    }
}

/// One operation at one shape in one variant, or one of its stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The operation's name, or `OPERATION/STAGE`.
    pub operation: String,
    /// `FxSxCxH`.
    pub shape: String,
    /// Sequences.
    pub batch: u32,
    /// The variant that was asked for; `auto` is what the engine chooses, dispatch by dispatch.
    pub variant: String,
    /// The variants that it ran as.
    #[serde(default)]
    pub chosen: Option<String>,
    /// `exact`, or the approximation and its size.
    pub approximation: String,
    /// Median, milliseconds.
    pub median_ms: Option<f64>,
    /// From the first quartile to the third, milliseconds.
    pub iqr_ms: Option<f64>,
    /// Runs that were timed.
    pub runs: usize,
    /// Each of them, milliseconds, in the order in which they were made.
    #[serde(default)]
    pub samples_ms: Vec<f64>,
    /// The round that each of them belongs to, from 0.
    #[serde(default)]
    pub rounds: Vec<usize>,
    /// Billions of operations a second, two for each multiply-add that the algorithm needs.
    pub gflops: Option<f64>,
    /// Billions of bytes a second, of those that the dispatches read and write, each counted once a dispatch.
    pub gbps: Option<f64>,
    /// Which ceiling is the lower one here: that of multiply-adds (for float16 the highest of several) or `memory copy`.
    pub ceiling: Option<String>,
    /// The time that this ceiling allows, in per cent of the time taken.
    pub percent_of_ceiling: Option<f64>,
    /// Operations of one run.
    pub operations: u64,
    /// Bytes that the dispatches of one run read and write, each counted once a dispatch.
    pub bytes: u64,
    /// Bytes on the device: the plan's buffers, params and read-back.
    pub device_bytes: Option<u64>,
    /// Whether this is what the engine would use.
    pub best: bool,
    /// Largest error of its outputs, as a share of the tolerance; right is at most one.
    #[serde(default)]
    pub error: Option<f64>,
    /// `ok`, `unsupported: why` or `wrong: error`.
    pub status: String,
}

impl Row {
    /// Whether it was timed.
    pub fn is_ok(&self) -> bool {
        self.status == "ok"
    }

    /// Whether it is a stage of another row.
    pub fn is_stage(&self) -> bool {
        self.operation.contains('/')
    }

    /// Whether it computed something wrong.
    pub fn is_wrong(&self) -> bool {
        self.status.starts_with("wrong")
    }

    /// Whether elements are stored as float16.
    pub fn is_half(&self) -> bool {
        self.variant.ends_with("-f16")
    }

    /// The variant that was asked for, with what it ran as where that is another name.
    pub fn variant_and_chosen(&self) -> String {
        match &self.chosen {
            Some(chosen) if self.variant.starts_with("auto") => format!("{} ({chosen})", self.variant),
            _ => self.variant.clone(),
        }
    }

    /// What has to be the same for two rows to be compared: what was asked for.
    pub fn key(&self) -> [String; 5] {
        [&self.operation, &self.shape, &self.batch.to_string(), &self.variant, &self.approximation].map(|part| part.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_wgpu_is_the_manifest_s() {
        let manifest = include_str!("../../../Cargo.toml");
        assert!(manifest.lines().any(|line| line == format!("wgpu = {WGPU:?}")), "rows::WGPU");
    }
}
