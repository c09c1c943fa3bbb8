//! What a host pays for recording a plan into its encoder, dispatch by dispatch. The target is 20 us a dispatch.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use orthoformer::gpu::{Bindings, EngineOptions};
use orthoformer::ops::Approximation;
use orthoformer::ops::layer::{self, Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue};
use orthoformer::plan::Role;
use orthoformer::{Engine, Plan, PlanLimits, Shape};

fn plan() -> Plan {
    let spec = LayerSpec {
        shape: Shape::new(4, 3, 8, 49, 32).expect("a small shape"),
        attention: LayerAttention::Trajectory(TemporalValue::Projected),
        approximation: Approximation::Exact,
        class_token: true,
        biases: Biases { qkv: true, proj_q: true, proj_kv: true, proj: true },
        outputs: LayerOutputs::default(),
    };
    // In many chunks, so that there are many dispatches.
    layer::plan(&spec, PlanLimits { scratch_bytes: 1 << 20, ..PlanLimits::default() }).expect("a small layer")
}

fn benches(criterion: &mut Criterion) {
    let opened = Engine::new(&EngineOptions::default()).expect("an adapter (lavapipe will do)");
    let (device, queue) = (opened.device(), opened.queue());
    let engine = Engine::from_device(device, queue).expect("the same limits");
    let plan = plan();
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
    let given = plan.buffers().iter().filter(|spec| spec.role == Role::Input || spec.is_output());
    let buffers: Vec<(&str, wgpu::Buffer)> = given
        .map(|spec| {
            let descriptor = wgpu::BufferDescriptor { label: None, size: spec.bytes(), usage, mapped_at_creation: false };
            (spec.name.as_str(), device.create_buffer(&descriptor))
        })
        .collect();
    let bindings = buffers.iter().fold(Bindings::new(), |all, (name, buffer)| all.bind(name, buffer.slice(..)));
    engine.compile(&plan).expect("compiles");
    let dispatches = plan.dispatches().count() as u64;
    let mut group = criterion.benchmark_group("record a layer, a dispatch");
    group.throughput(Throughput::Elements(dispatches));
    group.bench_function("recording alone", |bencher| {
        bencher.iter_with_large_drop(|| {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            engine.record(&plan, &bindings, &mut encoder).expect("records");
            encoder
        });
    });
    group.bench_function("with finishing the encoder, where wgpu checks", |bencher| {
        bencher.iter_with_large_drop(|| {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            engine.record(&plan, &bindings, &mut encoder).expect("records");
            encoder.finish()
        });
    });
    group.finish();
}

criterion_group!(record, benches);
criterion_main!(record);
