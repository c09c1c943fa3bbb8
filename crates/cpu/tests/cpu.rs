//! The CPU engine where it goes other ways than the GPU, without an adapter.

use orthoformer::compare::{Tolerance, compare};
use orthoformer::gpu::{Granularity, RunOptions};
use orthoformer::ops::{Approximation, Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue, layer};
use orthoformer::reference::{self, Route};
use orthoformer::{Error, Plan, PlanLimits, Shape, Tensors};
use orthoformer_cpu::{CpuEngine, CpuOptions, CpuWeights};
use support::{change, cpu_engines, random_inputs, run_on_cpu};

/// A layer of `[batch, heads, frames, patches, head size]`.
fn layer_plan(
    [batch, heads, frames, patches, size]: [usize; 5],
    value: TemporalValue,
    outputs: LayerOutputs,
    scratch_bytes: u64,
) -> Plan {
    let biased = frames % 2 == 0;
    let spec = LayerSpec {
        shape: Shape::new(batch, heads, frames, patches, size).expect("a small shape"),
        attention: LayerAttention::Trajectory(value),
        approximation: Approximation::Exact,
        class_token: patches % 2 == 0,
        biases: Biases { qkv: biased, proj_q: biased, proj_kv: biased, proj: biased },
        outputs,
    };
    let limits = PlanLimits { scratch_bytes, ..cpu_engines()[0].plan_limits() };
    layer::plan(&spec, limits).expect("a small layer")
}

fn assert_right(what: &str, plan: &Plan, inputs: &Tensors, tolerance: Tolerance) {
    let expected = reference::run(plan, inputs, Route::Direct).expect("runs");
    for (name, found) in run_on_cpu(plan, inputs) {
        let outcome = compare(&found, &expected[&name], tolerance);
        assert!(outcome.passed(), "{what}, {name}: {outcome:?}");
    }
}

/// Rows round the edges of blocks and tiles, heads of one vector and of more, frames round eight.
const LAYERS: [[usize; 5]; 8] = [
    [1, 1, 1, 1, 1],
    [2, 3, 2, 5, 4],
    [1, 2, 7, 23, 16],
    [1, 2, 8, 24, 17],
    [2, 1, 9, 25, 12],
    [1, 4, 3, 49, 20],
    [3, 2, 16, 6, 64],
    [1, 12, 2, 31, 33],
];

#[test]
fn the_temporal_stage_runs_as_one_step_and_is_right() {
    for sizes in LAYERS {
        for value in [TemporalValue::Projected, TemporalValue::Identity] {
            for scratch_bytes in [32 << 20, 20_000] {
                let plan = layer_plan(sizes, value, LayerOutputs::default(), scratch_bytes);
                let inputs = random_inputs(&plan, 3);
                let what = format!("{sizes:?} {value:?} {scratch_bytes}");
                assert_right(&what, &plan, &inputs, Tolerance::LAYER);
                // Dispatch by dispatch it is the same, up to rounding.
                let options = RunOptions { poison: true, read_scratch: true, ..RunOptions::default() };
                let apart = cpu_engines()[1].run(&plan, &inputs, options).expect("runs").outputs;
                let outcome = compare(&apart["y"], &run_on_cpu(&plan, &inputs)["y"], Tolerance::LAYER);
                assert!(outcome.passed(), "{what}, apart: {outcome:?}");
            }
        }
    }
    let plan = layer_plan(LAYERS[2], TemporalValue::Projected, LayerOutputs::default(), 32 << 20);
    let prepared = cpu_engines()[0].prepare(&plan, RunOptions::default()).expect("a little memory");
    let within = (0..prepared.dispatches()).filter(|&number| prepared.is_part_of_another(number)).count();
    assert_eq!(within, 4, "of five dispatches");
}

#[test]
fn outputs_between_the_dispatches_of_a_stage_are_written() {
    let outputs = LayerOutputs { tokens: true, temporal_weights: true, ..LayerOutputs::default() };
    for sizes in LAYERS {
        let plan = layer_plan(sizes, TemporalValue::Projected, outputs.clone(), 32 << 20);
        assert_right(&format!("{sizes:?}"), &plan, &random_inputs(&plan, 4), Tolerance::LAYER);
    }
}

#[test]
fn temporal_logits_beyond_float32_are_computed_in_float64() {
    let plan = layer_plan([1, 2, 4, 9, 8], TemporalValue::Identity, LayerOutputs::default(), 32 << 20);
    let mut inputs = random_inputs(&plan, 5);
    // Second queries some thousand times as long: the softmax over frames is a choice.
    change(&mut inputs, "proj_q.weight", |_, weight| (weight * 64.0).round() * 64.0);
    change(&mut inputs, "proj_kv.weight", |_, weight| (weight * 64.0).round() / 4.0);
    assert_right("large logits", &plan, &inputs, Tolerance { absolute: 1e-3, relative: 1e-3 });
}

#[test]
fn packed_weights_follow_their_inputs() {
    let plan = layer_plan([1, 2, 2, 5, 8], TemporalValue::Projected, LayerOutputs::default(), 32 << 20);
    let (first, second) = (random_inputs(&plan, 6), random_inputs(&plan, 7));
    let mut prepared = cpu_engines()[1].prepare(&plan, RunOptions::default()).expect("a little memory");
    prepared.upload(&first).expect("its own inputs");
    let once = prepared.run().expect("runs");
    prepared.upload(&second).expect("its own inputs");
    assert_ne!(prepared.run().expect("runs")["y"], once["y"]);
    prepared.upload(&first).expect("its own inputs");
    assert_eq!(prepared.run().expect("runs")["y"], once["y"]);
    // Shared weights are packed for the first plan, and say the same.
    let mut weights = CpuWeights::default();
    for spec in plan.buffers().iter().filter(|spec| first.contains_key(&spec.name) && spec.name != "x") {
        weights.insert(spec, first[&spec.name].clone()).expect("its own shape");
    }
    let before = weights.bytes();
    for _ in 0..2 {
        let mut sharing =
            cpu_engines()[1].prepare_sharing(plan.clone(), &weights, RunOptions::default()).expect("a little memory");
        sharing.feed("x", &first["x"]).expect("its own input");
        assert_eq!(sharing.run().expect("runs")["y"], once["y"]);
        assert!(matches!(sharing.feed("qkv.weight", &first["qkv.weight"]), Err(Error::MissingTensor { .. })));
    }
    assert!(weights.bytes() < 3 * before, "packed once");
}

#[test]
fn what_is_asked_for_in_vain_is_an_error() {
    let threads = |threads| CpuEngine::new(&CpuOptions { threads: Some(threads) });
    assert!(matches!(threads(0), Err(Error::ZeroSize { what: "threads" })));
    assert!(matches!(threads(usize::MAX), Err(Error::TooLarge { what: "threads", .. })));
    let plan = layer_plan([1, 1, 1, 1, 1], TemporalValue::Identity, LayerOutputs::default(), 32 << 20);
    let mut prepared = cpu_engines()[0].prepare(&plan, RunOptions::default()).expect("a little memory");
    assert!(matches!(prepared.time(Granularity::Dispatch(99)), Err(Error::OutOfRange { index: 99, .. })));
    assert!(matches!(prepared.upload(&Tensors::new()), Err(Error::MissingTensor { .. })));
}
