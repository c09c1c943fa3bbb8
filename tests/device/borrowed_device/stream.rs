//! A ring of the last frames against the plan over all of them.

use orthoformer::gpu::Engine;
use orthoformer::ops::approximation::{Approximation, Candidates, Prototypes, Selection};
use orthoformer::ops::follow::{self, FollowSpec, Stream};
use orthoformer::{PlanLimits, Tensor, Tensors};
use support::{numbers, random_inputs};

use super::host::Host;

/// Elements of frame `number` of a stream, the same each time.
fn frame(number: u64, name: &str, count: usize) -> Vec<f32> {
    numbers(1000 * number + name.len() as u64, count, 1.7)
}

/// Attention and tokens of one frame, from outputs `[Q,F,_]`.
fn of_frame(outputs: &Tensors, name: &str, spec: &FollowSpec, at: usize) -> Vec<u32> {
    let width = outputs[name].shape()[2];
    let rows = (0..spec.queries).map(|query| (query * spec.frames + at) * width);
    rows.flat_map(|first| &outputs[name].data()[first..first + width]).map(|element| element.to_bits()).collect()
}

#[test]
fn a_ring_of_frames_is_the_plan_over_the_whole_window() {
    let host = Host::new();
    let engine = Engine::from_device(&host.device, &host.queue).expect("a device");
    let sizes = [(1, 4, 17, 12, 33), (3, 3, 64, 48, 33), (2, 1, 9, 8, 4), (1, 5, 266, 96, 12)];
    // The smallest limits put the values into several inputs.
    for (case, limits) in
        [PlanLimits::default(), PlanLimits { binding_bytes: 8192, ..PlanLimits::default() }].into_iter().enumerate()
    {
        for (queries, frames, patches, head_size, value_size) in sizes.into_iter().take(4 - 3 * case) {
            let spec = FollowSpec { queries, frames, patches, head_size, value_size, scale: 3.0 };
            let mut stream = Stream::new(&spec, &Approximation::Exact, limits).expect("fits");
            let plan = follow::plan(&spec, &Approximation::Exact, limits).expect("fits");
            // Whatever the rings held before must not matter.
            let mut rings = random_inputs(&plan, 40);
            let values = follow::value_inputs(&spec, &limits).expect("fits");
            assert_eq!(values.len(), 1 + case, "{values:?}");
            let buffers = host.buffers(&plan, &rings, 256);
            for number in 0..frames as u64 + 2 {
                let slot = stream.slot();
                let mut put = |name: &str, index: usize, data: Vec<f32>| {
                    let tensor = rings[name].clone();
                    let mut all = tensor.data().to_vec();
                    all[index * data.len()..][..data.len()].copy_from_slice(&data);
                    rings.insert(name.to_owned(), Tensor::new(tensor.shape().to_vec(), all).expect("the same"));
                    buffers.write(&host, name, index * data.len(), &data);
                };
                put("keys", slot, frame(number, "keys", patches * head_size));
                let input = values.iter().find(|input| input.frames.contains(&slot)).expect("one");
                put(&input.name, slot - input.frames.start, frame(number, "values", patches * value_size));
                let mut encoder = host.encoder();
                let plan_of_frame = stream.advance().clone();
                engine.record(&plan_of_frame, &buffers.bindings(), &mut encoder).expect("records");
                let found = host.finish(&engine, &plan, &buffers, encoder);
                // The whole window in memory of its own.
                let all = host.buffers(&plan, &rings, 0);
                let mut encoder = host.encoder();
                engine.record(stream.window(), &all.bindings(), &mut encoder).expect("records");
                let expected = host.finish(&engine, &plan, &all, encoder);
                let order: Vec<usize> = stream.order().collect();
                assert_eq!((order.len(), order.last()), (frames.min(number as usize + 1), Some(&slot)));
                for (at, name) in order.iter().flat_map(|&at| ["attention", "tokens"].map(|name| (at, name))) {
                    assert_eq!(of_frame(&found, name, &spec, at), of_frame(&expected, name, &spec, at), "{spec:?} {name} {at}");
                }
                // Slots without a frame yet are left alone.
                let blank = (0..frames).find(|at| !order.contains(at));
                let poisoned =
                    blank.is_none_or(|at| of_frame(&found, "attention", &spec, at).iter().all(|&bits| bits == u32::MAX));
                assert!(poisoned, "{spec:?} {blank:?}");
            }
        }
    }
    host.assert_silent();
}

#[test]
fn an_approximated_stream_runs_the_whole_window() {
    let spec = FollowSpec { queries: 1, frames: 2, patches: 9, head_size: 8, value_size: 3, scale: 1.0 };
    let prototypes = Prototypes {
        count: 4,
        candidates: Candidates::Queries,
        selection: Selection::Given(vec![0, 5, 9, 17]),
        per_frame: false,
    };
    let approximation = Approximation::Orthoformer(prototypes);
    let mut stream = Stream::attention(&spec, &approximation, PlanLimits::default()).expect("small");
    let window: Vec<&str> = stream.window().dispatches().map(|dispatch| dispatch.label).collect();
    let window = window.join(", ");
    let advanced: Vec<&str> = stream.advance().dispatches().map(|dispatch| dispatch.label).collect();
    assert_eq!(advanced.join(", "), window);
    assert_eq!(stream.plans().count(), 1);
}
