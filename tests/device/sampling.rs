//! Attention to given points against the reference, against answers from elsewhere, and round the edges of sizes.

use orthoformer::compare::{Tolerance, compare};
use orthoformer::ops::sampling::{self, Grid, SamplingSpec};
use orthoformer::reference::{self, Route};
use orthoformer::{PlanLimits, Tensor, Tensors};
use support::{assert_agree, assert_agree_as_half, random_inputs, run};

fn grid([frames, rows, columns, sub_clip]: [u32; 4]) -> Grid {
    Grid { frames, rows, columns, sub_clip }
}

#[test]
fn cases_from_elsewhere_pass_on_both_executors() {
    use safetensors::SafeTensors;
    for name in ["deformable_0", "deformable_1"] {
        let bytes = std::fs::read(support::shipped(&format!("cases/{name}.safetensors"))).expect("shipped");
        let file = SafeTensors::deserialize(&bytes).expect("a case");
        let tensor = |name: &str| {
            let view = file.tensor(name).expect("there");
            let numbers = view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four")));
            Tensor::new(view.shape().to_vec(), numbers.collect()).expect("matches")
        };
        let inputs: Tensors = ["v", "displacement", "logits"].map(|name| (name.to_owned(), tensor(name))).into();
        let sizes: Vec<u32> = inputs["displacement"].shape().iter().map(|&size| size as u32).collect();
        let [batch, heads, frames, rows, columns, sub_clip, samples, _] = sizes[..] else { panic!("{sizes:?}") };
        let head_size = inputs["v"].shape()[5] as u32;
        let grid = Grid { frames, rows, columns, sub_clip };
        let plan =
            sampling::plan(&SamplingSpec { batch, heads, grid, samples, head_size }, PlanLimits::default()).expect("small");
        let by_reference = reference::run(&plan, &inputs, Route::Direct).expect("runs");
        for (executor, found) in [("reference", by_reference), ("adapter", run(&plan, &inputs))] {
            let outcome = compare(&found["out"], &tensor("expected.out"), Tolerance::OPERATION);
            assert!(outcome.passed(), "{name}, {executor}: {outcome:?}");
        }
    }
}

#[test]
fn given_points_round_the_edges() {
    // [batch, heads, samples, head size] and [frames, rows, columns, sub-clip]
    for (sizes, places) in [
        ([1, 1, 1, 1], [1, 1, 1, 1]),
        ([2, 3, 4, 33], [4, 3, 2, 2]),
        ([1, 2, 8, 128], [3, 1, 5, 3]),
        ([5, 2, 2, 20], [4, 2, 2, 1]),
    ] {
        let [batch, heads, samples, head_size] = sizes;
        let spec = SamplingSpec { batch, heads, grid: grid(places), samples, head_size };
        let whole = sampling::plan(&spec, PlanLimits::default()).expect("small");
        let inputs = random_inputs(&whole, 60);
        assert_agree(&format!("{spec:?}"), &whole, &inputs, Tolerance::OPERATION);
        assert_agree_as_half(&format!("{spec:?}"), whole.clone(), &inputs);
        let limits = PlanLimits { scratch_bytes: 1, ..PlanLimits::default() };
        let sliced = sampling::plan(&spec, limits).expect("a head at a time");
        assert_eq!(sliced.dispatches().count(), (batch * heads) as usize, "{spec:?}");
        assert_eq!(run(&sliced, &inputs)["out"].data(), run(&whole, &inputs)["out"].data(), "{spec:?}");
    }
}

#[test]
fn points_that_make_no_sense_are_refused() {
    let good = SamplingSpec { batch: 1, heads: 2, grid: grid([4, 2, 2, 2]), samples: 3, head_size: 8 };
    let refusal = |spec: SamplingSpec| sampling::plan(&spec, PlanLimits::default()).expect_err("makes no sense").to_string();
    assert_eq!(refusal(SamplingSpec { samples: 0, ..good }), "samples is 0; it must be at least 1");
    let uneven = SamplingSpec { grid: grid([4, 2, 2, 3]), ..good };
    assert_eq!(refusal(uneven), "frames is 4, which is not a multiple of frames of a sub-clip = 3");
    assert!(refusal(SamplingSpec { grid: grid([4, 1 << 14, 1 << 14, 4]), ..good }).contains("does not fit in 32 bits"));
    assert!(refusal(SamplingSpec { batch: u32::MAX, ..good }).starts_with("batch is 4294967295; the most"));
}
