//! Which adapters there are, what they can do, and which one to take.

use wgpu::{Adapter, Backends, DeviceType, Features, Limits};

use crate::error::{Error, Result};
use crate::variant::Capabilities;

/// Which adapter to use. Fields that are `None` fall back to `WGPU_BACKEND` and `WGPU_ADAPTER_NAME`, then to the best one:
/// discrete before integrated, unless `WGPU_POWER_PREF` is `low`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdapterChoice {
    /// `vulkan`, `metal`, `dx12` or `gl`; several with commas between.
    pub backend: Option<String>,
    /// Part of the adapter's name (case does not matter), or its number in the list of [`adapters`].
    pub adapter: Option<String>,
}

/// Limits that decide whether the kernels run, and how work is sliced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "files", derive(serde::Serialize))]
pub struct KernelLimits {
    /// Largest buffer, bytes.
    pub max_buffer_size: u64,
    /// Largest storage binding, bytes.
    pub max_storage_buffer_binding_size: u64,
    /// Storage bindings of one kernel.
    pub max_storage_buffers_per_shader_stage: u32,
    /// Workgroup memory, bytes.
    pub max_compute_workgroup_storage_size: u32,
    /// Invocations of one workgroup.
    pub max_compute_invocations_per_workgroup: u32,
    /// Workgroups in one dimension of a dispatch.
    pub max_compute_workgroups_per_dimension: u32,
}

impl KernelLimits {
    /// What the kernels need: nothing above WebGPU's minimum.
    pub const NEEDED: Self = Self {
        max_buffer_size: 256 << 20,
        max_storage_buffer_binding_size: 128 << 20,
        max_storage_buffers_per_shader_stage: 5,
        max_compute_workgroup_storage_size: 16 << 10,
        max_compute_invocations_per_workgroup: 64,
        max_compute_workgroups_per_dimension: 65_535,
    };

    fn of(limits: &Limits) -> Self {
        Self {
            max_buffer_size: limits.max_buffer_size,
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_storage_buffers_per_shader_stage: limits.max_storage_buffers_per_shader_stage,
            max_compute_workgroup_storage_size: limits.max_compute_workgroup_storage_size,
            max_compute_invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
            max_compute_workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
        }
    }

    /// Name and value of each limit, under WebGPU's names.
    pub fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("max_buffer_size", self.max_buffer_size),
            ("max_storage_buffer_binding_size", self.max_storage_buffer_binding_size),
            ("max_storage_buffers_per_shader_stage", self.max_storage_buffers_per_shader_stage.into()),
            ("max_compute_workgroup_storage_size", self.max_compute_workgroup_storage_size.into()),
            ("max_compute_invocations_per_workgroup", self.max_compute_invocations_per_workgroup.into()),
            ("max_compute_workgroups_per_dimension", self.max_compute_workgroups_per_dimension.into()),
        ]
    }
}

/// An optional ability of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "files", derive(serde::Serialize))]
pub struct Tier {
    /// Whether the adapter has it.
    pub on: bool,
    /// What it has, or why not.
    pub detail: String,
}

/// The optional abilities.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "files", derive(serde::Serialize))]
pub struct Tiers {
    /// 16-bit floats in shaders.
    pub f16: Tier,
    /// Operations across a subgroup.
    pub subgroups: Tier,
    /// GPU time by timestamp queries.
    pub timestamps: Tier,
    /// Matrix units.
    pub cooperative_matrix: Tier,
}

/// What is known of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "files", derive(serde::Serialize))]
pub struct AdapterSummary {
    /// The adapter's name.
    pub name: String,
    /// `vulkan`, `metal`, `dx12` or `gl`.
    pub backend: String,
    /// `discrete gpu`, `integrated gpu`, `virtual gpu`, `cpu` or `other`.
    pub kind: String,
    /// Driver name and version.
    pub driver: String,
    /// Its limits.
    pub limits: KernelLimits,
    /// Its optional abilities.
    pub tiers: Tiers,
    /// `None` if the kernels run on it, else the reason why not.
    pub unusable: Option<String>,
}

impl std::fmt::Display for AdapterSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} ({}, {})", self.name, self.driver, self.backend, self.kind)
    }
}

impl AdapterSummary {
    /// Reads what an adapter says of itself.
    pub fn of(adapter: &Adapter) -> Self {
        let info = adapter.get_info();
        let limits = KernelLimits::of(&adapter.limits());
        let kind = match info.device_type {
            DeviceType::DiscreteGpu => "discrete gpu",
            DeviceType::IntegratedGpu => "integrated gpu",
            DeviceType::VirtualGpu => "virtual gpu",
            DeviceType::Cpu => "cpu",
            DeviceType::Other => "other",
        };
        let driver = [info.driver.trim(), info.driver_info.trim()];
        Self {
            name: info.name.clone(),
            backend: info.backend.to_str().to_owned(),
            kind: kind.to_owned(),
            driver: driver.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "),
            unusable: shortfall(&info.name, &limits).map(|error| error.to_string()),
            limits,
            tiers: tiers(adapter),
        }
    }
}

/// A kind of square matrices that an adapter multiplies by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixUnit {
    /// Rows and columns of each matrix.
    pub side: u32,
    /// `f16` or `f32`: the numbers that are multiplied.
    pub inputs: &'static str,
    /// `f16` or `f32`: the sums.
    pub sums: &'static str,
    /// Invocations that work on a matrix together.
    pub subgroup: u32,
}

/// The matrix units that shaders of this crate can name.
pub(super) fn matrix_units(adapter: &Adapter) -> Vec<MatrixUnit> {
    let scalar = |kind| match kind {
        wgpu::CooperativeScalarType::F16 => Some("f16"),
        wgpu::CooperativeScalarType::F32 => Some("f32"),
        _ => None,
    };
    // One size of subgroups for sure where there is only one; else the larger, which drivers take where all of it is asked for.
    let subgroup = adapter.get_info().subgroup_max_size;
    let unit = |size: &wgpu::CooperativeMatrixProperties| {
        let side = size.m_size;
        let square = size.n_size == side && size.k_size == side && [8, 16].contains(&side);
        let (inputs, sums) = (scalar(size.ab_type)?, scalar(size.cr_type)?);
        (square && !size.saturating_accumulation).then_some(MatrixUnit { side, inputs, sums, subgroup })
    };
    adapter.cooperative_matrix_properties().iter().filter_map(unit).collect()
}

/// What variants may use on a device of this adapter.
pub(super) fn capabilities(adapter: &Adapter, matrix_units: &[MatrixUnit]) -> Capabilities {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    let constant = info.subgroup_min_size == info.subgroup_max_size;
    let subgroups = adapter.features().contains(Features::SUBGROUP) && constant;
    Capabilities {
        cpu: info.device_type == DeviceType::Cpu,
        subgroup: subgroups.then_some(info.subgroup_min_size),
        f16: adapter.features().contains(Features::SHADER_F16),
        // Matrices belong to whole subgroups, whose size shaders have to know.
        matrix_side: matrix_units
            .iter()
            .filter(|_| subgroups)
            .filter(|unit| unit.inputs == "f16" && unit.sums == "f32")
            .map(|unit| unit.side)
            .max(),
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        invocations: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
    }
}

/// The first limit in which an adapter offers less than is needed.
pub(super) fn shortfall(adapter: &str, limits: &KernelLimits) -> Option<Error> {
    let pairs = limits.named().into_iter().zip(KernelLimits::NEEDED.named());
    pairs.into_iter().find(|((_, has), (_, needs))| has < needs).map(|((limit, has), (_, needs))| Error::AdapterTooSmall {
        adapter: adapter.to_owned(),
        limit,
        has,
        needs,
    })
}

fn tiers(adapter: &Adapter) -> Tiers {
    let features = adapter.features();
    let tier = |feature: Features, on: String, off: &str| {
        let has = features.contains(feature);
        Tier { on: has, detail: if has { on } else { format!("the driver does not offer {off}") } }
    };
    let info = adapter.get_info();
    let matrix_sizes: Vec<String> = adapter
        .cooperative_matrix_properties()
        .iter()
        .map(|size| {
            let (m, n, k) = (size.m_size, size.n_size, size.k_size);
            format!("{m}x{n}x{k} {:?} with sums in {:?}", size.ab_type, size.cr_type).to_lowercase()
        })
        .collect();
    Tiers {
        f16: tier(Features::SHADER_F16, "16-bit floats".to_owned(), "shaderFloat16 with 16-bit storage"),
        subgroups: tier(
            Features::SUBGROUP,
            format!("{} to {} invocations", info.subgroup_min_size, info.subgroup_max_size),
            "subgroup operations in compute shaders",
        ),
        timestamps: tier(Features::TIMESTAMP_QUERY, "timestamp queries".to_owned(), "timestamp queries"),
        cooperative_matrix: tier(
            Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
            matrix_sizes.join(", "),
            "cooperative matrices (VK_KHR_cooperative_matrix, or simdgroup matrices on Metal)",
        ),
    }
}

/// All adapters of the chosen backends, best first.
///
/// # Errors
/// [`Error::UnknownBackend`].
pub fn adapters(choice: &AdapterChoice) -> Result<Vec<AdapterSummary>> {
    Ok(enumerate(backends(choice)?).iter().map(AdapterSummary::of).collect())
}

/// The adapter to use.
///
/// # Errors
/// [`Error::NoAdapter`], [`Error::AdapterNotFound`], [`Error::AdapterTooSmall`], [`Error::UnknownBackend`].
pub(super) fn choose(choice: &AdapterChoice) -> Result<Adapter> {
    let backends = backends(choice)?;
    let wanted = choice.adapter.clone().or_else(|| variable("WGPU_ADAPTER_NAME"));
    // OpenGL is the last resort, and looking for it is slow and talkative: skipped where another API has what it takes.
    let usable = |found: &[Adapter]| found.iter().any(|adapter| AdapterSummary::of(adapter).unusable.is_none());
    let without_gl = if wanted.is_none() { enumerate(backends - Backends::GL) } else { Vec::new() };
    let found = if usable(&without_gl) { without_gl } else { enumerate(backends) };
    let position = match &wanted {
        None if found.is_empty() => return Err(Error::NoAdapter { backends: names(backends) }),
        // The best that the kernels run on; if there is none, the best, and the reason why not is the answer.
        None => found.iter().position(|adapter| AdapterSummary::of(adapter).unusable.is_none()).unwrap_or(0),
        Some(wanted) => matching(wanted, &found).ok_or_else(|| Error::AdapterNotFound {
            wanted: wanted.clone(),
            available: match found.is_empty() {
                true => "none".to_owned(),
                false => found.iter().map(describe).collect::<Vec<_>>().join("; "),
            },
        })?,
    };
    let adapter = found.into_iter().nth(position).ok_or_else(|| Error::NoAdapter { backends: names(backends) })?;
    match shortfall(&adapter.get_info().name, &KernelLimits::of(&adapter.limits())) {
        Some(error) => Err(error),
        None => Ok(adapter),
    }
}

fn matching(wanted: &str, found: &[Adapter]) -> Option<usize> {
    if let Some(number) = wanted.parse().ok().filter(|&number: &usize| number < found.len()) {
        return Some(number);
    }
    let wanted = wanted.to_lowercase();
    let named = |adapter: &Adapter| adapter.get_info().name.to_lowercase().contains(&wanted);
    let usable = |adapter: &Adapter| AdapterSummary::of(adapter).unusable.is_none();
    let best = found.iter().position(|adapter| named(adapter) && usable(adapter));
    best.or_else(|| found.iter().position(named))
}

fn describe(adapter: &Adapter) -> String {
    let info = adapter.get_info();
    format!("{} ({})", info.name, info.backend.to_str())
}

fn enumerate(backends: Backends) -> Vec<Adapter> {
    let descriptor = wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle_from_env() };
    let instance = wgpu::Instance::new(descriptor);
    let mut found = pollster::block_on(instance.enumerate_adapters(backends));
    let thrifty = wgpu::PowerPreference::from_env() == Some(wgpu::PowerPreference::LowPower);
    found.sort_by_key(|adapter| {
        let info = adapter.get_info();
        let kind = match info.device_type {
            DeviceType::DiscreteGpu => u8::from(thrifty),
            DeviceType::IntegratedGpu => u8::from(!thrifty),
            DeviceType::VirtualGpu => 2,
            DeviceType::Other => 3,
            DeviceType::Cpu => 4,
        };
        (kind, info.backend == wgpu::Backend::Gl)
    });
    found
}

fn backends(choice: &AdapterChoice) -> Result<Backends> {
    let Some(given) = choice.backend.clone().or_else(|| variable("WGPU_BACKEND")) else { return Ok(Backends::all()) };
    given.split(',').map(str::trim).try_fold(Backends::empty(), |all, name| {
        Ok(all
            | match name.to_lowercase().as_str() {
                "vulkan" | "vk" => Backends::VULKAN,
                "metal" | "mtl" => Backends::METAL,
                "dx12" | "d3d12" => Backends::DX12,
                "gl" | "gles" | "opengl" => Backends::GL,
                _ => return Err(Error::UnknownBackend { given: name.to_owned() }),
            })
    })
}

fn names(backends: Backends) -> String {
    let built = wgpu::Instance::enabled_backend_features();
    let asked = if backends == Backends::all() { built } else { backends };
    let name = |(name, backend): (&str, Backends)| match built.contains(backend) {
        true => name.to_lowercase(),
        false => format!("{} (not in this build)", name.to_lowercase()),
    };
    asked.iter_names().map(name).collect::<Vec<_>>().join(", ")
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
