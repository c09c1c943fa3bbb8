//! What is measured and checked on an adapter: the benchmark, conformance cases ([`case`]), and the tuner (`tune`).
//!
//! The benchmark says what an adapter can do at the most, and what the operations make of it. First the adapter's own ceilings ([`Ceilings`]), then every operation at named shapes, exact and approximated, in each variant: checked
//! (`check_reduced`, `check_large`), and timed if right, as a whole and stage by stage. Times are the device's own where its
//! timestamps can be believed ([`Clock`]). An adapter's inputs are taken in turn from sets that are together larger than caches; the CPU engine ([`measure_on_cpu`]) has one set.
//!
//! In a browser, where nothing may block, [`measure_async`] does a part of it: that, and cases from bytes, is there without the feature `files` (default).
// What a caller or a file can influence becomes an `Error`, never a panic.
#![warn(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]

pub mod case;
mod cases;
mod ceilings;
mod chosen;
mod clock;
mod effort;
mod gate;
pub mod json;
mod made;
mod measure_async;
mod rows;
mod shapes;
mod statistics;
mod timed;

#[cfg(feature = "files")]
mod calibration;
#[cfg(feature = "files")]
pub mod choices;
#[cfg(feature = "files")]
mod comparison;
#[cfg(feature = "files")]
mod measure;
#[cfg(feature = "files")]
mod measured_ceilings;
#[cfg(feature = "files")]
mod merge;
#[cfg(feature = "files")]
mod meter;
#[cfg(feature = "files")]
mod programs;
#[cfg(feature = "files")]
mod report;
#[cfg(feature = "files")]
mod request;
#[cfg(feature = "files")]
mod roofline;
#[cfg(feature = "files")]
mod rounds;
#[cfg(feature = "files")]
mod runner;
#[cfg(feature = "files")]
mod runner_cpu;
#[cfg(feature = "files")]
mod side_by_side;
#[cfg(feature = "files")]
pub mod tune;

pub use cases::{BenchOperation, Case, Checked, inputs as case_inputs};
pub use ceilings::{Ceiling, CeilingKind, Ceilings};
pub use clock::Clock;
pub use effort::Effort;
pub use made::{Host, Made};
pub use measure_async::measure_async;
pub use rows::{BenchAdapter, BenchReport, Row};
pub use shapes::BenchShape;
pub use statistics::{Interval, Summary};

#[cfg(feature = "files")]
pub use comparison::{Changed, Comparison, Verdict, compare_reports, parse_report};
#[cfg(feature = "files")]
pub use gate::{check_large, check_reduced};
#[cfg(feature = "files")]
pub use merge::{Merged, MergedCeiling, MergedCell, MergedReport, MergedRow, MergedTable, merge};
#[cfg(feature = "files")]
pub use report::{html, merged_html};
#[cfg(feature = "files")]
pub use request::{Observer, Progress, Request, measure};
#[cfg(feature = "files")]
pub use runner_cpu::measure_on_cpu;
#[cfg(feature = "files")]
pub use side_by_side::{SideBySide, SideObserver, SideRow, Subject, attentions, side_by_side};
