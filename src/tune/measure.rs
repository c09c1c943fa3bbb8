//! Times of the dispatches of a plan in every variant.

use std::collections::{BTreeMap, BTreeSet};

use super::Wrong;
use crate::bench::{Case, Summary, case_inputs, check_large};
use crate::error::{Error, Result};
use crate::gpu::{Engine, Granularity, Prepared, RunOptions};
use crate::plan::{Dispatch, Plan};
use crate::tensor::Tensors;
use crate::variant::{Build, Trial, VARIANTS, Variant, VariantRow, Work};

/// A variant whose dispatches all take so many times as long as the fastest is not run again.
const HOPELESS: f64 = 3.0;

/// A kind of work that was timed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Measured {
    pub work: Work,
    /// What runs without tuning.
    pub untuned: Build,
}

/// A dispatch in the variants, and their tile sizes, that suit it.
#[derive(Default)]
pub(super) struct Medians {
    /// Median milliseconds.
    pub timed: Vec<(Build, f64)>,
    /// What the first round showed to be hopeless.
    pub given_up: Vec<Build>,
}

/// What came of a case.
pub(super) struct Outcome {
    pub timed: Vec<(Measured, Medians)>,
    /// What is not to be used.
    pub wrong: Vec<Wrong>,
    /// Variants that there was not enough memory for.
    pub too_large: BTreeSet<String>,
}

/// A variant ready to run, and the seconds of each dispatch in each round.
struct Candidate<'a> {
    build: Build,
    prepared: Prepared<'a>,
    rounds: Vec<Vec<f64>>,
    hopeless: bool,
}

/// Runs the case's plan in all variants that are not known to be wrong, by turns, and gives for each kind of work the median milliseconds
/// of a dispatch in each variant that suits it; and the variants whose outputs are not those of the baseline.
pub(super) fn layer(engine: &Engine, case: &Case, rounds: usize, step: impl Fn()) -> Result<Outcome> {
    let plan = case.plan()?;
    let tensors = case_inputs(&plan, 1)?;
    let (mut candidates, mut wrong, mut too_large) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut baseline = None;
    for build in builds(engine, &plan) {
        match ready(engine, &plan, &tensors, build) {
            Ok((candidate, outputs)) => {
                let against = baseline.get_or_insert_with(|| outputs.clone());
                let baseline = RunOptions { variant: Some(Variant::Baseline), ..RunOptions::default() };
                let along = |plan: &Plan| Ok(engine.run(plan, &tensors, baseline)?.outputs);
                match check_large(case, &outputs, against, along)? {
                    None => candidates.push(candidate),
                    Some(error) => wrong.extend(blamed(engine, &plan, build, &error)),
                }
            }
            Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
            Err(error) if build.variant == Variant::Baseline => return Err(error),
            // Not wrong, but not to be had.
            Err(Error::OutOfMemory { .. }) => drop(too_large.insert(build.variant.to_string())),
            Err(error) => wrong.extend(blamed(engine, &plan, build, &error.to_string())),
        }
    }
    for round in 0..=rounds {
        for candidate in candidates.iter_mut().filter(|candidate| !candidate.hopeless) {
            let seconds = candidate.time()?;
            // The first round only warms up.
            if round > 0 {
                candidate.rounds.push(seconds);
            }
        }
        if round == 1 {
            // What runs without tuning is what all is measured by.
            let untuned: BTreeSet<Build> = plan.dispatches().map(|dispatch| engine.untuned_build_of(dispatch)).collect();
            mark_hopeless(&mut candidates, &untuned);
        }
        step();
    }
    Ok(Outcome { timed: medians(engine, &plan, &candidates), wrong, too_large })
}

/// The variants that some dispatch of the plan can run as, the baseline first, each in all tile sizes that one of its kernels has.
fn builds(engine: &Engine, plan: &Plan) -> Vec<Build> {
    let of_variant = |variant: Variant| {
        let counts = VARIANTS.iter().filter(|row| row.variant == variant).map(|row| row.tiles.len());
        let tiles = (0..counts.max().unwrap_or(0)).map(Some);
        let builds = tiles.map(move |tile| Build { variant, tile }).chain([variant.into()]);
        builds.filter(|&build| plan.dispatches().any(|dispatch| runs_as(engine, dispatch, build))).collect::<Vec<_>>()
    };
    Variant::ALL.into_iter().flat_map(of_variant).collect()
}

/// Whether a dispatch runs as this variant in this tile size; in none only where there is nothing to choose.
fn runs_as(engine: &Engine, dispatch: &Dispatch, build: Build) -> bool {
    let to_choose = VariantRow::of(dispatch.kernel, build.variant).is_some_and(|row| !row.tiles.is_empty());
    to_choose == build.tile.is_some() && engine.would_run_as(dispatch, build)
}

/// A variant made ready, and its outputs.
fn ready<'a>(engine: &'a Engine, plan: &'a Plan, inputs: &Tensors, build: Build) -> Result<(Candidate<'a>, Tensors)> {
    let options = RunOptions { variant: Some(build.variant), tile: build.tile, ..RunOptions::default() };
    let mut prepared = engine.prepare(plan, options)?;
    prepared.upload(inputs)?;
    let outputs = prepared.run()?;
    Ok((Candidate { build, prepared, rounds: Vec::new(), hopeless: false }, outputs))
}

/// Which kernel is to blame cannot be told from the outputs of a whole plan: all that ran as this variant.
fn blamed(engine: &Engine, plan: &Plan, build: Build, error: &str) -> Vec<Wrong> {
    let ran = plan.dispatches().filter(|dispatch| engine.would_run_as(dispatch, build.variant));
    let trials: BTreeSet<Trial> = ran.map(|dispatch| Trial::of(dispatch, build.variant)).collect();
    trials.into_iter().map(|trial| Wrong::new(trial, error)).collect()
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

fn mark_hopeless(candidates: &mut [Candidate<'_>], needed: &BTreeSet<Build>) {
    let firsts: Vec<Vec<f64>> = candidates.iter().filter_map(|candidate| candidate.rounds.first().cloned()).collect();
    let fastest = |number: usize| firsts.iter().filter_map(|round| round.get(number)).copied().fold(f64::INFINITY, f64::min);
    for candidate in candidates.iter_mut().filter(|candidate| !needed.contains(&candidate.build)) {
        let slow = |(number, seconds): (usize, &f64)| *seconds > HOPELESS * fastest(number);
        candidate.hopeless = candidate.rounds.first().is_some_and(|round| round.iter().enumerate().all(slow));
    }
}

fn medians(engine: &Engine, plan: &Plan, candidates: &[Candidate<'_>]) -> Vec<(Measured, Medians)> {
    let mut order = Vec::new();
    let mut found: BTreeMap<Measured, Medians> = BTreeMap::new();
    for (number, dispatch) in plan.dispatches().enumerate() {
        let measured = Measured { work: Work::of(dispatch), untuned: engine.untuned_build_of(dispatch) };
        if found.contains_key(&measured) {
            // The same work once more.
            continue;
        }
        let mut medians = Medians::default();
        for candidate in candidates.iter().filter(|candidate| runs_as(engine, dispatch, candidate.build)) {
            let seconds: Vec<f64> = candidate.rounds.iter().filter_map(|round| round.get(number)).copied().collect();
            match Summary::of(&seconds) {
                Some(Summary { median, .. }) if !candidate.hopeless => medians.timed.push((candidate.build, 1e3 * median)),
                _ => medians.given_up.push(candidate.build),
            }
        }
        order.push(measured.clone());
        found.insert(measured, medians);
    }
    order.into_iter().filter_map(|measured| found.remove_entry(&measured)).collect()
}
