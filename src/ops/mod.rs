//! Operations: sizes in, [`Plan`] out, one file an operation.

pub mod follow;
pub mod layer;
mod layer_attention;
mod temporal;
mod temporal_stage;
pub mod trajectories;

pub use layer::{Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue};

use crate::error::Result;
use crate::plan::{Plan, PlanLimits};
use crate::shape::Shape;

/// An operation with everything needed to plan it.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Trajectory tokens of given queries, keys and values: [`trajectories::plan`].
    Trajectories(Shape),
    /// An attention layer from its weights: [`layer::plan`].
    Layer(LayerSpec),
}

impl Operation {
    /// The operation's plan for devices of these limits.
    ///
    /// # Errors
    /// Those of the operation's own `plan`.
    pub fn plan(&self, limits: PlanLimits) -> Result<Plan> {
        match self {
            Self::Trajectories(shape) => trajectories::plan(shape, limits),
            Self::Layer(spec) => layer::plan(spec, limits),
        }
    }
}
