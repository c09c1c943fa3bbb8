//! What was found out about the variants on one device.

use std::collections::BTreeMap;

use super::Variant;
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
            dispatch.sizes.iter().map(|(name, size)| format!("{}={size}", name.replace(' ', "-"))).collect();
        if dispatch.elements.contains(&Element::F16) {
            let elements: Vec<&str> = dispatch.elements.iter().map(|element| element.name()).collect();
            sizes.push(format!("stored={}", elements.join(",")));
        }
        Self { kernel: dispatch.kernel, sizes: sizes.join(" ") }
    }
}

/// Which variants to take and which to avoid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tuning {
    /// The fastest variant for each kind of work that was timed.
    pub best: BTreeMap<Work, Variant>,
    /// Variants whose results were wrong, and how: never used.
    pub wrong: BTreeMap<(Kernel, Variant), String>,
    /// Multiply-adds a second that the device reaches at best, if that was measured.
    pub multiply_adds_per_second: Option<f64>,
}
