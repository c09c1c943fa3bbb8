//! The benchmark: what an adapter can do at the most, and what the operations make of it.
//!
//! First the adapter's own ceilings ([`Ceilings`]), then every operation at named shapes, exact and approximated, in each variant: checked
//! ([`check_reduced`], [`check_large`]), and timed if right, as a whole and stage by stage. Times are the device's own where its
//! timestamps can be believed ([`Clock`]). Inputs are taken in turn from sets that are together larger than caches.
//!
//! In a browser, where nothing may block, [`measure_async`] does a part of it.

mod cases;
mod ceilings;
mod clock;
mod effort;
mod gate;
mod measure_async;
mod rows;
mod shapes;
mod statistics;
mod timed;

#[cfg(feature = "bench")]
pub mod choices;
#[cfg(feature = "bench")]
mod comparison;
#[cfg(feature = "bench")]
mod measure;
#[cfg(feature = "bench")]
mod measured_ceilings;
#[cfg(feature = "bench")]
mod meter;
#[cfg(feature = "bench")]
mod programs;
#[cfg(feature = "bench")]
mod report;
#[cfg(feature = "bench")]
mod request;
#[cfg(feature = "bench")]
mod roofline;
#[cfg(feature = "bench")]
mod side_by_side;

pub use cases::{BenchOperation, Case, inputs as case_inputs};
pub use ceilings::{Ceiling, Ceilings};
pub use clock::Clock;
pub use effort::Effort;
pub use measure_async::measure_async;
pub use rows::{BenchAdapter, BenchReport, Row};
pub use shapes::BenchShape;
pub use statistics::Summary;

#[cfg(feature = "bench")]
pub use comparison::{Changed, Comparison, Verdict, compare_reports, parse_report};
#[cfg(feature = "bench")]
pub use gate::{check_large, check_reduced};
#[cfg(feature = "bench")]
pub use report::html;
#[cfg(feature = "bench")]
pub use request::{Request, measure};
#[cfg(feature = "bench")]
pub use side_by_side::{SideBySide, SideRow, Subject, attentions, side_by_side};
