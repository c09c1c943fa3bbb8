//! Summary of an adapter: names, limits, optional features, and whether the kernels run on it.

use wgpu::{Adapter, AdapterInfo, DeviceType, Features, Limits};

use crate::error::Error;
use crate::shape::MAX_LOOP;
use crate::variant::{Capabilities, Language};

/// Limits that decide whether the kernels run, and how work is sliced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    pub(super) fn of(limits: &Limits) -> Self {
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
pub struct Tier {
    /// Whether the adapter has it.
    pub on: bool,
    /// What it has, or why not.
    pub detail: String,
}

/// The optional abilities.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Summary of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterSummary {
    /// The adapter's name.
    pub name: String,
    /// `vulkan`, `metal`, `dx12` or `gl`.
    pub backend: String,
    /// `discrete gpu`, `integrated gpu`, `virtual gpu`, `cpu` or `other`.
    pub kind: String,
    /// Driver name and version.
    pub driver: String,
    /// PCI identifiers of vendor and device; zeros where the API does not tell.
    pub pci: [u32; 2],
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
    /// Whether it computes on the CPU.
    pub fn is_software(&self) -> bool {
        self.kind == "cpu"
    }

    /// The summary of an adapter.
    pub fn of(adapter: &Adapter) -> Self {
        let matrices = matrix_sizes(adapter);
        Self::from_parts(&adapter.get_info(), adapter.features(), &adapter.limits(), &matrices, "the driver does not offer")
    }

    /// The summary of an open device.
    pub(super) fn of_device(device: &wgpu::Device, matrices: &str) -> Self {
        let absent = "the device was opened without";
        Self::from_parts(&device.adapter_info(), device.features(), &device.limits(), matrices, absent)
    }

    /// The same without some of the features, by request.
    pub(super) fn without(mut self, left_out: Features) -> Self {
        let tiers = &mut self.tiers;
        let pairs = [
            (Features::SHADER_F16, &mut tiers.f16),
            (Features::SUBGROUP, &mut tiers.subgroups),
            (Features::TIMESTAMP_QUERY, &mut tiers.timestamps),
            (Features::EXPERIMENTAL_COOPERATIVE_MATRIX, &mut tiers.cooperative_matrix),
        ];
        for (_, tier) in pairs.into_iter().filter(|(feature, tier)| tier.on && left_out.contains(*feature)) {
            *tier = Tier { on: false, detail: "left out by request".to_owned() };
        }
        self
    }

    fn from_parts(info: &AdapterInfo, features: Features, limits: &Limits, matrices: &str, absent: &str) -> Self {
        let limits = KernelLimits::of(limits);
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
            pci: [info.vendor, info.device],
            unusable: shortfall(&info.name, &limits).map(|error| error.to_string()),
            limits,
            tiers: tiers(info, features, matrices, absent),
        }
    }
}

/// A kind of square matrices that an adapter multiplies by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixUnit {
    /// Rows and columns of each matrix.
    pub side: u32,
    /// `f16` or `f32`: elements of the factors.
    pub inputs: &'static str,
    /// `f16` or `f32`: elements of the sums.
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

/// Capabilities that variants may use on a device.
pub(super) fn capabilities(device: &wgpu::Device, matrix_units: &[MatrixUnit]) -> Capabilities {
    let (info, features, limits) = (device.adapter_info(), device.features(), device.limits());
    let constant = info.subgroup_min_size == info.subgroup_max_size;
    let subgroups = features.contains(Features::SUBGROUP) && constant;
    let all = Capabilities {
        cpu: info.device_type == DeviceType::Cpu,
        subgroup: subgroups.then_some(info.subgroup_min_size),
        f16: features.contains(Features::SHADER_F16),
        // Matrices belong to whole subgroups, whose size shaders have to know.
        matrix_side: matrix_units
            .iter()
            .filter(|_| subgroups)
            .filter(|unit| unit.inputs == "f16" && unit.sums == "f32")
            .map(|unit| unit.side)
            .max(),
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        invocations: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
        registers: registers_of(&info),
        loop_iterations: counts_iterations(&info.name, &info.driver, &info.driver_info).then_some(MAX_LOOP),
    };
    // What the backend's language cannot express is never tried.
    Language::of_backend(info.backend.to_str()).map_or(all, |language| all.within(language))
}

/// Registers of 32 bits of an invocation. A browser does not name its adapter, and Metal names no vendor.
fn registers_of(info: &AdapterInfo) -> u32 {
    const AMD: u32 = 0x1002;
    const NVIDIA: u32 = 0x10de;
    const QUALCOMM: u32 = 0x5143;
    match info.vendor {
        AMD | NVIDIA => 255,
        _ if info.device_type == DeviceType::Cpu => 255,
        // 48 registers of four elements.
        QUALCOMM => 192,
        // Apple has 128, and so has Intel in its subgroups of 8 to 16.
        _ => 128,
    }
}

/// Whether a driver ends the loops of an invocation after 65,535 iterations: Mesa's software driver before version 25.0, by Vulkan and by OpenGL.
/// Browsers do not say what they run on.
fn counts_iterations(name: &str, driver: &str, driver_info: &str) -> bool {
    let is_software = [name, driver].iter().any(|text| text.to_lowercase().contains("llvmpipe"));
    let release = driver_info.split("Mesa ").nth(1).and_then(|version| version.split([' ', '(']).next());
    let major = release.filter(|release| !release.contains("devel")).and_then(|release| release.split('.').next()?.parse().ok());
    cfg!(target_arch = "wasm32") || is_software && major.is_none_or(|major: u32| major < 25)
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

/// The sizes and types of the matrices that an adapter multiplies, for people.
pub(super) fn matrix_sizes(adapter: &Adapter) -> String {
    let size = |size: &wgpu::CooperativeMatrixProperties| {
        let (m, n, k) = (size.m_size, size.n_size, size.k_size);
        format!("{m}x{n}x{k} {:?} with sums in {:?}", size.ab_type, size.cr_type).to_lowercase()
    };
    adapter.cooperative_matrix_properties().iter().map(size).collect::<Vec<_>>().join(", ")
}

fn tiers(info: &AdapterInfo, features: Features, matrices: &str, absent: &str) -> Tiers {
    let tier = |feature: Features, on: &str, off: &str| {
        let has = features.contains(feature);
        Tier { on: has, detail: if has { on.to_owned() } else { format!("{absent} {off}") } }
    };
    let invocations = format!("{} to {} invocations", info.subgroup_min_size, info.subgroup_max_size);
    Tiers {
        f16: tier(Features::SHADER_F16, "16-bit floats", "shaderFloat16 with 16-bit storage"),
        subgroups: tier(Features::SUBGROUP, &invocations, "subgroup operations in compute shaders"),
        timestamps: tier(Features::TIMESTAMP_QUERY, "timestamp queries", "timestamp queries"),
        cooperative_matrix: tier(
            Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
            matrices,
            "cooperative matrices (VK_KHR_cooperative_matrix, or simdgroup matrices on Metal)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_software_drivers_count_iterations() {
        let lavapipe = |info| counts_iterations("llvmpipe (LLVM 15.0.6, 256 bits)", "llvmpipe", info);
        assert!(lavapipe("Mesa 22.3.6 (LLVM 15.0.6)") && lavapipe("Mesa 24.0.5-1ubuntu1 (LLVM 17.0.6)"));
        assert!(lavapipe("Mesa 25.0.0-devel (git-1)") && lavapipe("") && lavapipe("Mesa"));
        assert!(!lavapipe("Mesa 25.0.7-2+deb13u1 (LLVM 19.1.7)") && !lavapipe("Mesa 26.2.6-1 (LLVM 22.1.8)"));
        let gl = |info| counts_iterations("llvmpipe (LLVM 15.0.6, 256 bits)", "", info);
        assert!(gl("4.5 (Core Profile) Mesa 22.3.6") && !gl("4.6 (Core Profile) Mesa 26.2.6-1"));
        assert!(!counts_iterations("SwiftShader Device (Subzero)", "SwiftShader driver", ""));
        assert!(!counts_iterations("NVIDIA H200", "NVIDIA", "Mesa 22.3.6"));
    }
}
