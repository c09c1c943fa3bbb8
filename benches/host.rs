//! What the host does before a device has anything to do, and one small layer on the device.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use orthoformer::gpu::{Engine, EngineOptions, RunOptions};
use orthoformer::kernel::Kernel;
use orthoformer::ops::Approximation;
use orthoformer::ops::layer::{self, Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue};
use orthoformer::plan::{Element, Plan, Role};
use orthoformer::{PlanLimits, Shape, Tensor, Tensors, wgsl};

fn spec(frames: usize, patches: usize, heads: usize, size: usize) -> LayerSpec {
    LayerSpec {
        shape: Shape::new(1, heads, frames, patches, size).expect("a published shape"),
        attention: LayerAttention::Trajectory(TemporalValue::Projected),
        approximation: Approximation::Exact,
        class_token: true,
        biases: Biases { qkv: true, proj_q: true, proj_kv: true, proj: true },
        outputs: LayerOutputs::default(),
    }
}

fn zeros(plan: &Plan) -> Tensors {
    let inputs = plan.buffers().iter().filter(|spec| spec.role == Role::Input);
    let zero = |shape: &[u64]| {
        let shape: Vec<usize> = shape.iter().map(|&size| size as usize).collect();
        Tensor::new(shape.clone(), vec![0.0; shape.iter().product()]).expect("the buffer's own shape")
    };
    inputs.map(|spec| (spec.name.clone(), zero(&spec.shape))).collect()
}

fn benches(criterion: &mut Criterion) {
    let published = spec(8, 196, 12, 64);
    criterion.bench_function("plan a layer, 8x196x768x12", |bencher| {
        bencher.iter(|| layer::plan(black_box(&published), PlanLimits::default()).expect("plans"));
    });
    criterion.bench_function("assemble the attention shader", |bencher| {
        bencher.iter(|| {
            wgsl::assemble(black_box(&Kernel::Attend.row().parts()), &[16, 16, 16], &[Element::F32; 4]).expect("assembles")
        });
    });
    let engine = Engine::new(&EngineOptions::default()).expect("an adapter (lavapipe will do)");
    let plan = layer::plan(&spec(8, 49, 3, 32), PlanLimits::default()).expect("plans");
    let inputs = zeros(&plan);
    criterion.bench_function("run a layer, 8x49x96x3", |bencher| {
        bencher.iter(|| engine.run(&plan, &inputs, RunOptions::default()).expect("runs"));
    });
}

criterion_group!(host, benches);
criterion_main!(host);
