//! Checking cases in their variants, then timing what is right.

use std::ops::ControlFlow;

use orthoformer::plan::{Element, Plan};
use orthoformer::variant::Variant;
use orthoformer::{Error, Result, Tensors};

use super::cases::{Case, Checked, inputs};
use super::ceilings::Ceilings;
use super::gate::{check_large, check_reduced};
use super::request::{Observer, Progress, Request};
use super::rounds::{Calibrations, Contender, MakeReady, Rounds};
use super::rows::Row;
use super::runner::{Runner, input_bytes};
use super::timed::{Timed, empty_row, note_stage_runs};

/// Bytes of inputs that a round goes through at the least before it comes by the same ones: more than caches hold.
const ROTATED_BYTES: u64 = 128 << 20;
const SEED: u64 = 2;

/// Copies of inputs that rounds take in turn, where one round goes through so many bytes of inputs.
pub(super) fn sets(bytes_of_round: u64) -> u64 {
    ROTATED_BYTES.div_ceil(bytes_of_round.max(1))
}

/// What came of measuring.
pub(super) struct Measured {
    pub rows: Vec<Row>,
    pub calibrations: Calibrations,
    pub rounds: usize,
    pub interrupted: bool,
}

/// A case in a variant, as it was asked for.
struct Entry<'r> {
    case: &'r Case,
    plan: Option<&'r Plan>,
    variant: Option<Variant>,
    chosen: Option<String>,
    status: String,
    error: Option<f64>,
    /// Index among what is timed, if it is.
    contender: Option<usize>,
}

/// A case and its plan.
struct Planned<'r> {
    case: &'r Case,
    plan: &'r Plan,
    /// The variant that all of it runs as where nothing is asked for; several have no name of their own.
    chosen: String,
    inputs: Tensors,
    /// What the baseline computes, once that is known.
    baseline: Option<Tensors>,
}

/// Measures the cases of a request.
///
/// # Errors
/// [`Error::DeviceLost`], and those of the observer. Whatever else goes wrong is the status of the row concerned.
pub(super) fn measured(
    runner: &dyn Runner,
    request: &Request,
    ceilings: &Ceilings,
    observer: &mut dyn Observer,
) -> Result<Measured> {
    let plans: Vec<Result<Plan>> = request.cases.iter().map(|(case, _)| case.plan_for(runner.plan_limits())).collect();
    let of_round = request
        .cases
        .iter()
        .zip(&plans)
        .map(|((_, variants), plan)| plan.as_ref().map_or(0, |plan| input_bytes(plan) * variants.len() as u64));
    let mut session = Session {
        runner,
        ceilings,
        sets: sets(of_round.sum()),
        stages: request.effort.stages,
        rounds: Rounds::new(request.effort, runner.calibrators()?),
        entries: Vec::new(),
        seen: 0,
        of: request.rows(),
    };
    let mut flow = ControlFlow::Continue(());
    for ((case, variants), plan) in request.cases.iter().zip(&plans) {
        flow = session.check(case, plan, variants, observer)?;
        if flow.is_break() {
            break;
        }
    }
    if flow.is_continue() {
        flow = session.rounds.run(|progress| observer.step(progress))?;
    }
    let Session { rounds, entries, .. } = &session;
    let rows = entries.iter().flat_map(|entry| entry.rows(&rounds.contenders, runner, ceilings, request.effort.stages)).collect();
    let Rounds { calibrations, done, .. } = session.rounds;
    Ok(Measured { rows, calibrations, rounds: done, interrupted: flow.is_break() })
}

struct Session<'r> {
    runner: &'r dyn Runner,
    ceilings: &'r Ceilings,
    sets: u64,
    stages: bool,
    rounds: Rounds<'r>,
    entries: Vec<Entry<'r>>,
    /// Rows that were checked, and how many there are.
    seen: usize,
    of: usize,
}

impl<'r> Session<'r> {
    /// Checks a case in these variants, and makes those that are right ready; `None` is what the executor chooses.
    fn check(
        &mut self,
        case: &'r Case,
        plan: &'r Result<Plan>,
        variants: &[Option<Variant>],
        observer: &mut dyn Observer,
    ) -> Result<ControlFlow<()>> {
        let name = format!("checking {} {}", case.operation.name(), case.shape);
        let planned = plan.as_ref().map_err(ToString::to_string).and_then(|plan| {
            let inputs = inputs(plan, SEED).map_err(|error| error.to_string())?;
            Ok(Planned { case, plan, chosen: self.runner.chosen(plan), inputs, baseline: None })
        });
        let first = self.entries.len();
        let mut planned = planned;
        for &variant in variants {
            let part = self.seen as f64 / self.of.max(1) as f64;
            if observer.step(Progress { next: &name, part, left: None }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            self.seen += 1;
            let entry = match &mut planned {
                Err(why) => Entry::untimed(case, None, variant, format!("unsupported: {why}")),
                Ok(planned) => self.entry(planned, variant, first)?,
            };
            let rows = entry.rows(&self.rounds.contenders, self.runner, self.ceilings, false);
            rows.first().map_or(Ok(()), |row| observer.checked(row))?;
            self.entries.push(entry);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The entry of a variant; what was timed under another name is not timed again.
    fn entry(&mut self, planned: &mut Planned<'r>, variant: Option<Variant>, first: usize) -> Result<Entry<'r>> {
        let chosen = planned.chosen.clone();
        let name = |variant: Option<Variant>| variant.map_or_else(|| chosen.clone(), |variant| variant.name().to_owned());
        let same = self.entries.iter().skip(first).find(|entry| name(entry.variant) == name(variant));
        let entry = Entry::untimed(planned.case, Some(planned.plan), variant, "ok".to_owned());
        let entry = Entry { chosen: Some(name(variant)), ..entry };
        if let Some(same) = same {
            return Ok(Entry { status: same.status.clone(), error: same.error, contender: same.contender, ..entry });
        }
        match self.checked(planned, variant) {
            Ok((status, error, contender)) => Ok(Entry { status, error, contender, ..entry }),
            Err(error @ Error::DeviceLost { .. }) => Err(error),
            Err(error) => Ok(Entry { status: format!("unsupported: {error}"), ..entry }),
        }
    }

    /// Checks a variant and makes it ready: its status, its error, and its index among what is timed.
    fn checked(&mut self, planned: &mut Planned<'r>, variant: Option<Variant>) -> Result<(String, Option<f64>, Option<usize>)> {
        let Planned { case, plan, inputs: given, baseline, .. } = planned;
        let (runner, case, plan, sets) = (self.runner, *case, *plan, self.sets);
        if let Some(why) = variant.and_then(|variant| runner.unsupported(plan, variant)) {
            return Ok((format!("unsupported: {why}"), None, None));
        }
        let reduced = check_reduced(case, |plan, inputs| runner.run(plan, inputs, variant))?;
        let checked = match &reduced.why {
            Some(_) => reduced,
            None => {
                let expected = match baseline.take() {
                    Some(expected) => expected,
                    None => runner.run(plan, given, Some(Variant::Baseline))?,
                };
                let expected = baseline.insert(expected);
                let along = |plan: &Plan| runner.run(plan, given, Some(Variant::Baseline));
                reduced.and(check_large(case, &runner.run(plan, given, variant)?, expected, along)?)
            }
        };
        let Checked { error, why } = checked;
        if let Some(why) = why {
            return Ok((format!("wrong: {why}"), Some(error), None));
        }
        let make: MakeReady<'r> = Box::new(move || Ok(vec![runner.ready(plan, &inputs(plan, SEED)?, variant, sets)?]));
        let stages = self.stages && runner.no_stages().is_none() && plan.dispatches().count() > 1;
        Ok(("ok".to_owned(), Some(error), Some(self.rounds.add(make, stages)?)))
    }
}

impl<'r> Entry<'r> {
    fn untimed(case: &'r Case, plan: Option<&'r Plan>, variant: Option<Variant>, status: String) -> Self {
        Self { case, plan, variant, chosen: None, status, error: None, contender: None }
    }

    /// The row, and those of its stages where they are wanted.
    fn rows(&self, contenders: &[Contender<'_>], runner: &dyn Runner, ceilings: &Ceilings, stages: bool) -> Vec<Row> {
        let empty = |status: &str| vec![empty_row(self.case, self.plan, None, self.variant, status.to_owned())];
        let contender = self.contender.and_then(|index| contenders.get(index));
        let mut rows = match (self.plan, contender) {
            (Some(_), Some(Contender { failure: Some(why), .. })) => empty(&format!("unsupported: {why}")),
            (Some(plan), Some(contender)) => {
                let timed = Timed::of(contender.known(), contender.device_bytes, runner.no_stages());
                let mut rows = timed.rows(self.case, plan, self.variant, ceilings, stages);
                note_stage_runs(&mut rows, plan, &contender.stage_runs);
                rows
            }
            _ => empty(&self.status),
        };
        // Float32 is what runs unless somebody asks for less.
        let is_chosen = self.variant.is_none_or(|variant| self.chosen_by_itself(variant, runner));
        for row in &mut rows {
            row.best = self.case.element == Element::F32 && is_chosen && row.is_ok();
            row.chosen = self.chosen.clone();
        }
        if let Some(row) = rows.first_mut() {
            row.error = self.error;
        }
        rows
    }

    fn chosen_by_itself(&self, variant: Variant, runner: &dyn Runner) -> bool {
        self.plan.is_some_and(|plan| runner.chosen(plan) == variant.name())
    }
}
