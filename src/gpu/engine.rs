//! An open device and its compiled pipelines.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wgpu::{ErrorFilter, Features, Limits};

use super::adapter::{self, AdapterChoice, AdapterSummary, KernelLimits, MatrixUnit};
use super::pipeline::{Pipeline, PipelineKey};
use super::pipeline_cache;
use super::slices::{Pace, believed_rate};
use crate::error::{Error, Result};
use crate::plan::{Element, Plan};
use crate::variant::{Capabilities, Tuning};

/// What to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Which adapter.
    pub choice: AdapterChoice,
    /// Size of the largest buffer that will be needed, bytes. Up to 256 MiB every WebGPU device has; beyond that the device is
    /// opened with as much as its adapter offers, and a run that needs more is refused.
    pub largest_buffer_bytes: u64,
    /// Open the device with its matrix units, where wgpu knows them: for plans that are stored as float16. They are an experiment in wgpu,
    /// so that whoever wants them has to say so.
    pub matrix_units: bool,
    /// Longest that one dispatch should keep the device busy, by the rate that was measured or else believed: longer ones are cut.
    pub longest_dispatch: Duration,
    /// Leave bounds checks out of kernels whose accesses the plan has shown to be in range.
    pub trust_plans: bool,
    /// Folder in which compiled pipelines were kept by [`Engine::save_pipelines`], if any. A driver takes what is in there at its word, so it
    /// has to be one that nobody else writes into.
    pub pipeline_folder: Option<PathBuf>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            choice: AdapterChoice::default(),
            largest_buffer_bytes: 0,
            matrix_units: false,
            longest_dispatch: Duration::from_millis(500),
            trust_plans: true,
            pipeline_folder: None,
        }
    }
}

impl EngineOptions {
    /// Options for running these plans: with matrix units if one of them is stored as float16.
    pub fn for_plans<'p>(choice: AdapterChoice, plans: impl IntoIterator<Item = &'p Plan>) -> Self {
        let mut options = Self { choice, ..Self::default() };
        for plan in plans {
            options.largest_buffer_bytes = options.largest_buffer_bytes.max(plan.largest_buffer_bytes());
            options.matrix_units |= plan.buffers().iter().any(|spec| spec.element == Element::F16);
        }
        options
    }
}

/// Runs plans on one device.
pub struct Engine {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    summary: AdapterSummary,
    matrix_units: Vec<MatrixUnit>,
    pub(super) capabilities: Capabilities,
    longest_dispatch: Duration,
    /// Multiply-adds a second, measured or believed.
    rate: Mutex<f64>,
    trusts_plans: bool,
    pub(super) tuning: Mutex<Tuning>,
    pub(super) pipeline_cache: Option<wgpu::PipelineCache>,
    /// Under which name pipelines are kept.
    #[cfg(feature = "files")]
    pipeline_file: Option<String>,
    pipelines: Mutex<HashMap<PipelineKey, Arc<Pipeline>>>,
    pub(super) buffers_made: AtomicU64,
    /// Why the device was lost, or what it said outside of any error scope.
    last_words: Arc<Mutex<Option<Error>>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("adapter", &self.summary.name).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens a device with the limits that the kernels and the options need, and those optional features that variants and timing use.
    ///
    /// # Errors
    /// [`Error::NoAdapter`], [`Error::AdapterNotFound`], [`Error::AdapterTooSmall`], [`Error::UnknownBackend`], [`Error::NoDevice`].
    pub fn new(options: &EngineOptions) -> Result<Self> {
        let adapter = adapter::choose(&options.choice)?;
        let mut summary = AdapterSummary::of(&adapter);
        let wished = options.largest_buffer_bytes.max(KernelLimits::NEEDED.max_buffer_size);
        summary.limits = KernelLimits { max_buffer_size: wished.min(summary.limits.max_buffer_size), ..KernelLimits::NEEDED };
        let features = adapter.features() & wanted_features(options);
        let matrix_units = match features.contains(Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
            true => adapter::matrix_units(&adapter),
            false => Vec::new(),
        };
        let capabilities = adapter::capabilities(&adapter, &matrix_units);
        summary.limits.max_compute_workgroup_storage_size = capabilities.workgroup_bytes;
        summary.limits.max_compute_invocations_per_workgroup = capabilities.invocations;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("orthoformer"),
            required_features: features,
            experimental_features: experiments(features),
            required_limits: device_limits(&summary.limits, &adapter.limits()),
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|error| Error::NoDevice { adapter: summary.name.clone(), message: error.to_string() })?;
        let pipeline_cache = pipeline_cache::open(&device, &adapter, options.pipeline_folder.as_deref());
        let last_words = Arc::new(Mutex::new(None));
        listen(&device, &last_words);
        let rate = Mutex::new(believed_rate(&summary));
        let (longest_dispatch, trusts_plans) = (options.longest_dispatch, options.trust_plans);
        let pipelines = Mutex::default();
        Ok(Self {
            device,
            queue,
            summary,
            matrix_units,
            capabilities,
            longest_dispatch,
            rate,
            trusts_plans,
            tuning: Mutex::default(),
            pipeline_cache,
            #[cfg(feature = "files")]
            pipeline_file: pipeline_cache::file_name(&adapter),
            pipelines,
            buffers_made: AtomicU64::new(0),
            last_words,
        })
    }

    /// The adapter, with the limits that the device was opened with.
    pub fn adapter(&self) -> &AdapterSummary {
        &self.summary
    }

    /// The matrix units that shaders can use on this device: none unless it was opened with them.
    pub fn matrix_units(&self) -> &[MatrixUnit] {
        &self.matrix_units
    }

    /// Bytes that wgpu has allocated for this device in all; `None` where it does not know.
    pub fn allocated_bytes(&self) -> Option<u64> {
        self.device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    /// How many buffers this engine has made so far. It stays the same while prepared plans run.
    pub fn buffers_made(&self) -> u64 {
        self.buffers_made.load(Ordering::Relaxed)
    }

    /// Tells the engine how many multiply-adds a second this device was measured to reach at best. Kernels are believed to reach a quarter, and
    /// dispatches that would take longer than [`EngineOptions::longest_dispatch`] are cut. A rate that no device has, below a million or not
    /// finite, is ignored.
    pub fn set_multiply_add_rate(&self, per_second: f64) {
        if !per_second.is_finite() || per_second < 1e6 {
            return;
        }
        *self.rate.lock().unwrap_or_else(PoisonError::into_inner) = per_second / 4.0;
    }

    /// Keeps the pipelines that were compiled so far in a folder, for [`EngineOptions::pipeline_folder`] of later engines. Nothing happens
    /// unless the engine was given a folder and its device can keep pipelines.
    ///
    /// # Errors
    /// [`Error::File`].
    #[cfg(feature = "files")]
    pub fn save_pipelines(&self, folder: &std::path::Path) -> Result<()> {
        let data = self.pipeline_cache.as_ref().and_then(wgpu::PipelineCache::get_data);
        match (data, &self.pipeline_file) {
            (Some(data), Some(name)) => crate::files::write_whole(&folder.join(name), &data),
            _ => Ok(()),
        }
    }

    pub(super) fn pace(&self) -> Pace {
        let rate = *self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        Pace { longest: self.longest_dispatch, rate, per_dimension: self.summary.limits.max_compute_workgroups_per_dimension }
    }

    pub(super) fn trusts_plans(&self) -> bool {
        self.trusts_plans
    }

    /// The pipeline of a kernel with these constants, compiled once.
    pub(super) fn pipeline(&self, key: &PipelineKey) -> Result<Arc<Pipeline>> {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = pipelines.get(key) {
            return Ok(pipeline.clone());
        }
        let pipeline = Arc::new(Pipeline::compile(self, key)?);
        pipelines.insert(key.clone(), pipeline.clone());
        Ok(pipeline)
    }

    /// Runs `work` and turns whatever the device has to say about it into an error.
    pub(super) fn checked<T>(&self, doing: &str, work: impl FnOnce() -> T) -> Result<T> {
        self.not_lost(doing)?;
        let filters = [ErrorFilter::Internal, ErrorFilter::Validation, ErrorFilter::OutOfMemory];
        let mut scopes: Vec<_> = filters.into_iter().map(|filter| self.device.push_error_scope(filter)).collect();
        let result = work();
        let mut first_error = None;
        while let Some(scope) = scopes.pop() {
            first_error = pollster::block_on(scope.pop()).or(first_error);
        }
        self.not_lost(doing)?;
        match first_error {
            Some(error) => Err(classify(doing, error)),
            None => Ok(result),
        }
    }

    /// Answers [`Error::DeviceLost`] if the device is gone, or the error that it reported out of turn.
    pub(super) fn not_lost(&self, doing: &str) -> Result<()> {
        let mut last_words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        match last_words.take() {
            None => Ok(()),
            Some(Error::DeviceLost { message, .. }) => {
                // Lost for good: the next call has to be told too.
                *last_words = Some(Error::DeviceLost { doing: doing.to_owned(), message: message.clone() });
                Err(Error::DeviceLost { doing: doing.to_owned(), message })
            }
            Some(error) => Err(error),
        }
    }
}

/// The features to open a device with, as far as its adapter has them.
fn wanted_features(options: &EngineOptions) -> Features {
    let usual = Features::TIMESTAMP_QUERY | Features::SUBGROUP | Features::SHADER_F16 | Features::PIPELINE_CACHE;
    match options.matrix_units {
        true => usual | Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
        false => usual,
    }
}

/// Matrix units are an experiment in wgpu: whoever asks for them has to say so.
fn experiments(features: Features) -> wgpu::ExperimentalFeatures {
    if features.contains(Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
        // SAFETY: what is acknowledged is that wgpu's part may have bugs. The device runs shaders of this crate alone, whose loads and stores
        // of matrices stay within their buffers.
        unsafe { wgpu::ExperimentalFeatures::enabled() }
    } else {
        wgpu::ExperimentalFeatures::disabled()
    }
}

/// The limits to ask for: ours where kernels care, and nothing elsewhere.
fn device_limits(needed: &KernelLimits, offered: &Limits) -> Limits {
    Limits {
        max_buffer_size: needed.max_buffer_size,
        max_storage_buffer_binding_size: needed.max_storage_buffer_binding_size,
        max_storage_buffers_per_shader_stage: needed.max_storage_buffers_per_shader_stage,
        max_compute_workgroup_storage_size: needed.max_compute_workgroup_storage_size,
        max_compute_invocations_per_workgroup: needed.max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_x: needed.max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_y: 1,
        max_compute_workgroup_size_z: 1,
        max_compute_workgroups_per_dimension: needed.max_compute_workgroups_per_dimension,
        ..Limits::downlevel_webgl2_defaults().or_worse_values_from(offered)
    }
}

/// Keeps what the device says outside of error scopes, so that it neither panics nor is lost.
fn listen(device: &wgpu::Device, last_words: &Arc<Mutex<Option<Error>>>) {
    let words = last_words.clone();
    device.set_device_lost_callback(move |reason, message| {
        let lost = Error::DeviceLost { doing: "waiting".to_owned(), message: format!("{reason:?}: {message}") };
        *words.lock().unwrap_or_else(PoisonError::into_inner) = Some(lost);
    });
    let words = last_words.clone();
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        words.get_or_insert(classify("running earlier work", error));
    }));
}

fn classify(doing: &str, error: wgpu::Error) -> Error {
    let doing = doing.to_owned();
    match error {
        wgpu::Error::OutOfMemory { source } => Error::OutOfMemory { doing, message: source.to_string() },
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            Error::Device { doing, message: description }
        }
    }
}
