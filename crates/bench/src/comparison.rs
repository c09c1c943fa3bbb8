//! A report against an older one: what is faster, what is slower, and where nobody can tell.

use std::path::Path;

use orthoformer::{Error, Result};
use serde::Serialize;

use super::calibration::HOST;
use super::effort::FEWEST_RUNS;
use super::rows::{BenchReport, Row};
use super::statistics::{Interval, Summary};

/// Differences that are none: layout of code, placement of memory.
const MARGIN: f64 = 0.03;

/// What became of the rows of an older report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Adapter and versions of the older report.
    pub old_adapter: String,
    /// Whether both were measured on the same adapter, driver and clock.
    pub same_adapter: bool,
    /// Speed of the machine, now over then, as the calibrators of both have it: from the least to the most that any of them says. `None` where
    /// they have none in common that tell about the machine alone.
    pub machine: Option<Interval>,
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
    /// The variant that was asked for.
    pub variant: String,
    /// The approximation.
    pub approximation: String,
    /// What it ran as, then and now.
    pub chosen: [Option<String>; 2],
    /// Median then.
    pub old_ms: f64,
    /// Median now.
    pub new_ms: f64,
    /// Now over then: below one is faster.
    pub ratio: f64,
    /// Where the ratio may be: medians of rounds by order statistics, for a machine that is as fast as its calibrators say, squared or not at all.
    pub interval: Interval,
    /// What to make of it.
    pub verdict: Verdict,
}

/// What to make of a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All of the interval is below 1 / 1.03.
    Faster,
    /// All of the interval is above 1.03.
    Slower,
    /// All of the interval is between.
    Same,
    /// The interval holds more than one of these, or there are fewer than five runs then or now, or nothing to calibrate by.
    Undecided,
}

impl Verdict {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::Same => "same",
            Self::Undecided => "undecided",
        }
    }
}

impl Comparison {
    /// Sentences that say how to read the rows.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.same_adapter {
            notes.push("Measured on another adapter, driver or clock, which is part of the ratios.".to_owned());
        }
        notes.push(match self.machine {
            Some(Interval { low, high }) => {
                format!("The machine is {low:.2} to {high:.2} times as fast as then, whatever the kernels.")
            }
            None => "Nothing says how fast the machine was then, so that nothing is decided.".to_owned(),
        });
        let Self { only_new, only_old, .. } = self;
        notes.push(format!(
            "Ratios are new to old, below one is faster; what may be within 3 % of one and beyond is undecided; {only_new} rows are new, \
             {only_old} are gone."
        ));
        notes
    }
}

/// Reads a report as `bench --json` writes it. `path` is for messages.
///
/// # Errors
/// [`Error::Contents`] for anything else.
pub fn parse_report(path: &Path, bytes: &[u8]) -> Result<BenchReport> {
    let contents = |reason: String| Error::Contents { path: path.to_owned(), reason };
    let expected = "expected a report of `orthoformer bench --json`";
    let report: BenchReport = serde_json::from_slice(bytes).map_err(|error| contents(format!("{error}; {expected}")))?;
    let sensible = |number: &f64| number.is_finite() && *number >= 0.0;
    let is_wrong = |row: &&Row| !row.median_ms.iter().chain(&row.iqr_ms).chain(&row.samples_ms).all(sensible);
    match report.rows.iter().find(is_wrong) {
        None => Ok(report),
        Some(row) => {
            let (median, iqr) = (row.median_ms, row.iqr_ms);
            let key = row.key().join(" ");
            Err(contents(format!("{key:?} has the median {median:?}, the range {iqr:?} and its runs; expected times")))
        }
    }
}

/// Compares a report with an older one, row by row.
pub fn compare_reports(old: &BenchReport, new: &BenchReport) -> Comparison {
    let timed = |report: &BenchReport| report.rows.iter().filter(|row| row.is_ok() && row.median_ms > Some(0.0)).count();
    let same = |a: &Row, b: &Row| a.key() == b.key();
    let pairs = new.rows.iter().filter_map(|row| Some((old.rows.iter().find(|other| same(row, other))?, row)));
    let machine = machine(old, new);
    let rows: Vec<Changed> = pairs.filter_map(|(then, now)| changed(then, now, machine)).collect();
    Comparison {
        old_adapter: old.adapter.line(),
        same_adapter: same_adapter(old, new),
        machine,
        only_new: timed(new).saturating_sub(rows.len()),
        only_old: timed(old).saturating_sub(rows.len()),
        rows,
    }
}

fn same_adapter(old: &BenchReport, new: &BenchReport) -> bool {
    let identity = |report: &BenchReport| {
        let adapter = &report.adapter;
        let timestamps = matches!(adapter.clock, super::Clock::Timestamps);
        (adapter.name.clone(), adapter.backend.clone(), adapter.driver.clone(), timestamps)
    };
    identity(old) == identity(new)
}

/// How fast the machine is, now over then. On another adapter its calibrators say how fast the adapter is, and the host's alone remains; on
/// another host not even that.
fn machine(old: &BenchReport, new: &BenchReport) -> Option<Interval> {
    let cpu = |report: &BenchReport| report.made.as_ref().map(|made| (made.host.cpu.clone(), made.host.cores));
    let same_adapter = same_adapter(old, new);
    let ratio = |(name, now): (&String, &Vec<f64>)| {
        let then = old.calibrations.get(name)?;
        let is_of_machine = if name == HOST { cpu(old) == cpu(new) } else { same_adapter };
        let enough = is_of_machine && then.len().min(now.len()) >= FEWEST_RUNS;
        let ratio = Summary::of(now)?.median / Summary::of(then)?.median;
        (enough && ratio.is_finite() && ratio > 0.0).then_some(Interval { low: ratio, high: ratio })
    };
    new.calibrations.iter().filter_map(ratio).reduce(Interval::and)
}

fn changed(then: &Row, now: &Row, machine: Option<Interval>) -> Option<Changed> {
    let median = |row: &Row| row.is_ok().then_some(row.median_ms.filter(|ms| *ms > 0.0))?;
    let (old_ms, new_ms) = (median(then)?, median(now)?);
    let spread = |row: &Row, median: f64| Interval::of_median(&row.samples_ms).unwrap_or(Interval { low: median, high: median });
    let by_rounds = spread(now, new_ms).over(spread(then, old_ms));
    // A row may follow the machine not at all, or suffer twice.
    let Interval { low, high } = machine.unwrap_or(Interval { low: 1.0, high: 1.0 });
    let interval = Interval { low: by_rounds.low * low.min(1.0).powi(2), high: by_rounds.high * high.max(1.0).powi(2) };
    let runs = then.samples_ms.len().min(now.samples_ms.len());
    let verdict = if machine.is_none() || runs < FEWEST_RUNS { Verdict::Undecided } else { verdict(interval) };
    let Row { operation, shape, batch, variant, approximation, .. } = now.clone();
    let chosen = [then.chosen.clone(), now.chosen.clone()];
    let ratio = new_ms / old_ms;
    Some(Changed { operation, shape, batch, variant, approximation, chosen, old_ms, new_ms, ratio, interval, verdict })
}

fn verdict(interval: Interval) -> Verdict {
    let (fast, slow) = (1.0 / (1.0 + MARGIN), 1.0 + MARGIN);
    match interval {
        Interval { high, .. } if high < fast => Verdict::Faster,
        Interval { low, .. } if low > slow => Verdict::Slower,
        Interval { low, high } if low >= fast && high <= slow => Verdict::Same,
        _ => Verdict::Undecided,
    }
}

#[cfg(test)]
mod tests;
