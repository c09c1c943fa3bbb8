//! The direct way through what the plans cut short.

mod selection;
mod temporal;

pub use selection::{Criterion, GreedySelection, Replay, replay};
pub use temporal::{TemporalStage, TemporalValue};

/// What a shortcut's reference computes instead.
#[derive(Clone, Debug, PartialEq)]
pub enum Direct {
    /// Every trajectory token projected to a key and a value.
    Temporal(TemporalStage),
    /// A whole greedy selection at once.
    Selection(GreedySelection),
}

impl Direct {
    /// Computes the stage on the buffers of its plan.
    pub(crate) fn run(&self, buffers: &mut [Vec<f32>]) {
        match self {
            Self::Temporal(stage) => stage.run(buffers),
            Self::Selection(selection) => selection.run(buffers),
        }
    }
}
