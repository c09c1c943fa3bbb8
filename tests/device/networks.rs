//! Whole networks as plans: round the edges of their sizes, in slices, and asked for more or less.

use orthoformer::compare::{Tolerance, compare};
use orthoformer::kernel::{Activation, KernelParams, LayerNormParams, Patchify, PatchifyParams};
use orthoformer::ops::approximation::{Candidates, Criterion, Greedy, Nystrom, Prototypes, Selection};
use orthoformer::ops::motionformer::{
    self, Architecture, BlockAttention, Features, Head, MotionformerSpec, NetworkOutputs, TrajectoryOutputs,
};
use orthoformer::ops::{Approximation, TemporalValue};
use orthoformer::plan::{PlanBuilder, Role};
use orthoformer::reference::{self, Route};
use orthoformer::view::BoundView;
use orthoformer::{Error, Plan, PlanLimits, Tensor};
use support::{assert_agree, assert_agree_as_half, change, random_inputs, run};

const ATTENTIONS: [BlockAttention; 4] = [
    BlockAttention::Trajectory(TemporalValue::Projected),
    BlockAttention::Trajectory(TemporalValue::Identity),
    BlockAttention::Joint,
    BlockAttention::Divided,
];

/// `[frames, crop, patch, patch depth, channels, heads, depth, hidden]`.
fn architecture(sizes: [u32; 8], attention: BlockAttention) -> Architecture {
    let [frames, crop, patch, patch_depth, channels, heads, depth, hidden] = sizes;
    let head = Head { hidden: Some(Activation::Tanh), classes: vec![5] };
    let approximation = Approximation::Exact;
    Architecture {
        frames,
        crop,
        patch,
        patch_depth,
        channels,
        heads,
        depth,
        hidden,
        attention,
        approximation,
        qkv_bias: true,
        head,
    }
}

const SMALL: [u32; 8] = [4, 12, 4, 2, 24, 2, 2, 40];

fn plan(architecture: &Architecture, batch: u32, outputs: NetworkOutputs) -> Plan {
    let spec = MotionformerSpec { batch, architecture: architecture.clone(), outputs };
    motionformer::plan(&spec, PlanLimits::default()).expect("a small network")
}

fn everything() -> NetworkOutputs {
    NetworkOutputs { features: Some(Features::Final), ..NetworkOutputs::LOGITS }
}

#[test]
fn networks_round_the_edges() {
    let sizes =
        [[1, 1, 1, 1, 4, 1, 1, 1], [2, 6, 3, 2, 12, 3, 1, 7], [6, 8, 8, 3, 10, 1, 2, 64], [3, 10, 5, 1, 20, 5, 1, 33], SMALL];
    for sizes in sizes {
        for (number, attention) in ATTENTIONS.into_iter().enumerate() {
            let mut network = architecture(sizes, attention);
            // Heads of all kinds, in turn.
            network.head = [
                Head { hidden: None, classes: vec![3] },
                Head { hidden: Some(Activation::Gelu), classes: vec![7, 9] },
                Head { hidden: Some(Activation::Relu), classes: vec![1] },
                Head { hidden: Some(Activation::Tanh), classes: vec![2, 1, 4] },
            ][number]
                .clone();
            network.qkv_bias = number % 2 == 0;
            for outputs in [NetworkOutputs::LOGITS, everything()] {
                let plan = plan(&network, 1 + number as u32, outputs);
                let inputs = random_inputs(&plan, 40);
                assert_agree(&format!("{network:?}"), &plan, &inputs, Tolerance::NETWORK);
                assert_agree_as_half(&format!("{network:?}"), plan, &inputs);
            }
        }
    }
}

#[test]
fn logits_alone_are_the_same_logits() {
    for attention in ATTENTIONS {
        let network = architecture(SMALL, attention);
        let (alone, whole) = (plan(&network, 2, NetworkOutputs::LOGITS), plan(&network, 2, everything()));
        assert!(alone.multiply_adds() < whole.multiply_adds(), "{attention:?}: less work");
        let inputs = random_inputs(&whole, 41);
        let (by_alone, by_whole) = (run(&alone, &inputs), run(&whole, &inputs));
        for name in ["logits0", "pre_logits"] {
            let outcome = compare(&by_alone[name], &by_whole[name], Tolerance::LAYER);
            assert!(outcome.passed(), "{attention:?} {name}: {outcome:?}");
        }
        // They come from the class token alone: its features are what the head saw.
        assert_eq!(by_whole["features"].shape(), [2, 19, 24]);
    }
}

#[test]
fn features_of_a_block_are_what_the_next_one_gets() {
    for attention in ATTENTIONS {
        let deep = architecture([4, 12, 4, 2, 24, 2, 3, 40], attention);
        let shallow = Architecture { depth: 2, ..deep.clone() };
        let only = |features| NetworkOutputs { features: Some(features), ..NetworkOutputs::NOTHING };
        let inputs = random_inputs(&plan(&deep, 2, everything()), 42);
        let of = |network: &Architecture, outputs| run(&plan(network, 2, outputs), &inputs)["features"].clone();
        let first = of(&deep, only(Features::Block(1)));
        assert!(compare(&first, &of(&shallow, only(Features::Block(1))), Tolerance::OPERATION).passed(), "{attention:?}");
        assert_ne!(first.data(), of(&deep, only(Features::Block(2))).data());
        assert_ne!(first.data(), of(&shallow, only(Features::Final)).data());
        // Features in the middle do not disturb what follows.
        let both = NetworkOutputs { features: Some(Features::Block(1)), ..NetworkOutputs::LOGITS };
        let (both, alone) = (plan(&deep, 2, both), plan(&deep, 2, NetworkOutputs::LOGITS));
        assert_agree("features and logits", &both, &inputs, Tolerance::NETWORK);
        let (both, alone) = (run(&both, &inputs), run(&alone, &inputs));
        assert_eq!(both["logits0"].data(), alone["logits0"].data(), "{attention:?}");
        assert!(compare(&both["features"], &first, Tolerance::OPERATION).passed(), "{attention:?}");
    }
}

#[test]
fn trajectories_of_a_block() {
    let network = architecture(SMALL, ATTENTIONS[0]);
    let wanted = TrajectoryOutputs { block: 1, queries: vec![0, 17] };
    let outputs = NetworkOutputs { trajectories: Some(wanted), ..NetworkOutputs::NOTHING };
    let plan = plan(&network, 2, outputs);
    let inputs = random_inputs(&plan, 43);
    assert_agree("trajectories", &plan, &inputs, Tolerance::LAYER);
    let found = run(&plan, &inputs);
    assert_eq!(found["attention"].shape(), [2, 2, 2, 2, 9]);
    assert_eq!(found["temporal_weights"].shape(), [2, 2, 18, 2]);
}

#[test]
fn networks_in_slices() {
    for attention in ATTENTIONS {
        let network = architecture(SMALL, attention);
        let spec = MotionformerSpec { batch: 5, architecture: network, outputs: everything() };
        let whole = motionformer::plan(&spec, PlanLimits::default()).expect("a small network");
        let inputs = random_inputs(&whole, 44);
        let expected = reference::run(&whole, &inputs, Route::Direct).expect("runs");
        for scratch_bytes in [8_000, 1] {
            let limits = PlanLimits { scratch_bytes, binding_bytes: 16_384, ..PlanLimits::default() };
            let sliced = motionformer::plan(&spec, limits).expect("weights fit");
            assert!(sliced.dispatches().count() > whole.dispatches().count());
            assert_agree("slices", &sliced, &inputs, Tolerance::NETWORK);
            let found = run(&sliced, &inputs);
            for (name, expected) in &expected {
                assert!(compare(&found[name], expected, Tolerance::NETWORK).passed(), "{attention:?} {name}");
            }
        }
    }
}

#[test]
fn approximations_inside_of_a_network() {
    let greedy = Greedy { criterion: Criterion::Max, start: Some(vec![0]), ..Greedy::default() };
    let prototypes = |selection| Prototypes { count: 4, candidates: Candidates::Queries, selection, per_frame: false };
    let approximations = [
        Approximation::Orthoformer(prototypes(Selection::Greedy(greedy))),
        Approximation::Orthoformer(prototypes(Selection::SegmentMeans)),
        Approximation::Nystrom(Nystrom { landmarks: 3, iterations: 6 }),
    ];
    for approximation in approximations {
        let network = Architecture { approximation, ..architecture(SMALL, ATTENTIONS[0]) };
        let plan = plan(&network, 2, NetworkOutputs::LOGITS);
        assert_agree(&network.approximation.to_string(), &plan, &random_inputs(&plan, 45), Tolerance::NETWORK);
    }
}

/// A normalisation of `[batch, rows, size]` with gaps, at an offset.
fn norm_plan([batch, rows, size]: [u32; 3]) -> Plan {
    let mut builder = PlanBuilder::new(PlanLimits { workgroups_per_dimension: 8, ..PlanLimits::default() });
    let (x_row, y_row, offset) = (size + 3, size + 2, 5);
    let mut buffer = |name, count: u32, role| builder.buffer(name, &[count.into()], role).expect("small");
    let x = buffer("x", offset + batch * rows * x_row, Role::Input);
    let (scales, shifts) = (buffer("scales", size, Role::Input), buffer("shifts", size, Role::Input));
    let y = buffer("y", offset + batch * rows * y_row, Role::Output);
    let params = LayerNormParams {
        batch,
        rows,
        size,
        epsilon: 1e-6,
        x: BoundView::new(offset, &[rows * x_row, x_row]),
        y: BoundView::new(offset, &[rows * y_row, y_row]),
        ..LayerNormParams::default()
    };
    let bindings = [x, scales, shifts, y].map(|buffer| builder.bind_all(buffer).expect("small"));
    builder.push("norm", params, &bindings).expect("in range");
    builder.build()
}

#[test]
fn normalisation_rounds_the_edges() {
    for sizes in [[1, 1, 1], [2, 3, 2], [1, 5, 63], [3, 1, 64], [1, 2, 65], [2, 2, 129], [1, 1, 768], [1, 17, 7]] {
        let plan = norm_plan(sizes);
        let inputs = random_inputs(&plan, 46);
        assert_agree(&format!("{sizes:?}"), &plan, &inputs, Tolerance::OPERATION);
        assert_agree_as_half(&format!("{sizes:?}"), plan, &inputs);
    }
}

#[test]
fn normalisation_bears_what_networks_bring() {
    let plan = norm_plan([1, 4, 96]);
    let mut inputs = random_inputs(&plan, 47);
    // Far from zero, all alike (nothing but the shifts is left), tiny, and with one outlier.
    change(&mut inputs, "x", |index, number| match (index.max(5) - 5) / 99 {
        0 => 1000.0 + number,
        1 => 3.0,
        2 => number * 1e-6,
        _ if index % 50 == 0 => 1e4,
        _ => number,
    });
    assert_agree("extremes", &plan, &inputs, Tolerance { absolute: 2e-4, relative: 2e-5 });
    change(&mut inputs, "x", |index, number| if index == 5 + 99 + 7 { f32::NAN } else { number });
    assert_agree("NaN in one row", &plan, &inputs, Tolerance { absolute: 2e-4, relative: 2e-5 });
}

#[test]
fn cuboids_round_the_edges() {
    // [batch, channels, frames, rows, columns, depth, side, skip]
    for [batch, channels, frames, grid_rows, grid_columns, depth, side, skip] in
        [[1, 1, 1, 1, 1, 1, 1, 0], [2, 3, 2, 3, 2, 2, 4, 1], [1, 3, 5, 1, 4, 1, 3, 0], [3, 2, 1, 2, 1, 3, 5, 2]]
    {
        let mut builder = PlanBuilder::new(PlanLimits { workgroups_per_dimension: 8, ..PlanLimits::default() });
        let (height, width) = (side, side);
        let [clip_frames, clip_rows, clip_columns] = [frames * depth, grid_rows * side, grid_columns * side];
        let clip = PatchifyParams { batch, channels, clip_frames, clip_rows, clip_columns, ..PatchifyParams::default() };
        let patches = PatchifyParams { depth, height, width, frames, grid_rows, grid_columns, skip, ..clip }.dense();
        let params = PatchifyParams { clip: patches.clip.later(3), patches: patches.patches.later(7), ..patches };
        let row = channels * depth * side * side;
        let pixels = 3 + batch * frames * grid_rows * grid_columns * row;
        let numbers = 7 + batch * (skip + frames * grid_rows * grid_columns) * row;
        let clip = builder.buffer("clip", &[pixels.into()], Role::Input).expect("small");
        let rows = builder.buffer("rows", &[numbers.into()], Role::Output).expect("small");
        let bindings = [clip, rows].map(|buffer| builder.bind_all(buffer).expect("small"));
        builder.push("cuboids", params, &bindings).expect("in range");
        let plan = builder.build();
        assert_agree(&format!("{params:?}"), &plan, &random_inputs(&plan, 48), Tolerance { absolute: 0.0, relative: 0.0 });
    }
}

#[test]
fn cuboids_are_cut_as_a_convolution_sees_them() {
    // One channel, two frames of 2 x 4 pixels, cuboids of 2 x 2 x 2: numbered 0.. in the clip's order.
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let clip = builder.array("clip", &[1, 1, 2, 2, 4], Role::Input).expect("small");
    let patches = builder.array("rows", &[3, 1, 2, 2, 2], Role::Output).expect("small");
    let request = Patchify { clip, patches, frames: 1, grid_rows: 1, grid_columns: 2, skip: 1 };
    builder.launch("cuboids", request).expect("in range");
    let numbered = Tensor::new(vec![1, 1, 2, 2, 4], (0u8..16).map(f32::from).collect()).expect("sixteen");
    let found = run(&builder.build(), &[("clip".to_owned(), numbered)].into());
    let expected = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15];
    assert_eq!(found["rows"].data(), expected.map(|number: u8| f32::from(number)));
}

#[test]
fn cuboids_of_tokens_end_in_zeros() {
    // Tokens of two channels on a grid of 3 x 3, merged two by two, channels together: what is beyond the grid is zero.
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let clip = builder.array("clip", &[1, 1, 3, 3, 2], Role::Input).expect("small").ordered(&[0, 4, 1, 2, 3]);
    // Columns of a row's tokens come first, then their rows, and their channels last.
    let patches = builder.array("rows", &[4, 1, 2, 2, 2], Role::Output).expect("small").ordered(&[0, 4, 1, 3, 2]);
    let together = Patchify { clip, patches, frames: 1, grid_rows: 2, grid_columns: 2, skip: 0 };
    builder.launch("cuboids", together).expect("in range");
    let beyond = Patchify { patches: patches.with_stride(4, 7), ..together };
    assert!(matches!(builder.launch("cuboids", beyond), Err(Error::OutOfRange { what: "bound element", .. })));
    let plan = builder.build();
    let numbered = Tensor::new(vec![1, 1, 3, 3, 2], (1u8..19).map(f32::from).collect()).expect("eighteen");
    let inputs = [("clip".to_owned(), numbered)].into();
    let expected: [u8; 32] =
        [1, 2, 7, 8, 3, 4, 9, 10, 5, 6, 11, 12, 0, 0, 0, 0, 13, 14, 0, 0, 15, 16, 0, 0, 17, 18, 0, 0, 0, 0, 0, 0];
    assert_eq!(run(&plan, &inputs)["rows"].data(), expected.map(f32::from));
    assert_agree("tokens", &plan, &inputs, Tolerance { absolute: 0.0, relative: 0.0 });
}

#[test]
fn networks_that_make_no_sense_are_refused() {
    let refusal = |change: &dyn Fn(&mut MotionformerSpec)| {
        let architecture = architecture(SMALL, ATTENTIONS[0]);
        let mut spec = MotionformerSpec { batch: 1, architecture, outputs: NetworkOutputs::LOGITS };
        change(&mut spec);
        motionformer::plan(&spec, PlanLimits::default()).expect_err("makes no sense")
    };
    let said = |change: &dyn Fn(&mut MotionformerSpec)| refusal(change).to_string();
    assert_eq!(said(&|spec| spec.architecture.crop = 13), "crop is 13, which is not a multiple of patch side = 4");
    assert_eq!(said(&|spec| spec.architecture.frames = 5), "frames is 5, which is not a multiple of frames of a patch = 2");
    assert_eq!(said(&|spec| spec.architecture.heads = 5), "channels is 24, which is not a multiple of heads = 5");
    let zeros: [fn(&mut MotionformerSpec); 6] = [
        |spec| spec.batch = 0,
        |spec| spec.architecture.depth = 0,
        |spec| spec.architecture.hidden = 0,
        |spec| spec.architecture.patch = 0,
        |spec| spec.architecture.head.classes = vec![],
        |spec| spec.architecture.head.classes = vec![3, 0],
    ];
    for zero in zeros {
        assert!(matches!(refusal(&zero), Error::ZeroSize { .. }));
    }
    assert!(matches!(refusal(&|spec| spec.architecture.crop = u32::MAX - 3), Error::TooLarge { .. }));
    let block = |block| NetworkOutputs { features: Some(Features::Block(block)), ..NetworkOutputs::NOTHING };
    assert_eq!(said(&|spec| spec.outputs = block(2)), "layer 2 is out of range; it must be below 2");
    let nothing = NetworkOutputs::NOTHING;
    assert!(said(&|spec| spec.outputs = nothing.clone()).contains("expected logits, features or trajectories"));
    let trajectories = TrajectoryOutputs { block: 0, queries: vec![1] };
    let of_joint = NetworkOutputs { trajectories: Some(trajectories), ..NetworkOutputs::LOGITS };
    let joint = |spec: &mut MotionformerSpec| {
        spec.architecture.attention = BlockAttention::Joint;
        spec.outputs = of_joint.clone();
    };
    assert!(said(&joint).contains("attention is not `trajectory`"));
}
