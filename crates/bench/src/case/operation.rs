//! What a case computes.

use orthoformer::Result;
use orthoformer::compare::Tolerance;
use orthoformer::plan::{Plan, PlanLimits};
#[cfg(feature = "files")]
use orthoformer_models::NetworkSpec;

/// An operation of the core, or a whole network.
#[derive(Clone, Debug)]
pub enum Operation {
    /// An operation of the core.
    Core(orthoformer::Operation),
    /// A whole network.
    #[cfg(feature = "files")]
    Network(NetworkSpec),
}

impl Operation {
    /// The operation's plan for devices of these limits.
    ///
    /// # Errors
    /// Those of the operation's own `plan`.
    pub fn plan(&self, limits: PlanLimits) -> Result<Plan> {
        match self {
            Self::Core(operation) => operation.plan(limits),
            #[cfg(feature = "files")]
            Self::Network(spec) => spec.plan(limits),
        }
    }

    /// The tolerance for its outputs.
    pub fn tolerance(&self) -> Tolerance {
        match self {
            Self::Core(operation) => Tolerance::of(operation),
            #[cfg(feature = "files")]
            Self::Network(_) => Tolerance::NETWORK,
        }
    }

    /// The operation of the core, if it is one. A network hands out no picks.
    pub fn core(&self) -> Option<&orthoformer::Operation> {
        match self {
            Self::Core(operation) => Some(operation),
            #[cfg(feature = "files")]
            Self::Network(_) => None,
        }
    }
}
