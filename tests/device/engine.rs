//! What the engine decides by itself changes no result: shared memory, sliced dispatches, variants, bounds checks.

use std::time::Duration;

use orthoformer::gpu::{Engine, EngineOptions, RunOptions};
use orthoformer::ops::Approximation;
use orthoformer::ops::layer::{self, Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue};
use orthoformer::variant::Variant;
use orthoformer::{Plan, PlanLimits, Shape, Tensors};
use support::{engine, random_inputs};

/// A layer in several batch slices and chunks.
fn plan(limits: PlanLimits) -> Plan {
    let spec = LayerSpec {
        shape: Shape::new(3, 3, 4, 9, 16).expect("a small shape"),
        attention: LayerAttention::Trajectory(TemporalValue::Projected),
        approximation: Approximation::Exact,
        class_token: true,
        biases: Biases { qkv: true, proj_q: true, proj_kv: true, proj: true },
        outputs: LayerOutputs::default(),
    };
    layer::plan(&spec, limits).expect("a small layer")
}

fn chunked() -> Plan {
    plan(PlanLimits { scratch_bytes: 40_000, ..PlanLimits::default() })
}

fn run(engine: &Engine, plan: &Plan, options: RunOptions) -> Tensors {
    engine.run(plan, &random_inputs(plan, 1), options).expect("runs").outputs
}

#[test]
fn scratch_that_shares_memory_computes_the_same() {
    let plan = chunked();
    assert!(plan.dispatches().count() > 20 && plan.peak_bytes() < plan.buffer_bytes());
    let apart = RunOptions { poison: true, ..RunOptions::default() };
    assert_eq!(run(engine(), &plan, RunOptions::default()), run(engine(), &plan, apart));
}

#[test]
fn peak_bytes_are_what_is_allocated() {
    for plan in [plan(PlanLimits::default()), chunked()] {
        let inputs = random_inputs(&plan, 1);
        let params = 256 * (plan.dispatches().count() as u64 + 1);
        let y: u64 = plan.buffers().iter().filter(|spec| spec.is_output()).map(|spec| spec.bytes()).sum();
        let shared = engine().run(&plan, &inputs, RunOptions::default()).expect("runs").device_bytes;
        assert_eq!(shared, plan.peak_bytes() + params + y);
        let apart = RunOptions { poison: true, ..RunOptions::default() };
        let apart = engine().run(&plan, &inputs, apart).expect("runs").device_bytes;
        assert_eq!(apart, plan.buffer_bytes() + params + y);
    }
}

#[test]
fn slices_of_dispatches_compute_the_same() {
    // So short that every dispatch is cut into single workgroups.
    let options = EngineOptions { longest_dispatch: Duration::from_nanos(1), ..EngineOptions::default() };
    let sliced = Engine::new(&options).expect("the adapter of the other tests");
    sliced.set_multiply_add_rate(1e6);
    let plan = chunked();
    for variant in Variant::ALL {
        let options = RunOptions { poison: true, variant: Some(variant), ..RunOptions::default() };
        assert_eq!(run(&sliced, &plan, options), run(engine(), &plan, options), "{variant}");
    }
}

#[test]
fn bounds_checks_change_nothing() {
    let options = EngineOptions { trust_plans: false, ..EngineOptions::default() };
    let checked = Engine::new(&options).expect("the adapter of the other tests");
    let plan = chunked();
    for variant in Variant::ALL {
        let options = RunOptions { poison: true, variant: Some(variant), ..RunOptions::default() };
        assert_eq!(run(&checked, &plan, options), run(engine(), &plan, options), "{variant}");
    }
}

#[test]
fn variants_are_there_and_say_why_not() {
    let plan = plan(PlanLimits::default());
    let capabilities = engine().capabilities();
    if capabilities.subgroup.is_some_and(|size| size >= 8) {
        assert_eq!(engine().unsupported(&plan, Variant::Broadcast), None);
    } else {
        let reason = engine().unsupported(&plan, Variant::Broadcast).expect("needs subgroups");
        println!("no broadcast variant here: {reason}");
        assert!(reason.contains("subgroups"), "{reason}");
    }
    assert_eq!(engine().unsupported(&plan, Variant::Baseline), None);
    let odd = LayerSpec {
        shape: Shape::new(1, 1, 2, 3, 5).expect("a small shape"),
        attention: LayerAttention::Joint,
        approximation: Approximation::Exact,
        class_token: false,
        biases: Biases { qkv: false, proj_q: false, proj_kv: false, proj: false },
        outputs: LayerOutputs::default(),
    };
    let odd = layer::plan(&odd, PlanLimits::default()).expect("a small layer");
    let reason = engine().unsupported(&odd, Variant::Blocks).expect("five is no multiple of four");
    assert!(reason.contains("multiples of four"), "{reason}");
}
