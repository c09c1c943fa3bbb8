//! Networks of which only the trait is known: copied, compared, planned.

use std::any::Any;

use orthoformer::Result;
use orthoformer::plan::{Plan, PlanLimits};

use super::{Network, NetworkOutputs};

/// Copies and comparisons of networks. Every network that can be cloned and compared has them.
pub trait NetworkObject {
    /// A copy.
    fn boxed(&self) -> Box<dyn Network>;

    /// Whether the other is the same kind of network, of the same structure.
    fn equals(&self, other: &dyn Network) -> bool;
}

impl<T: Network + Clone + PartialEq> NetworkObject for T {
    fn boxed(&self) -> Box<dyn Network> {
        Box::new(self.clone())
    }

    fn equals(&self, other: &dyn Network) -> bool {
        other.downcast_ref::<T>() == Some(self)
    }
}

impl dyn Network {
    /// The network, if it is of this kind.
    pub fn downcast_ref<T: Network>(&self) -> Option<&T> {
        let any: &dyn Any = self;
        any.downcast_ref()
    }

    /// The same, to be changed.
    pub fn downcast_mut<T: Network>(&mut self) -> Option<&mut T> {
        let any: &mut dyn Any = self;
        any.downcast_mut()
    }
}

impl Clone for Box<dyn Network> {
    fn clone(&self) -> Self {
        (**self).boxed()
    }
}

impl PartialEq for dyn Network {
    fn eq(&self, other: &Self) -> bool {
        self.equals(other)
    }
}

/// A network with everything needed to plan it.
#[derive(Clone, Debug)]
pub struct NetworkSpec {
    /// `B`: clips that go through together.
    pub batch: u32,
    /// The network.
    pub network: Box<dyn Network>,
    /// What it hands out.
    pub outputs: NetworkOutputs,
}

impl NetworkSpec {
    /// The network's plan.
    ///
    /// # Errors
    /// Those of [`Network::plan`].
    pub fn plan(&self, limits: PlanLimits) -> Result<Plan> {
        self.network.plan(self.batch, &self.outputs, limits)
    }
}
