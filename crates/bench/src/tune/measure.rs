//! Times of the dispatches of a plan in every variant.

use std::collections::{BTreeMap, BTreeSet};

use orthoformer::gpu::{Engine, Granularity, Prepared, RunOptions};
use orthoformer::plan::{Dispatch, Plan};
use orthoformer::variant::{Trial, TuningKey, VARIANTS, Variant, VariantChoice, VariantRow};
use orthoformer::{Error, Result, Tensors};

use super::Wrong;
use crate::{Case, Summary, case_inputs, check_large};

/// A variant is given up if all its dispatches take this many times as long as the fastest.
const HOPELESS: f64 = 3.0;
/// Most attempts to get plausible times from the device, for one round of one variant.
const TRIES: usize = 8;

/// A tuning key that was timed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Measured {
    pub key: TuningKey,
    /// The choice without tuning.
    pub untuned: VariantChoice,
}

/// Times of a dispatch in all variants and tile sizes that can run it.
#[derive(Default)]
pub(super) struct Medians {
    /// Median milliseconds.
    pub timed: Vec<(VariantChoice, f64)>,
    /// Choices given up after two rounds.
    pub given_up: Vec<VariantChoice>,
}

/// Measurements of a case.
pub(super) struct Outcome {
    pub timed: Vec<(Measured, Medians)>,
    /// Wrong variants.
    pub wrong: Vec<Wrong>,
    /// Variants that run out of memory.
    pub too_large: BTreeSet<String>,
}

/// A prepared variant, and the seconds of each dispatch in each round.
struct Candidate<'a> {
    choice: VariantChoice,
    prepared: Prepared<'a>,
    rounds: Vec<Vec<f64>>,
    hopeless: bool,
}

/// Runs the case's plan, interleaved, in all variants that are not known to be wrong. Returns the median milliseconds of a dispatch for each
/// tuning key and variant, and the variants whose outputs are not those of the baseline.
pub(super) fn layer(engine: &Engine, case: &Case, rounds: usize, step: impl Fn() -> Result<()>) -> Result<Outcome> {
    let plan = case.plan()?;
    let tensors = case_inputs(&plan, 1)?;
    let (mut candidates, mut wrong, mut too_large) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut baseline = None;
    for choice in choices(engine, &plan) {
        match ready(engine, &plan, &tensors, choice) {
            Ok((candidate, outputs)) => {
                let against = baseline.get_or_insert_with(|| outputs.clone());
                let baseline = RunOptions { variant: Some(Variant::Baseline), ..RunOptions::default() };
                let along = |plan: &Plan| Ok(engine.run(plan, &tensors, baseline)?.outputs);
                match check_large(case, &outputs, against, along)?.why {
                    None => candidates.push(candidate),
                    Some(error) => wrong.extend(blamed(engine, &plan, choice, &error)),
                }
            }
            Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
            Err(error) if choice.variant == Variant::Baseline => return Err(error),
            // Not wrong, but unavailable.
            Err(Error::OutOfMemory { .. }) => drop(too_large.insert(choice.variant.to_string())),
            Err(error) => wrong.extend(blamed(engine, &plan, choice, &error.to_string())),
        }
    }
    // All is compared with the untuned choice, or with the baseline if that one is wrong.
    let timed = |choice: VariantChoice| candidates.iter().any(|candidate| candidate.choice == choice);
    let untuned = plan.dispatches().map(|dispatch| engine.untuned_choice_of(dispatch));
    let needed: BTreeSet<VariantChoice> =
        untuned.map(|choice| if timed(choice) { choice } else { Variant::Baseline.into() }).collect();
    time_interleaved(engine, &mut candidates, (rounds.max(1), &needed), step)?;
    Ok(Outcome { timed: medians(engine, &plan, &candidates), wrong, too_large })
}

/// Choices that some dispatch of the plan can run as, the baseline first.
fn choices(engine: &Engine, plan: &Plan) -> Vec<VariantChoice> {
    let of_variant = |variant: Variant| {
        let counts = VARIANTS.iter().filter(|row| row.variant == variant).map(|row| row.tiles.len());
        let tiles = (0..counts.max().unwrap_or(0)).map(Some);
        let choices = tiles.map(move |tile| VariantChoice { variant, tile }).chain([variant.into()]);
        choices.filter(|&choice| plan.dispatches().any(|dispatch| runs_as(engine, dispatch, choice))).collect::<Vec<_>>()
    };
    Variant::ALL.into_iter().flat_map(of_variant).collect()
}

/// Whether a dispatch runs as this choice; a choice without tile size is for variants without tile sizes.
fn runs_as(engine: &Engine, dispatch: &Dispatch, choice: VariantChoice) -> bool {
    let to_choose = VariantRow::of(dispatch.kernel, choice.variant).is_some_and(|row| !row.tiles.is_empty());
    to_choose == choice.tile.is_some() && engine.would_run_as(dispatch, choice)
}

/// Prepares a variant. Also returns its outputs.
fn ready<'a>(engine: &'a Engine, plan: &'a Plan, inputs: &Tensors, choice: VariantChoice) -> Result<(Candidate<'a>, Tensors)> {
    let options = RunOptions { variant: Some(choice.variant), tile: choice.tile, ..RunOptions::default() };
    let mut prepared = engine.prepare(plan, options)?;
    prepared.upload(inputs)?;
    let outputs = prepared.run()?;
    Ok((Candidate { choice, prepared, rounds: Vec::new(), hopeless: false }, outputs))
}

/// Blames every kernel that ran as this variant: the outputs of a whole plan do not tell which one is wrong.
fn blamed(engine: &Engine, plan: &Plan, choice: VariantChoice, error: &str) -> Vec<Wrong> {
    let ran = plan.dispatches().filter(|dispatch| engine.would_run_as(dispatch, choice.variant));
    let trials: BTreeSet<Trial> = ran.map(|dispatch| Trial::of(dispatch, choice.variant)).collect();
    trials.into_iter().map(|trial| Wrong::new(trial, error)).collect()
}

impl Candidate<'_> {
    /// Seconds of each dispatch on the device's clock, if they are plausible.
    fn by_device(&self) -> Result<Option<Vec<f64>>> {
        for _ in 0..TRIES {
            if let Some(passes) = self.prepared.time(Granularity::Dispatches, 0)?.passes {
                return Ok(Some(passes.iter().map(|pass| pass.as_secs_f64()).collect()));
            }
        }
        Ok(None)
    }

    /// The same on the host's clock, one dispatch at a time.
    fn by_host(&self) -> Result<Option<Vec<f64>>> {
        let wall = |number| Ok(self.prepared.time(Granularity::Dispatch(number), 0)?.wall.as_secs_f64());
        (0..self.prepared.dispatches()).map(wall).collect::<Result<_>>().map(Some)
    }
}

/// Times all candidates, interleaved, on one clock: the device's if it is plausible.
fn time_interleaved(
    engine: &Engine,
    candidates: &mut [Candidate<'_>],
    rounds: (usize, &BTreeSet<VariantChoice>),
    step: impl Fn() -> Result<()>,
) -> Result<()> {
    if engine.has_timestamps() && time_by(Candidate::by_device, candidates, rounds, &step)? {
        return Ok(());
    }
    for candidate in &mut *candidates {
        (candidate.rounds, candidate.hopeless) = (Vec::new(), false);
    }
    time_by(Candidate::by_host, candidates, rounds, &step).map(drop)
}

/// Times all candidates on a clock. Returns false if it fails. Candidates that are not `needed` are given up if they are hopeless after two rounds.
fn time_by<'a>(
    clock: impl Fn(&Candidate<'a>) -> Result<Option<Vec<f64>>>,
    candidates: &mut [Candidate<'a>],
    (rounds, needed): (usize, &BTreeSet<VariantChoice>),
    step: impl Fn() -> Result<()>,
) -> Result<bool> {
    for round in 0..=rounds {
        for candidate in candidates.iter_mut().filter(|candidate| !candidate.hopeless) {
            let Some(seconds) = clock(candidate)? else { return Ok(false) };
            // The first round only warms up.
            if round > 0 {
                candidate.rounds.push(seconds);
            }
        }
        if round == 2 && round < rounds {
            mark_hopeless(candidates, needed);
        }
        step()?;
    }
    Ok(true)
}

/// Gives up the candidates that are hopeless so far.
fn mark_hopeless(candidates: &mut [Candidate<'_>], needed: &BTreeSet<VariantChoice>) {
    let all: Vec<Vec<Vec<f64>>> = candidates.iter().map(|candidate| candidate.rounds.clone()).collect();
    for candidate in candidates.iter_mut().filter(|candidate| !needed.contains(&candidate.choice)) {
        candidate.hopeless = is_hopeless(&candidate.rounds, &all);
    }
}

/// Whether all dispatches were far slower than the fastest of `all`, in every round.
fn is_hopeless(rounds: &[Vec<f64>], all: &[Vec<Vec<f64>>]) -> bool {
    let fastest = |round: usize, number: usize| {
        let seconds = all.iter().filter_map(|rounds| rounds.get(round)?.get(number));
        seconds.copied().fold(f64::INFINITY, f64::min)
    };
    let slow = |(round, seconds): (usize, &Vec<f64>)| {
        seconds.iter().enumerate().all(|(number, seconds)| *seconds > HOPELESS * fastest(round, number))
    };
    rounds.iter().enumerate().all(slow)
}

fn medians(engine: &Engine, plan: &Plan, candidates: &[Candidate<'_>]) -> Vec<(Measured, Medians)> {
    let mut order = Vec::new();
    let mut found: BTreeMap<Measured, Medians> = BTreeMap::new();
    for (number, dispatch) in plan.dispatches().enumerate() {
        let measured = Measured { key: TuningKey::of(dispatch), untuned: engine.untuned_choice_of(dispatch) };
        if found.contains_key(&measured) {
            // The same key again.
            continue;
        }
        let mut medians = Medians::default();
        for candidate in candidates.iter().filter(|candidate| runs_as(engine, dispatch, candidate.choice)) {
            let seconds: Vec<f64> = candidate.rounds.iter().filter_map(|round| round.get(number)).copied().collect();
            match Summary::of(&seconds) {
                _ if candidate.hopeless => medians.given_up.push(candidate.choice),
                Some(Summary { median, .. }) => medians.timed.push((candidate.choice, 1e3 * median)),
                None => {}
            }
        }
        order.push(measured.clone());
        found.insert(measured, medians);
    }
    order.into_iter().filter_map(|measured| found.remove_entry(&measured)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hopeless_is_what_is_far_slower_at_everything_every_time() {
        // Seconds of two dispatches in two rounds.
        let rounds = |seconds: [f64; 4]| vec![seconds[..2].to_vec(), seconds[2..].to_vec()];
        let fast = rounds([1.0, 2.0, 1.0, 2.0]);
        let is_given_up = |seconds: [f64; 4]| is_hopeless(&rounds(seconds), &[fast.clone(), rounds(seconds)]);
        assert!(is_given_up([3.1, 6.1, 3.1, 6.1]));
        assert!(!is_given_up([3.1, 5.9, 3.1, 6.1]), "one dispatch is not so slow");
        assert!(!is_given_up([3.1, 6.1, 0.9, 6.1]), "once it was fast");
        assert!(!is_hopeless(&fast, &[fast.clone(), rounds([0.4, 0.4, 0.4, 1.0])]));
    }
}
