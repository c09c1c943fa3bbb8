//! Picks and clusters where float32 is at its limits.

use orthoformer::gpu::RunOptions;
use orthoformer::ops::approximation::{Candidates, Criterion, Greedy, Prototypes, Schedule, Selection};
use orthoformer::ops::{Operation, PrototypesSpec};
use orthoformer::reference::{self, Route};
use orthoformer::{Error, PlanLimits, Tensor, Tensors, picks};
use support::{engine, numbers};

fn operation([groups, rows, size]: [usize; 3], count: u32, selection: Selection) -> Operation {
    let prototypes = Prototypes { count, candidates: Candidates::Queries, selection, per_frame: false };
    Operation::Prototypes(PrototypesSpec { groups, rows, size, prototypes })
}

fn x(sizes: [usize; 3], data: Vec<f32>) -> Tensors {
    Tensors::from([("x".to_owned(), Tensor::new(sizes.to_vec(), data).expect("as many"))])
}

/// The largest gap of a greedy selection on the adapter and in the reference.
fn gaps(operation: &Operation, inputs: &Tensors) -> [f64; 2] {
    let plan = operation.plan(PlanLimits::default()).expect("plans");
    let adapter = engine().run(&plan, inputs, RunOptions { poison: true, ..RunOptions::default() }).expect("runs").outputs;
    let reference = reference::run(&plan, inputs, Route::Direct).expect("runs");
    [adapter, reference].map(|outputs| {
        let replays = picks::replay_all(operation, inputs, &outputs["indices"]).expect("replays").expect("greedy");
        replays.iter().map(|replay| replay.gap).fold(0.0, f64::max)
    })
}

#[test]
fn rows_that_resemble_each_other_are_told_apart() {
    // Likenesses are all but one, and what a row's length is off by adds up over the picks.
    for (spread, size, count) in [(0.01, 64, 128), (0.02, 128, 128), (0.05, 64, 300), (0.05, 33, 128)] {
        for schedule in [Schedule::Looping, Schedule::Stepping] {
            let sizes = [2, 700, size];
            let data = numbers(5, sizes.iter().product(), 1.0).into_iter().map(|number| 1.0 + spread * number).collect();
            let selection = Selection::Greedy(Greedy { schedule, ..Greedy::default() });
            let found = gaps(&operation(sizes, count, selection), &x(sizes, data));
            assert!(found.iter().all(|gap| *gap <= picks::TOLERANCE), "{spread} {size} {count} {schedule:?}: {found:?}");
        }
    }
}

#[test]
fn rows_as_they_are_may_be_large_and_may_cancel() {
    for criterion in [Criterion::Sum, Criterion::Max] {
        for scale in [1e-10, 1.0, 100.0, 1e16, 1e17] {
            let sizes = [1, 300, 64];
            let data = numbers(6, sizes.iter().product(), scale);
            let greedy = Greedy { criterion, normalise: false, ..Greedy::default() };
            let found = gaps(&operation(sizes, 40, Selection::Greedy(greedy)), &x(sizes, data));
            assert!(found.iter().all(|gap| *gap <= picks::TOLERANCE), "{criterion:?} {scale}: {found:?}");
        }
    }
}

#[test]
fn more_prototypes_than_an_invocation_could_copy() {
    let sizes = [1, 21_000, 1];
    let greedy = Selection::Greedy(Greedy { start: Some(vec![7]), ..Greedy::default() });
    let plan = operation(sizes, 20_600, greedy).plan(PlanLimits::default());
    // Running it would take minutes; that it can be planned is the point.
    assert!(plan.is_ok(), "{plan:?}");
}

#[test]
fn clusters_emptied_at_the_end_become_candidates() {
    let rows =
        [4.09, 53.53, 174.79, -84.24, -180.61, -48.41, 8.99, 17.50, 9.22, 118.28, 97.60, -4.93, -46.95, -34.60, -35.63, -22.56];
    for seed in 0..40 {
        for iterations in 1..4 {
            let selection = Selection::KMeans { iterations, seed, spherical: true };
            let sizes = [1, 8, 2];
            let plan = operation(sizes, 4, selection).plan(PlanLimits::default()).expect("plans");
            let run = engine().run(&plan, &x(sizes, rows.to_vec()), RunOptions::default()).expect("runs");
            for prototype in run.outputs["prototypes"].data().chunks(2) {
                let length = prototype[0].hypot(prototype[1]);
                assert!(length > 15.0, "seed {seed}, {iterations} iterations: {prototype:?}");
            }
        }
    }
}

#[test]
fn prototypes_alone_have_no_keys_and_no_frames() {
    let prototypes = |candidates, per_frame| {
        let prototypes = Prototypes { count: 1, candidates, selection: Selection::SegmentMeans, per_frame };
        let spec = PrototypesSpec { groups: 1, rows: 4, size: 4, prototypes };
        Operation::Prototypes(spec).plan(PlanLimits::default()).expect_err("must be refused")
    };
    assert!(matches!(prototypes(Candidates::QueriesAndKeys, false), Error::Argument { what: "candidates", .. }));
    assert!(matches!(prototypes(Candidates::Queries, true), Error::Argument { what: "candidates", .. }));
}
