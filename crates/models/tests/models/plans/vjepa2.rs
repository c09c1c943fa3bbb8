//! V-JEPA 2: answers from elsewhere in slices and chunks, edges, full sizes, and what is refused.

use orthoformer::compare::{Tolerance, compare};
use orthoformer::gpu::RunOptions;
use orthoformer::kernel::{Activation, Kernel};
use orthoformer::plan::{BufferSpec, Element, Role};
use orthoformer::{Error, Plan, PlanLimits};
use orthoformer_bench::case::Case;
use orthoformer_models::networks::vjepa2::{self, Architecture, Classifier};
use orthoformer_models::networks::{Features, Network, NetworkOutputs, TrajectoryOutputs};
use orthoformer_models::{Config, Cost, Protocol};
use support::{assert_agree, assert_agree_as_half, engine, random_inputs, run};

const EVERYTHING: NetworkOutputs =
    NetworkOutputs { features: Some(Features::Final), operands: Some(0), ..NetworkOutputs::LOGITS };
/// A few elements of scratch.
const FEW: PlanLimits =
    PlanLimits { binding_bytes: 128 << 20, workgroups_per_dimension: 65_535, scratch_bytes: 4096, loop_iterations: None };

/// A network of two blocks for clips `[frames, crop]` of patches `[tubelet, patch]`.
fn architecture([frames, crop]: [u32; 2], [tubelet, patch]: [u32; 2], [channels, heads]: [u32; 2]) -> Architecture {
    Architecture {
        has_family_names: true,
        frames,
        crop,
        tubelet,
        patch,
        channels,
        heads,
        depth: 2,
        hidden: 2 * channels + 1,
        activation: Activation::Gelu,
        epsilon: 1e-6,
        qkv_bias: true,
        classifier: Some(Classifier { layers: 1, classes: 3 }),
    }
}

fn plan(architecture: &Architecture, batch: u32, outputs: &NetworkOutputs, limits: PlanLimits) -> Plan {
    vjepa2::plan(architecture, batch, outputs, limits).expect("a small network")
}

#[test]
fn answers_are_the_same_in_slices() {
    for network in ["vjepa2", "vjepa2_encoder", "vjepa2_classifier"] {
        let case = Case::read(&support::shipped(&format!("networks/{network}/case.safetensors"))).expect("shipped");
        let plan = case.operation.plan(FEW).expect("plans");
        let whole = case.operation.plan(PlanLimits::default()).expect("plans");
        assert!(plan.dispatches().count() > whole.dispatches().count(), "{network}: nothing was cut");
        assert!(!case.expected.is_empty(), "{network}");
        let found = engine().run(&plan, &case.inputs, RunOptions { poison: true, ..RunOptions::default() }).expect("runs");
        for (name, expected) in &case.expected {
            let outcome = compare(&found.outputs[name], expected, Tolerance::LAYER);
            println!("{network}, {name}: {outcome:?}");
            assert!(outcome.passed(), "{network}, {name}: {outcome:?}");
        }
    }
}

#[test]
fn executors_agree_round_the_edges() {
    let none = Classifier { layers: 0, classes: 1 };
    let networks = [
        // Heads with a rest of none, one and two; one frame, one patch, frames of one.
        architecture([4, 12], [2, 4], [12, 2]),
        Architecture { qkv_bias: false, ..architecture([3, 8], [1, 4], [21, 3]) },
        Architecture { classifier: Some(none), ..architecture([2, 15], [2, 5], [40, 2]) },
        Architecture { has_family_names: false, activation: Activation::Relu, ..architecture([6, 4], [2, 4], [26, 1]) },
    ];
    for network in networks {
        let whole = plan(&network, 3, &EVERYTHING, PlanLimits::default());
        let inputs = random_inputs(&whole, 81);
        let what = format!("{network:?}");
        assert_agree(&what, &whole, &inputs, Tolerance::NETWORK);
        assert_agree_as_half(&what, whole.clone(), &inputs);
        // A clip at a time, chunk by chunk: clips do not mix.
        let chunked = run(&plan(&network, 3, &EVERYTHING, FEW), &inputs);
        for (name, expected) in run(&whole, &inputs) {
            let outcome = compare(&chunked[&name], &expected, Tolerance::LAYER);
            assert!(outcome.passed(), "{what}, {name}: {outcome:?}");
        }
    }
}

#[test]
fn tokens_of_blocks_are_those_on_the_way_to_the_logits() {
    let network = architecture([4, 12], [2, 4], [20, 2]);
    let limits = PlanLimits::default();
    let inputs = random_inputs(&plan(&network, 2, &EVERYTHING, limits), 82);
    let everything = run(&plan(&network, 2, &EVERYTHING, limits), &inputs);
    let of = |features| {
        run(&plan(&network, 2, &NetworkOutputs { features: Some(features), ..NetworkOutputs::NOTHING }, limits), &inputs)
    };
    for features in [Features::Block(0), Features::Block(1), Features::Final] {
        let both = NetworkOutputs { features: Some(features), ..NetworkOutputs::LOGITS };
        let both = run(&plan(&network, 2, &both, limits), &inputs);
        assert_eq!(both["tokens"].data(), of(features)["tokens"].data(), "{features:?}");
        assert_eq!(both["logits"].data(), everything["logits"].data(), "{features:?}");
        assert_eq!(both["tokens"].data() == everything["tokens"].data(), features == Features::Final, "{features:?}");
    }
    let operands = NetworkOutputs { operands: Some(0), ..NetworkOutputs::NOTHING };
    let alone = plan(&network, 2, &operands, limits);
    assert!(alone.buffers().iter().all(|spec| !spec.name.contains("layer.1.")), "nothing of later blocks");
    for name in ["queries", "keys"] {
        assert_eq!(run(&alone, &inputs)[name].data(), everything[name].data(), "{name}");
    }
    // Two dispatches a block turn something, and none of the pooler.
    let turned = |plan: &Plan| plan.dispatches().filter(|dispatch| dispatch.kernel == Kernel::Rotary).count();
    assert_eq!(turned(&plan(&network, 1, &EVERYTHING, limits)), 4);
}

/// The published networks `[frames, crop]`, with the classifier that they are published with.
fn published(clip: [u32; 2], [channels, heads, depth, hidden]: [u32; 4]) -> Architecture {
    let classifier = Some(Classifier { layers: 3, classes: 174 });
    Architecture { depth, hidden, classifier, ..architecture(clip, [2, 16], [channels, heads]) }
}

#[test]
fn full_sizes_fit_in_bounded_memory() {
    let large = [1024, 16, 24, 4096];
    for (name, network, multiply_adds, most) in [
        ("ViT-L, 16 frames of 256", published([16, 256], large), 935.2, 160 << 20),
        ("ViT-L, 64 frames of 256", published([64, 256], large), 6524.1, 450 << 20),
        ("ViT-H, 64 frames of 384", published([64, 384], [1280, 16, 32, 5120]), 43_220.9, 1200 << 20),
        ("ViT-g, 64 frames of 384", published([64, 384], [1408, 22, 40, 6144]), 61_169.3, 1200 << 20),
    ] {
        let config = Config { network: Box::new(network), protocol: Protocol::default(), labels: None, assumed: Vec::new() };
        let cost = Cost::of(&config, Element::F32).expect("plans");
        println!("{name}: {cost:?}");
        let found = cost.published_multiply_adds.expect("counted") as f64 / 1e9;
        assert!((found / multiply_adds - 1.0).abs() < 1e-4, "{name}: {found} G");
        // Nothing is saved, and norms and rotations come on top.
        let planned = cost.multiply_adds as f64 / 1e9 / multiply_adds;
        assert!((1.0..1.01).contains(&planned), "{name}: {planned}");
        assert_eq!(cost.multiply_adds, cost.multiply_adds_for_logits, "{name}: the pooler sees all tokens");
        let beside = cost.device_bytes - cost.weight_bytes;
        assert!(beside < most, "{name}: {beside} bytes beside the weights");
    }
}

/// Other authors publish 597 G for a ViT-L of 16 frames of 224 pixels without classifier.
#[test]
fn operations_are_counted_as_others_count_them() {
    let encoder = Architecture { classifier: None, ..published([16, 224], [1024, 16, 24, 4096]) };
    let found = encoder.published_multiply_adds().expect("small").expect("counted");
    assert_eq!((found as f64 / 1e9).round(), 597.0);
    let tokens = NetworkOutputs { features: Some(Features::Final), ..NetworkOutputs::NOTHING };
    let planned = plan(&encoder, 1, &tokens, PlanLimits::default());
    let parameters: u64 = planned.buffers().iter().filter(|spec| spec.role == Role::Input).map(BufferSpec::elements).sum();
    // 304 M, the clip and the table of positions.
    assert_eq!(parameters / 1_000_000, 304 + 2);
}

#[test]
fn impossible_networks_are_refused() {
    let good = architecture([4, 12], [2, 4], [12, 2]);
    let limits = PlanLimits::default();
    let said = |network: Architecture, part: &str| {
        let message = vjepa2::plan(&network, 1, &EVERYTHING, limits).expect_err("refused").to_string();
        assert!(message.contains(part), "{message:?} has no {part:?}");
    };
    said(Architecture { frames: 3, ..good.clone() }, "frames is 3, which is not a multiple of frames of a patch = 2");
    said(Architecture { frames: 0, ..good.clone() }, "frames is 0");
    said(Architecture { crop: 14, ..good.clone() }, "height and width is 14, which is not a multiple of side of a patch = 4");
    said(Architecture { patch: 0, ..good.clone() }, "side of a patch is 0");
    said(Architecture { tubelet: 0, ..good.clone() }, "frames of a patch is 0");
    said(Architecture { heads: 5, ..good.clone() }, "channels is 12, which is not a multiple of heads = 5");
    said(Architecture { heads: 3, ..good.clone() }, "head size: \"4\" is not valid; expected 6 or more");
    said(Architecture { depth: 0, ..good.clone() }, "depth (blocks) is 0");
    said(Architecture { hidden: 0, ..good.clone() }, "elements of the hidden layer of the mlp is 0");
    let classifier = |layers, classes| Architecture { classifier: Some(Classifier { layers, classes }), ..good.clone() };
    said(classifier(1, 0), "classes is 0");
    said(classifier(1 << 11, 3), "layers of the pooler is 2048");
    said(Architecture { classifier: None, ..good.clone() }, "it has no classifier");
    let huge = u32::MAX;
    for network in [
        Architecture { frames: huge - 1, ..good.clone() },
        Architecture { crop: huge, patch: 1, ..good.clone() },
        Architecture { crop: huge, patch: huge, ..good.clone() },
        Architecture { tubelet: huge, frames: huge, ..good.clone() },
        Architecture { channels: huge, heads: 1, ..good.clone() },
        Architecture { channels: huge, heads: huge / 6, ..good.clone() },
        Architecture { depth: huge, ..good.clone() },
        Architecture { hidden: huge, ..good.clone() },
        classifier(huge, huge),
    ] {
        assert!(vjepa2::plan(&network, 1, &EVERYTHING, limits).is_err(), "{network:?}");
    }
    let trajectories = Some(TrajectoryOutputs { block: 0, queries: vec![0] });
    let outputs = NetworkOutputs { trajectories, ..NetworkOutputs::NOTHING };
    let error = vjepa2::plan(&good, 1, &outputs, limits).expect_err("refused").to_string();
    assert!(error.contains("a V-JEPA 2 has no trajectories"), "{error}");
    let beyond = NetworkOutputs { operands: Some(2), ..NetworkOutputs::NOTHING };
    assert!(matches!(vjepa2::plan(&good, 1, &beyond, limits), Err(Error::OutOfRange { index: 2, count: 2, .. })));
}
