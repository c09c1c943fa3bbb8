//! What was found out about the variants on one device.

use std::collections::BTreeMap;

use super::{Build, Variant};
use crate::kernel::Kernel;
use crate::plan::{Dispatch, Element};

/// A kernel at certain sizes: the same work, wherever its operands lie.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Work {
    /// The kernel.
    pub kernel: Kernel,
    /// Its counts, as `name=count` with spaces between, and how its numbers are stored unless all are float32.
    pub sizes: String,
}

impl Work {
    /// What a dispatch does.
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

/// A variant of a kernel, for numbers that are stored in one way: what is right or wrong as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Trial {
    /// The kernel.
    pub kernel: Kernel,
    /// The variant.
    pub variant: Variant,
    /// Whether some of its numbers are stored as float16.
    pub element: Element,
}

impl Trial {
    /// What is tried where a dispatch runs as a variant.
    pub fn of(dispatch: &Dispatch, variant: Variant) -> Self {
        let element = dispatch.elements.iter().copied().max().unwrap_or_default();
        Self { kernel: dispatch.kernel, variant, element }
    }
}

/// Which variants to take and which to avoid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tuning {
    /// The fastest variant for each kind of work that was timed.
    pub best: BTreeMap<Work, Build>,
    /// Variants whose results were wrong, and how: never used.
    pub wrong: BTreeMap<Trial, String>,
    /// Multiply-adds a second that the device reaches at best, if that was measured.
    pub multiply_adds_per_second: Option<f64>,
}
