//! Conformance cases, the benchmark, and the tuner.

mod cases;
mod stop;
mod tune;
mod verdicts;
