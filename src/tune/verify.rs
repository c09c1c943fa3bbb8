//! Whether variants compute what they should on a device.

use serde::{Serialize, Serializer};

use crate::bench::{Case, check_reduced};
use crate::error::{Error, Result};
use crate::gpu::{Engine, RunOptions};
use crate::kernel::Kernel;
use crate::variant::{self, Variant, VariantRow};

/// A variant that computes something wrong, or cannot be made to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Of which kernel.
    #[serde(serialize_with = "stem")]
    pub kernel: Kernel,
    /// Which variant.
    pub variant: Variant,
    /// What is wrong.
    pub error: String,
}

fn stem<S: Serializer>(kernel: &Kernel, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(kernel.row().stem)
}

/// What was verified, and what of that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Kernels and variants that were tried.
    pub tried: Vec<(Kernel, Variant)>,
    /// Those of them that are wrong.
    pub wrong: Vec<Wrong>,
}

/// Runs the case, made small, in each variant that the device has of each of its kernels, one kernel at a time, and compares with the
/// reference.
///
/// # Errors
/// Those of planning, and [`Error::DeviceLost`]. What else goes wrong in running a variant is the variant's fault.
pub fn verify(engine: &Engine, case: &Case) -> Result<Verified> {
    let plan = case.reduced().plan()?;
    let mut verified = Verified::default();
    for kernel in Kernel::ALL {
        for variant in Variant::ALL.into_iter().filter(|&variant| VariantRow::of(kernel, variant).is_some()) {
            let suits = |dispatch: &crate::plan::Dispatch| {
                dispatch.kernel == kernel && variant::suit(dispatch, variant, engine.capabilities()).is_ok()
            };
            if !plan.dispatches().any(suits) {
                continue;
            }
            let options = RunOptions { poison: true, variant: Some(variant), kernel: Some(kernel), ..RunOptions::default() };
            let outcome = check_reduced(case, |plan, inputs| Ok(engine.run(plan, inputs, options)?.outputs));
            let error = match outcome {
                Ok(found) => found,
                Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
                Err(error) => Some(error.to_string()),
            };
            verified.tried.push((kernel, variant));
            verified.wrong.extend(error.map(|error| Wrong { kernel, variant, error }));
        }
    }
    Ok(verified)
}
