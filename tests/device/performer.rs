//! Performer's random features where numbers are large, how close they come, and what a seed means.

use orthoformer::compare::Tolerance;
use orthoformer::gpu::{AdapterChoice, Engine, EngineOptions, RunOptions, adapters};
use orthoformer::ops::Operation;
use orthoformer::ops::approximation::{Approximation, Candidates, FeatureProjection, Greedy, Performer, Prototypes, Selection};
use orthoformer::reference::{self, Route};
use orthoformer::{Shape, Tensors};
use support::{assert_agree, change, constant, drawn, engine, numbers, plan, random_inputs, run};

use crate::formulas::{Head, matrix};

fn performer([batch, heads, frames, patches, size]: [usize; 5], features: u32, projection: FeatureProjection) -> Operation {
    let shape = Shape::new(batch, heads, frames, patches, size).expect("a small shape");
    Operation::Trajectories(shape, Approximation::Performer(Performer { features, projection }))
}

const SEED: FeatureProjection = FeatureProjection::Drawn { seed: 1 };

#[test]
fn large_queries_and_keys_do_not_overflow() {
    for sizes in [[1, 2, 3, 21, 16], [2, 1, 1, 70, 64]] {
        let plan = plan(&performer(sizes, 48, SEED));
        // exp of a projection of 90 is beyond float32, and so is the square of 1e20.
        for factor in [5.0, 30.0, 1e4, 1e10, 1e20] {
            for (what, every) in [("all rows", 1), ("every third row", 3)] {
                let mut inputs = random_inputs(&plan, 1);
                for name in ["q", "k"] {
                    let scale = |index: usize| if (index / sizes[4]).is_multiple_of(every) { factor } else { 0.3 };
                    change(&mut inputs, name, |index, number| number * scale(index));
                }
                let what = format!("{sizes:?}, {what} x {factor}");
                assert!(run(&plan, &inputs)["tokens"].data().iter().all(|number| number.is_finite()), "{what}");
                assert_agree(&what, &plan, &inputs, Tolerance::LAYER);
            }
        }
    }
}

#[test]
fn large_projections_do_not_overflow() {
    let plan = plan(&performer([1, 2, 2, 20, 8], 30, FeatureProjection::Given));
    for factor in [10.0, 100.0, 1e10] {
        let mut inputs = random_inputs(&plan, 2);
        change(&mut inputs, "projection", |_, number| number * factor);
        assert!(run(&plan, &inputs)["tokens"].data().iter().all(|number| number.is_finite()), "{factor}");
        assert_agree(&format!("projection x {factor}"), &plan, &inputs, Tolerance::LAYER);
    }
}

#[test]
fn more_features_come_closer_to_exact_attention() {
    let sizes = [1, 2, 2, 25, 16];
    let mean_error = |features| {
        let mut errors = Vec::new();
        for seed in 0..6 {
            let operation = performer(sizes, features, FeatureProjection::Drawn { seed });
            let Operation::Trajectories(shape, _) = operation else { unreachable!("it is") };
            let plan = plan(&operation);
            let mut inputs = random_inputs(&plan, 3);
            ["q", "k"].iter().for_each(|name| change(&mut inputs, name, |_, number| number * 0.7));
            let exact = Head::all(&shape, &inputs).iter().flat_map(Head::exact).collect::<Vec<f32>>();
            let found = run(&plan, &inputs);
            errors.extend(found["tokens"].data().iter().zip(exact).map(|(found, exact)| f64::from((found - exact).abs())));
        }
        errors.iter().sum::<f64>() / errors.len() as f64
    };
    let errors = [4, 32, 256, 2048].map(mean_error);
    println!("mean errors with 4, 32, 256, 2048 features: {errors:.4?}");
    assert!(errors.windows(2).all(|pair| pair[1] < 0.7 * pair[0]) && errors[3] < 0.04, "{errors:?}");
}

#[test]
fn drawn_projections_are_orthogonal_and_of_the_seed() {
    let (features, size) = (40, 16);
    let bits = |seed| constant(&plan(&performer([1, 1, 1, 3, size], features, FeatureProjection::Drawn { seed })), "projection");
    assert_eq!(bits(1), bits(1));
    assert_ne!(bits(1), bits(2));
    let rows: Vec<f32> = bits(1).into_iter().map(f32::from_bits).collect();
    let rows = matrix(&rows, size);
    for block in rows.chunks(size) {
        for (number, a) in block.iter().enumerate() {
            for b in &block[..number] {
                let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                assert!(product.abs() < 1e-4, "rows of a block are orthogonal: {product}");
            }
        }
    }
}

/// Operations with a draw in them, and the constant that it makes.
fn with_draws() -> Vec<(Operation, &'static str)> {
    let shape = Shape::new(2, 1, 3, 12, 10).expect("small");
    let prototypes = |selection| {
        let prototypes = Prototypes { count: 7, candidates: Candidates::QueriesAndKeys, selection, per_frame: true };
        Operation::Trajectories(shape, Approximation::Orthoformer(prototypes))
    };
    let part = Greedy { fraction: 0.5, seed: 3, ..Greedy::default() };
    vec![
        (performer([2, 1, 3, 12, 10], 25, FeatureProjection::Drawn { seed: 4 }), "projection"),
        (prototypes(Selection::Random { seed: 5 }), "drawn prototypes"),
        (prototypes(Selection::KMeans { iterations: 2, seed: 6, spherical: false }), "first centres"),
        (prototypes(Selection::Greedy(part.clone())), "candidate indices"),
        (prototypes(Selection::Greedy(part)), "first picks"),
        (prototypes(Selection::Greedy(Greedy { seed: 7, ..Greedy::default() })), "first picks"),
    ]
}

fn outputs(engine: &Engine, operation: &Operation, inputs: &Tensors) -> Tensors {
    engine.run(&plan(operation), inputs, RunOptions { poison: true, ..RunOptions::default() }).expect("runs").outputs
}

#[test]
fn a_seed_gives_the_same_bits_on_every_run() {
    for (operation, name) in with_draws() {
        assert_eq!(constant(&plan(&operation), name), constant(&plan(&operation), name));
        let inputs = random_inputs(&plan(&operation), 4);
        let (first, second) = (outputs(engine(), &operation, &inputs), outputs(engine(), &operation, &inputs));
        let bits = |found: &Tensors| found.values().flat_map(|t| t.data().iter().map(|x| x.to_bits())).collect::<Vec<_>>();
        assert!(first.keys().eq(second.keys()) && bits(&first) == bits(&second), "{name}");
    }
    let stable = drawn(&plan(&with_draws()[1].0), "drawn prototypes");
    assert!(stable.chunks(7).all(|group| group.windows(2).all(|pair| pair[0] < pair[1]) && group[6] < 24));
}

#[test]
fn a_seed_gives_the_same_draws_on_every_adapter() {
    let all = adapters(&AdapterChoice::default()).expect("backends");
    let others = all.iter().enumerate().filter(|(_, adapter)| adapter.unusable.is_none());
    let others = others.filter(|(_, adapter)| adapter.to_string() != engine().adapter().to_string());
    let Some((number, other)) = others.into_iter().next() else {
        println!("skipped: {} is the only adapter", engine().adapter());
        return;
    };
    println!("compared: {} and {other}", engine().adapter());
    let choice = AdapterChoice { adapter: Some(number.to_string()), ..AdapterChoice::default() };
    let there = Engine::new(&EngineOptions { choice, ..EngineOptions::default() }).expect("a usable adapter");
    let rows = numbers(5, 3 * 90 * 6, 1.7);
    let sizes = [3, 90, 6, 20];
    let inputs = support::rows_input(sizes, rows);
    // Copies of drawn rows, and picks from drawn candidates where no two scores are close: to the bit.
    let part = Greedy { fraction: 0.5, seed: 9, ..Greedy::default() };
    for selection in [Selection::Random { seed: 8 }, Selection::Greedy(part)] {
        let operation = support::choice(sizes, selection);
        assert_eq!(outputs(engine(), &operation, &inputs), outputs(&there, &operation, &inputs));
    }
    // Of what is computed from a projection the last bits may differ.
    let (operation, _) = with_draws().swap_remove(0);
    let inputs = random_inputs(&plan(&operation), 6);
    let expected = reference::run(&plan(&operation), &inputs, Route::Direct).expect("runs");
    for engine in [engine(), &there] {
        let found = outputs(engine, &operation, &inputs);
        let outcome = orthoformer::compare::compare(&found["tokens"], &expected["tokens"], Tolerance::OPERATION);
        assert!(outcome.passed(), "{}: {outcome:?}", engine.adapter());
    }
}
