//! Stand-in until variants are there.
#![allow(missing_docs)]
use crate::gpu::{Engine, RunOptions};
use crate::plan::Plan;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    Baseline,
}
impl Variant {
    pub const ALL: [Self; 1] = [Self::Baseline];
    pub fn name(self) -> &'static str {
        "baseline"
    }
}
pub fn options(_variant: Option<Variant>, poison: bool) -> RunOptions {
    RunOptions { poison, ..RunOptions::default() }
}
pub fn unsupported(_engine: &Engine, _plan: &Plan, _variant: Option<Variant>) -> Option<String> {
    None
}
