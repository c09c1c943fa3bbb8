//! Greedy selection of prototypes in both schedules, beside the exact attention that it stands in for, at the sizes of a Motionformer-B layer.

use criterion::{Criterion, criterion_group, criterion_main};
use orthoformer::gpu::{Engine, EngineOptions, RunOptions};
use orthoformer::ops::approximation::{Candidates, Greedy, Prototypes, Schedule, Selection};
use orthoformer::ops::prototypes::{self, PrototypesSpec};
use orthoformer::ops::trajectories;
use orthoformer::plan::{Plan, Role};
use orthoformer::{PlanLimits, Shape, Tensor, Tensors};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn inputs(plan: &Plan) -> Tensors {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut tensor = |shape: &[u64]| {
        let shape: Vec<usize> = shape.iter().map(|&size| size as usize).collect();
        let numbers = (0..shape.iter().product()).map(|_| random.random_range(-1.0..1.0)).collect();
        Tensor::new(shape, numbers).expect("the buffer's own shape")
    };
    let inputs = plan.buffers().iter().filter(|spec| spec.role == Role::Input);
    inputs.map(|spec| (spec.name.clone(), tensor(&spec.shape))).collect()
}

fn selection(groups: usize, rows: usize, count: u32, schedule: Schedule) -> Plan {
    let selection = Selection::Greedy(Greedy { schedule, ..Greedy::default() });
    let prototypes = Prototypes { count, candidates: Candidates::Queries, selection, per_frame: false };
    prototypes::plan(&PrototypesSpec { groups, rows, size: 64, prototypes }, PlanLimits::default()).expect("plans")
}

fn benches(criterion: &mut Criterion) {
    let engine = Engine::new(&EngineOptions::default()).expect("an adapter (lavapipe will do)");
    let mut group = criterion.benchmark_group("selection");
    group.sample_size(10);
    let mut bench = |name: &str, plan: &Plan| {
        let inputs = inputs(plan);
        group.bench_function(name, |bencher| {
            bencher.iter(|| engine.run(plan, &inputs, RunOptions::default()).expect("runs"));
        });
    };
    for (groups, rows) in [(12, 1568), (1, 1568), (1, 12_544)] {
        for (name, schedule) in [("looping", Schedule::Looping), ("stepping", Schedule::Stepping)] {
            bench(&format!("128 of {rows} candidates x 64, {groups} groups, {name}"), &selection(groups, rows, 128, schedule));
        }
    }
    let shape = Shape::new(1, 12, 8, 196, 64).expect("the published shape");
    bench("exact trajectory tokens, 12 x 8 x 196 x 64", &trajectories::plan(&shape, PlanLimits::default()).expect("plans"));
}

criterion_group!(selections, benches);
criterion_main!(selections);
