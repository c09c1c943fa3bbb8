//! Features and limits to open a device with: required and optional ones.

use wgpu::{Adapter, Features, Limits};

use super::summary::KernelLimits;
use crate::error::{Error, Result};

/// An optional feature of a device, and its benefit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionalFeature {
    /// Its name in [`crate::gpu::AdapterChoice::without`].
    pub name: &'static str,
    /// wgpu's features.
    pub features: Features,
    /// Its benefit, for people.
    pub buys: &'static str,
}

const OPTIONAL: [OptionalFeature; 5] = [
    OptionalFeature {
        name: "subgroups",
        features: Features::SUBGROUP,
        buys: "the variant `broadcast`, which CPU drivers run several times as fast as the baseline, and `cooperative`",
    },
    OptionalFeature {
        name: "f16",
        features: Features::SHADER_F16,
        buys: "plans stored as float16: half the memory and half the traffic",
    },
    OptionalFeature {
        name: "timestamps",
        features: Features::TIMESTAMP_QUERY,
        buys: "times of the device instead of the host's, and times of single dispatches",
    },
    OptionalFeature { name: "pipelines", features: Features::PIPELINE_CACHE, buys: "compiled pipelines kept from run to run" },
    OptionalFeature {
        name: "matrices",
        features: Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
        buys: "the variant `cooperative` for plans stored as float16: matrix units. An experiment in wgpu, so it has to be asked for as one",
    },
];

/// The features without which no kernel runs on an adapter: none, whatever the adapter. Ask for these when opening a device for
/// [`crate::gpu::Engine::from_device`], so that nothing has to change should a kernel ever need one.
pub fn required_features(_adapter: &Adapter) -> Features {
    Features::empty()
}

/// The limits that kernels need, and the least of everything else: pass it to [`Limits::or_better_values_from`] of your own. Nothing in it is
/// above WebGPU's minimum.
pub fn required_limits() -> Limits {
    limits_for(&KernelLimits::NEEDED)
}

/// Features that make some kernels faster or allow more.
pub fn optional_features() -> &'static [OptionalFeature] {
    &OPTIONAL
}

/// Features to leave out, by names of [`OptionalFeature::name`] separated by commas.
///
/// # Errors
/// [`Error::Argument`] for an unknown name.
pub(super) fn named(names: &str) -> Result<Features> {
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(named_one).try_fold(Features::empty(), |all, found| Ok(all | found?))
}

fn named_one(name: &str) -> Result<Features> {
    let found = OPTIONAL.iter().find(|optional| optional.name.eq_ignore_ascii_case(name));
    found.map(|optional| optional.features).ok_or_else(|| Error::Argument {
        what: "features to leave out",
        given: name.to_owned(),
        expected: OPTIONAL.map(|optional| optional.name).join(", "),
    })
}

/// Limits for wgpu: ours where kernels care, and nothing elsewhere.
pub(super) fn limits_for(needed: &KernelLimits) -> Limits {
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
        // No kernel binds one; heat of `orthoformer-textures` goes into one.
        max_storage_textures_per_shader_stage: 1,
        ..Limits::downlevel_webgl2_defaults()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_and_others_are_refused() {
        assert_eq!(named("").expect("nothing"), Features::empty());
        assert_eq!(named("f16, Subgroups").expect("two"), Features::SHADER_F16 | Features::SUBGROUP);
        assert!(matches!(named("f16,f61"), Err(Error::Argument { given, .. }) if given == "f61"));
    }

    #[test]
    fn what_is_needed_is_within_the_minimum_of_webgpu() {
        let minimum = Limits::defaults();
        assert_eq!(minimum.clone().or_better_values_from(&required_limits()), minimum);
    }
}
