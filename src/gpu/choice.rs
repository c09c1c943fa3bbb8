//! The choice of a variant for each dispatch.

use std::sync::PoisonError;

use super::engine::Engine;
use super::pipeline::PipelineKey;
use super::run::RunOptions;
use crate::plan::{Dispatch, Plan};
use crate::variant::{self, Capabilities, Trial, Tuning, TuningKey, Variant, VariantChoice};

/// A dispatch as an engine launches it.
pub(super) struct Launch {
    pub key: PipelineKey,
    pub workgroups: u64,
}

impl Engine {
    /// What the device was opened with.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Returns the variant that this engine runs a dispatch as by default: the tuned one, else the first preferred one that can run it, else
    /// the baseline.
    pub fn variant_of(&self, dispatch: &Dispatch) -> Variant {
        self.choice_of(dispatch).variant
    }

    /// The same with the tile size, if tuning chose one.
    pub fn choice_of(&self, dispatch: &Dispatch) -> VariantChoice {
        let best = self.with_tuning(|tuning| tuning.best.get(&TuningKey::of(dispatch)).copied());
        match best {
            Some(best) if self.would_run_as(dispatch, best) => best,
            _ => self.first_preferred(dispatch, |variant| self.launch_config(dispatch, variant.into()).is_ok()).into(),
        }
    }

    /// Returns what a dispatch would run as without tuning.
    pub fn untuned_choice_of(&self, dispatch: &Dispatch) -> VariantChoice {
        let variant = self.first_preferred(dispatch, |variant| self.unverified_config(dispatch, variant.into()).is_ok());
        let tile = self.unverified_config(dispatch, variant.into()).ok().and_then(|config| config.tile);
        VariantChoice { variant, tile }
    }

    fn first_preferred(&self, dispatch: &Dispatch, can_run: impl Fn(Variant) -> bool) -> Variant {
        let mut preferred = variant::preferred(dispatch, &self.capabilities).iter().copied();
        preferred.find(|&variant| can_run(variant)).unwrap_or(Variant::Baseline)
    }

    /// Uses these measured choices from now on.
    pub fn set_tuning(&self, tuning: Tuning) {
        if let Some(rate) = tuning.multiply_adds_per_second {
            self.set_multiply_add_rate(rate);
        }
        *self.tuning.lock().unwrap_or_else(PoisonError::into_inner) = tuning;
        self.forget_all();
    }

    /// Adapter, driver and backend, and whether kernels were tuned for it.
    pub fn describe(&self) -> String {
        let tuned = self.with_tuning(|tuning| !tuning.best.is_empty());
        format!("{}{}", self.adapter(), if tuned { ", tuned" } else { "" })
    }

    /// Measured choices of variants for this device.
    pub fn tuning(&self) -> Tuning {
        self.with_tuning(Tuning::clone)
    }

    fn with_tuning<T>(&self, look: impl FnOnce(&Tuning) -> T) -> T {
        look(&self.tuning.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns why no dispatch of the plan can run as this variant, or `None` if one can.
    pub fn unsupported(&self, plan: &Plan, variant: Variant) -> Option<String> {
        if variant == Variant::Baseline {
            return None;
        }
        // A kernel that has the variant gives the better reason than one that has not.
        let mut reasons = Vec::new();
        for dispatch in plan.dispatches() {
            match self.launch_config(dispatch, variant.into()) {
                Ok(_) => return None,
                Err(reason) => reasons.push((variant::VariantRow::of(dispatch.kernel, variant).is_none(), reason)),
            }
        }
        reasons.into_iter().min().map(|(_, reason)| reason)
    }

    /// Whether a dispatch runs as this variant and in this tile size when asked to.
    pub fn would_run_as(&self, dispatch: &Dispatch, choice: impl Into<VariantChoice>) -> bool {
        let choice = choice.into();
        choice.variant == Variant::Baseline || self.launch_config(dispatch, choice).is_ok()
    }

    /// Returns the launch config of a variant for a dispatch, unless tuning found the variant wrong on this device.
    fn launch_config(&self, dispatch: &Dispatch, choice: VariantChoice) -> std::result::Result<variant::LaunchConfig, String> {
        match self.with_tuning(|tuning| tuning.wrong.get(&Trial::of(dispatch, choice.variant)).cloned()) {
            Some(error) => Err(format!("was found wrong on this adapter: {error}")),
            None => self.unverified_config(dispatch, choice),
        }
    }

    /// Returns the launch config of a variant for a dispatch, even if tuning found the variant wrong.
    fn unverified_config(
        &self,
        dispatch: &Dispatch,
        choice: VariantChoice,
    ) -> std::result::Result<variant::LaunchConfig, String> {
        variant::configure(dispatch, choice, &self.capabilities)
    }

    /// Returns how to launch a dispatch: as the requested variant, in another tile size if it has no such one, or as the baseline if it cannot
    /// run it. Without a request it is the default choice. A request for one kernel alone is a trial, and ignores earlier findings.
    pub(super) fn launch(&self, dispatch: &Dispatch, options: RunOptions) -> Launch {
        let kernel = dispatch.kernel;
        let choice = match options {
            RunOptions { kernel: Some(only), .. } if only != kernel => Variant::Baseline.into(),
            RunOptions { variant: Some(variant), tile, .. } => VariantChoice { variant, tile },
            _ => self.choice_of(dispatch),
        };
        let config = |choice: VariantChoice| match options.kernel {
            Some(_) => self.unverified_config(dispatch, choice),
            None => self.launch_config(dispatch, choice),
        };
        let (variant, constants, workgroups) = match config(choice).or_else(|_| config(choice.variant.into())) {
            Ok(config) => (choice.variant, config.constants, config.workgroups),
            Err(_) => (Variant::Baseline, dispatch.constants.clone(), dispatch.workgroups),
        };
        Launch { key: PipelineKey { kernel, variant, constants, elements: dispatch.elements.clone() }, workgroups }
    }
}
