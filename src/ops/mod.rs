//! Operations: sizes in, [`Plan`] out, one file an operation. What networks are made of: [`kit`], [`layer`] and [`streamed`].

pub mod approximation;
pub mod attention;
mod chunks;
pub mod follow;
pub mod kit;
pub mod layer;
mod layer_attention;
pub mod prototypes;
pub mod sampling;
pub mod streamed;
mod temporal;
mod temporal_stage;
pub mod trajectories;

pub use approximation::Approximation;
pub use layer::{Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue};
pub use prototypes::PrototypesSpec;
pub use sampling::SamplingSpec;

use crate::error::Result;
use crate::plan::{Plan, PlanLimits};
use crate::shape::Shape;

/// An operation with everything needed to plan it.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Trajectory tokens of given queries, keys and values: [`trajectories::plan_with`].
    Trajectories(Shape, Approximation),
    /// Attention over one sequence: [`attention::plan`].
    Attention(Shape, Approximation),
    /// Prototypes of groups of rows: [`prototypes::plan`].
    Prototypes(PrototypesSpec),
    /// Attention to given points: [`sampling::plan`].
    Deformable(SamplingSpec),
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
            Self::Trajectories(shape, approximation) => trajectories::plan_with(shape, approximation, limits),
            Self::Attention(shape, approximation) => attention::plan(shape, approximation, limits),
            Self::Prototypes(spec) => prototypes::plan(spec, limits),
            Self::Deformable(spec) => sampling::plan(spec, limits),
            Self::Layer(spec) => layer::plan(spec, limits),
        }
    }
}
