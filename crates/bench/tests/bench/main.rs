//! Conformance cases, the benchmark, and the tuner.

mod cases;
mod page;
mod stop;
mod tune;
mod verdicts;
