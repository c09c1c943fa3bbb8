//! A steady state allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use orthoformer::Shape;
use orthoformer::gpu::{Granularity, RunOptions};
use orthoformer::ops::{Approximation, Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue, layer};
use orthoformer_cpu::{CpuEngine, CpuOptions};

/// The system's allocator, which counts.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does all that matters.
#[allow(unsafe_code, reason = "an allocator cannot be written otherwise")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn runs_after_the_first_allocate_nothing() {
    const RUNS: usize = 20;
    for (attention, threads) in [
        (LayerAttention::Trajectory(TemporalValue::Projected), 1),
        (LayerAttention::Trajectory(TemporalValue::Identity), 3),
        (LayerAttention::Joint, 2),
        (LayerAttention::DividedTime, 2),
    ] {
        let engine = CpuEngine::new(&CpuOptions { threads: Some(threads) }).expect("a few threads");
        let spec = LayerSpec {
            shape: Shape::new(2, 3, 4, 29, 8).expect("a small shape"),
            attention,
            approximation: Approximation::Exact,
            class_token: true,
            biases: Biases { qkv: true, proj_q: true, proj_kv: true, proj: true },
            outputs: LayerOutputs::default(),
        };
        let plan = layer::plan(&spec, engine.plan_limits()).expect("a small layer");
        let inputs = support::random_inputs(&plan, 1);
        let mut prepared = engine.prepare(&plan, RunOptions::default()).expect("a little memory");
        prepared.upload(&inputs).expect("its own inputs");
        // Buffers of threads grow until each has had the largest task.
        for _ in 0..RUNS {
            prepared.time(Granularity::Whole).expect("runs");
        }
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..RUNS {
            prepared.time(Granularity::Whole).expect("runs");
        }
        let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
        // The queue by which work enters a pool takes a block of memory now and then.
        assert!(count <= 1, "{attention:?} on {threads} threads: {count} allocations in {RUNS} runs");
    }
}
