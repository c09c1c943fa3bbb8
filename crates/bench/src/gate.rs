//! Nothing wrong is timed: what a variant computes is checked first, small against the reference and large against the baseline.

use orthoformer::picks::{replay_all, with_picks};
use orthoformer::plan::{Plan, PlanLimits};
use orthoformer::reference::{self, Route};
use orthoformer::{Result, Tensors};

use super::cases::{Case, Checked, inputs};

/// Name of the output that holds the picks of a greedy selection.
const PICKS: &str = "indices";
const SEED: u64 = 1;

/// Runs a case, made small, by `run`, and compares it with the reference.
///
/// # Errors
/// Those of planning and running.
#[cfg(feature = "files")]
pub fn check_reduced(case: &Case, run: impl Fn(&Plan, &Tensors) -> Result<Tensors>) -> Result<Checked> {
    pollster::block_on(check_reduced_async(case, async |plan: &Plan, inputs: &Tensors| run(plan, inputs)))
}

/// As [`check_reduced`], where running may wait.
///
/// # Errors
/// Those of planning and running.
pub(super) async fn check_reduced_async(case: &Case, run: impl AsyncFn(&Plan, &Tensors) -> Result<Tensors>) -> Result<Checked> {
    let case = case.reduced();
    let plan = case.plan()?;
    let inputs = inputs(&plan, SEED)?;
    let mut found = run(&plan, &inputs).await?;
    let operation = case.operation()?;
    let along = match (&operation, found.remove(PICKS)) {
        (Some(operation), Some(found_picks)) => {
            let replays = replay_all(operation, &inputs, &found_picks)?.unwrap_or_default();
            let worst = replays.iter().map(|replay| replay.gap).fold(0.0, f64::max);
            let tolerance = case.picks_tolerance(operation);
            if worst.is_nan() || worst > tolerance {
                let why = format!("a pick's score is {worst:.1e} above the best there was, at {}", describe(&case));
                return Ok(Checked::wrong(worst / tolerance, why));
            }
            // Where scores are all but equal others may be picked, and all that follows is other: it is compared along the picks made.
            with_picks(operation, &found_picks).plan(PlanLimits::default())?.stored_as(case.element)
        }
        _ => plan,
    };
    let expected = reference::run(&along, &inputs, Route::Direct)?;
    let Checked { error, why } = case.checked(&found, &expected, 1.0)?;
    Ok(Checked { error, why: why.map(|why| format!("{why}, against the reference at {}", describe(&case))) })
}

/// Compares what a variant makes of the case itself with what the baseline does. Both may be off. Where the two
/// picked other prototypes, which the reduced case has shown to be right, `along` has the baseline run a plan that takes those of the variant.
///
/// # Errors
/// Those of planning, and of `along`.
#[cfg(feature = "files")]
pub fn check_large(
    case: &Case,
    found: &Tensors,
    baseline: &Tensors,
    along: impl FnOnce(&Plan) -> Result<Tensors>,
) -> Result<Checked> {
    pollster::block_on(check_large_async(case, found, baseline, async |plan: &Plan| along(plan)))
}

/// As [`check_large`], where running may wait.
///
/// # Errors
/// Those of planning, and of `along`.
pub(super) async fn check_large_async(
    case: &Case,
    found: &Tensors,
    baseline: &Tensors,
    along: impl AsyncFnOnce(&Plan) -> Result<Tensors>,
) -> Result<Checked> {
    let unwritten = found.iter().find(|(_, tensor)| tensor.data().iter().any(|number| number.is_nan()));
    if let Some((name, _)) = unwritten {
        return Ok(Checked::wrong(f64::INFINITY, format!("{name} holds NaN")));
    }
    let other = match (case.operation()?, found.get(PICKS)) {
        (Some(operation), Some(picks)) if Some(picks) != baseline.get(PICKS) => {
            let plan = with_picks(&operation, picks).plan(PlanLimits::default())?;
            Some(along(&plan.stored_as(case.element)).await?)
        }
        _ => None,
    };
    let expected = other.as_ref().unwrap_or(baseline);
    let Checked { error, why } = case.checked(found, expected, 2.0)?;
    Ok(Checked { error, why: why.map(|why| format!("{why}, against the baseline")) })
}

fn describe(case: &Case) -> String {
    format!("{}, batch {}, {}", case.shape, case.batch, case.approximation_name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::BenchOperation;
    use crate::shapes::BenchShape;
    use orthoformer::plan::Element;
    use orthoformer::tensor::Tensor;

    fn cases() -> impl Iterator<Item = Case> {
        let shape: BenchShape = "2x9x24x3".parse().expect("a shape");
        let of = move |operation: BenchOperation| {
            let approximations = operation.approximations(shape).into_iter();
            approximations.map(move |approximation| Case { operation, shape, batch: 1, approximation, element: Element::F32 })
        };
        BenchOperation::ALL.into_iter().flat_map(of)
    }

    fn right(plan: &Plan, inputs: &Tensors) -> Result<Tensors> {
        reference::run(plan, inputs, Route::Kernels)
    }

    #[test]
    fn right_outputs_pass() {
        for case in cases() {
            let Checked { error, why } = check_reduced(&case, right).expect("runs");
            assert!(why.is_none() && error < 1.0, "{why:?} {error} {case:?}");
        }
    }

    #[test]
    fn a_doctored_output_is_found() {
        for case in cases() {
            for doctored in [1.01, f32::NAN] {
                let run = |plan: &Plan, inputs: &Tensors| {
                    let mut outputs = right(plan, inputs)?;
                    let (name, tensor) = outputs.pop_last().expect("every case has an output");
                    let mut data = tensor.data().to_vec();
                    let middle = data.len() / 2;
                    data[middle] = data[middle] * doctored + 0.01;
                    outputs.insert(name, Tensor::new(tensor.shape().to_vec(), data)?);
                    Ok(outputs)
                };
                let checked = check_reduced(&case, run).expect("runs");
                let wrong = checked.why.unwrap_or_else(|| panic!("passed: {case:?}"));
                assert!(checked.error > 1.0, "{case:?}");
                assert!(wrong.contains("1 of") && wrong.contains("against the reference"), "{wrong}");
            }
        }
    }

    #[test]
    fn outputs_that_part_from_the_baseline_are_found() {
        let case = cases().next().expect("there are some");
        let plan = case.plan().expect("plans");
        let outputs = right(&plan, &inputs(&plan, SEED).expect("inputs")).expect("runs");
        let same = |found: &Tensors| {
            let along = |_: &Plan| panic!("there are no picks that could be others");
            check_large(&case, found, &outputs, along).expect("compares").why
        };
        assert_eq!(same(&outputs), None);
        for (number, said) in [(f32::NAN, "holds NaN"), (9.0, "against the baseline")] {
            let mut wrong = outputs.clone();
            set_token(&mut wrong, number);
            let found = same(&wrong).expect("found");
            assert!(found.contains(said), "{found}");
        }
    }

    fn set_token(outputs: &mut Tensors, number: f32) {
        let tensor = outputs.get_mut("tokens").expect("trajectories have tokens");
        let mut data = tensor.data().to_vec();
        data[3] = number;
        *tensor = Tensor::new(tensor.shape().to_vec(), data).expect("the same shape");
    }

    #[test]
    fn other_picks_do_not_hide_what_follows_from_them() {
        let shape = "2x9x24x3".parse().expect("a shape");
        let approximation = BenchOperation::Trajectories.approximations(shape).swap_remove(1);
        let case = Case { operation: BenchOperation::Layer, approximation, ..Case::layer(shape, 1) };
        let plan = case.plan().expect("plans");
        let inputs = inputs(&plan, SEED).expect("inputs");
        let baseline = right(&plan, &inputs).expect("runs");
        // The same prototypes in another order.
        let mut picks = baseline[PICKS].data().to_vec();
        let count = *baseline[PICKS].shape().last().expect("one axis at least");
        picks.chunks_mut(count).for_each(<[f32]>::reverse);
        let picks = Tensor::new(baseline[PICKS].shape().to_vec(), picks).expect("as many").into_indices();
        let operation = case.operation().expect("a shape").expect("a layer");
        let along = with_picks(&operation, &picks).plan(PlanLimits::default()).expect("plans");
        let mut found = right(&along, &inputs).expect("runs");
        found.insert(PICKS.to_owned(), picks);
        let compared = |found: &Tensors| {
            let along = |plan: &Plan| right(plan, &inputs);
            check_large(&case, found, &baseline, along).expect("compares").why
        };
        assert_eq!(compared(&found), None);
        let y = found.get_mut("y").expect("layers have it");
        let data = y.data().iter().map(|number| number * 1.01).collect();
        *y = Tensor::new(y.shape().to_vec(), data).expect("the same shape");
        assert!(compared(&found).expect("found").contains("against the baseline"));
    }
}
