//! Whether variants compute what they should on a device.

use std::collections::BTreeSet;

use orthoformer::gpu::{Engine, RunOptions};
use orthoformer::plan::{Dispatch, Element};
use orthoformer::variant::{self, Trial, VARIANTS, Variant, VariantChoice};
use orthoformer::{Error, Result};
use serde::Serialize;

use crate::json::{ElementName, VariantName};
use crate::{Case, check_reduced};

/// A variant that computes something wrong, or cannot be made to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Name of the kernel.
    pub kernel: &'static str,
    /// Which variant.
    #[serde(with = "VariantName")]
    pub variant: Variant,
    /// For numbers stored as what.
    #[serde(with = "ElementName")]
    pub element: Element,
    /// What is wrong.
    pub error: String,
    /// What was tried.
    #[serde(skip)]
    pub trial: Trial,
}

impl Wrong {
    pub(super) fn new(trial: Trial, error: &str) -> Self {
        let Trial { kernel, variant, element } = trial;
        Self { kernel: kernel.row().stem, variant, element, error: error.to_owned(), trial }
    }
}

/// What was verified, and what of that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// What was tried.
    pub tried: BTreeSet<Trial>,
    /// What of it is wrong.
    pub wrong: Vec<Wrong>,
}

/// Runs the case, made small, in each variant that the device has of each of its kernels, in each tile size, one kernel at a time, and
/// compares with the reference.
///
/// # Errors
/// Those of planning, and [`Error::DeviceLost`]. What else goes wrong in running a variant is the variant's fault.
pub fn verify(engine: &Engine, case: &Case) -> Result<Verified> {
    let plan = case.reduced().plan()?;
    let mut verified = Verified::default();
    for row in VARIANTS {
        let (kernel, variant) = (row.kernel, row.variant);
        let tiles = (0..row.tiles.len()).map(Some);
        for tile in tiles.chain(row.tiles.is_empty().then_some(None)) {
            let suits = |dispatch: &&Dispatch| {
                dispatch.kernel == kernel
                    && variant::configure(dispatch, VariantChoice { variant, tile }, engine.capabilities()).is_ok()
            };
            let trials: BTreeSet<Trial> = plan.dispatches().filter(suits).map(|dispatch| Trial::of(dispatch, variant)).collect();
            if trials.is_empty() {
                continue;
            }
            let options =
                RunOptions { poison: true, variant: Some(variant), tile, kernel: Some(kernel), ..RunOptions::default() };
            let outcome = check_reduced(case, |plan, inputs| Ok(engine.run(plan, inputs, options)?.outputs));
            let error = match outcome {
                Ok(found) => found,
                Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
                Err(error) => Some(error.to_string()),
            };
            let named = |error: String| format!("{error}, as {}", VariantChoice { variant, tile }.name(kernel));
            if let Some(error) = error.map(named) {
                verified.wrong.extend(trials.iter().map(|&trial| Wrong::new(trial, &error)));
            }
            verified.tried.extend(trials);
        }
    }
    Ok(verified)
}
