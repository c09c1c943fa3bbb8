//! From times to rows.

use orthoformer::plan::{Binding, Dispatch, Element, Plan};
use orthoformer::variant::Variant;

use super::cases::Case;
use super::ceilings::Ceilings;
use super::rows::Row;
use super::statistics::Summary;

/// Times of the runs of a plan, and what it takes on the device.
pub(super) struct Timed {
    pub whole: Vec<f64>,
    /// For each run the seconds of each dispatch; `Err` says why there are none.
    pub dispatches: std::result::Result<Vec<Vec<f64>>, &'static str>,
    pub device_bytes: u64,
}

impl Timed {
    /// The row of a case and the rows of its stages.
    pub fn rows(&self, case: &Case, plan: &Plan, variant: Option<Variant>, ceilings: &Ceilings, stages: bool) -> Vec<Row> {
        let mut whole = empty_row(case, Some(plan), None, variant, "ok".to_owned());
        whole.device_bytes = Some(self.device_bytes);
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
                    fill(ceilings, case.element, &mut row, &runs.iter().map(of_label).collect::<Vec<f64>>());
                }
            }
            rows.push(row);
        }
        rows
    }
}

/// Fills in what follows from a row's times, its operations and its bytes.
fn fill(ceilings: &Ceilings, element: Element, row: &mut Row, seconds: &[f64]) {
    let Some(Summary { median, iqr }) = Summary::of(seconds) else { return };
    (row.median_ms, row.iqr_ms, row.runs) = (Some(1e3 * median), Some(1e3 * iqr), seconds.len());
    let (gflop, gigabytes) = (row.operations as f64 / 1e9, row.bytes as f64 / 1e9);
    // A clock that ticks coarsely may say zero.
    let rate = |amount: f64| (median > 0.0).then(|| amount / median);
    (row.gflops, row.gbps) = (rate(gflop), rate(gigabytes));
    // Float32 is multiplied by plain multiply-adds; what is stored as float16, by whatever is faster.
    let plain = ("multiply-add f32", gflop, &ceilings.multiply_add_f32);
    let units = ("cooperative matrix", gflop, &ceilings.cooperative_matrix);
    let half = element == Element::F16 && units.2.value > plain.2.value;
    let ceilings = [if half { units } else { plain }, ("memory copy", gigabytes, &ceilings.memory_copy)];
    let predicted = ceilings.into_iter().filter_map(|(name, amount, ceiling)| Some((name, amount / ceiling.value?)));
    if let Some((name, predicted)) = predicted.max_by(|a, b| a.1.total_cmp(&b.1)) {
        row.ceiling = Some(name.to_owned());
        row.percent_of_ceiling = rate(100.0 * predicted);
    }
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
        approximation: case.approximation_name(),
        median_ms: None,
        iqr_ms: None,
        runs: 0,
        gflops: None,
        gbps: None,
        ceiling: None,
        percent_of_ceiling: None,
        operations: of_stage().map(|dispatch| 2 * dispatch.multiply_adds).sum(),
        bytes: of_stage().map(|dispatch| bytes_of(dispatch)).sum(),
        device_bytes: None,
        best: false,
        status,
    }
}
