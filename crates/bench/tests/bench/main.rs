//! Conformance cases, and the tuner.

mod cases;
mod tune;
