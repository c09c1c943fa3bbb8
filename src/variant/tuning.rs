//! Measured choices of variants for one device.

use std::collections::BTreeMap;

use super::{Variant, VariantChoice};
use crate::kernel::Kernel;
use crate::plan::{Dispatch, Element};

/// What a measured choice depends on: a kernel at certain sizes, at any offsets of its operands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TuningKey {
    /// The kernel.
    pub kernel: Kernel,
    /// Its sizes, as `name=count` separated by spaces, and the storage of its elements unless all are float32.
    pub sizes: String,
}

impl TuningKey {
    /// The key of a dispatch.
    pub fn of(dispatch: &Dispatch) -> Self {
        let mut sizes: Vec<String> =
            dispatch.sizes.iter().map(|(name, size)| format!("{}={size}", name.replace(" + ", "+").replace(' ', "-"))).collect();
        if dispatch.elements.contains(&Element::F16) {
            let elements: Vec<&str> = dispatch.elements.iter().map(|element| element.name()).collect();
            sizes.push(format!("stored={}", elements.join(",")));
        }
        Self { kernel: dispatch.kernel, sizes: sizes.join(" ") }
    }
}

/// A variant of a kernel for one storage: it is right or wrong as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Trial {
    /// The kernel.
    pub kernel: Kernel,
    /// The variant.
    pub variant: Variant,
    /// Storage: float16 if any of its bindings is.
    pub element: Element,
}

impl Trial {
    /// The trial of a variant by a dispatch.
    pub fn of(dispatch: &Dispatch, variant: Variant) -> Self {
        let element = dispatch.elements.iter().copied().max().unwrap_or_default();
        Self { kernel: dispatch.kernel, variant, element }
    }
}

/// Variants to choose and variants to avoid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tuning {
    /// Fastest variant for each key that was timed.
    pub best: BTreeMap<TuningKey, VariantChoice>,
    /// Variants whose results were wrong, with the error; never used.
    pub wrong: BTreeMap<Trial, String>,
    /// Measured peak rate of the device, in multiply-adds a second.
    pub multiply_adds_per_second: Option<f64>,
}
