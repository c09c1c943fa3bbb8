//! Which variant of its kernel a dispatch runs as.

use std::sync::PoisonError;

use super::engine::Engine;
use super::pipeline::PipelineKey;
use super::run::RunOptions;
use crate::plan::{Dispatch, Plan};
use crate::variant::{self, Build, Capabilities, Trial, Tuning, Variant, Work};

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
        self.build_of(dispatch).variant
    }

    /// The same with the tile size, where tuning chose one.
    pub fn build_of(&self, dispatch: &Dispatch) -> Build {
        let best = self.with_tuning(|tuning| tuning.best.get(&Work::of(dispatch)).copied());
        match best {
            Some(best) if self.would_run_as(dispatch, best) => best,
            _ => self.first_preferred(dispatch, |variant| self.suits(dispatch, variant.into()).is_ok()).into(),
        }
    }

    /// What a dispatch would run as if nothing had been tuned.
    pub fn untuned_build_of(&self, dispatch: &Dispatch) -> Build {
        let variant = self.first_preferred(dispatch, |variant| self.could_suit(dispatch, variant.into()).is_ok());
        let tile = self.could_suit(dispatch, variant.into()).ok().and_then(|suited| suited.tile);
        Build { variant, tile }
    }

    fn first_preferred(&self, dispatch: &Dispatch, suits: impl Fn(Variant) -> bool) -> Variant {
        let mut preferred = variant::preferred(dispatch, &self.capabilities).iter().copied();
        preferred.find(|&variant| suits(variant)).unwrap_or(Variant::Baseline)
    }

    /// Takes over what was found out about the variants on this device.
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
            match self.suits(dispatch, variant.into()) {
                Ok(_) => return None,
                Err(reason) => reasons.push((variant::VariantRow::of(dispatch.kernel, variant).is_none(), reason)),
            }
        }
        reasons.into_iter().min().map(|(_, reason)| reason)
    }

    /// Whether a dispatch runs as this variant, and in this tile size, if that is what is asked for.
    pub fn would_run_as(&self, dispatch: &Dispatch, build: impl Into<Build>) -> bool {
        let build = build.into();
        build.variant == Variant::Baseline || self.suits(dispatch, build).is_ok()
    }

    /// How a variant would run a dispatch, unless it is known to compute something wrong on this device.
    fn suits(&self, dispatch: &Dispatch, build: Build) -> std::result::Result<variant::Suited, String> {
        match self.with_tuning(|tuning| tuning.wrong.get(&Trial::of(dispatch, build.variant)).cloned()) {
            Some(error) => Err(format!("was found wrong on this adapter: {error}")),
            None => self.could_suit(dispatch, build),
        }
    }

    /// How a variant would run a dispatch, right or wrong.
    fn could_suit(&self, dispatch: &Dispatch, build: Build) -> std::result::Result<variant::Suited, String> {
        variant::suit(dispatch, build, &self.capabilities)
    }

    /// How to run a dispatch: as the wanted variant where it can, in another tile size if there is no such one, as the baseline where it
    /// cannot, and as what is best if nothing is wanted. If one kernel alone is to run as a variant, that is a trial, and what is known about
    /// it does not count.
    pub(super) fn choice(&self, dispatch: &Dispatch, options: RunOptions) -> Choice {
        let kernel = dispatch.kernel;
        let build = match options {
            RunOptions { kernel: Some(only), .. } if only != kernel => Variant::Baseline.into(),
            RunOptions { variant: Some(variant), tile, .. } => Build { variant, tile },
            _ => self.build_of(dispatch),
        };
        let suited = |build: Build| match options.kernel {
            Some(_) => self.could_suit(dispatch, build),
            None => self.suits(dispatch, build),
        };
        let (variant, constants, workgroups) = match suited(build).or_else(|_| suited(build.variant.into())) {
            Ok(suited) => (build.variant, suited.constants, suited.workgroups),
            Err(_) => (Variant::Baseline, dispatch.constants.clone(), dispatch.workgroups),
        };
        Choice { key: PipelineKey { kernel, variant, constants, elements: dispatch.elements.clone() }, workgroups }
    }
}
