//! Which variant of its kernel a dispatch runs as.

use super::engine::Engine;
use super::pipeline::PipelineKey;
use crate::plan::{Dispatch, Plan};
use crate::variant::{self, Capabilities, Variant};

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

    /// The variant that this engine runs a dispatch as, if left to itself.
    pub fn variant_of(&self, dispatch: &Dispatch) -> Variant {
        let suits = |&&variant: &&Variant| self.suits(dispatch, variant).is_ok();
        variant::preferred(&self.capabilities).iter().find(suits).copied().unwrap_or(Variant::Baseline)
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

    fn suits(&self, dispatch: &Dispatch, variant: Variant) -> std::result::Result<variant::Suited, String> {
        variant::suit(dispatch.kernel, variant, &dispatch.params, &self.capabilities)
    }

    /// How to run a dispatch: as `wanted` where it can, as the baseline where it cannot, and as what is best if nothing is wanted.
    pub(super) fn choice(&self, dispatch: &Dispatch, wanted: Option<Variant>) -> Choice {
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
