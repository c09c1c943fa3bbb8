//! From times to rows.

use orthoformer::plan::{Binding, Dispatch, Element, Plan};
use orthoformer::variant::Variant;

use super::cases::Case;
use super::ceilings::{CeilingKind, Ceilings};
#[cfg(feature = "files")]
use super::rounds::Sample;
use super::rows::Row;
#[cfg(feature = "files")]
use super::runner::StageRun;
use super::statistics::Summary;

/// Times of the runs of a plan, and what it takes on the device.
pub(super) struct Timed {
    pub whole: Vec<f64>,
    /// The round of each run.
    pub rounds: Vec<usize>,
    /// For each run the seconds of each dispatch; `Err` says why there are none.
    pub dispatches: std::result::Result<Vec<Vec<f64>>, &'static str>,
    pub device_bytes: u64,
}

impl Timed {
    /// The times of runs in rounds; stages cannot be timed for this reason, if so.
    #[cfg(feature = "files")]
    pub fn of(samples: &[Sample], device_bytes: u64, no_stages: Option<&'static str>) -> Self {
        let apart: Vec<Vec<f64>> = samples.iter().filter_map(|sample| sample.dispatches.clone()).collect();
        let dispatches = match no_stages {
            Some(why) => Err(why),
            // A round whose timestamps cannot be right leaves all of them without a partner.
            None if apart.len() < samples.len() => Err("the driver's timestamps of single dispatches cannot be right"),
            None => Ok(apart),
        };
        let (whole, rounds) = samples.iter().map(|sample| (sample.seconds, sample.round)).unzip();
        Self { whole, rounds, dispatches, device_bytes }
    }

    /// The row of a case and the rows of its stages.
    pub fn rows(&self, case: &Case, plan: &Plan, variant: Option<Variant>, ceilings: &Ceilings, stages: bool) -> Vec<Row> {
        let mut whole = empty_row(case, Some(plan), None, variant, "ok".to_owned());
        whole.device_bytes = Some(self.device_bytes);
        whole.rounds = self.rounds.clone();
        fill(ceilings, case.element, &mut whole, &self.whole);
        let mut rows = vec![whole];
        let labels = labels(plan);
        if labels.len() < 2 || !stages {
            return rows;
        }
        for label in labels {
            let mut row = empty_row(case, Some(plan), Some(label), variant, "ok".to_owned());
            match &self.dispatches {
                Err(why) => row.status = format!("unsupported: {why}"),
                Ok(runs) => {
                    let of_label = |run: &Vec<f64>| {
                        let times = plan.dispatches().zip(run).filter(|(dispatch, _)| dispatch.label == label);
                        times.map(|(_, seconds)| seconds).sum()
                    };
                    row.rounds = self.rounds.clone();
                    fill(ceilings, case.element, &mut row, &runs.iter().map(of_label).collect::<Vec<f64>>());
                }
            }
            rows.push(row);
        }
        rows
    }
}

/// Says which stages run as a part of another one, and which as the reference does. `runs` has an element a dispatch, or none.
#[cfg(feature = "files")]
pub(super) fn note_stage_runs(rows: &mut [Row], plan: &Plan, runs: &[StageRun]) {
    for row in rows {
        let Some((_, label)) = row.operation.split_once('/') else { continue };
        let own = plan.dispatches().zip(runs).filter(|(dispatch, _)| dispatch.label == label);
        let own: Vec<StageRun> = own.map(|(_, run)| *run).collect();
        if !own.is_empty() && own.iter().all(|run| *run == StageRun::WithAnother) {
            (row.median_ms, row.iqr_ms, row.gflops, row.gbps, row.percent_of_ceiling, row.ceiling) = Default::default();
            (row.runs, row.samples_ms, row.rounds) = Default::default();
            row.status = "unsupported: timed with the stage that it runs in".to_owned();
        } else if own.contains(&StageRun::ByReference) {
            row.operation.push_str(" (as the reference)");
        }
    }
}

/// Fills in what follows from a row's times, its operations and its bytes.
fn fill(ceilings: &Ceilings, element: Element, row: &mut Row, seconds: &[f64]) {
    let Some(Summary { median, iqr }) = Summary::of(seconds) else { return };
    (row.median_ms, row.iqr_ms, row.runs) = (Some(nanoseconds(median)), Some(nanoseconds(iqr)), seconds.len());
    row.samples_ms = seconds.iter().copied().map(nanoseconds).collect();
    let (gflop, gigabytes) = (row.operations as f64 / 1e9, row.bytes as f64 / 1e9);
    // A clock that ticks coarsely may say zero.
    let rate = |amount: f64| (median > 0.0).then(|| amount / median);
    (row.gflops, row.gbps) = (rate(gflop), rate(gigabytes));
    let copy = ceilings.value(CeilingKind::MemoryCopy).map(|rate| ("memory copy", gigabytes / rate));
    let arithmetic = ceilings.arithmetic(element).map(|(name, rate)| (name, gflop / rate));
    let predicted = [arithmetic, copy].into_iter().flatten();
    if let Some((name, predicted)) = predicted.max_by(|a, b| a.1.total_cmp(&b.1)) {
        row.ceiling = Some(name.to_owned());
        row.percent_of_ceiling = rate(100.0 * predicted);
    }
}

/// Milliseconds with no more digits than a clock has.
pub(super) fn nanoseconds(seconds: f64) -> f64 {
    (seconds * 1e9).round() / 1e6
}

/// The labels of a plan's dispatches, in the order in which they first come.
fn labels(plan: &Plan) -> Vec<&'static str> {
    let mut labels = Vec::new();
    for dispatch in plan.dispatches() {
        if !labels.contains(&dispatch.label) {
            labels.push(dispatch.label);
        }
    }
    labels
}

/// Bytes that a dispatch has to read and write, each number once: a part that is bound several times is no larger for that.
pub(super) fn bytes_of(dispatch: &Dispatch) -> u64 {
    let mut parts: Vec<(&Binding, u64, Element)> = Vec::new();
    for ((binding, &accessed), &element) in dispatch.bindings.iter().zip(&dispatch.accessed).zip(&dispatch.elements) {
        match parts.iter_mut().find(|(known, ..)| *known == binding) {
            Some((_, count, _)) => *count = (*count + accessed).min(binding.elements()),
            None => parts.push((binding, accessed, element)),
        }
    }
    parts.iter().map(|(_, count, element)| count * element.bytes()).sum()
}

/// A row without times, for the whole case or for one of its stages.
pub(super) fn empty_row(case: &Case, plan: Option<&Plan>, label: Option<&str>, variant: Option<Variant>, status: String) -> Row {
    let dispatches: Vec<&Dispatch> = plan.into_iter().flat_map(Plan::dispatches).collect();
    let of_stage = || dispatches.iter().filter(|dispatch| label.is_none_or(|label| dispatch.label == label));
    let operation = case.operation.name();
    Row {
        operation: label.map_or(operation.to_owned(), |label| format!("{operation}/{label}")),
        shape: case.shape.to_string(),
        batch: case.batch,
        variant: case.variant_name(variant),
        chosen: None,
        approximation: case.approximation_name(),
        median_ms: None,
        iqr_ms: None,
        runs: 0,
        samples_ms: Vec::new(),
        rounds: Vec::new(),
        gflops: None,
        gbps: None,
        ceiling: None,
        percent_of_ceiling: None,
        operations: of_stage().map(|dispatch| 2 * dispatch.multiply_adds).sum(),
        bytes: of_stage().map(|dispatch| bytes_of(dispatch)).sum(),
        device_bytes: None,
        best: false,
        error: None,
        status,
    }
}
