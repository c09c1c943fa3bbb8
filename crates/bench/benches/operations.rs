//! The operations on the device, whole, at a small shape: what `orthoformer bench` measures at all of them, for regressions.

use criterion::{Criterion, criterion_group, criterion_main};
use orthoformer::gpu::{Engine, EngineOptions, Granularity, RunOptions};
use orthoformer::plan::Element;
use orthoformer_bench::{BenchOperation, BenchShape, Case, case_inputs};

fn benches(criterion: &mut Criterion) {
    let engine = Engine::new(&EngineOptions::default()).expect("an adapter (lavapipe will do)");
    let mut group = criterion.benchmark_group("operations");
    group.sample_size(10);
    let shape = BenchShape::SMALL;
    for operation in BenchOperation::ALL {
        for approximation in operation.approximations(shape) {
            let case = Case { operation, shape, batch: 1, approximation, element: Element::F32 };
            let plan = case.plan().expect("plans");
            let mut prepared = engine.prepare(&plan, RunOptions::default()).expect("fits the adapter");
            prepared.upload(&case_inputs(&plan, 0).expect("inputs")).expect("uploads");
            let name = format!("{}, {shape}, {}", operation.name(), case.approximation_name());
            group.bench_function(&name, |bencher| {
                bencher.iter(|| prepared.time(Granularity::Whole, 0).expect("runs"));
            });
        }
    }
}

criterion_group!(operations, benches);
criterion_main!(operations);
