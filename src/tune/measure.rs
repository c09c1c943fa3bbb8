//! Times of the dispatches of a plan in every variant.

use std::collections::BTreeMap;

use super::Rounds;
use crate::bench::{Case, Summary, case_inputs};
use crate::error::Result;
use crate::gpu::{Engine, Granularity, Prepared, RunOptions};
use crate::plan::Plan;
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

/// A variant ready to run, and the seconds of each dispatch in each round.
struct Candidate<'a> {
    variant: Variant,
    prepared: Prepared<'a>,
    rounds: Vec<Vec<f64>>,
}

/// Runs the case's plan in all variants that are not known to be wrong, by turns, and gives for each kind of work the median milliseconds
/// of a dispatch in each variant that suits it.
pub(super) fn layer(engine: &Engine, case: &Case, rounds: Rounds, step: impl Fn()) -> Result<Vec<(Measured, Medians)>> {
    let plan = case.plan()?;
    let tensors = case_inputs(&plan, 1)?;
    let mut candidates = Vec::new();
    for variant in Variant::ALL.into_iter().filter(|&variant| engine.unsupported(&plan, variant).is_none()) {
        let prepared = engine.prepare(&plan, RunOptions { variant: Some(variant), ..RunOptions::default() })?;
        prepared.upload(&tensors)?;
        candidates.push(Candidate { variant, prepared, rounds: Vec::new() });
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
    Ok(medians(engine, &plan, &candidates))
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
