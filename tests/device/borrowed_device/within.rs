//! Plans that are spread over frames by a budget of time.

use std::time::{Duration, Instant};

use orthoformer::gpu::Engine;
use orthoformer::{Error, Plan, PlanLimits, Tensors};
use support::{random_inputs, tokens_plan};

use super::host::{Host, HostBuffers};
use super::{layer_plan, small_plan};

/// Records a plan within budgets until it is finished, a submit a frame. Returns the outputs and the number of frames.
fn spread(host: &Host, engine: &Engine, plan: &Plan, buffers: &HostBuffers, budget: Duration) -> (Tensors, usize) {
    let (mut frames, mut share) = (0, 0.0);
    loop {
        let mut encoder = host.encoder();
        let progress = engine.record_within(plan, &buffers.bindings(), &mut encoder, budget).expect("records");
        frames += 1;
        assert!(progress.share > share || progress.share == 1.0, "{progress:?} after {share}");
        share = progress.share;
        if progress.is_finished {
            assert_eq!(share, 1.0);
            return (host.finish(engine, plan, buffers, encoder), frames);
        }
        host.queue.submit([encoder.finish()]);
        host.device.poll(wgpu::PollType::Poll).expect("polls");
    }
}

/// The outputs of one go.
fn whole(host: &Host, engine: &Engine, plan: &Plan, buffers: &HostBuffers) -> Tensors {
    let mut encoder = host.encoder();
    engine.record(plan, &buffers.bindings(), &mut encoder).expect("records");
    host.finish(engine, plan, buffers, encoder)
}

fn bits(tensors: &Tensors) -> Vec<(&String, Vec<u32>)> {
    tensors.iter().map(|(name, tensor)| (name, tensor.data().iter().map(|element| element.to_bits()).collect())).collect()
}

#[test]
fn a_plan_spread_over_frames_computes_the_same_bits() {
    for host in [Host::new(), Host::with_timestamps()] {
        let engine = Engine::from_device(&host.device, &host.queue).expect("a device");
        // The long one has more workgroups than slices.
        let long = tokens_plan([2, 4, 4, 150, 16], PlanLimits::default());
        for plan in [small_plan(), layer_plan(), long] {
            let inputs = random_inputs(&plan, 31);
            let expected = whole(&host, &engine, &plan, &host.buffers(&plan, &inputs, 0));
            assert!(expected.values().all(|tensor| tensor.data().iter().all(|element| element.is_finite())));
            let mut counts = Vec::new();
            for budget in [Duration::ZERO, Duration::from_micros(300), Duration::from_secs(100)] {
                // Outputs are poisoned anew.
                let buffers = host.buffers(&plan, &inputs, 256);
                let (found, frames) = spread(&host, &engine, &plan, &buffers, budget);
                assert_eq!(bits(&found), bits(&expected), "{budget:?}");
                counts.push(frames);
                // The next round begins at the beginning.
                let (again, _) = spread(&host, &engine, &plan, &buffers, budget);
                assert_eq!(bits(&again), bits(&expected), "{budget:?}, again");
            }
            let dispatches = plan.dispatches().count();
            assert!(counts[0] >= dispatches && counts.is_sorted_by(|more, fewer| more >= fewer), "{counts:?}");
            assert!(counts[2] <= dispatches.div_ceil(64), "{counts:?} for {dispatches} dispatches");
        }
        host.assert_silent();
    }
}

#[test]
fn recording_the_whole_plan_in_between_begins_anew() {
    let host = Host::new();
    let (plan, engine) = (layer_plan(), Engine::from_device(&host.device, &host.queue).expect("a device"));
    let inputs = random_inputs(&plan, 32);
    let [buffers, others] = [0, 512].map(|offset| host.buffers(&plan, &inputs, offset));
    let few = |buffers: &HostBuffers| {
        let mut encoder = host.encoder();
        let progress = engine.record_within(&plan, &buffers.bindings(), &mut encoder, Duration::ZERO);
        host.queue.submit([encoder.finish()]);
        progress
    };
    let first = few(&buffers).expect("records");
    assert!(few(&buffers).expect("records").share > first.share);
    let refused = few(&others).expect_err("other bindings");
    assert!(
        matches!(refused, Error::HostBinding { .. }) && refused.to_string().contains("than in the frame before"),
        "{refused}"
    );
    // The engine's scratch memory now holds what another frame computed.
    let expected = whole(&host, &engine, &plan, &others);
    assert_eq!(few(&others).expect("records").share, first.share);
    engine.forget(&plan);
    assert_eq!(few(&buffers).expect("records").share, first.share);
    let (found, _) = spread(&host, &engine, &plan, &buffers, Duration::ZERO);
    assert_eq!(bits(&found), bits(&expected));
    host.assert_silent();
}

#[test]
#[ignore = "judges times: needs a quiet machine"]
fn frames_keep_to_a_budget_of_8_ms() {
    let budget = Duration::from_millis(8);
    let host = Host::with_timestamps();
    let engine = Engine::from_device(&host.device, &host.queue).expect("a device");
    if !engine.has_timestamps() {
        println!("skipped: a budget of 8 ms, as the device has no timestamps");
        return;
    }
    let plan = tokens_plan([1, 8, 8, 196, 64], engine.plan_limits());
    let buffers = host.buffers(&plan, &random_inputs(&plan, 33), 0);
    engine.compile(&plan).expect("compiles");
    let (mut times, mut rounds) = (Vec::new(), 0);
    for _ in 0..300 {
        let mut encoder = host.encoder();
        let progress = engine.record_within(&plan, &buffers.bindings(), &mut encoder, budget).expect("records");
        let start = Instant::now();
        host.queue.submit([encoder.finish()]);
        host.device.poll(wgpu::PollType::wait_indefinitely()).expect("polls");
        times.push(start.elapsed());
        rounds += u32::from(progress.is_finished);
    }
    times.sort_unstable();
    let [median, most] = [times[150], times[284]];
    println!(
        "300 frames within {budget:?}: median {median:.2?}, 95 % within {most:.2?}, longest {:.2?}; {rounds} rounds",
        times[299]
    );
    assert!(most <= budget.mul_f64(1.5), "{most:?}");
    assert!(rounds > 0 && median > budget.mul_f64(0.3), "budgets are used: {median:?}, {rounds} rounds");
}
