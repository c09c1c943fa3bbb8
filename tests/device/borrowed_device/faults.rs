//! What goes wrong on devices, on purpose: every call returns an error that says so, and the engine is usable afterwards or plainly dead.

use orthoformer::compare::Tolerance;
use orthoformer::gpu::{Bindings, EngineOptions, RunOptions, SharedInputs};
use orthoformer::kernel::Linear;
use orthoformer::plan::{PlanBuilder, Role};
use orthoformer::{Engine, Error, Plan, PlanLimits, required_limits};
use support::random_inputs;

use super::host::Host;
use super::{assert_close, layer_plan, poll_once, small_plan};

fn is_lost<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::DeviceLost { .. }))
}

#[test]
fn a_device_limited_to_the_minimum_runs_everything() {
    let host = Host::limited(wgpu::Limits::defaults());
    let engine = Engine::from_device(&host.device, &host.queue).expect("the minimum of WebGPU will do");
    for plan in [small_plan(), layer_plan()] {
        let inputs = random_inputs(&plan, 20);
        let found = engine.run(&plan, &inputs, RunOptions { poison: true, ..RunOptions::default() }).expect("runs").outputs;
        assert_close(&plan, &inputs, &found, Tolerance::LAYER);
    }
    // What needs more is refused with the numbers.
    let large = PlanLimits { binding_bytes: 1 << 30, ..PlanLimits::default() };
    let plan = sum_of([1 << 20, 64], large);
    let refused = engine.compile(&plan).expect_err("256 MiB in one binding");
    assert!(matches!(refused, Error::BindingTooLarge { bytes, limit, .. } if bytes > limit), "{refused}");
    host.assert_silent();
}

#[test]
fn a_device_below_the_minimum_is_refused_with_the_number() {
    let less = wgpu::Limits { max_storage_buffers_per_shader_stage: 4, ..required_limits() };
    let host = Host::limited(less);
    let refused = Engine::from_device(&host.device, &host.queue).expect_err("four bindings are too few");
    assert!(matches!(refused, Error::AdapterTooSmall { has: 4, .. }), "{refused}");
    host.assert_silent();
}

/// A product whose input, scratch and output have so many numbers, in two dispatches.
fn sum_of([rows, width]: [u64; 2], limits: PlanLimits) -> Plan {
    let mut builder = PlanBuilder::new(limits);
    let x = builder.array("x", &[rows, width], Role::Input).expect("fits");
    let w = builder.array("w", &[width, width], Role::Input).expect("fits");
    let between = builder.array("between", &[rows, width], Role::Scratch).expect("fits");
    let y = builder.array("y", &[rows, width], Role::Output).expect("fits");
    builder.launch("one", Linear::new(x, w, between)).expect("fits");
    builder.launch("two", Linear::new(between, w, y)).expect("fits");
    builder.build()
}

/// A process of its own, because memory is limited process by process.
#[test]
fn an_allocation_that_fails_leaves_the_engine_usable() {
    let program = std::env::current_exe().expect("this program");
    let arguments = ["--ignored", "--exact", "borrowed_device::faults::in_little_memory", "--nocapture"];
    let output = std::process::Command::new(program).args(arguments).output().expect("starts");
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().filter(|line| line.starts_with("skipped")).for_each(|line| println!("{line}"));
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "limits the memory of its process; another test runs it in one of its own"]
fn in_little_memory() {
    let host = Host::new();
    let engine = Engine::from_device(&host.device, &host.queue).expect("a device");
    // Buffers of 96 MiB: there will be room for none.
    let (small, large) = (small_plan(), sum_of([1 << 18, 96], PlanLimits::default()));
    let inputs = random_inputs(&small, 21);
    engine.run(&small, &inputs, RunOptions::default()).expect("runs");
    engine.compile(&large).expect("compiles");
    // The host has its own buffers already: what is missing is scratch memory.
    let own = ["x", "w", "y"].map(|name| (name, host.untouched(96 << 20)));
    let bindings = own.iter().fold(Bindings::new(), |all, (name, buffer)| all.bind(name, buffer.slice(..)));
    if engine.adapter().kind != "cpu" || !limit_memory(80 << 20) {
        println!("skipped: allocations that fail, as memory can be limited for CPU drivers on Linux with prlimit alone");
        return;
    }
    if engine.adapter().backend == "gl" {
        println!("skipped: allocations that fail, as wgpu does not hear of them from OpenGL");
        return;
    }
    for _ in 0..2 {
        let refused = engine.record(&large, &bindings, &mut host.encoder()).expect_err("no scratch memory");
        assert!(matches!(refused, Error::OutOfMemory { .. }), "{refused}");
        let refused = engine.prepare(&large, RunOptions::default()).expect_err("too much");
        assert!(matches!(refused, Error::OutOfMemory { .. }), "{refused}");
        let found = engine.run(&small, &inputs, RunOptions::default()).expect("the engine still runs").outputs;
        assert_close(&small, &inputs, &found, Tolerance::OPERATION);
    }
    host.assert_silent();
}

/// Leaves this process so many bytes more than it has.
fn limit_memory(bytes: u64) -> bool {
    let Ok(pages) = std::fs::read_to_string("/proc/self/statm") else { return false };
    let Some(pages) = pages.split_whitespace().next().and_then(|pages| pages.parse::<u64>().ok()) else { return false };
    let (process, limit) = (std::process::id().to_string(), format!("--as={}", pages * 4096 + bytes));
    std::process::Command::new("prlimit").args(["--pid", &process, &limit]).status().is_ok_and(|status| status.success())
}

#[test]
fn a_device_lost_between_recording_and_submitting_stays_lost() {
    let host = Host::new();
    let (plan, engine) = (layer_plan(), Engine::from_device(&host.device, &host.queue).expect("a device"));
    let inputs = random_inputs(&plan, 23);
    let buffers = host.buffers(&plan, &inputs, 0);
    let reading = engine.read_back(&plan, "y").expect("allocates");
    let mut encoder = host.encoder();
    engine.record(&plan, &buffers.bindings(), &mut encoder).expect("records");
    reading.record(&engine, buffers.slice("y"), &mut encoder).expect("records");
    // A reading that is under way learns of it too.
    let pending = engine.read_back(&plan, "y").expect("allocates");
    let mut earlier = host.encoder();
    pending.record(&engine, buffers.slice("y"), &mut earlier).expect("records");
    host.queue.submit([earlier.finish()]);
    let mut waiting = std::pin::pin!(pending.tensor(&engine));
    assert!(poll_once(waiting.as_mut()).is_none(), "nobody polled the device");
    host.device.destroy();
    host.queue.submit([encoder.finish()]);
    let outcome = host.block_on(waiting);
    assert!(outcome.is_ok() || is_lost(outcome), "what was there in time, or that it never will be");
    assert!(is_lost(reading.wait(&engine)));
    assert!(is_lost(reading.record(&engine, buffers.slice("y"), &mut host.encoder())));
    for _ in 0..2 {
        let mut encoder = host.encoder();
        assert!(is_lost(engine.record(&plan, &buffers.bindings(), &mut encoder)));
        assert!(is_lost(engine.compile(&small_plan())));
        assert!(is_lost(engine.read_back(&plan, "y")));
        assert!(is_lost(engine.run(&plan, &inputs, RunOptions::default())));
        assert!(is_lost(engine.prepare(&plan, RunOptions::default())));
        assert!(is_lost(host.block_on(engine.run_async(&plan, &inputs, RunOptions::default()))));
        let spec = &plan.buffers()[0];
        assert!(is_lost(SharedInputs::default().upload(&engine, spec, &inputs[&spec.name])));
    }
    assert!(is_lost(Engine::from_device(&host.device, &host.queue)));
    // A new engine from a new device works.
    let host = Host::new();
    let engine = Engine::from_device(&host.device, &host.queue).expect("a device");
    let found = engine.run(&plan, &inputs, RunOptions::default()).expect("runs").outputs;
    assert_close(&plan, &inputs, &found, Tolerance::LAYER);
}

#[test]
fn a_device_of_the_engine_s_own_that_is_lost_stays_lost() {
    let engine = Engine::new(&EngineOptions::default()).expect("an adapter");
    let plan = small_plan();
    let inputs = random_inputs(&plan, 24);
    let mut prepared = engine.prepare(&plan, RunOptions::default()).expect("prepares");
    prepared.upload(&inputs).expect("uploads");
    prepared.run().expect("runs");
    engine.device().destroy();
    for _ in 0..2 {
        // Nobody has polled the device, whose handlers know nothing yet.
        assert!(is_lost(prepared.upload(&inputs)));
        assert!(is_lost(engine.compile(&layer_plan())));
        assert!(is_lost(prepared.run()));
        assert!(is_lost(engine.run(&plan, &inputs, RunOptions::default())));
    }
}

#[test]
fn a_reading_can_be_given_up_and_is_not_disturbed() {
    let host = Host::new();
    let (plan, engine) = (small_plan(), Engine::from_device(&host.device, &host.queue).expect("a device"));
    let inputs = random_inputs(&plan, 25);
    let buffers = host.buffers(&plan, &inputs, 0);
    let reading = engine.read_back(&plan, "tokens").expect("allocates");
    assert!(matches!(reading.wait(&engine), Err(Error::NothingRecorded { .. })));
    let submit = || {
        let mut encoder = host.encoder();
        engine.record(&plan, &buffers.bindings(), &mut encoder).expect("records");
        reading.record(&engine, buffers.slice("tokens"), &mut encoder).expect("records");
        host.queue.submit([encoder.finish()]);
    };
    submit();
    // The second at once is told so, and so is who copies meanwhile; the first gets its numbers.
    let mut first = std::pin::pin!(reading.tensor(&engine));
    assert!(poll_once(first.as_mut()).is_none(), "nobody polled the device");
    let second = poll_once(reading.tensor(&engine));
    assert!(matches!(second, Some(Err(Error::BeingRead { .. }))), "{second:?}");
    let copied = reading.record(&engine, buffers.slice("tokens"), &mut host.encoder());
    assert!(matches!(copied, Err(Error::BeingRead { .. })), "{copied:?}");
    let found = host.block_on(first).expect("reads");
    assert_close(&plan, &inputs, &[("tokens".to_owned(), found)].into(), Tolerance::OPERATION);
    // One that is given up leaves the memory free.
    submit();
    drop(poll_once(reading.tensor(&engine)));
    submit();
    let found = reading.wait(&engine).expect("reads");
    assert_close(&plan, &inputs, &[("tokens".to_owned(), found)].into(), Tolerance::OPERATION);
    host.assert_silent();
}
