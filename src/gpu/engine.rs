//! An open device and its compiled pipelines.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::device_errors::DeviceErrors;
use super::pipeline::{Pipeline, PipelineKey};
use super::record::Recordings;
use super::slices::Pace;
use super::summary::{AdapterSummary, MatrixUnit};
use crate::error::Result;
use crate::plan::PlanLimits;
use crate::variant::{Capabilities, Tuning};

/// Runs plans on one device.
pub struct Engine {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    /// Whether the engine opened the device itself: then it installs handlers and polls it.
    pub(super) owns_device: bool,
    pub(super) summary: AdapterSummary,
    pub(super) matrix_units: Vec<MatrixUnit>,
    pub(super) capabilities: Capabilities,
    pub(super) longest_dispatch: Duration,
    /// Multiply-adds a second, measured or assumed.
    pub(super) rate: Mutex<f64>,
    pub(super) trusts_plans: bool,
    pub(super) tuning: Mutex<Tuning>,
    pub(super) pipeline_cache: Option<wgpu::PipelineCache>,
    /// File name of kept pipelines.
    pub(super) pipeline_file: Option<String>,
    pub(super) pipelines: Mutex<HashMap<PipelineKey, Arc<Pipeline>>>,
    pub(super) recordings: Mutex<Recordings>,
    pub(super) buffers_made: AtomicU64,
    pub(super) bind_groups_made: AtomicU64,
    /// Errors that the device reported outside of any call.
    pub(super) device_errors: DeviceErrors,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("adapter", &self.summary.name).finish_non_exhaustive()
    }
}

impl Engine {
    /// The adapter, with the limits that the device was opened with.
    pub fn adapter(&self) -> &AdapterSummary {
        &self.summary
    }

    /// Limits of plans for this device: the default ones, and those of its driver.
    pub fn plan_limits(&self) -> PlanLimits {
        PlanLimits { loop_iterations: self.capabilities.loop_iterations, ..PlanLimits::default() }
    }

    /// The device, for buffers and commands besides the engine's.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// The device's queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// The matrix units that shaders can use on this device: none unless it was opened with them.
    pub fn matrix_units(&self) -> &[MatrixUnit] {
        &self.matrix_units
    }

    /// Bytes that wgpu has allocated for this device in all; `None` where it does not know.
    pub fn allocated_bytes(&self) -> Option<u64> {
        self.device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    /// Number of buffers that this engine has made. It stays the same while prepared plans run, and when plans are recorded again.
    pub fn buffers_made(&self) -> u64 {
        self.buffers_made.load(Ordering::Relaxed)
    }

    /// The same for bind groups.
    pub fn bind_groups_made(&self) -> u64 {
        self.bind_groups_made.load(Ordering::Relaxed)
    }

    /// Sets the measured peak rate of the device, in multiply-adds a second. Kernels are assumed to reach a quarter of it, and dispatches that
    /// would take longer than [`super::EngineOptions::longest_dispatch`] are cut. A rate below a million or not finite is ignored.
    pub fn set_multiply_add_rate(&self, per_second: f64) {
        if !per_second.is_finite() || per_second < 1e6 {
            return;
        }
        *self.rate.lock().unwrap_or_else(PoisonError::into_inner) = per_second / 4.0;
        self.forget_all();
    }

    /// Name and contents of a file with all pipelines compiled so far, for [`super::EngineOptions::pipeline_folder`] of later engines. Write it
    /// whole or not at all. `None` unless the engine was given a folder and its device can keep pipelines.
    pub fn kept_pipelines(&self) -> Option<(&str, Vec<u8>)> {
        let data = self.pipeline_cache.as_ref()?.get_data()?;
        Some((self.pipeline_file.as_deref()?, data))
    }

    pub(super) fn pace(&self) -> Pace {
        let rate = *self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        Pace { longest: self.longest_dispatch, rate, per_dimension: self.summary.limits.max_compute_workgroups_per_dimension }
    }

    /// The pipeline of a kernel with these constants, compiled once.
    pub(super) async fn pipeline(&self, key: &PipelineKey) -> Result<Arc<Pipeline>> {
        let known = || self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = known().get(key) {
            return Ok(pipeline.clone());
        }
        let pipeline = Arc::new(Pipeline::compile(self, key).await?);
        // Another thread may have compiled it first; all use the same one.
        Ok(known().entry(key.clone()).or_insert(pipeline).clone())
    }
}
