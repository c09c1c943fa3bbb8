//! What the tests share: one engine, seeded numbers, and the comparison of the two executors.
#![allow(dead_code, reason = "each test program uses a part of this")]

use std::sync::OnceLock;

use orthoformer::compare::{Comparison, Tolerance, compare};
use orthoformer::gpu::{Engine, EngineOptions, RunOptions};
use orthoformer::plan::Role;
use orthoformer::reference::{self, Route};
use orthoformer::{Plan, Tensor, Tensors};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The engine of this test program. Without an adapter the tests fail: they check nothing then.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(&EngineOptions::default()).expect("the tests need an adapter (lavapipe will do)"))
}

/// Numbers from -1 to 1 times `scale`, the same for the same seed.
pub fn numbers(seed: u64, count: usize, scale: f32) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-1.0f32..1.0) * scale).collect()
}

/// Random tensors for every input of a plan; matrices are scaled to keep the size of what goes through them.
pub fn random_inputs(plan: &Plan, seed: u64) -> Tensors {
    let inputs = plan.buffers().iter().filter(|spec| spec.role == Role::Input);
    inputs
        .enumerate()
        .map(|(index, spec)| {
            let shape: Vec<usize> = spec.shape.iter().map(|&size| size as usize).collect();
            let scale = match spec.name.ends_with(".weight") {
                true => (3.0 / shape[1] as f32).sqrt(),
                false => 1.7,
            };
            let data = numbers(seed * 1000 + index as u64, shape.iter().product(), scale);
            (spec.name.clone(), Tensor::new(shape, data).expect("the buffer's own shape"))
        })
        .collect()
}

/// Runs a plan on the GPU, poisoned, and in the reference, and compares every output.
pub fn compare_executors(plan: &Plan, inputs: &Tensors, tolerance: Tolerance) -> Vec<(String, Comparison)> {
    let expected = reference::run(plan, inputs, Route::Direct).expect("the reference runs");
    let found = engine().run(plan, inputs, RunOptions { poison: true, ..RunOptions::default() }).expect("the plan runs");
    assert_eq!(found.outputs.len(), expected.len());
    expected.iter().map(|(name, expected)| (name.clone(), compare(&found.outputs[name], expected, tolerance))).collect()
}

/// As [`compare_executors`], and everything has to agree.
pub fn assert_agree(what: &str, plan: &Plan, inputs: &Tensors, tolerance: Tolerance) {
    for (name, outcome) in compare_executors(plan, inputs, tolerance) {
        assert!(outcome.passed(), "{what}, output {name}: {outcome:?}");
    }
}
