//! The available adapters, and the choice of one.

use wgpu::{Adapter, Backends, DeviceType, Features};

use super::optional;
use super::summary::{AdapterSummary, KernelLimits, shortfall};
use crate::error::{Error, Result};

/// Choice of an adapter. Fields that are `None` fall back to `WGPU_BACKEND` and `WGPU_ADAPTER_NAME`, then to the best one:
/// discrete before integrated, unless `WGPU_POWER_PREF` is `low`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdapterChoice {
    /// `vulkan`, `metal`, `dx12` or `gl`; several with commas between.
    pub backend: Option<String>,
    /// Part of the adapter's name (ignoring case), or its index in the list of [`adapters`].
    pub adapter: Option<String>,
    /// Optional features to open its device without: names of [`super::OptionalFeature`] separated by commas.
    /// Falls back to `ORTHOFORMER_WITHOUT`.
    pub without: Option<String>,
}

impl AdapterChoice {
    /// Whether somebody asks for a certain adapter, by fields or environment, or for one that lacks something.
    pub fn is_said(&self) -> bool {
        let variables = ["WGPU_BACKEND", "WGPU_ADAPTER_NAME", "ORTHOFORMER_WITHOUT"];
        *self != Self::default() || variables.into_iter().any(|name| variable(name).is_some())
    }

    /// The features to leave out.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown name.
    pub(super) fn left_out(&self) -> Result<Features> {
        let names = self.without.clone().or_else(|| variable("ORTHOFORMER_WITHOUT")).unwrap_or_default();
        optional::named(&names)
    }
}

/// All adapters of the chosen backends, best first, without the features to leave out.
///
/// # Errors
/// [`Error::Argument`] for unknown backends, and unknown features to leave out.
#[cfg(not(target_arch = "wasm32"))]
pub fn adapters(choice: &AdapterChoice) -> Result<Vec<AdapterSummary>> {
    let left_out = choice.left_out()?;
    let summary = |adapter: &Adapter| AdapterSummary::of(adapter).without(left_out);
    Ok(pollster::block_on(enumerate(backends(choice)?)).iter().map(summary).collect())
}

/// The adapter to use.
///
/// # Errors
/// [`Error::NoAdapter`], [`Error::AdapterNotFound`], [`Error::AdapterTooSmall`]; [`Error::Argument`] for unknown backends.
pub(super) async fn choose(choice: &AdapterChoice) -> Result<Adapter> {
    let backends = backends(choice)?;
    let wanted = choice.adapter.clone().or_else(|| variable("WGPU_ADAPTER_NAME"));
    // OpenGL is the last resort, and looking for it is slow and noisy: skipped if another API has a suitable adapter.
    let usable = |found: &[Adapter]| found.iter().any(|adapter| AdapterSummary::of(adapter).unusable.is_none());
    let without_gl = if wanted.is_none() { enumerate(backends - Backends::GL).await } else { Vec::new() };
    let found = if usable(&without_gl) { without_gl } else { enumerate(backends).await };
    let position = match &wanted {
        None if found.is_empty() => return Err(Error::NoAdapter { backends: names(backends) }),
        // The best that the kernels run on; if there is none, the error tells why they do not run on the best.
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

async fn enumerate(backends: Backends) -> Vec<Adapter> {
    let descriptor = wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle_from_env() };
    let instance = wgpu::Instance::new(descriptor);
    let all = instance.enumerate_adapters(backends);
    // Natively nothing is waited for, and a future that may change threads cannot hold this one.
    #[cfg(not(target_arch = "wasm32"))]
    let mut found = pollster::block_on(all);
    #[cfg(target_arch = "wasm32")]
    let mut found = all.await;
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
                _ => {
                    let expected = "vulkan, metal, dx12 or gl".to_owned();
                    return Err(Error::Argument { what: "backend", given: name.to_owned(), expected });
                }
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
