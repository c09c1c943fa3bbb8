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
        self.with_tuning(|tuning| {
            let usable = |&variant: &Variant| {
                !tuning.wrong.contains_key(&(dispatch.kernel, variant)) && self.suits(dispatch, variant).is_ok()
            };
            match tuning.best.get(&Work::of(dispatch)) {
                Some(Variant::Baseline) => Some(Variant::Baseline),
                Some(best) if usable(best) => Some(*best),
                _ => variant::preferred(&self.capabilities).iter().copied().find(usable),
            }
        })
        .unwrap_or(Variant::Baseline)
    }

    /// The variant that a dispatch would run as if nothing had been tuned.
    pub fn untuned_variant_of(&self, dispatch: &Dispatch) -> Variant {
        let suits = |&variant: &Variant| self.suits(dispatch, variant).is_ok();
        variant::preferred(&self.capabilities).iter().copied().find(suits).unwrap_or(Variant::Baseline)
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

    fn suits(&self, dispatch: &Dispatch, variant: Variant) -> std::result::Result<variant::Suited, String> {
        // Variants bind vectors of four; a bias that is not there may be bound to less.
        if let Some(short) = dispatch.bindings.iter().find(|binding| binding.len < 4) {
            return Err(format!("needs bindings of at least four numbers, one has {}", short.len));
        }
        variant::suit(dispatch.kernel, variant, &dispatch.params, &self.capabilities)
    }

    /// How to run a dispatch of this kernel, if only one kernel is to run as the wanted variant.
    pub(super) fn choice_of(&self, dispatch: &Dispatch, options: RunOptions) -> Choice {
        match options.kernel {
            Some(kernel) if kernel != dispatch.kernel => self.choice(dispatch, Some(Variant::Baseline)),
            _ => self.choice(dispatch, options.variant),
        }
    }

    /// How to run a dispatch: as `wanted` where it can, as the baseline where it cannot, and as what is best if nothing is wanted.
    fn choice(&self, dispatch: &Dispatch, wanted: Option<Variant>) -> Choice {
        let variant = wanted.unwrap_or_else(|| self.variant_of(dispatch));
        let kernel = dispatch.kernel;
        match self.suits(dispatch, variant) {
            Ok(suited) => {
                let key = PipelineKey { kernel, variant, constants: suited.constants };
                Choice { key, workgroups: suited.workgroups }
            }
            Err(_) => {
                let key = PipelineKey { kernel, variant: Variant::Baseline, constants: dispatch.constants.clone() };
                Choice { key, workgroups: dispatch.workgroups }
            }
        }
    }
}
