//! Whole layers against the reference, which goes the published way through the temporal stage.

use std::sync::Arc;

use orthoformer::compare::{Tolerance, compare};
use orthoformer::gpu::RunOptions;
use orthoformer::ops::Approximation;
use orthoformer::ops::layer::{self, Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue};
use orthoformer::plan::{Plan, PlanLimits};
use orthoformer::reference::{self, Route};
use orthoformer::{Error, Shape, Tensor, Tensors};
use support::{assert_agree, assert_agree_as_half, engine, random_inputs};

const ALL_BIASES: Biases = Biases { qkv: true, proj_q: true, proj_kv: true, proj: true };
const NO_BIASES: Biases = Biases { qkv: false, proj_q: false, proj_kv: false, proj: false };
const ATTENTIONS: [LayerAttention; 5] = [
    LayerAttention::Trajectory(TemporalValue::Projected),
    LayerAttention::Trajectory(TemporalValue::Identity),
    LayerAttention::Joint,
    LayerAttention::DividedSpace,
    LayerAttention::DividedTime,
];

fn spec([batch, heads, frames, patches, size]: [usize; 5], attention: LayerAttention) -> LayerSpec {
    let shape = Shape::new(batch, heads, frames, patches, size).expect("a small shape");
    let (approximation, outputs) = (Approximation::Exact, LayerOutputs::default());
    LayerSpec { shape, attention, approximation, class_token: true, biases: ALL_BIASES, outputs }
}

/// Everything a trajectory layer can hand out.
fn all_outputs(queries: Vec<u32>) -> LayerOutputs {
    LayerOutputs { tokens: true, temporal_weights: true, indices: false, queries }
}

fn plan(spec: &LayerSpec, limits: PlanLimits) -> Plan {
    layer::plan(spec, limits).expect("a small layer")
}

#[test]
fn layers_round_the_edges() {
    let shapes = [
        [1, 1, 1, 1, 4],
        [2, 3, 4, 9, 16],
        [1, 2, 1, 65, 12],
        [1, 2, 7, 1, 8],
        [3, 1, 2, 17, 30],
        [1, 2, 3, 8, 80],
        [1, 9, 31, 1, 4],
    ];
    for sizes in shapes {
        for attention in ATTENTIONS {
            for (class_token, biases) in [(true, ALL_BIASES), (false, NO_BIASES)] {
                let spec = LayerSpec { class_token, biases, ..spec(sizes, attention) };
                let plan = plan(&spec, PlanLimits::default());
                let inputs = random_inputs(&plan, 1);
                assert_agree(&format!("{spec:?}"), &plan, &inputs, Tolerance::LAYER);
                assert_agree_as_half(&format!("{spec:?}"), plan, &inputs);
            }
        }
    }
}

#[test]
fn extra_outputs_agree() {
    for attention in &ATTENTIONS[..2] {
        let sizes = [2, 2, 3, 10, 8];
        let spec = LayerSpec { outputs: all_outputs(vec![0, 29, 13, 13]), ..spec(sizes, *attention) };
        let plan = plan(&spec, PlanLimits::default());
        assert_agree("extra outputs", &plan, &random_inputs(&plan, 2), Tolerance::LAYER);
        let run = engine().run(&plan, &random_inputs(&plan, 2), RunOptions::default()).expect("runs");
        let shapes: Vec<_> = run.outputs.iter().map(|(name, tensor)| (name.as_str(), tensor.shape().to_vec())).collect();
        let expected = [
            ("attention", vec![2, 2, 4, 3, 10]),
            ("temporal_weights", vec![2, 2, 30, 3]),
            ("tokens", vec![2, 30, 3, 16]),
            ("y", vec![2, 31, 16]),
        ];
        assert_eq!(shapes, expected);
        for name in ["attention", "temporal_weights"] {
            let last = *run.outputs[name].shape().last().expect("has axes");
            let sums = run.outputs[name].data().chunks(last).map(|row| row.iter().sum::<f32>());
            assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-5), "{name}: every row sums to one");
        }
    }
}

#[test]
fn slices_and_chunks_change_nothing() {
    for attention in &ATTENTIONS[..2] {
        for outputs in [LayerOutputs::default(), all_outputs(vec![3])] {
            let spec = LayerSpec { outputs, ..spec([3, 2, 5, 14, 12], *attention) };
            let whole = plan(&spec, PlanLimits::default());
            let inputs = random_inputs(&whole, 3);
            let expected = reference::run(&whole, &inputs, Route::Direct).expect("runs");
            // Two batch items, one, a few frames, one frame, a few patches, a single one at a time.
            for scratch_bytes in [80_000, 40_000, 20_000, 8_000, 3_000, 1] {
                let sliced = plan(&spec, PlanLimits { scratch_bytes, ..PlanLimits::default() });
                assert!(sliced.dispatches().count() > whole.dispatches().count(), "{scratch_bytes} bytes slice the work");
                assert_agree(&format!("scratch of {scratch_bytes}"), &sliced, &inputs, Tolerance::LAYER);
                let run = reference::run(&sliced, &inputs, Route::Kernels).expect("runs");
                for (name, expected) in &expected {
                    assert!(compare(&run[name], expected, Tolerance::LAYER).passed(), "{name} with scratch of {scratch_bytes}");
                }
            }
        }
    }
}

#[test]
fn bindings_need_not_hold_a_whole_batch() {
    let spec = LayerSpec { outputs: all_outputs(vec![1, 2]), ..spec([4, 2, 3, 7, 10], ATTENTIONS[0]) };
    let whole = plan(&spec, PlanLimits::default());
    let limits = PlanLimits { binding_bytes: 16_384, scratch_bytes: 8_192, ..PlanLimits::default() };
    assert!(whole.largest_buffer_bytes() > limits.binding_bytes);
    let sliced = plan(&spec, limits);
    assert_agree("small bindings", &sliced, &random_inputs(&sliced, 4), Tolerance::LAYER);
    let error = layer::plan(&spec, PlanLimits { binding_bytes: 2_000, ..limits }).expect_err("weights do not fit");
    assert!(matches!(error, Error::BindingTooLarge { bytes: 4800, limit: 2000, .. }), "{error}");
}

/// Bytes of one buffer of `elements`.
fn has_buffer_of(plan: &Plan, elements: u64) -> bool {
    plan.buffers().iter().any(|buffer| buffer.elements() >= elements)
}

#[test]
fn outputs_are_sliced_with_the_batch() {
    // All attention rows of two items exceed a binding, those of one do not.
    let spec = LayerSpec { outputs: all_outputs((0..21).collect()), ..spec([5, 2, 3, 7, 10], ATTENTIONS[1]) };
    let sliced = plan(&spec, PlanLimits { binding_bytes: 9_000, ..PlanLimits::default() });
    assert_agree("outputs in slices", &sliced, &random_inputs(&sliced, 7), Tolerance::LAYER);
    let generous = PlanLimits { scratch_bytes: u64::MAX, binding_bytes: 40_000, ..PlanLimits::default() };
    let plan = layer::plan(&spec, generous).expect("scratch bounds memory, bindings bound slices");
    assert_agree("scratch without bound", &plan, &random_inputs(&plan, 7), Tolerance::LAYER);
}

/// Multiplies one input.
fn scale(inputs: &mut Tensors, name: &str, factor: f32) {
    let scaled = inputs[name].data().iter().map(|number| number * factor).collect();
    inputs.insert(name.to_owned(), Tensor::new(inputs[name].shape().to_vec(), scaled).expect("the same shape"));
}

#[test]
fn layers_bear_large_logits_and_nan() {
    let spec = LayerSpec { outputs: all_outputs(vec![2]), ..spec([2, 2, 3, 9, 32], ATTENTIONS[0]) };
    let plan = plan(&spec, PlanLimits::default());
    let mut inputs = random_inputs(&plan, 8);
    scale(&mut inputs, "proj_q.weight", 50.0);
    assert_agree("temporal logits x 50", &plan, &inputs, Tolerance::LAYER);
    // One NaN in a patch of the second item: everything that attends to it, and nothing of the first item.
    let mut numbers = inputs["x"].data().to_vec();
    let item = numbers.len() / 2;
    numbers[item + 5 * 64] = f32::NAN;
    inputs.insert("x".to_owned(), Tensor::new(inputs["x"].shape().to_vec(), numbers).expect("the same shape"));
    assert_agree("NaN in x", &plan, &inputs, Tolerance::LAYER);
    let run = engine().run(&plan, &inputs, RunOptions::default()).expect("runs");
    let (first, second) = run.outputs["y"].data().split_at(item);
    assert!(first.iter().all(|number| number.is_finite()) && second.iter().any(|number| number.is_nan()));
}

#[test]
fn the_published_layer_takes_less_than_300_megabytes_of_the_device() {
    let spec = LayerSpec { outputs: all_outputs(vec![700]), ..spec([1, 12, 8, 196, 64], ATTENTIONS[0]) };
    let plan = plan(&spec, PlanLimits::default());
    let run = engine().run(&plan, &random_inputs(&plan, 9), RunOptions::default()).expect("runs");
    assert!(run.device_bytes < 300_000_000, "{} bytes", run.device_bytes);
    assert!(run.outputs["y"].data().iter().all(|number| number.is_finite()));
}

#[test]
fn plans_of_the_published_layer_do_not_grow_with_scores() {
    for value in [TemporalValue::Projected, TemporalValue::Identity] {
        let mut spec = spec([1, 12, 8, 196, 64], LayerAttention::Trajectory(value));
        let bytes = plan(&spec, PlanLimits::default()).buffer_bytes();
        assert!(bytes < 150_000_000, "{bytes} bytes");
        assert!(!has_buffer_of(&plan(&spec, PlanLimits::default()), 12 * 1568 * 1568), "no scores in memory");
        spec.outputs = all_outputs(vec![700]);
        let with_tokens = plan(&spec, PlanLimits::default()).buffer_bytes();
        assert!(with_tokens < 250_000_000, "{with_tokens} bytes");
    }
    // Twice the frames: inputs and tokens grow, scratch of the temporal stage does not.
    let long = spec([1, 12, 16, 196, 64], LayerAttention::Trajectory(TemporalValue::Projected));
    assert!(plan(&long, PlanLimits::default()).buffer_bytes() < 200_000_000);
}

#[test]
fn layers_that_make_no_sense_are_refused() {
    let query = LayerSpec { outputs: all_outputs(vec![30]), ..spec([1, 1, 3, 10, 4], ATTENTIONS[0]) };
    let error = layer::plan(&query, PlanLimits::default()).expect_err("token 30 of 30");
    assert_eq!(error.to_string(), "query 30 is out of range; it must be below 30");
    let joint = LayerSpec { outputs: all_outputs(vec![]), ..spec([1, 1, 3, 10, 4], LayerAttention::Joint) };
    assert!(matches!(layer::plan(&joint, PlanLimits::default()), Err(Error::Argument { .. })));
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let plan = plan(&spec([1, 1, 2, 3, 4], ATTENTIONS[0]), PlanLimits::default());
    let inputs = random_inputs(&plan, 5);
    let run = |inputs: &Tensors| engine().run(&plan, inputs, RunOptions::default()).map(|_| ());
    let mut missing = inputs.clone();
    missing.remove("proj_q.bias");
    assert!(matches!(run(&missing), Err(Error::MissingTensor { name, .. }) if name == "proj_q.bias"));
    let mut other = inputs.clone();
    other.insert("x".to_owned(), inputs["proj.weight"].clone());
    let error = run(&other).expect_err("a matrix for a sequence");
    assert_eq!(error.to_string(), "tensor \"x\" has shape [4, 4]; expected [1, 7, 4]");
}

#[test]
fn engines_are_shared_between_threads() {
    let plan = Arc::new(plan(&spec([1, 2, 2, 9, 8], ATTENTIONS[0]), PlanLimits::default()));
    let inputs = Arc::new(random_inputs(&plan, 6));
    let expected = reference::run(&plan, &inputs, Route::Direct).expect("runs");
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (plan, inputs) = (plan.clone(), inputs.clone());
            std::thread::spawn(move || engine().run(&plan, &inputs, RunOptions::default()).expect("runs").outputs)
        })
        .collect();
    for thread in threads {
        let found = thread.join().expect("no panic");
        assert!(compare(&found["y"], &expected["y"], Tolerance::LAYER).passed());
    }
}
