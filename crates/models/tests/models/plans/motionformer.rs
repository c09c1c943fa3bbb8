//! Motionformers as plans: round the edges of their sizes, in slices, and asked for more or less.

use orthoformer::compare::{Tolerance, compare};
use orthoformer::kernel::Activation;
use orthoformer::ops::approximation::{Candidates, Criterion, Greedy, Nystrom, Prototypes, Selection};
use orthoformer::ops::{Approximation, TemporalValue};
use orthoformer::reference::{self, Route};
use orthoformer::{Error, Plan, PlanLimits};
use orthoformer_models::networks::motionformer::{self, Architecture, BlockAttention, Head, MotionformerSpec};
use orthoformer_models::networks::{Features, NetworkOutputs, TrajectoryOutputs};
use support::{assert_agree, assert_agree_as_half, random_inputs, run};

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
