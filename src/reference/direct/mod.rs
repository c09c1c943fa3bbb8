//! The direct way through what the plans cut short.

mod temporal;

pub use temporal::{TemporalStage, TemporalValue};
