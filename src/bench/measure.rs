//! Timing a case in a variant.

use std::time::Instant;

use super::cases::{Case, inputs};
use super::ceilings::Ceilings;
use super::clock::Clock;
use super::comparison::FEWEST_RUNS;
use super::gate::{check_large, check_reduced};
use super::rows::Row;
use super::statistics::Summary;
use crate::error::{Error, Result};
use crate::gpu::{Engine, Granularity, Prepared, RunOptions, Timing};
use crate::plan::{Binding, Dispatch, Element, Plan, Role};
use crate::tensor::Tensors;
use crate::variant::Variant;

/// Bytes that the sets of inputs take together: more than caches hold.
const ROTATED_BYTES: u64 = 128 << 20;
/// Most bind groups of all sets together.
const MOST_BIND_GROUPS: u64 = 4_096;
const SEED: u64 = 2;

/// How long to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// So many runs ...
    pub runs: usize,
    /// ... or so many seconds, if the runs take longer; three runs at the least.
    pub seconds: f64,
    /// Whether stages are timed by themselves too.
    pub stages: bool,
}

/// What all measurements share.
pub(super) struct Session<'s> {
    pub engine: &'s Engine,
    pub clock: &'s Clock,
    pub ceilings: &'s Ceilings,
    pub effort: Effort,
}

/// Times of the runs of a plan, and what it takes on the device.
struct Timed {
    whole: Vec<f64>,
    /// For each run the seconds of each dispatch; `Err` says why there are none.
    dispatches: std::result::Result<Vec<Vec<f64>>, &'static str>,
    device_bytes: u64,
}

impl Session<'_> {
    /// Measures a case in these variants; `None` is what the engine chooses. `done` is called after each.
    ///
    /// # Errors
    /// [`Error::DeviceLost`]. Whatever else goes wrong is the status of the row concerned.
    pub fn measure(&self, case: &Case, variants: &[Option<Variant>], done: impl Fn()) -> Result<Vec<Row>> {
        let prepared = case.plan().and_then(|plan| Ok((inputs(&plan, SEED)?, plan)));
        let (inputs, plan) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                variants.iter().for_each(|_| done());
                let status = format!("unsupported: {error}");
                return Ok(vec![empty_row(case, None, None, variants.first().copied().flatten(), status)]);
            }
        };
        let mut rows = Vec::new();
        let mut baseline = None;
        // The choice goes by its variant's name, where it has one.
        let choice = Variant::ALL.into_iter().find(|variant| self.is_choice(&plan, *variant));
        for (number, &variant) in variants.iter().enumerate() {
            let variant = variant.or(choice);
            if variants.iter().take(number).any(|earlier| earlier.or(choice) == variant) {
                // The same once more.
                done();
                continue;
            }
            let first = rows.len();
            match self.measure_variant(case, &plan, &inputs, variant, &mut baseline) {
                Ok(found) => rows.extend(found),
                Err(error @ Error::DeviceLost { .. }) => return Err(error),
                Err(error) => rows.push(empty_row(case, Some(&plan), None, variant, format!("unsupported: {error}"))),
            }
            // Float32 is what runs unless somebody asks for less.
            let best = case.element == Element::F32 && variant.is_none_or(|variant| Some(variant) == choice);
            rows.iter_mut().skip(first).for_each(|row: &mut Row| row.best = best && row.is_ok());
            done();
        }
        Ok(rows)
    }

    /// Whether this variant, with the baseline where it does not suit, is what the engine chooses for every dispatch.
    fn is_choice(&self, plan: &Plan, variant: Variant) -> bool {
        let runs_as = |dispatch: &Dispatch| match self.engine.would_run_as(dispatch, variant) {
            true => variant,
            false => Variant::Baseline,
        };
        plan.dispatches().all(|dispatch| runs_as(dispatch) == self.engine.variant_of(dispatch))
    }

    fn measure_variant(
        &self,
        case: &Case,
        plan: &Plan,
        inputs: &Tensors,
        variant: Option<Variant>,
        baseline: &mut Option<Tensors>,
    ) -> Result<Vec<Row>> {
        if let Some(why) = variant.and_then(|variant| self.engine.unsupported(plan, variant)) {
            return Ok(vec![empty_row(case, Some(plan), None, variant, format!("unsupported: {why}"))]);
        }
        let run =
            |plan: &Plan, inputs: &Tensors, variant| Ok::<_, Error>(self.engine.run(plan, inputs, options(variant))?.outputs);
        let wrong = |why: String| Ok(vec![empty_row(case, Some(plan), None, variant, format!("wrong: {why}"))]);
        if let Some(why) = check_reduced(case, |plan, inputs| run(plan, inputs, variant))? {
            return wrong(why);
        }
        let expected = match baseline.take() {
            Some(expected) => expected,
            None => run(plan, inputs, Some(Variant::Baseline))?,
        };
        let expected = baseline.insert(expected);
        let along = |plan: &Plan| run(plan, inputs, Some(Variant::Baseline));
        if let Some(why) = check_large(case, &run(plan, inputs, variant)?, expected, along)? {
            return wrong(why);
        }
        // What is timed is not poisoned: scratch shares memory then, as it does for users.
        let mut prepared = self.engine.prepare(plan, RunOptions { variant, ..RunOptions::default() })?;
        prepared.upload(inputs)?;
        let timed = self.time(plan, &mut prepared)?;
        Ok(self.rows(case, plan, variant, &timed))
    }

    fn time(&self, plan: &Plan, prepared: &mut Prepared<'_>) -> Result<Timed> {
        let of_set = plan.buffers().iter().filter(|spec| spec.role == Role::Input).map(|spec| spec.bytes()).sum::<u64>();
        let dispatches = plan.dispatches().count() as u64;
        let sets = ROTATED_BYTES.div_ceil(of_set.max(1)).min(MOST_BIND_GROUPS / dispatches.max(1));
        // More than there are runs: copying the later ones pushes the earlier ones out of caches.
        prepared.multiply_inputs(sets.max(2) as usize)?;
        let timings = |granularity, fewest: usize| {
            let (start, mut all) = (Instant::now(), vec![prepared.time(granularity, 0)?]);
            // The check came before, so that nothing is cold but caches. Where there is time for it, the first run is no run all the same.
            if start.elapsed().as_secs_f64() < self.effort.seconds {
                all.clear();
            }
            while all.len() < fewest.min(self.effort.runs)
                || (all.len() < self.effort.runs && start.elapsed().as_secs_f64() < self.effort.seconds)
            {
                all.push(prepared.time(granularity, all.len() + 1)?);
            }
            Ok::<_, Error>(all)
        };
        let whole = timings(Granularity::Whole, FEWEST_RUNS)?.iter().map(|timing| self.clock.seconds(timing)).collect();
        let dispatches = match self.clock {
            _ if !self.effort.stages || dispatches < 2 => Ok(Vec::new()),
            Clock::Wall(_) => Err("a stage by itself can only be timed by timestamps on the device"),
            Clock::Timestamps => {
                let of_run = |timing: Timing| timing.passes.map(|passes| passes.iter().map(|pass| pass.as_secs_f64()).collect());
                let runs: Vec<Vec<f64>> = timings(Granularity::Dispatches, 1)?.into_iter().filter_map(of_run).collect();
                if runs.is_empty() { Err("the driver's timestamps of single dispatches cannot be right") } else { Ok(runs) }
            }
        };
        Ok(Timed { whole, dispatches, device_bytes: prepared.device_bytes() })
    }

    /// The row of a case and the rows of its stages.
    fn rows(&self, case: &Case, plan: &Plan, variant: Option<Variant>, timed: &Timed) -> Vec<Row> {
        let mut whole = empty_row(case, Some(plan), None, variant, "ok".to_owned());
        whole.device_bytes = Some(timed.device_bytes);
        self.fill(case.element, &mut whole, &timed.whole);
        let mut rows = vec![whole];
        let labels = labels(plan);
        if labels.len() < 2 || !self.effort.stages {
            return rows;
        }
        for label in labels {
            let mut row = empty_row(case, Some(plan), Some(label), variant, "ok".to_owned());
            match &timed.dispatches {
                Err(why) => row.status = format!("unsupported: {why}"),
                Ok(runs) => {
                    let of_label = |run: &Vec<f64>| {
                        let times = plan.dispatches().zip(run).filter(|(dispatch, _)| dispatch.label == label);
                        times.map(|(_, seconds)| seconds).sum()
                    };
                    self.fill(case.element, &mut row, &runs.iter().map(of_label).collect::<Vec<f64>>());
                }
            }
            rows.push(row);
        }
        rows
    }

    /// Fills in what follows from a row's times, its operations and its bytes.
    fn fill(&self, element: Element, row: &mut Row, seconds: &[f64]) {
        let Some(Summary { median, iqr }) = Summary::of(seconds) else { return };
        (row.median_ms, row.iqr_ms, row.runs) = (Some(1e3 * median), Some(1e3 * iqr), seconds.len());
        let (gflop, gigabytes) = (row.operations as f64 / 1e9, row.bytes as f64 / 1e9);
        // A clock that ticks coarsely may say zero.
        let rate = |amount: f64| (median > 0.0).then(|| amount / median);
        (row.gflops, row.gbps) = (rate(gflop), rate(gigabytes));
        // Float32 is multiplied by plain multiply-adds; what is stored as float16, by whatever is faster.
        let plain = ("multiply-add f32", gflop, &self.ceilings.multiply_add_f32);
        let units = ("cooperative matrix", gflop, &self.ceilings.cooperative_matrix);
        let half = element == Element::F16 && units.2.value > plain.2.value;
        let ceilings = [if half { units } else { plain }, ("memory copy", gigabytes, &self.ceilings.memory_copy)];
        let predicted = ceilings.into_iter().filter_map(|(name, amount, ceiling)| Some((name, amount / ceiling.value?)));
        if let Some((name, predicted)) = predicted.max_by(|a, b| a.1.total_cmp(&b.1)) {
            row.ceiling = Some(name.to_owned());
            row.percent_of_ceiling = rate(100.0 * predicted);
        }
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
fn bytes_of(dispatch: &Dispatch) -> u64 {
    let mut parts: Vec<(&Binding, u64, Element)> = Vec::new();
    for ((binding, &reached), &element) in dispatch.bindings.iter().zip(&dispatch.reached).zip(&dispatch.elements) {
        match parts.iter_mut().find(|(known, ..)| *known == binding) {
            Some((_, count, _)) => *count = (*count + reached).min(binding.len),
            None => parts.push((binding, reached, element)),
        }
    }
    parts.iter().map(|(_, count, element)| count * element.bytes()).sum()
}

/// Poisoned, so that an element that nothing writes shows.
fn options(variant: Option<Variant>) -> RunOptions {
    RunOptions { poison: true, variant, ..RunOptions::default() }
}

/// A row without times, for the whole case or for one of its stages.
fn empty_row(case: &Case, plan: Option<&Plan>, label: Option<&str>, variant: Option<Variant>, status: String) -> Row {
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
