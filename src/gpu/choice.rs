//! Which variant of its kernel a dispatch runs as.

use std::sync::PoisonError;

use super::engine::Engine;
use super::pipeline::PipelineKey;
use super::run::RunOptions;
use crate::plan::{Dispatch, Plan};
use crate::variant::{self, Capabilities, Tuning, Variant, Work};

/// A dispatch as an engine runs it.
pub(super) struct Choice {
    pub key: PipelineKey,
    pub workgroups: u64,
}

impl Engine {
    /// What the device was opened with.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The variant that this engine runs a dispatch as, if left to itself: the fastest that was found by tuning, else what suits the device
    /// best, else the baseline.
    pub fn variant_of(&self, dispatch: &Dispatch) -> Variant {
        let best = self.with_tuning(|tuning| tuning.best.get(&Work::of(dispatch)).copied());
        match best {
            Some(best) if self.would_run_as(dispatch, best) => best,
            _ => self.first_preferred(|variant| self.suits(dispatch, variant).is_ok()),
        }
    }

    /// The variant that a dispatch would run as if nothing had been tuned.
    pub fn untuned_variant_of(&self, dispatch: &Dispatch) -> Variant {
        self.first_preferred(|variant| self.could_suit(dispatch, variant).is_ok())
    }

    fn first_preferred(&self, suits: impl Fn(Variant) -> bool) -> Variant {
        let mut preferred = variant::preferred(&self.capabilities).iter().copied();
        preferred.find(|&variant| suits(variant)).unwrap_or(Variant::Baseline)
    }

    /// Takes over what was found out about the variants on this device.
    pub fn set_tuning(&self, tuning: Tuning) {
        if let Some(rate) = tuning.multiply_adds_per_second {
            self.set_multiply_add_rate(rate);
        }
        *self.tuning.lock().unwrap_or_else(PoisonError::into_inner) = tuning;
    }

    /// What is known about the variants on this device.
    pub fn tuning(&self) -> Tuning {
        self.with_tuning(Tuning::clone)
    }

    fn with_tuning<T>(&self, look: impl FnOnce(&Tuning) -> T) -> T {
        look(&self.tuning.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why no dispatch of the plan can run as this variant; `None` if one can.
    pub fn unsupported(&self, plan: &Plan, variant: Variant) -> Option<String> {
        if variant == Variant::Baseline {
            return None;
        }
        // The kernel with a version of this kind says most; one without only that there is none.
        let mut reasons = Vec::new();
        for dispatch in plan.dispatches() {
            match self.suits(dispatch, variant) {
                Ok(_) => return None,
                Err(reason) => reasons.push((variant::VariantRow::of(dispatch.kernel, variant).is_none(), reason)),
            }
        }
        reasons.into_iter().min().map(|(_, reason)| reason)
    }

    /// Whether a dispatch runs as this variant, if that is what is asked for.
    pub fn would_run_as(&self, dispatch: &Dispatch, variant: Variant) -> bool {
        variant == Variant::Baseline || self.suits(dispatch, variant).is_ok()
    }

    /// How a variant would run a dispatch, unless it is known to compute something wrong on this device.
    fn suits(&self, dispatch: &Dispatch, variant: Variant) -> std::result::Result<variant::Suited, String> {
        match self.with_tuning(|tuning| tuning.wrong.get(&(dispatch.kernel, variant)).cloned()) {
            Some(error) => Err(format!("was found wrong on this adapter: {error}")),
            None => self.could_suit(dispatch, variant),
        }
    }

    /// How a variant would run a dispatch, right or wrong.
    fn could_suit(&self, dispatch: &Dispatch, variant: Variant) -> std::result::Result<variant::Suited, String> {
        variant::suit(dispatch, variant, &self.capabilities)
    }

    /// How to run a dispatch: as the wanted variant where it can, as the baseline where it cannot, and as what is best if nothing is
    /// wanted. If one kernel alone is to run as a variant, that is a trial, and what is known about it does not count.
    pub(super) fn choice(&self, dispatch: &Dispatch, options: RunOptions) -> Choice {
        let kernel = dispatch.kernel;
        let variant = match options {
            RunOptions { kernel: Some(only), .. } if only != kernel => Variant::Baseline,
            RunOptions { variant: Some(variant), .. } => variant,
            _ => self.variant_of(dispatch),
        };
        let suited = match options.kernel {
            Some(_) => self.could_suit(dispatch, variant),
            None => self.suits(dispatch, variant),
        };
        let (variant, constants, workgroups) = match suited {
            Ok(suited) => (variant, suited.constants, suited.workgroups),
            Err(_) => (Variant::Baseline, dispatch.constants.clone(), dispatch.workgroups),
        };
        Choice { key: PipelineKey { kernel, variant, constants, elements: dispatch.elements.clone() }, workgroups }
    }
}
