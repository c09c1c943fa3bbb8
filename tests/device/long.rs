//! Attention over more keys than an invocation's loops take, and of wide heads: cut into dispatches whose results are merged.

use orthoformer::compare::{Tolerance, compare};
use orthoformer::ops::approximation::{Nystrom, Performer};
use orthoformer::ops::layer::{self, Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue};
use orthoformer::ops::{Approximation, attention, trajectories};
use orthoformer::plan::{Plan, PlanLimits};
use orthoformer::reference::{self, Route};
use orthoformer::{Error, Shape};
use support::{assert_agree, change, random_inputs, run};

/// Limits of a driver on which few keys are many.
const FEW: PlanLimits = PlanLimits {
    binding_bytes: 128 << 20,
    workgroups_per_dimension: 65_535,
    scratch_bytes: 32 << 20,
    loop_iterations: Some(300),
};
/// Limits of a driver that does not count.
const ANY: PlanLimits = PlanLimits { loop_iterations: None, ..FEW };

/// Checks a plan in chunks against the reference of the whole one.
fn agrees_with_whole(what: &str, plan: impl Fn(PlanLimits) -> orthoformer::Result<Plan>) {
    let whole = plan(ANY).expect("no softmax is too long");
    let chunked = plan(FEW).expect("in chunks");
    let labels = |plan: &Plan| plan.dispatches().filter(|dispatch| dispatch.label == "chunks put together").count();
    assert_eq!(labels(&whole), 0, "{what}");
    assert!(labels(&chunked) > 0, "{what}: nothing was merged");
    let inputs = random_inputs(&chunked, 71);
    let expected = reference::run(&whole, &inputs, Route::Direct).expect("runs");
    for (name, found) in run(&chunked, &inputs) {
        let outcome = compare(&found, &expected[&name], Tolerance::LAYER);
        assert!(outcome.passed(), "{name} of {what}: {outcome:?}");
    }
}

#[test]
fn layers_in_chunks_of_keys() {
    let biases = Biases { qkv: true, proj_q: true, proj_kv: true, proj: true };
    let attentions = [
        LayerAttention::Trajectory(TemporalValue::Projected),
        LayerAttention::Joint,
        LayerAttention::DividedSpace,
        LayerAttention::DividedTime,
    ];
    for attention in attentions {
        for class_token in [true, false] {
            // Along the axis that is attended to there are 450 keys.
            let along_time = attention == LayerAttention::DividedTime;
            let [frames, patches] = if along_time { [450, 3] } else { [3, 450] };
            let shape = Shape::new(2, 2, frames, patches, 12).expect("small");
            let (approximation, outputs) = (Approximation::Exact, LayerOutputs::default());
            let spec = LayerSpec { shape, attention, approximation, class_token, biases, outputs };
            agrees_with_whole(&format!("{spec:?}"), |limits| layer::plan(&spec, limits));
        }
    }
}

#[test]
fn sequences_in_chunks_of_keys() {
    for [batch, heads, tokens, size] in [[2, 3, 300, 16], [1, 1, 1100, 5], [1, 2, 200, 160]] {
        let shape = Shape::new(batch, heads, 1, tokens, size).expect("small");
        agrees_with_whole(&format!("{shape:?}"), |limits| attention::plan(&shape, &Approximation::Exact, limits));
    }
}

#[test]
fn joint_attention_over_twenty_thousand_tokens() {
    let (tokens, size) = (20_000, 64);
    let shape = Shape::new(1, 1, 1, tokens, size).expect("fits");
    // As on a driver that counts iterations, whatever this one does.
    let plan = attention::plan(&shape, &Approximation::Exact, PlanLimits::default()).expect("no softmax is too long");
    assert!(plan.dispatches().count() > 1, "one dispatch would end early");
    let mut inputs = random_inputs(&plan, 72);
    change(&mut inputs, "q", |_, element| element * 3.0);
    let found = run(&plan, &inputs)["out"].data().to_vec();
    let rows = |name: &str, row: usize| &inputs[name].data()[row * size..][..size];
    for row in [0, 1, 6_543, 13_824, tokens - 1] {
        let query = rows("q", row);
        let dot = |key: &[f32]| query.iter().zip(key).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let scores: Vec<f64> = (0..tokens).map(|key| dot(rows("k", key)) / (size as f64).sqrt()).collect();
        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scores.iter().map(|score| (score - max).exp()).sum();
        for column in 0..size {
            let weighted = |(key, score): (usize, &f64)| (score - max).exp() / sum * f64::from(rows("v", key)[column]);
            let expected: f64 = scores.iter().enumerate().map(weighted).sum();
            let error = (f64::from(found[row * size + column]) - expected).abs();
            assert!(error <= 1e-5, "row {row}, column {column}: off by {error}");
        }
    }
}

#[test]
fn wide_heads() {
    for size in [129, 130, 160, 256] {
        let one_frame = Shape::new(1, 2, 1, 70, size).expect("up to 256");
        let clip = Shape::new(2, 1, 3, 17, size).expect("up to 256");
        let nystrom = Approximation::Nystrom(Nystrom { landmarks: 6, iterations: 4 });
        let projection = orthoformer::ops::approximation::FeatureProjection::Drawn { seed: 3 };
        let performer = Approximation::Performer(Performer { features: 20, projection });
        for approximation in [Approximation::Exact, nystrom, performer] {
            let plan = attention::plan(&one_frame, &approximation, PlanLimits::default()).expect("plans");
            assert_agree(&format!("{size}, {approximation}"), &plan, &random_inputs(&plan, 73), Tolerance::LAYER);
            let plan = trajectories::plan_with(&clip, &approximation, PlanLimits::default()).expect("plans");
            assert_agree(&format!("{size}, {approximation}, clip"), &plan, &random_inputs(&plan, 74), Tolerance::LAYER);
        }
    }
    assert!(matches!(Shape::new(1, 1, 1, 1, 257), Err(Error::TooLarge { most: 256, .. })));
}
