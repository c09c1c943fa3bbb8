//! Thousands of small layers of random shapes on one engine: what it holds on the device and in the process stays flat, and results stay the same,
//! bit for bit, and right.
//!
//! Pipelines are kept by their constants, so shapes come from a drawn set that repeats. The first round over the set is the warm-up; after each
//! later one the device holds exactly as much. `cargo xtask soak` runs the long one and prints the table.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use orthoformer::compare::{Tolerance, compare};
use orthoformer::gpu::{Bindings, Engine, ReadBack, RunOptions, required_limits};
use orthoformer::ops::approximation::{
    Approximation, Candidates, Criterion, FeatureProjection, Greedy, Nystrom, Performer, Prototypes, Selection,
};
use orthoformer::ops::{Biases, LayerAttention, LayerOutputs, LayerSpec, Operation, TemporalValue};
use orthoformer::picks::{replay_all, tolerance, with_picks};
use orthoformer::plan::Role;
use orthoformer::reference::{self, Route};
use orthoformer::{Plan, Shape, Tensors};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use support::{plan, random_inputs};

/// Every so many forwards one is compared with the reference.
const SAMPLE: usize = 50;
/// Every so many forwards one is recorded into an encoder, over buffers that are made and dropped for it.
const RECORDED: usize = 4;
/// What Rust code may hold more than after the warm-up, bytes: 3 a forward over 10,000 of them. Measured: 3 to 14 KiB, in one or two steps (a list
/// that grows, other layers recorded in the second round than in the first), and nothing between; a test runner keeps what is printed too.
const MOST_HELD: i64 = 32 << 10;
/// What the process may grow by after the warm-up, the driver's memory included, KiB: 200 bytes a forward over 10,000 of them.
const MOST_GROWTH: u64 = 2 << 10;

/// The system's allocator, with a count of the bytes that are allocated and not freed.
struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that are needed.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A device of the test's own, and the engine on it.
struct Host {
    device: wgpu::Device,
    queue: wgpu::Queue,
    engine: Engine,
}

impl Host {
    fn new() -> Self {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()));
        let adapter = adapter.expect("the tests need an adapter (lavapipe will do)");
        let descriptor = wgpu::DeviceDescriptor {
            required_features: adapter.features() & wgpu::Features::SUBGROUP,
            required_limits: required_limits().or_worse_values_from(&adapter.limits()),
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).expect("a device");
        let engine = Engine::from_device(&device, &queue).expect("all that kernels need");
        Self { device, queue, engine }
    }

    fn run(&self, plan: &Plan, inputs: &Tensors) -> Tensors {
        self.engine.run(plan, inputs, RunOptions::default()).expect("runs").outputs
    }

    /// The same in an encoder of the host's, over its own buffers.
    fn record(&self, plan: &Plan, inputs: &Tensors) -> Tensors {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let own = plan.buffers().iter().filter(|spec| spec.role == Role::Input || spec.is_output());
        let buffers: Vec<_> = own
            .map(|spec| {
                let descriptor = wgpu::BufferDescriptor { label: None, size: spec.bytes(), usage, mapped_at_creation: false };
                let buffer = self.device.create_buffer(&descriptor);
                if spec.role == Role::Input {
                    self.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(inputs[&spec.name].data()));
                }
                (spec, buffer)
            })
            .collect();
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let nothing = Bindings::new();
        let bindings = buffers.iter().fold(nothing, |bound, (spec, buffer)| bound.bind(&spec.name, buffer.slice(..)));
        self.engine.record(plan, &bindings, &mut encoder).expect("records");
        let outputs: Vec<(&str, ReadBack)> = buffers
            .iter()
            .filter(|(spec, _)| spec.is_output())
            .map(|(spec, buffer)| {
                let read = self.engine.read_back(plan, &spec.name).expect("an output");
                read.record(&self.engine, buffer.slice(..), &mut encoder).expect("room for it");
                (spec.name.as_str(), read)
            })
            .collect();
        self.queue.submit([encoder.finish()]);
        outputs.iter().map(|(name, read)| ((*name).to_owned(), read.wait(&self.engine).expect("done"))).collect()
    }

    /// Bytes on the device once it is idle.
    fn allocated(&self) -> Option<u64> {
        self.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device is there");
        self.engine.allocated_bytes()
    }
}

fn approximation(random: &mut ChaCha8Rng, tokens: u32, patches: u32) -> Approximation {
    let seed = random.random_range(0..1000);
    let per_frame = random.random_bool(0.3);
    let count = random.random_range(1..=if per_frame { patches } else { tokens }.min(6));
    let candidates = if random.random_bool(0.5) { Candidates::Queries } else { Candidates::QueriesAndKeys };
    let criterion = if random.random_bool(0.5) { Criterion::Sum } else { Criterion::Max };
    let prototypes = |selection| Approximation::Orthoformer(Prototypes { count, candidates, selection, per_frame });
    match random.random_range(0..8) {
        0 => prototypes(Selection::Greedy(Greedy { criterion, seed, ..Greedy::default() })),
        1 => prototypes(Selection::SegmentMeans),
        2 => prototypes(Selection::Random { seed }),
        3 => Approximation::Nystrom(Nystrom { landmarks: count.min(4), iterations: 6 }),
        4 => Approximation::Performer(Performer { features: 2 + 5 * count, projection: FeatureProjection::Drawn { seed } }),
        _ => Approximation::Exact,
    }
}

/// A layer of a random shape, kind and approximation.
fn layer(random: &mut ChaCha8Rng) -> Operation {
    let [batch, heads, frames, patches, quads] = [2, 4, 6, 20, 8].map(|most| random.random_range(1..=most));
    let shape = Shape::new(batch, heads, frames, patches, 4 * quads).expect("a small shape");
    let attention = match random.random_range(0..6) {
        0 => LayerAttention::Joint,
        1 => LayerAttention::DividedSpace,
        2 => LayerAttention::DividedTime,
        3 => LayerAttention::Trajectory(TemporalValue::Identity),
        _ => LayerAttention::Trajectory(TemporalValue::Projected),
    };
    let is_trajectory = matches!(attention, LayerAttention::Trajectory(_));
    let drawn = approximation(random, shape.tokens(), shape.patches());
    Operation::Layer(LayerSpec {
        shape,
        attention,
        approximation: if is_trajectory { drawn } else { Approximation::Exact },
        class_token: random.random_bool(0.5),
        biases: Biases { qkv: random.random_bool(0.5), proj_q: is_trajectory, proj_kv: is_trajectory, proj: true },
        outputs: LayerOutputs { tokens: is_trajectory, indices: is_trajectory, ..LayerOutputs::default() },
    })
}

/// The largest share of the tolerance that an output is off by; panics if something is wrong.
fn compared(operation: &Operation, inputs: &Tensors, found: &Tensors) -> f64 {
    let picks = found.get("indices");
    if let Some(picks) = picks {
        let replays = replay_all(operation, inputs, picks).expect("as many as there should be").expect("a greedy selection");
        let gap = replays.iter().map(|replay| replay.gap).fold(0.0, f64::max);
        assert!(gap <= tolerance(operation), "{operation:?}: a pick is {gap} above the best");
    }
    // What follows from picks is compared along those of the device.
    let same = picks.map_or_else(|| operation.clone(), |picks| with_picks(operation, picks));
    let expected = reference::run(&plan(&same), inputs, Route::Direct).expect("runs");
    let share = |(name, expected)| {
        let outcome = compare(&found[name], expected, Tolerance::LAYER);
        assert!(outcome.passed(), "{operation:?}, output {name}: {outcome:?}");
        outcome.share_of_tolerance
    };
    expected.iter().map(share).fold(0.0, f64::max)
}

fn fingerprint(outputs: &Tensors) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, tensor) in outputs {
        name.hash(&mut hasher);
        tensor.data().iter().for_each(|number| number.to_bits().hash(&mut hasher));
    }
    hasher.finish()
}

/// KiB of memory that this process has for itself alone, files not counted; `None` where nobody says. What was freed is handed back first: a leak would fill it for long before it showed.
fn resident() -> Option<u64> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(kept: usize) -> i32;
        }
        // SAFETY: as glibc has it; it may be called at any time.
        unsafe { malloc_trim(0) };
    }
    let sums = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    sums.lines().find_map(|line| line.strip_prefix("Anonymous:"))?.split_whitespace().next()?.parse().ok()
}

/// What is held after a round.
struct Held {
    /// By the device, bytes.
    device: Option<u64>,
    /// By Rust code, bytes.
    rust: i64,
    /// By the process in all, KiB.
    process: Option<u64>,
}

/// Runs rounds over a drawn set of layers until there were so many forwards, whole rounds only.
fn soak(forwards: usize, layers: usize) {
    static ALONE: Mutex<()> = Mutex::new(());
    // Memory is counted for the whole process.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let host = Host::new();
    let mut random = ChaCha8Rng::seed_from_u64(31);
    let set: Vec<Operation> = (0..layers).map(|_| layer(&mut random)).collect();
    let rounds = forwards.div_ceil(layers).max(3);
    let (mut first_results, mut held, start) = (Vec::with_capacity(layers), Vec::with_capacity(rounds), Instant::now());
    let (mut worst, mut checked) = (0.0f64, 0);
    println!("round  forwards  device bytes  Rust's bytes  process KiB  compared  worst share of tolerance  seconds");
    for round in 0..rounds {
        for (number, operation) in set.iter().enumerate() {
            let plan = plan(operation);
            let inputs = random_inputs(&plan, number as u64);
            let is_recorded = (round + number) % RECORDED == 0;
            let found = if is_recorded { host.record(&plan, &inputs) } else { host.run(&plan, &inputs) };
            // Another layer of the set in each round.
            if number % SAMPLE == round % SAMPLE {
                worst = worst.max(compared(operation, &inputs, &found));
                checked += 1;
            }
            match round {
                0 => first_results.push(fingerprint(&found)),
                _ => assert_eq!(fingerprint(&found), first_results[number], "round {round}, {operation:?}"),
            }
        }
        // What was made for recording a plan that is gone goes when the next one is recorded: the same one ends every round.
        let last = plan(&set[0]);
        host.record(&last, &random_inputs(&last, 0));
        host.engine.forget(&last);
        held.push(Held { device: host.allocated(), rust: LIVE.load(Ordering::Relaxed), process: resident() });
        let Held { device, rust, process } = &held[round];
        let said = |number: &Option<u64>| number.map_or_else(|| "unknown".to_owned(), |number| number.to_string());
        let (done, device, process, seconds) = ((round + 1) * layers, said(device), said(process), start.elapsed().as_secs_f64());
        println!("{round:5}  {done:8}  {device:>12}  {rust:12}  {process:>11}  {checked:8}  {worst:24.3}  {seconds:7.1}");
    }
    assert!(checked > 0);
    flat(&held);
}

/// After the warm-up the device holds as much after every round, and Rust code and the process hardly more.
fn flat(held: &[Held]) {
    let [warm, rest @ ..] = held else { panic!("no rounds") };
    match warm.device {
        Some(bytes) => rest.iter().for_each(|held| assert_eq!(held.device, Some(bytes), "device memory grows or shrinks")),
        None => println!("skipped: device memory, as wgpu does not know it on this backend"),
    }
    let most = rest.iter().map(|held| held.rust - warm.rust).max().unwrap_or(0);
    println!("Rust code held {most} bytes more than after the warm-up at the most");
    assert!(most <= MOST_HELD, "Rust code held {most} bytes more than after the warm-up");
    match (warm.process, rest.last().and_then(|held| held.process)) {
        (Some(before), Some(after)) => {
            println!("the process grew by {} KiB after the warm-up", after as i64 - before as i64);
            assert!(after <= before + MOST_GROWTH, "the process grew from {before} to {after} KiB");
        }
        _ => println!("skipped: the process's memory, as this system has no /proc/self/smaps_rollup"),
    }
}

#[test]
fn three_hundred_forwards_leave_nothing_behind() {
    soak(300, 60);
}

/// `cargo xtask soak`
#[test]
#[ignore = "takes minutes"]
fn ten_thousand_forwards() {
    let forwards = std::env::var("ORTHOFORMER_SOAK_FORWARDS").map_or(10_000, |count| count.parse().expect("a whole number"));
    soak(forwards, 200);
}
