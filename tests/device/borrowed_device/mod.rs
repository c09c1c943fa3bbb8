//! The crate on a borrowed device, with the host's command encoders and buffers.

mod faults;
mod host;
mod stream;
mod within;

use orthoformer::compare::{Tolerance, compare};
use orthoformer::gpu::{Bindings, Engine, RunOptions, SharedInputs};
use orthoformer::ops::Approximation;
use orthoformer::ops::layer::{self, Biases, LayerAttention, LayerOutputs, LayerSpec, TemporalValue};
use orthoformer::plan::Element;
use orthoformer::reference::{self, Route};
use orthoformer::{Error, Plan, PlanLimits, Shape, Tensors};
use support::{random_inputs, tokens_plan};

use host::Host;

/// A layer in several chunks, with scratch buffers, constants or none, and many dispatches.
fn layer_plan() -> Plan {
    let spec = LayerSpec {
        shape: Shape::new(2, 2, 3, 9, 16).expect("a small shape"),
        attention: LayerAttention::Trajectory(TemporalValue::Projected),
        approximation: Approximation::Exact,
        class_token: true,
        biases: Biases { qkv: true, proj_q: true, proj_kv: true, proj: true },
        outputs: LayerOutputs::default(),
    };
    layer::plan(&spec, PlanLimits { scratch_bytes: 40_000, ..PlanLimits::default() }).expect("a small layer")
}

fn small_plan() -> Plan {
    tokens_plan([1, 2, 3, 4, 8], PlanLimits::default())
}

fn assert_close(plan: &Plan, inputs: &Tensors, found: &Tensors, tolerance: Tolerance) {
    let expected = reference::run(plan, inputs, Route::Direct).expect("the reference runs");
    assert_eq!(found.len(), expected.len());
    for (name, expected) in &expected {
        let outcome = compare(&found[name], expected, tolerance);
        assert!(outcome.passed(), "{name}: {outcome:?}");
    }
}

#[test]
fn a_plan_recorded_into_the_host_s_encoder_computes_the_same() {
    let host = Host::new();
    for plan in [small_plan(), layer_plan()] {
        let engine = Engine::from_device(&host.device, &host.queue).expect("a device with what kernels need");
        let inputs = random_inputs(&plan, 3);
        for offset in [0, 256, 1280] {
            let buffers = host.buffers(&plan, &inputs, offset);
            let mut encoder = host.encoder();
            engine.record(&plan, &buffers.bindings(), &mut encoder).expect("records");
            let found = host.finish(&engine, &plan, &buffers, encoder);
            assert_close(&plan, &inputs, &found, Tolerance::LAYER);
        }
    }
    host.assert_silent();
}

#[test]
fn an_open_pass_and_scratch_memory_of_the_host_do_as_well() {
    let host = Host::new();
    let (plan, engine) = (layer_plan(), Engine::from_device(&host.device, &host.queue).expect("a device"));
    let inputs = random_inputs(&plan, 4);
    let buffers = host.buffers(&plan, &inputs, 256);
    let layout = plan.shared_scratch();
    assert!(layout.allocations().len() > 2, "a plan with scratch memory");
    let scratch: Vec<wgpu::Buffer> = layout.allocations().iter().map(|&bytes| host.poisoned(bytes + 256)).collect();
    let bindings = buffers.bindings().scratch(scratch.iter().map(|buffer| buffer.slice(256..)));
    engine.compile(&plan).expect("compiles");
    let before = engine.buffers_made();
    let mut encoder = host.encoder();
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    engine.record_pass(&plan, &bindings, &mut pass).expect("records");
    drop(pass);
    assert_eq!(engine.buffers_made(), before, "the host brought everything");
    let found = host.finish(&engine, &plan, &buffers, encoder);
    assert_close(&plan, &inputs, &found, Tolerance::LAYER);
    host.assert_silent();
}

#[test]
fn recording_again_allocates_nothing() {
    let host = Host::new();
    let (plan, engine) = (layer_plan(), Engine::from_device(&host.device, &host.queue).expect("a device"));
    let inputs = random_inputs(&plan, 5);
    let sets = [host.buffers(&plan, &inputs, 0), host.buffers(&plan, &inputs, 512)];
    let record = |set: usize| {
        let mut encoder = host.encoder();
        engine.record(&plan, &sets[set].bindings(), &mut encoder).expect("records");
        host.queue.submit([encoder.finish()]);
        host.device.poll(wgpu::PollType::wait_indefinitely()).expect("polls");
    };
    (0..2).for_each(record);
    let counts = || (engine.buffers_made(), engine.bind_groups_made(), engine.allocated_bytes());
    let made = counts();
    assert!(made.1 > 2 * plan.dispatches().count() as u64 - 1, "bind groups for both sets");
    (0..20).for_each(|number| record(number % 2));
    // A clone is the same plan.
    let mut encoder = host.encoder();
    engine.record(&plan.clone(), &sets[0].bindings(), &mut encoder).expect("records");
    assert_eq!(counts(), made);
    // What is forgotten is made anew.
    engine.forget(&plan);
    record(0);
    assert!(engine.buffers_made() > made.0 && engine.bind_groups_made() > made.1);
    host.assert_silent();
}

#[test]
fn what_was_made_for_a_plan_goes_with_it() {
    let host = Host::new();
    let engine = Engine::from_device(&host.device, &host.queue).expect("a device");
    let bytes_after = |round: u64| {
        // Another plan each time: the last one's memory has to be free for it.
        let plan = layer_plan();
        let inputs = random_inputs(&plan, round);
        let buffers = host.buffers(&plan, &inputs, 0);
        let mut encoder = host.encoder();
        engine.record(&plan, &buffers.bindings(), &mut encoder).expect("records");
        let found = host.finish(&engine, &plan, &buffers, encoder);
        assert_close(&plan, &inputs, &found, Tolerance::LAYER);
        engine.allocated_bytes()
    };
    let rounds: Vec<Option<u64>> = (0..8).map(bytes_after).collect();
    // A recording kept by mistake would be there each round; allocations differ by their alignment.
    if let (Some(early), Some(late)) = (rounds[2], rounds[7]) {
        assert!(late < early + layer_plan().peak_bytes() / 4, "{rounds:?}");
    } else {
        println!("skipped: wgpu does not say what it has allocated on this backend");
    }
    host.assert_silent();
}

#[test]
fn weights_that_an_engine_uploaded_can_be_bound() {
    let host = Host::new();
    let (plan, engine) = (layer_plan(), Engine::from_device(&host.device, &host.queue).expect("a device"));
    let inputs = random_inputs(&plan, 6);
    let mut shared = SharedInputs::default();
    for spec in plan.buffers().iter().filter(|spec| spec.name.ends_with(".weight") || spec.name.ends_with(".bias")) {
        shared.upload(&engine, spec, &inputs[&spec.name]).expect("uploads");
    }
    let buffers = host.buffers(&plan, &inputs, 0);
    let of_host = |name: &str| !(name.ends_with(".weight") || name.ends_with(".bias"));
    let bindings = buffers.bindings_where(of_host).shared(&shared);
    let mut encoder = host.encoder();
    engine.record(&plan, &bindings, &mut encoder).expect("records");
    assert_close(&plan, &inputs, &host.finish(&engine, &plan, &buffers, encoder), Tolerance::LAYER);
    host.assert_silent();
}

#[test]
fn bindings_that_do_not_do_are_refused_and_nothing_is_recorded() {
    let host = Host::new();
    let (plan, engine) = (small_plan(), Engine::from_device(&host.device, &host.queue).expect("a device"));
    let inputs = random_inputs(&plan, 7);
    let buffers = host.buffers(&plan, &inputs, 0);
    let wrong_use = host.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 1 << 16,
        usage: wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let large = host.poisoned(1 << 16);
    let layer = layer_plan();
    let layer_buffers = host.buffers(&layer, &random_inputs(&layer, 7), 0);
    // Scratch memory of the largest allocation's size everywhere: size is no reason to refuse it.
    let bytes = layer.shared_scratch().allocations().to_vec();
    let largest = bytes.iter().copied().max().expect("a plan with scratch memory");
    let allocations: Vec<wgpu::Buffer> = bytes.iter().map(|_| host.poisoned(largest)).collect();
    let output = plan.buffers().iter().find(|spec| spec.is_output()).expect("one").name.clone();
    let cases: Vec<(&str, Bindings<'_>)> = vec![
        ("bound to nothing", buffers.bindings_where(|name| name != "q")),
        ("at least", buffers.bindings().bind("q", large.slice(..16))),
        ("a multiple of", buffers.bindings().bind("q", large.slice(64..))),
        ("STORAGE among them", buffers.bindings().bind("q", wrong_use.slice(..))),
        ("one of the plan's inputs and outputs", buffers.bindings().bind("nobody", large.slice(..))),
        ("inputs and outputs: q, k, v, tokens", buffers.bindings_where(|name| name != "q").bind("qq", large.slice(..))),
        ("the same buffer as", buffers.bindings().bind("q", large.slice(..16_384)).bind(&output, large.slice(16_384..))),
        ("allocations", buffers.bindings().scratch([large.slice(..)])),
        ("as it is written", buffers.bindings().bind("q", large.slice(..)).bind(&output, large.slice(256..))),
    ];
    let mut encoder = host.encoder();
    for (expected, bindings) in &cases {
        let refused = engine.record(&plan, bindings, &mut encoder).expect_err(expected);
        assert!(matches!(refused, Error::HostBinding { .. }) && refused.to_string().contains(expected), "{expected}: {refused}");
    }
    let twice = allocations[..1].iter().chain(&allocations[..allocations.len() - 1]).map(|buffer| buffer.slice(..));
    let twice = layer_buffers.bindings().scratch(twice);
    let refused = engine.record(&layer, &twice, &mut encoder).expect_err("one allocation twice");
    assert!(refused.to_string().contains("a buffer of its own"), "{refused}");
    engine
        .record(&layer, &layer_buffers.bindings().scratch(allocations.iter().map(|buffer| buffer.slice(..))), &mut encoder)
        .expect("records");
    // The encoder is as good as new.
    engine.record(&plan, &buffers.bindings(), &mut encoder).expect("records");
    assert_close(&plan, &inputs, &host.finish(&engine, &plan, &buffers, encoder), Tolerance::OPERATION);
    host.assert_silent();
}

#[test]
fn a_device_without_floats_of_16_bits_refuses_such_a_plan() {
    let host = Host::new();
    let engine = Engine::from_device(&host.device, &host.queue).expect("a device");
    let plan = small_plan().stored_as(Element::F16);
    assert!(matches!(engine.compile(&plan), Err(Error::NoHalf { .. })));
    host.assert_silent();
}

#[test]
fn results_are_read_by_futures_on_any_executor() {
    let host = Host::new();
    let (plan, engine) = (small_plan(), Engine::from_device(&host.device, &host.queue).expect("a device"));
    let inputs = random_inputs(&plan, 8);
    let buffers = host.buffers(&plan, &inputs, 0);
    let output = plan.buffers().iter().find(|spec| spec.is_output()).expect("one").name.clone();
    let read_back = engine.read_back(&plan, &output).expect("allocates");
    for _ in 0..2 {
        let mut encoder = host.encoder();
        engine.record(&plan, &buffers.bindings(), &mut encoder).expect("records");
        read_back.record(&engine, buffers.slice(&output), &mut encoder).expect("records");
        host.queue.submit([encoder.finish()]);
        let found = host.block_on(read_back.tensor(&engine)).expect("reads");
        assert_close(&plan, &inputs, &Tensors::from([(output.clone(), found)]), Tolerance::OPERATION);
    }
    // The engine's own device needs nobody who polls it.
    let own = support::engine();
    let found = pollster::block_on(own.run_async(&plan, &inputs, RunOptions::default())).expect("runs").outputs;
    assert_close(&plan, &inputs, &found, Tolerance::OPERATION);
    host.assert_silent();
}

/// Polls a future once: it may well not be ready.
fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn engines_and_threads_share_a_device() {
    fn assert_shareable<T: Send + Sync>() {}
    assert_shareable::<Engine>();
    fn assert_sendable<T: Send>(_: &T) {}
    let host = Host::new();
    let engines = [0, 1].map(|_| Engine::from_device(&host.device, &host.queue).expect("a device"));
    let plans = [small_plan(), layer_plan()];
    assert_sendable(&engines[0].run_async(&plans[0], &Tensors::new(), RunOptions::default()));
    std::thread::scope(|scope| {
        for worker in 0..4u64 {
            let (host, engines, plans) = (&host, &engines, &plans);
            scope.spawn(move || {
                for round in 0..6 {
                    let number = (worker + round) as usize;
                    let (engine, plan) = (&engines[number % 2], &plans[number / 2 % 2]);
                    let inputs = random_inputs(plan, 100 + worker * 10 + round);
                    let found = if round % 3 == 2 {
                        engine.run(plan, &inputs, RunOptions::default()).expect("runs").outputs
                    } else {
                        let buffers = host.buffers(plan, &inputs, 256 * worker);
                        let mut encoder = host.encoder();
                        engine.record(plan, &buffers.bindings(), &mut encoder).expect("records");
                        host.finish(engine, plan, &buffers, encoder)
                    };
                    assert_close(plan, &inputs, &found, Tolerance::LAYER);
                }
            });
        }
    });
    host.assert_silent();
}
