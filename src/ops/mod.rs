//! Operations: sizes in, [`Plan`] out, one file an operation.

pub mod approximation;
pub mod attention;
mod chunks;
pub mod deformable;
pub mod follow;
mod kit;
pub mod layer;
mod layer_attention;
pub mod motionformer;
pub mod network;
pub mod perceiver;
pub mod prototypes;
mod streamed;
pub mod swin;
mod temporal;
mod temporal_stage;
pub mod trajectories;
pub mod vit;

pub use approximation::Approximation;
pub use layer::{Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue};
pub use network::NetworkSpec;
pub use prototypes::PrototypesSpec;

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
    /// Attention to given points: [`deformable::sampling::plan`].
    Deformable(deformable::SamplingSpec),
    /// An attention layer from its weights: [`layer::plan`].
    Layer(LayerSpec),
    /// A whole network: [`NetworkSpec::plan`].
    Network(NetworkSpec),
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
            Self::Deformable(spec) => deformable::sampling::plan(spec, limits),
            Self::Layer(spec) => layer::plan(spec, limits),
            Self::Network(spec) => spec.plan(limits),
        }
    }
}
