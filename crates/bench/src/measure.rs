//! Timing a case in a variant.

use std::ops::ControlFlow;
use std::time::Instant;

use orthoformer::gpu::{Engine, Granularity, Prepared, RunOptions, Timing};
use orthoformer::plan::{Dispatch, Element, Plan, Role};
use orthoformer::variant::Variant;
use orthoformer::{Error, Result, Tensors};

use super::cases::{Case, inputs};
use super::ceilings::Ceilings;
use super::clock::Clock;
use super::effort::{Effort, FEWEST_RUNS};
use super::gate::{check_large, check_reduced};
use super::request::Observer;
use super::rows::Row;
use super::timed::{Timed, empty_row};

/// Bytes that the sets of inputs take together: more than caches hold.
const ROTATED_BYTES: u64 = 128 << 20;
/// Most bind groups of all sets together.
const MOST_BIND_GROUPS: u64 = 4_096;
const SEED: u64 = 2;

/// What all measurements share.
pub(super) struct Session<'s> {
    pub engine: &'s Engine,
    pub clock: &'s Clock,
    pub ceilings: &'s Ceilings,
    pub effort: Effort,
}

impl Session<'_> {
    /// Measures a case in these variants, and appends what comes of it to the rows; `None` is what the engine chooses.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], and those of the observer. Whatever else goes wrong is the status of the row concerned.
    pub fn measure(
        &self,
        case: &Case,
        variants: &[Option<Variant>],
        observer: &mut dyn Observer,
        rows: &mut Vec<Row>,
    ) -> Result<ControlFlow<()>> {
        let name = format!("{} {}", case.operation.name(), case.shape);
        let prepared = case.plan().and_then(|plan| Ok((inputs(&plan, SEED)?, plan)));
        let mut baseline = None;
        // The choice goes by its variant's name, where it has one.
        let named = |plan: &Plan| Variant::ALL.into_iter().find(|variant| self.is_choice(plan, *variant));
        let choice = prepared.as_ref().ok().and_then(|(_, plan)| named(plan));
        for (number, &variant) in variants.iter().enumerate() {
            if observer.step(&name).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let variant = variant.or(choice);
            let is_known = variants.iter().take(number).any(|earlier| earlier.or(choice) == variant);
            let found = match &prepared {
                // One row says it for all variants.
                Err(error) if number == 0 => vec![empty_row(case, None, None, variant, format!("unsupported: {error}"))],
                Ok((inputs, plan)) if !is_known => self.rows(case, (plan, inputs), (variant, choice), &mut baseline)?,
                _ => Vec::new(),
            };
            observer.rows(&found)?;
            rows.extend(found);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The row of a variant, and those of its stages.
    fn rows(
        &self,
        case: &Case,
        (plan, inputs): (&Plan, &Tensors),
        (variant, choice): (Option<Variant>, Option<Variant>),
        baseline: &mut Option<Tensors>,
    ) -> Result<Vec<Row>> {
        let mut rows = match self.measure_variant(case, plan, inputs, variant, baseline) {
            Ok(rows) => rows,
            Err(error @ Error::DeviceLost { .. }) => return Err(error),
            Err(error) => vec![empty_row(case, Some(plan), None, variant, format!("unsupported: {error}"))],
        };
        // Float32 is what runs unless somebody asks for less.
        let best = case.element == Element::F32 && variant.is_none_or(|variant| Some(variant) == choice);
        rows.iter_mut().for_each(|row| row.best = best && row.is_ok());
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
        Ok(timed.rows(case, plan, variant, self.ceilings, self.effort.stages))
    }

    pub(super) fn time(&self, plan: &Plan, prepared: &mut Prepared<'_>) -> Result<Timed> {
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
}

/// Poisoned, so that an element that nothing writes shows.
fn options(variant: Option<Variant>) -> RunOptions {
    RunOptions { poison: true, variant, ..RunOptions::default() }
}
