//! Times of the dispatches of a plan in every variant.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rounds, Wrong};
use crate::bench::{Case, Summary, case_inputs, check_large};
use crate::error::{Error, Result};
use crate::gpu::{Engine, Granularity, Prepared, RunOptions};
use crate::kernel::Kernel;
use crate::plan::Plan;
use crate::tensor::Tensors;
use crate::variant::{Variant, Work};

/// A variant whose dispatches all take so many times as long as the fastest is not run again.
const HOPELESS: f64 = 3.0;

/// A kind of work that was timed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Measured {
    pub work: Work,
    /// What runs without tuning.
    pub untuned: Variant,
}

/// Median milliseconds of a dispatch in the variants that suit it.
pub(super) type Medians = Vec<(Variant, f64)>;

/// What was timed, and what is not to be used.
pub(super) type Outcome = (Vec<(Measured, Medians)>, Vec<Wrong>);

/// A variant ready to run, and the seconds of each dispatch in each round.
struct Candidate<'a> {
    variant: Variant,
    prepared: Prepared<'a>,
    rounds: Vec<Vec<f64>>,
}

/// Runs the case's plan in all variants that are not known to be wrong, by turns, and gives for each kind of work the median milliseconds
/// of a dispatch in each variant that suits it; and the variants whose outputs are not those of the baseline.
pub(super) fn layer(engine: &Engine, case: &Case, rounds: Rounds, step: impl Fn()) -> Result<Outcome> {
    let plan = case.plan()?;
    let tensors = case_inputs(&plan, 1)?;
    let (mut candidates, mut wrong) = (Vec::new(), Vec::new());
    let mut baseline = None;
    for variant in Variant::ALL.into_iter().filter(|&variant| engine.unsupported(&plan, variant).is_none()) {
        match ready(engine, &plan, &tensors, variant) {
            Ok((candidate, outputs)) => {
                let against = baseline.get_or_insert_with(|| outputs.clone());
                match check_large(case, &outputs, against)? {
                    None => candidates.push(candidate),
                    Some(error) => wrong.extend(blamed(engine, &plan, variant, &error)),
                }
            }
            Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
            Err(error) if variant == Variant::Baseline => return Err(error),
            // Not enough memory, most likely: not wrong, but not to be had.
            Err(_) => {}
        }
    }
    for round in 0..=rounds.0 {
        for candidate in &mut candidates {
            let seconds = candidate.time()?;
            // The first round only warms up.
            if round > 0 {
                candidate.rounds.push(seconds);
            }
        }
        if round == 1 {
            drop_hopeless(&mut candidates);
        }
        step();
    }
    Ok((medians(engine, &plan, &candidates), wrong))
}

/// A variant made ready, and its outputs.
fn ready<'a>(engine: &'a Engine, plan: &'a Plan, inputs: &Tensors, variant: Variant) -> Result<(Candidate<'a>, Tensors)> {
    let mut prepared = engine.prepare(plan, RunOptions { variant: Some(variant), ..RunOptions::default() })?;
    prepared.upload(inputs)?;
    let outputs = prepared.run()?;
    Ok((Candidate { variant, prepared, rounds: Vec::new() }, outputs))
}

/// Which kernel is to blame cannot be told from the outputs of a whole plan: all that ran as this variant.
fn blamed(engine: &Engine, plan: &Plan, variant: Variant, error: &str) -> Vec<Wrong> {
    let ran = plan.dispatches().filter(|dispatch| engine.would_run_as(dispatch, variant)).map(|dispatch| dispatch.kernel);
    let kernels: BTreeSet<Kernel> = ran.collect();
    kernels.into_iter().map(|kernel| Wrong { kernel, variant, error: error.to_owned() }).collect()
}

impl Candidate<'_> {
    /// Seconds of each dispatch: on the device's clock, or one by one on the host's.
    fn time(&self) -> Result<Vec<f64>> {
        let timing = self.prepared.time(Granularity::Dispatches, 0)?;
        if let Some(passes) = timing.passes {
            return Ok(passes.iter().map(|pass| pass.as_secs_f64()).collect());
        }
        let wall = |number| Ok(self.prepared.time(Granularity::Dispatch(number), 0)?.wall.as_secs_f64());
        (0..self.prepared.dispatches()).map(wall).collect()
    }
}

fn drop_hopeless(candidates: &mut Vec<Candidate<'_>>) {
    let firsts: Vec<Vec<f64>> = candidates.iter().filter_map(|candidate| candidate.rounds.first().cloned()).collect();
    let fastest = |number: usize| firsts.iter().filter_map(|round| round.get(number)).copied().fold(f64::INFINITY, f64::min);
    candidates.retain(|candidate| {
        let Some(round) = candidate.rounds.first() else { return true };
        round.iter().enumerate().any(|(number, seconds)| *seconds <= HOPELESS * fastest(number))
    });
}

fn medians(engine: &Engine, plan: &Plan, candidates: &[Candidate<'_>]) -> Vec<(Measured, Medians)> {
    let mut order = Vec::new();
    let mut found: BTreeMap<Measured, Medians> = BTreeMap::new();
    for (number, dispatch) in plan.dispatches().enumerate() {
        let measured = Measured { work: Work::of(dispatch), untuned: engine.untuned_variant_of(dispatch) };
        if found.contains_key(&measured) {
            // The same work once more.
            continue;
        }
        let of_variant = |candidate: &Candidate<'_>| {
            let runs = engine.would_run_as(dispatch, candidate.variant);
            let seconds: Vec<f64> = candidate.rounds.iter().filter_map(|round| round.get(number)).copied().collect();
            let median = Summary::of(&seconds)?.median;
            runs.then_some((candidate.variant, 1e3 * median))
        };
        order.push(measured.clone());
        found.insert(measured, candidates.iter().filter_map(of_variant).collect());
    }
    order.into_iter().filter_map(|measured| found.remove_entry(&measured)).collect()
}
