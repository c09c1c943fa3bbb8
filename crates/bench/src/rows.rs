//! The report's rows.

use orthoformer::gpu::{AdapterSummary, Engine};
use serde::{Deserialize, Serialize};

use super::ceilings::Ceilings;
use super::clock::Clock;

/// The version of wgpu that this crate is built on, as its manifest asks for it.
pub const WGPU: &str = "30";

/// Everything that the benchmark measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchReport {
    /// What it was measured on.
    pub adapter: BenchAdapter,
    /// What the adapter can do at the most.
    pub ceilings: Ceilings,
    /// What was measured, stages after the operation that they belong to.
    pub rows: Vec<Row>,
    /// Whether measuring was stopped before the last row.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}

/// An adapter, its driver, and what drove it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenchAdapter {
    /// The adapter's name.
    pub name: String,
    /// `vulkan`, `metal`, `dx12` or `gl`.
    pub backend: String,
    /// `discrete gpu`, `cpu`, ...
    pub kind: String,
    /// Driver name and version.
    pub driver: String,
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
        let AdapterSummary { name, backend, kind, driver, .. } = engine.adapter().clone();
        let (orthoformer, wgpu) = (orthoformer::VERSION.to_owned(), WGPU.to_owned());
        Self { name, backend, kind, driver, clock, orthoformer, wgpu }
    }

    /// The CPU engine.
    #[cfg(feature = "files")]
    pub(super) fn of_cpu(name: String, clock: Clock) -> Self {
        let (backend, kind, driver) = ("cpu".to_owned(), "cpu".to_owned(), "orthoformer-cpu".to_owned());
        let (orthoformer, wgpu) = (orthoformer::VERSION.to_owned(), WGPU.to_owned());
        Self { name, backend, kind, driver, clock, orthoformer, wgpu }
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
    /// The variant's name; `auto` for what the engine chooses, dispatch by dispatch.
    pub variant: String,
    /// `exact`, or the approximation and its size.
    pub approximation: String,
    /// Median, milliseconds.
    pub median_ms: Option<f64>,
    /// From the first quartile to the third, milliseconds.
    pub iqr_ms: Option<f64>,
    /// Runs that were timed.
    pub runs: usize,
    /// Billions of operations a second, two for each multiply-add that the algorithm needs.
    pub gflops: Option<f64>,
    /// Billions of bytes a second, of those that the dispatches read and write, each counted once a dispatch.
    pub gbps: Option<f64>,
    /// Which ceiling is the lower one here: `multiply-add f32`, `cooperative matrix` (for float16, where it is higher) or `memory copy`.
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

    /// What has to be the same for two rows to be compared.
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
