//! Verification of variants on a device.

use std::collections::BTreeSet;

use orthoformer::gpu::{Engine, RunOptions};
use orthoformer::plan::{Dispatch, Element};
use orthoformer::variant::{self, Trial, VARIANTS, Variant, VariantChoice};
use orthoformer::{Error, Result};
use serde::Serialize;

use crate::json::{ElementName, VariantName};
use crate::{Case, check_reduced};

/// A variant whose results are wrong, or that cannot run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Name of the kernel.
    pub kernel: &'static str,
    /// The variant.
    #[serde(with = "VariantName")]
    pub variant: Variant,
    /// Storage.
    #[serde(with = "ElementName")]
    pub element: Element,
    /// The error.
    pub error: String,
    /// The trial.
    #[serde(skip)]
    pub trial: Trial,
}

impl Wrong {
    pub(super) fn new(trial: Trial, error: &str) -> Self {
        let Trial { kernel, variant, element } = trial;
        Self { kernel: kernel.row().stem, variant, element, error: error.to_owned(), trial }
    }
}

/// Trials, and those that are wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// All trials.
    pub tried: BTreeSet<Trial>,
    /// Wrong variants.
    pub wrong: Vec<Wrong>,
}

/// Runs the case, reduced, in each variant and tile size of each of its kernels, one kernel at a time, and
/// compares with the reference.
///
/// # Errors
/// Those of planning, and [`Error::DeviceLost`]. Other errors of a run are the variant's.
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
                Ok(checked) => checked.why,
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
