//! The direct way through what the plans cut short.

mod selection;
mod temporal;

pub use selection::{Criterion, GreedySelection, Replay, replay};
pub use temporal::{TemporalStage, TemporalValue};
