//! Direct routes of the shortcuts in plans.

mod selection;
mod temporal;

pub use selection::{Criterion, GreedySelection, Replay, replay};
pub use temporal::{TemporalStage, TemporalValue};
