//! Approximated trajectory tokens against the reference and against the formulas, whole and in slices.

use orthoformer::compare::{Tolerance, compare, compare_values, half_disagreement, relative_norm};
use orthoformer::gpu::RunOptions;
use orthoformer::ops::approximation::{
    Approximation, Candidates, Criterion, FeatureProjection, Greedy, Nystrom, Performer, Prototypes, Selection,
};
use orthoformer::ops::{Operation, attention};
use orthoformer::picks::{TOLERANCE, replay_all, with_picks};
use orthoformer::plan::{Element, PlanLimits};
use orthoformer::reference::{self, Route};
use orthoformer::{Error, Shape, Tensors};
use support::{change, constant, engine, plan, random_inputs, run, whole_numbers};

use crate::formulas::{Head, Matrix, matrix};

const SHAPES: [[usize; 5]; 11] = [
    [1, 1, 1, 1, 1],
    [1, 2, 3, 1, 7],
    [2, 3, 4, 9, 5],
    [1, 2, 3, 17, 16],
    [1, 1, 5, 13, 30],
    [3, 1, 1, 65, 12],
    [1, 2, 2, 33, 64],
    [1, 1, 3, 5, 128],
    [1, 1, 2, 6, 160],
    [1, 2, 1, 5, 256],
    [2, 2, 1, 7, 127],
];

fn shape([batch, heads, frames, patches, size]: [usize; 5]) -> Shape {
    Shape::new(batch, heads, frames, patches, size).expect("a small shape")
}

/// Runs an approximation within limits, and compares its tokens with those of the reference without limits. Picks of a greedy selection are
/// replayed, and given to the reference. All that came out, scratch too.
fn check(what: &str, operation: &Operation, limits: PlanLimits, inputs: &Tensors, tolerance: Tolerance) -> Tensors {
    let sliced = operation.plan(limits).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = engine()
        .run(&sliced, inputs, RunOptions { poison: true, read_scratch: true, ..RunOptions::default() })
        .expect("runs")
        .outputs;
    let mut same = operation.clone();
    if let Some(indices) = found.get("indices") {
        if let Some(replays) = replay_all(operation, inputs, indices).expect("as many as they should be") {
            assert!(replays.iter().all(|replay| replay.gap <= TOLERANCE), "{what}: {replays:?}");
        }
        same = with_picks(operation, indices);
    }
    let expected = reference::run(&plan(&same), inputs, Route::Direct).expect("runs");
    for (name, expected) in expected {
        let outcome = compare(&found[&name], &expected, tolerance);
        assert!(outcome.passed(), "{what}, output {name}: {outcome:?}");
    }
    found
}

/// Compares tokens of all heads with a formula's.
fn assert_formula(what: &str, tokens: &[f32], heads: &[Head], formula: impl Fn(usize, &Head) -> Vec<f32>) {
    let expected: Vec<f32> = heads.iter().enumerate().flat_map(|(number, head)| formula(number, head)).collect();
    let outcome = compare_values(tokens, &expected, Tolerance::OPERATION);
    assert!(outcome.passed(), "{what}, by its formula: {outcome:?}");
}

fn orthoformer(count: u32, candidates: Candidates, per_frame: bool, selection: Selection) -> Approximation {
    Approximation::Orthoformer(Prototypes { count, candidates, selection, per_frame })
}

fn selections() -> [Selection; 7] {
    let greedy = |criterion, normalise, fraction| Greedy { criterion, normalise, fraction, seed: 3, ..Greedy::default() };
    [
        Selection::Greedy(greedy(Criterion::Sum, true, 1.0)),
        Selection::Greedy(greedy(Criterion::Max, false, 1.0)),
        Selection::Greedy(greedy(Criterion::Sum, true, 0.6)),
        Selection::Random { seed: 4 },
        Selection::SegmentMeans,
        Selection::KMeans { iterations: 2, seed: 5, spherical: false },
        Selection::KMeans { iterations: 3, seed: 6, spherical: true },
    ]
}

/// The prototypes of each group as the plan left them. Picked ones have to be the candidates with these numbers.
fn prototypes_of(found: &Tensors, shape: &Shape, heads: &[Head], spec: &Prototypes) -> Vec<Matrix> {
    let (count, size) = (spec.count as usize, shape.head_size() as usize);
    let groups = matrix(found["landmarks"].data(), size).chunks(count).map(<[_]>::to_vec).collect::<Vec<Matrix>>();
    let of_head = groups.len() / heads.len();
    let picks = found.get("indices").map(whole_numbers);
    for (number, picks) in picks.iter().flat_map(|picks| picks.chunks(count)).enumerate() {
        let frame = spec.per_frame.then_some(number % of_head);
        let candidates = heads[number / of_head].candidates(frame, spec.candidates == Candidates::QueriesAndKeys);
        let picked: Matrix = picks.iter().map(|&pick| candidates[pick as usize].clone()).collect();
        assert_eq!(groups[number], picked, "group {number}");
    }
    groups
}

#[test]
fn orthoformer_round_the_edges() {
    for (turn, sizes) in SHAPES.into_iter().enumerate() {
        let shape = shape(sizes);
        for (number, selection) in selections().into_iter().enumerate() {
            for (candidates, per_frame) in [
                (Candidates::Queries, false),
                (Candidates::QueriesAndKeys, true),
                (Candidates::QueriesAndKeys, false),
                (Candidates::Queries, true),
            ] {
                let tokens = if per_frame { shape.patches() } else { shape.tokens() };
                let count = [tokens, 1, tokens.div_ceil(2), 16.min(tokens)][(turn + number) % 4];
                let approximation = orthoformer(count, candidates, per_frame, selection.clone());
                let Approximation::Orthoformer(spec) = &approximation else { unreachable!("it is") };
                let operation = Operation::Trajectories(shape, approximation.clone());
                let inputs = random_inputs(&plan(&operation), 1);
                let what = format!("{sizes:?} {spec:?}");
                let found = check(&what, &operation, PlanLimits::default(), &inputs, Tolerance::OPERATION);
                let heads = Head::all(&shape, &inputs);
                let groups = prototypes_of(&found, &shape, &heads, spec);
                let of_head = groups.len() / heads.len();
                let formula = |number: usize, head: &Head| head.orthoformer(&groups[number * of_head..][..of_head]);
                assert_formula(&what, found["tokens"].data(), &heads, formula);
            }
        }
    }
}

#[test]
fn nystrom_round_the_edges() {
    for sizes in SHAPES {
        let shape = shape(sizes);
        for (landmarks, iterations) in [(1, 6), (shape.frames(), 6), (shape.tokens().div_ceil(3), 1), (33.min(shape.tokens()), 6)]
        {
            let operation = Operation::Trajectories(shape, Approximation::Nystrom(Nystrom { landmarks, iterations }));
            let inputs = random_inputs(&plan(&operation), 2);
            let what = format!("{sizes:?} {landmarks} landmarks, {iterations} iterations");
            let found = check(&what, &operation, PlanLimits::default(), &inputs, Tolerance::OPERATION);
            let formula = |_: usize, head: &Head| head.nystrom(landmarks as usize, iterations);
            assert_formula(&what, found["tokens"].data(), &Head::all(&shape, &inputs), formula);
        }
    }
}

#[test]
fn performer_round_the_edges() {
    for sizes in SHAPES {
        let (shape, size) = (shape(sizes), sizes[4]);
        for features in [1, 16, 17, 130] {
            for projection in [FeatureProjection::Given, FeatureProjection::Drawn { seed: 7 }] {
                let operation = Operation::Trajectories(shape, Approximation::Performer(Performer { features, projection }));
                let plan = plan(&operation);
                let inputs = random_inputs(&plan, 3);
                let what = format!("{sizes:?} {features} features, {projection:?}");
                let found = check(&what, &operation, PlanLimits::default(), &inputs, Tolerance::OPERATION);
                let projection: Vec<f32> = match inputs.get("projection") {
                    Some(given) => given.data().to_vec(),
                    None => constant(&plan, "projection").into_iter().map(f32::from_bits).collect(),
                };
                let formula = |_: usize, head: &Head| head.performer(&matrix(&projection, size));
                assert_formula(&what, found["tokens"].data(), &Head::all(&shape, &inputs), formula);
            }
        }
    }
}

/// One of each kind, for clips of 14 patches a frame.
fn one_of_each() -> Vec<Approximation> {
    let [greedy, .., means, clusters, _] = selections();
    vec![
        orthoformer(9, Candidates::QueriesAndKeys, false, greedy.clone()),
        orthoformer(4, Candidates::QueriesAndKeys, true, greedy),
        orthoformer(3, Candidates::QueriesAndKeys, true, means),
        orthoformer(5, Candidates::Queries, true, clusters),
        orthoformer(6, Candidates::Queries, false, Selection::Random { seed: 8 }),
        Approximation::Nystrom(Nystrom { landmarks: 9, iterations: 6 }),
        Approximation::Performer(Performer { features: 21, projection: FeatureProjection::Drawn { seed: 9 } }),
    ]
}

#[test]
fn slices_and_chunks_change_nothing() {
    let shape = shape([3, 2, 5, 14, 12]);
    for approximation in one_of_each() {
        let operation = Operation::Trajectories(shape, approximation.clone());
        let whole = plan(&operation);
        let inputs = random_inputs(&whole, 4);
        let found = run(&whole, &inputs);
        let mut dispatches = whole.dispatches().count();
        // Several heads at once, one, some frames of it, one frame, parts of a frame, a query at a time.
        for (scratch_bytes, binding_bytes) in
            [(40_000, 1 << 20), (20_000, 50_000), (6_000, 1 << 20), (1_000, 20_000), (1, 12_000)]
        {
            let limits = PlanLimits { scratch_bytes, binding_bytes, ..PlanLimits::default() };
            let what = format!("{approximation}, {limits:?}");
            let sliced = operation.plan(limits).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(sliced.dispatches().count() >= dispatches, "{what}: no fewer dispatches than before");
            dispatches = sliced.dispatches().count();
            let in_slices = check(&what, &operation, limits, &inputs, Tolerance::OPERATION);
            assert_eq!(in_slices.get("indices"), found.get("indices"), "{what}");
            let outcome = compare(&in_slices["tokens"], &found["tokens"], Tolerance::OPERATION);
            assert!(outcome.passed(), "{what}: {outcome:?}");
        }
        assert!(dispatches > 6 * 70, "a query at a time");
    }
}

#[test]
fn attention_over_a_sequence_is_that_of_one_frame() {
    let shape = shape([2, 3, 1, 35, 10]);
    let mut approximations = one_of_each();
    approximations.push(Approximation::Exact);
    for approximation in approximations {
        let clip = plan(&Operation::Trajectories(shape, approximation.clone()));
        let inputs = random_inputs(&clip, 5);
        let operation = Operation::Attention(shape, approximation);
        let found = check("one sequence", &operation, PlanLimits::default(), &inputs, Tolerance::OPERATION);
        assert_eq!(found["out"].shape(), [2, 3, 35, 10]);
        assert_eq!(found["out"].data(), run(&clip, &inputs)["tokens"].data());
        if matches!(operation, Operation::Attention(_, Approximation::Exact)) {
            assert_formula("exact", found["out"].data(), &Head::all(&shape, &inputs), |_, head| head.exact());
        }
    }
}

#[test]
fn all_keys_or_all_queries_as_prototypes_are_two_softmaxes() {
    for sizes in [[1, 1, 1, 20, 8], [2, 2, 1, 70, 16], [1, 2, 3, 11, 33]] {
        let shape = shape(sizes);
        let (tokens, heads) = (shape.tokens(), shape.batch() * shape.heads());
        let keys = Selection::Given((0..heads).flat_map(|_| tokens..2 * tokens).collect());
        let operation = Operation::Trajectories(shape, orthoformer(tokens, Candidates::QueriesAndKeys, false, keys));
        let inputs = random_inputs(&plan(&operation), 6);
        let found = check("all keys", &operation, PlanLimits::default(), &inputs, Tolerance::OPERATION);
        let of_keys = |_: usize, head: &Head| head.orthoformer(std::slice::from_ref(&head.k));
        assert_formula("all keys", found["tokens"].data(), &Head::all(&shape, &inputs), of_keys);
        // Picked in whatever order, all queries are all queries.
        let greedy = Selection::Greedy(Greedy::default());
        let operation = Operation::Trajectories(shape, orthoformer(tokens, Candidates::Queries, false, greedy));
        let found = check("all queries", &operation, PlanLimits::default(), &inputs, Tolerance::OPERATION);
        let of_queries = |_: usize, head: &Head| head.orthoformer(std::slice::from_ref(&head.q));
        assert_formula("all queries", found["tokens"].data(), &Head::all(&shape, &inputs), of_queries);
    }
}

#[test]
fn large_logits_keep_their_precision() {
    let shape = shape([1, 2, 2, 24, 64]);
    for factor in [10.0, 50.0] {
        // Prototypes that are candidates as they are: a last bit of a mean, times such queries, is more than what is tolerated.
        for approximation in [0, 1, 4].map(|number| one_of_each().swap_remove(number)) {
            let operation = Operation::Trajectories(shape, approximation.clone());
            let mut inputs = random_inputs(&plan(&operation), 7);
            support::change(&mut inputs, "q", |_, number| number * factor);
            check(&format!("{approximation} x {factor}"), &operation, PlanLimits::default(), &inputs, Tolerance::OPERATION);
        }
    }
    // The pseudo-inverse of attention as sharp as this makes tokens far larger than the values.
    let operation = Operation::Trajectories(shape, Approximation::Nystrom(Nystrom { landmarks: 16, iterations: 6 }));
    let mut inputs = random_inputs(&plan(&operation), 7);
    ["q", "k"].iter().for_each(|name| support::change(&mut inputs, name, |_, number| number * 3.0));
    let found = check("nystrom", &operation, PlanLimits::default(), &inputs, Tolerance::OPERATION);
    assert!(found["tokens"].data().iter().any(|number| number.abs() > 10.0));
}

#[test]
fn approximations_stored_as_float16_stay_close() {
    let shape = shape([1, 2, 4, 49, 32]);
    let kinds = [
        // Many iterations make much of roundings, where keys are all but alike.
        Approximation::Nystrom(Nystrom { landmarks: 64, iterations: 20 }),
        Approximation::Performer(Performer { features: 64, projection: FeatureProjection::Drawn { seed: 1 } }),
        orthoformer(16, Candidates::QueriesAndKeys, false, Selection::SegmentMeans),
        orthoformer(9, Candidates::Queries, true, Selection::Random { seed: 2 }),
    ];
    for kind in kinds {
        for scale in [0.1, 1.0] {
            let plan = plan(&Operation::Trajectories(shape, kind.clone()));
            let mut inputs = random_inputs(&plan, 3);
            for name in ["q", "k"] {
                change(&mut inputs, name, |_, number| number * scale);
            }
            let what = format!("{kind:?}, queries and keys x {scale}");
            if engine().capabilities().f16 {
                let stored = plan.clone().stored_as(Element::F16);
                let (found, expected) = (run(&stored, &inputs), reference::run(&stored, &inputs, Route::Direct).expect("runs"));
                assert_eq!(half_disagreement(&found["tokens"], &expected["tokens"], 1.0), None, "{what}");
            }
            let [half, single] = [plan.clone().stored_as(Element::F16), plan]
                .map(|plan| reference::run(&plan, &inputs, Route::Kernels).expect("runs").remove("tokens").expect("an output"));
            let norm = relative_norm(&half, &single);
            assert!(norm < Tolerance::HALF_NORM, "{what}: {norm:.1e}");
        }
    }
}

#[test]
fn numbers_that_do_not_fit_the_shape_are_refused() {
    let shape = shape([2, 1, 3, 5, 4]);
    let refused = |approximation| {
        let error = Operation::Trajectories(shape, approximation).plan(PlanLimits::default()).expect_err("must be refused");
        error.to_string()
    };
    let nystrom = |landmarks, iterations| refused(Approximation::Nystrom(Nystrom { landmarks, iterations }));
    assert_eq!(nystrom(0, 6), "landmarks is 0; it must be at least 1");
    assert_eq!(nystrom(16, 6), "landmarks is 16; the most that is supported is 15");
    assert_eq!(nystrom(3, 0), "iterations of the pseudo-inverse is 0; it must be at least 1");
    let performer = |features| refused(Approximation::Performer(Performer { features, projection: FeatureProjection::Given }));
    assert_eq!(performer(0), "features is 0; it must be at least 1");
    assert_eq!(performer(u32::MAX), "features is 4294967295; the most that is supported is 61440");
    let given = |per_frame, indices| refused(orthoformer(2, Candidates::Queries, per_frame, Selection::Given(indices)));
    assert_eq!(given(false, vec![0; 3]), "tensor \"given prototypes\" has shape [3]; expected 2 for each of 2 groups");
    assert_eq!(given(true, vec![0; 4]), "tensor \"given prototypes\" has shape [4]; expected 2 for each of 6 groups");
    assert_eq!(given(false, vec![0, 1, 2, 15]), "given prototype 15 is out of range; it must be below 15");
    assert_eq!(given(true, vec![5; 12]), "given prototype 5 is out of range; it must be below 5");
    let start = Greedy { start: Some(vec![0; 2]), ..Greedy::default() };
    let start = refused(orthoformer(2, Candidates::Queries, true, Selection::Greedy(start)));
    assert_eq!(start, "tensor \"start\" has shape [2]; expected one for each of 6 groups, or one for all");
    let error = attention::plan(&shape, &Approximation::Exact, PlanLimits::default()).expect_err("three frames");
    assert!(matches!(error, Error::TooLarge { what: "frames of attention over one sequence", given: 3, most: 1 }), "{error}");
}

#[test]
fn a_projection_of_another_shape_is_refused() {
    let performer = Performer { features: 7, projection: FeatureProjection::Given };
    let plan = plan(&Operation::Trajectories(shape([1, 1, 2, 5, 4]), Approximation::Performer(performer)));
    let mut inputs = random_inputs(&plan, 8);
    assert_eq!(inputs["projection"].shape(), [7, 4]);
    let other = inputs["q"].clone();
    inputs.insert("projection".to_owned(), other);
    let error = engine().run(&plan, &inputs, RunOptions::default()).expect_err("queries are no projection");
    assert_eq!(error.to_string(), "tensor \"projection\" has shape [1, 1, 10, 4]; expected [7, 4]");
    inputs.remove("projection");
    let error = engine().run(&plan, &inputs, RunOptions::default()).expect_err("none");
    assert!(matches!(error, Error::MissingTensor { ref name, .. } if name == "projection"), "{error}");
}
