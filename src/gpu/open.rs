//! Opening a device, and borrowing one.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use wgpu::Features;

use super::adapter::{self, AdapterChoice};
use super::device_errors::DeviceErrors;
use super::engine::Engine;
use super::optional::limits_for;
use super::pipeline_cache;
use super::slices::believed_rate;
use super::summary::{self, AdapterSummary, KernelLimits, MatrixUnit};
use crate::error::{Error, Result};
use crate::plan::{Element, Plan};

/// Options for opening a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// The adapter.
    pub choice: AdapterChoice,
    /// Size of the largest buffer that will be needed, in bytes. Every WebGPU device has 256 MiB. For more the device is opened with up to its
    /// adapter's limit, and a run that exceeds that is refused.
    pub largest_buffer_bytes: u64,
    /// Open the device with its matrix units, if wgpu supports them: for plans that are stored as float16. They are experimental in wgpu, so
    /// they are off by default.
    pub matrix_units: bool,
    /// Longest time that one dispatch should take, by the measured or assumed rate; longer ones are cut.
    pub longest_dispatch: Duration,
    /// Leave bounds checks out of kernels whose accesses the plan has proven in range.
    pub trust_plans: bool,
    /// Folder with compiled pipelines from [`Engine::kept_pipelines`], if any. Drivers trust its contents, so nobody else may be able to write
    /// into it.
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
    /// Options for these plans: with matrix units if one of them is stored as float16.
    pub fn for_plans<'p>(choice: AdapterChoice, plans: impl IntoIterator<Item = &'p Plan>) -> Self {
        let mut options = Self { choice, ..Self::default() };
        for plan in plans {
            options.largest_buffer_bytes = options.largest_buffer_bytes.max(plan.largest_buffer_bytes());
            options.matrix_units |= plan.buffers().iter().any(|spec| spec.element == Element::F16);
        }
        options
    }
}

impl Engine {
    /// Opens a device with the limits that kernels and options need, and the optional features that variants and timing use. Blocks.
    ///
    /// # Errors
    /// Those of [`Engine::open`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new(options: &EngineOptions) -> Result<Self> {
        pollster::block_on(Self::open(options))
    }

    /// The same as a future, for any executor and for browsers.
    ///
    /// # Errors
    /// [`Error::NoAdapter`], [`Error::AdapterNotFound`], [`Error::AdapterTooSmall`], [`Error::NoDevice`];
    /// [`Error::Argument`] for unknown features to leave out.
    pub async fn open(options: &EngineOptions) -> Result<Self> {
        let left_out = options.choice.left_out()?;
        let adapter = adapter::choose(&options.choice).await?;
        let offered = AdapterSummary::of(&adapter).without(left_out);
        let features = (adapter.features() & wanted_features(options)) - left_out;
        let wished = options.largest_buffer_bytes.max(KernelLimits::NEEDED.max_buffer_size);
        let limits = KernelLimits {
            max_buffer_size: wished.min(offered.limits.max_buffer_size),
            max_compute_workgroup_storage_size: offered.limits.max_compute_workgroup_storage_size,
            max_compute_invocations_per_workgroup: offered
                .limits
                .max_compute_invocations_per_workgroup
                .min(adapter.limits().max_compute_workgroup_size_x),
            ..KernelLimits::NEEDED
        };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("orthoformer"),
            required_features: features,
            experimental_features: experiments(features),
            required_limits: limits_for(&limits).or_worse_values_from(&adapter.limits()),
            ..wgpu::DeviceDescriptor::default()
        };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) =
            opened.map_err(|error| Error::NoDevice { adapter: offered.name.clone(), message: error.to_string() })?;
        let mut engine = Self::over(&device, &queue, options);
        engine.owns_device = true;
        engine.device_errors.listen(&device);
        // The adapter's summary, as a list of adapters shows it, with the limits of the device.
        engine.summary = AdapterSummary { limits, ..offered };
        engine.pipeline_cache = pipeline_cache::open(&device, &adapter, options.pipeline_folder.as_deref());
        engine.pipeline_file = pipeline_cache::file_name(&adapter);
        Ok(engine.with_matrix_units_of(&adapter))
    }

    /// Runs kernels on a borrowed device: that of a graphics application. Open it with [`super::required_features`] and
    /// [`super::required_limits`]; [`super::optional_features`] make it faster.
    ///
    /// The engine keeps a handle to device and queue, and makes pipelines, params and scratch memory when a plan is first recorded. It installs
    /// no handler. Recording, compiling and reading back as a future neither submit nor poll. Calls that run, time or upload do, and so does
    /// [`super::ReadBack::wait`] ([`crate::embedding`] has the list). As futures, natively, they resolve only if the host polls its device
    /// meanwhile.
    ///
    /// # Errors
    /// [`Error::AdapterTooSmall`] if one of the device's limits is below what kernels need, [`Error::DeviceLost`].
    pub fn from_device(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Self> {
        let engine = Self::over(device, queue, &EngineOptions::default());
        if let Some(error) = summary::shortfall(&engine.summary.name, &engine.summary.limits) {
            return Err(error);
        }
        engine.not_known_lost("taking the device")?;
        Ok(engine)
    }

    /// The same with matrix units, if the device was opened with them: only its adapter knows their sizes.
    pub fn with_matrix_units_of(mut self, adapter: &wgpu::Adapter) -> Self {
        if self.device.features().contains(Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
            self.matrix_units = summary::matrix_units(adapter);
            self.capabilities = summary::capabilities(&self.device, &self.matrix_units);
        }
        self
    }

    fn over(device: &wgpu::Device, queue: &wgpu::Queue, options: &EngineOptions) -> Self {
        let summary = AdapterSummary::of_device(device, "sizes that were not asked for");
        let matrix_units: Vec<MatrixUnit> = Vec::new();
        Self {
            device: device.clone(),
            queue: queue.clone(),
            owns_device: false,
            capabilities: summary::capabilities(device, &matrix_units),
            matrix_units,
            longest_dispatch: options.longest_dispatch,
            rate: Mutex::new(believed_rate(&summary)),
            summary,
            trusts_plans: options.trust_plans,
            tuning: Mutex::default(),
            pipeline_cache: None,
            pipeline_file: None,
            pipelines: Mutex::default(),
            recordings: Mutex::default(),
            buffers_made: AtomicU64::new(0),
            bind_groups_made: AtomicU64::new(0),
            device_errors: DeviceErrors::default(),
        }
    }
}

/// Features to open a device with, if its adapter has them.
fn wanted_features(options: &EngineOptions) -> Features {
    let usual = Features::TIMESTAMP_QUERY | Features::SUBGROUP | Features::SHADER_F16 | Features::PIPELINE_CACHE;
    match options.matrix_units {
        true => usual | Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
        false => usual,
    }
}

/// Matrix units are experimental in wgpu, and need this acknowledgement.
fn experiments(features: Features) -> wgpu::ExperimentalFeatures {
    if features.contains(Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
        // SAFETY: what is acknowledged is that wgpu's part may have bugs. Shaders of this crate load and store matrices within their buffers;
        // who puts others on the device asked for matrix units when opening it.
        unsafe { wgpu::ExperimentalFeatures::enabled() }
    } else {
        wgpu::ExperimentalFeatures::disabled()
    }
}
