//! A report against an older one.

use std::path::Path;

use orthoformer::{Error, Result};
use serde::Serialize;

use super::effort::FEWEST_RUNS;
use super::rows::{BenchReport, Row};

/// Noise that no measurement is below.
const LEAST_NOISE: f64 = 0.02;

/// What became of the rows of an older report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Adapter and versions of the older report.
    pub old_adapter: String,
    /// Whether both were measured on the same adapter, driver and clock: otherwise ratios say little.
    pub same_adapter: bool,
    /// Multiply-add rates of both, now over then, if both measured them: what is not far from this became of the machine, not of the kernels.
    pub multiply_add_ratio: Option<f64>,
    /// Rows that both have and both timed.
    pub rows: Vec<Changed>,
    /// Rows that only the new report timed, and only the old one.
    pub only_new: usize,
    /// See [`Comparison::only_new`].
    pub only_old: usize,
}

/// A row then and now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changed {
    /// The operation, or one of its stages.
    pub operation: String,
    /// `FxSxCxH`.
    pub shape: String,
    /// Sequences.
    pub batch: u32,
    /// The variant.
    pub variant: String,
    /// The approximation.
    pub approximation: String,
    /// Median then.
    pub old_ms: f64,
    /// Median now.
    pub new_ms: f64,
    /// Now over then: below one is faster.
    pub ratio: f64,
    /// How far from one the ratio may be by chance: the interquartile ranges of both, as parts of their medians, added as independent
    /// errors are; at least 0.02.
    pub noise: f64,
    /// What to make of it.
    pub verdict: Verdict,
}

/// What to make of a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Faster by more than the noise.
    Faster,
    /// Slower by more than the noise.
    Slower,
    /// Within the noise.
    Same,
    /// Too few runs for quartiles, then or now.
    Unclear,
}

/// Reads a report as `bench --json` writes it. `path` is for messages.
///
/// # Errors
/// [`Error::Contents`] for anything else.
pub fn parse_report(path: &Path, bytes: &[u8]) -> Result<BenchReport> {
    let contents = |reason: String| Error::Contents { path: path.to_owned(), reason };
    let expected = "expected a report of `orthoformer bench --json`";
    let report: BenchReport = serde_json::from_slice(bytes).map_err(|error| contents(format!("{error}; {expected}")))?;
    let sensible = |number: &Option<f64>| number.is_none_or(|number| number.is_finite() && number >= 0.0);
    let wrong = report.rows.iter().find(|row| !(sensible(&row.median_ms) && sensible(&row.iqr_ms)));
    match wrong {
        None => Ok(report),
        Some(row) => {
            let (median, iqr) = (row.median_ms, row.iqr_ms);
            Err(contents(format!("{:?} has the median {median:?} and the range {iqr:?}; expected times", row.key().join(" "))))
        }
    }
}

/// Compares a report with an older one, row by row.
pub fn compare_reports(old: &BenchReport, new: &BenchReport) -> Comparison {
    let timed = |report: &BenchReport| report.rows.iter().filter(|row| row.is_ok() && row.median_ms > Some(0.0)).count();
    let same = |a: &Row, b: &Row| a.key() == b.key();
    let pairs = new.rows.iter().filter_map(|row| Some((old.rows.iter().find(|other| same(row, other))?, row)));
    let rows: Vec<Changed> = pairs.filter_map(|(then, now)| changed(then, now)).collect();
    let identity = |report: &BenchReport| {
        let adapter = &report.adapter;
        let timestamps = matches!(adapter.clock, super::Clock::Timestamps);
        (adapter.name.clone(), adapter.backend.clone(), adapter.driver.clone(), timestamps)
    };
    let rate = |report: &BenchReport| report.ceilings.multiply_add_f32.value.filter(|rate| *rate > 0.0);
    Comparison {
        multiply_add_ratio: rate(old).zip(rate(new)).map(|(then, now)| now / then),
        old_adapter: old.adapter.line(),
        same_adapter: identity(old) == identity(new),
        only_new: timed(new).saturating_sub(rows.len()),
        only_old: timed(old).saturating_sub(rows.len()),
        rows,
    }
}

fn changed(then: &Row, now: &Row) -> Option<Changed> {
    let times = |row: &Row| row.is_ok().then(|| Some((row.median_ms.filter(|ms| *ms > 0.0)?, row.iqr_ms?)))?;
    let ((old_ms, old_iqr), (new_ms, new_iqr)) = (times(then)?, times(now)?);
    let ratio = new_ms / old_ms;
    let noise = (old_iqr / old_ms).hypot(new_iqr / new_ms).max(LEAST_NOISE);
    let verdict = match ratio {
        _ if then.runs.min(now.runs) < FEWEST_RUNS => Verdict::Unclear,
        _ if ratio > 1.0 + noise => Verdict::Slower,
        _ if ratio < 1.0 / (1.0 + noise) => Verdict::Faster,
        _ => Verdict::Same,
    };
    let Row { operation, shape, batch, variant, approximation, .. } = now.clone();
    Some(Changed { operation, shape, batch, variant, approximation, old_ms, new_ms, ratio, noise, verdict })
}
