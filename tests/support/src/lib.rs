//! What the tests share: one engine, seeded numbers, and the comparison of the two executors.

mod coloured;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use orthoformer::compare::{Comparison, Tolerance, compare, half_disagreement};
use orthoformer::gpu::{Engine, EngineOptions, RunOptions};
use orthoformer::ops::approximation::{Candidates, Prototypes, Selection};
use orthoformer::ops::{Operation, PrototypesSpec, trajectories};
use orthoformer::plan::{Element, Role};
use orthoformer::reference::{self, Route};
use orthoformer::variant::{self, Variant, VariantChoice, VariantRow};
use orthoformer::{Plan, PlanLimits, Shape, Tensor, Tensors, wgpu};
use orthoformer_cpu::{CpuEngine, CpuOptions};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use coloured::{COLOURS, coloured_clip};

/// The engine of this test program. Without an adapter the tests fail: they check nothing then.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let options = EngineOptions { matrix_units: true, ..EngineOptions::default() };
    ENGINE.get_or_init(|| Engine::new(&options).expect("the tests need an adapter (lavapipe will do)"))
}

/// The adapter that the environment names, or the first, for hosts with a device of their own.
pub fn adapter() -> wgpu::Adapter {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let wanted = std::env::var("WGPU_ADAPTER_NAME").unwrap_or_default().to_lowercase();
    let backends = wgpu::Backends::from_env().unwrap_or(wgpu::Backends::all());
    let mut all = pollster::block_on(instance.enumerate_adapters(backends));
    all.retain(|adapter| adapter.get_info().name.to_lowercase().contains(&wanted));
    all.sort_by_key(|adapter| adapter.get_info().backend == wgpu::Backend::Gl);
    all.into_iter().next().expect("the tests need an adapter (lavapipe will do)")
}

/// A file that tests read: one of those that ship inside the program (`cases`, `models`, `networks`), or one in the folder `tests`.
pub fn shipped(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder of all tests");
    let inside = tests.with_file_name("crates").join("cli/shipped").join(name);
    if inside.exists() { inside } else { tests.join(name) }
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
            let scale = match spec.name.ends_with(".weight") && shape.len() > 1 {
                true => (3.0 / shape[1..].iter().product::<usize>() as f32).sqrt(),
                false => 1.7,
            };
            let data = numbers(seed * 1000 + index as u64, shape.iter().product(), scale);
            (spec.name.clone(), Tensor::new(shape, data).expect("the buffer's own shape"))
        })
        .collect()
}

/// Replaces the numbers of one input by `change` of each.
pub fn change(inputs: &mut Tensors, name: &str, change: impl Fn(usize, f32) -> f32) {
    let tensor = inputs[name].clone();
    let data = tensor.data().iter().enumerate().map(|(index, &number)| change(index, number)).collect();
    inputs.insert(name.to_owned(), Tensor::new(tensor.shape().to_vec(), data).expect("the same shape"));
}

/// The plan of a small operation.
pub fn plan(operation: &Operation) -> Plan {
    operation.plan(PlanLimits::default()).expect("a small operation")
}

/// A choice of prototypes, `[groups, rows, size, count]`.
pub fn choice([groups, rows, size, count]: [usize; 4], selection: Selection) -> Operation {
    let prototypes = Prototypes { count: count as u32, candidates: Candidates::Queries, selection, per_frame: false };
    Operation::Prototypes(PrototypesSpec { groups, rows, size, prototypes })
}

/// The input of a choice of prototypes.
pub fn rows_input([groups, rows, size, _]: [usize; 4], data: Vec<f32>) -> Tensors {
    Tensors::from([("x".to_owned(), Tensor::new(vec![groups, rows, size], data).expect("all rows"))])
}

/// The whole numbers in a tensor.
pub fn whole_numbers(indices: &Tensor) -> Vec<u32> {
    indices.data().iter().map(|&index| index as u32).collect()
}

/// The numbers that a plan brings under this name, as bits.
pub fn constant(plan: &Plan, name: &str) -> Vec<u32> {
    let spec = plan.buffers().iter().find(|spec| spec.name == name).expect("the plan has it");
    let Role::Constant(words) = &spec.role else { panic!("{name} is no constant") };
    words.clone()
}

/// The candidates that a plan brings under this name.
pub fn drawn(plan: &Plan, name: &str) -> Vec<u32> {
    constant(plan, name).into_iter().map(|word| f32::from_bits(word) as u32).collect()
}

/// Runs a plan on the GPU, poisoned, as the engine would: its outputs.
pub fn run(plan: &Plan, inputs: &Tensors) -> Tensors {
    run_as(plan, inputs, None)
}

/// The same as a certain variant, where there is such a one.
pub fn run_as(plan: &Plan, inputs: &Tensors, variant: Option<Variant>) -> Tensors {
    let options = RunOptions { poison: true, variant, ..RunOptions::default() };
    engine().run(plan, inputs, options).expect("the plan runs").outputs
}

/// The variants that some dispatch of a plan can run as here.
pub fn variants(plan: &Plan) -> Vec<Variant> {
    Variant::ALL.into_iter().filter(|&variant| engine().unsupported(plan, variant).is_none()).collect()
}

/// CPU engines of one thread, and of more than one.
pub fn cpu_engines() -> &'static [CpuEngine; 2] {
    static ENGINES: OnceLock<[CpuEngine; 2]> = OnceLock::new();
    let engine = |threads| CpuEngine::new(&CpuOptions { threads: Some(threads) }).expect("a few threads");
    ENGINES.get_or_init(|| [1, 3].map(engine))
}

/// Runs a plan on the CPU, poisoned: its outputs, which are the same to the last bit on any number of threads.
pub fn run_on_cpu(plan: &Plan, inputs: &Tensors) -> Tensors {
    let options = RunOptions { poison: true, ..RunOptions::default() };
    let run = |engine: &CpuEngine| engine.run(plan, inputs, options).expect("the plan runs").outputs;
    let [one, more] = cpu_engines().each_ref().map(run);
    for (name, tensor) in &one {
        let bits = |tensor: &Tensor| tensor.data().iter().map(|element| element.to_bits()).collect::<Vec<_>>();
        assert!(bits(tensor) == bits(&more[name]), "{name} depends on the number of threads");
    }
    one
}

/// Runs a plan on the GPU, poisoned, as every variant there is, on the CPU, and in the reference, and compares every output.
pub fn compare_executors(plan: &Plan, inputs: &Tensors, tolerance: Tolerance) -> Vec<(String, Comparison)> {
    let expected = reference::run(plan, inputs, Route::Direct).expect("the reference runs");
    let on_gpu = variants(plan).into_iter().map(|variant| (variant.to_string(), run_as(plan, inputs, Some(variant))));
    let compared = on_gpu.chain([("cpu".to_owned(), run_on_cpu(plan, inputs))]).flat_map(|(by, found)| {
        assert_eq!(found.len(), expected.len());
        let each =
            expected.iter().map(move |(name, expected)| (format!("{name} ({by})"), compare(&found[name], expected, tolerance)));
        each.collect::<Vec<_>>()
    });
    compared.collect()
}

/// As [`compare_executors`], and everything has to agree.
pub fn assert_agree(what: &str, plan: &Plan, inputs: &Tensors, tolerance: Tolerance) {
    for (name, outcome) in compare_executors(plan, inputs, tolerance) {
        assert!(outcome.passed(), "{what}, output {name}: {outcome:?}");
    }
}

/// The same plan stored as float16: every output of every variant has to be close to the reference's, which rounds what is stored too.
/// Nothing is checked on an adapter without 16-bit floats.
pub fn assert_agree_as_half(what: &str, plan: Plan, inputs: &Tensors) {
    if !engine().capabilities().f16 {
        println!("skipped: {what} as float16, as the adapter has no 16-bit floats");
        return;
    }
    let plan = plan.stored_as(Element::F16);
    let expected = reference::run(&plan, inputs, Route::Direct).expect("the reference runs");
    for variant in variants(&plan) {
        let found = run_as(&plan, inputs, Some(variant));
        assert_eq!(found.len(), expected.len());
        // Where no number is rounded on the way, executors part no further than in float32; matrix units have weights in float16 too.
        let rounded = plan.buffers().iter().any(|spec| spec.role == Role::Scratch && spec.element == Element::F16);
        for (name, expected) in &expected {
            let why = match rounded || variant == Variant::Cooperative {
                true => half_disagreement(&found[name], expected, 1.0),
                false => {
                    let outcome = compare(&found[name], expected, Tolerance::OPERATION);
                    (!outcome.passed()).then(|| format!("{outcome:?}"))
                }
            };
            assert_eq!(why, None, "{what} as float16, output {name} ({variant})");
        }
    }
}

/// Exact trajectory tokens of `[batch, heads, frames, patches, head size]`.
pub fn tokens_plan([batch, heads, frames, patches, size]: [usize; 5], limits: PlanLimits) -> Plan {
    let shape = Shape::new(batch, heads, frames, patches, size).expect("a small shape");
    trajectories::plan(&shape, limits).expect("a small shape")
}

/// Runs a plan of one dispatch in tiles of every size that it can have here; every output has to agree with the reference's.
pub fn assert_tiles_agree(what: &str, plan: &Plan, inputs: &Tensors) {
    let dispatch = plan.dispatches().next().expect("one");
    let sizes = VariantRow::of(dispatch.kernel, Variant::Tiles).map_or(0, |row| row.tiles.len());
    let expected = reference::run(plan, inputs, Route::Direct).expect("the reference runs");
    let mut ran = 0;
    for tile in 0..sizes {
        let choice = VariantChoice { variant: Variant::Tiles, tile: Some(tile) };
        if !engine().would_run_as(dispatch, choice) {
            continue;
        }
        ran += 1;
        let options = RunOptions { poison: true, variant: Some(Variant::Tiles), tile: Some(tile), ..RunOptions::default() };
        let found = engine().run(plan, inputs, options).expect("the plan runs").outputs;
        for (name, expected) in &expected {
            let outcome = compare(&found[name], expected, Tolerance::OPERATION);
            assert!(outcome.passed(), "{what}, output {name}, tile size {tile}: {outcome:?}");
        }
    }
    assert!(ran > 1, "{what}: {ran} tile sizes of {sizes}");
}

/// How the only dispatch of a plan would run in tiles: the constants of its shader.
pub fn tiles_of(plan: &Plan) -> Vec<u32> {
    let dispatch = plan.dispatches().next().expect("one");
    let suited = variant::configure(dispatch, Variant::Tiles, engine().capabilities());
    suited.expect("all multiples of four").constants
}
