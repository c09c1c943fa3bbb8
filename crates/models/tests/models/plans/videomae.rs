//! VideoMAE as a plan: round the edges of sizes, in its full size, and the norm of the mean.

use orthoformer::compare::{Tolerance, compare};
use orthoformer::kernel::Activation;
use orthoformer::plan::Role;
use orthoformer::reference::{self, Route};
use orthoformer::{Error, PlanLimits, Tensor};
use orthoformer_models::networks::vit::{self, Architecture, Kind, Pooling, QkvBias};
use orthoformer_models::networks::{Features, Network, NetworkOutputs};
use support::{assert_agree, assert_agree_as_half, change, random_inputs, run};

/// A network for clips `[frames, height, width]` in patches of two frames of four pixels by four.
fn architecture(pooling: Pooling, qkv_bias: QkvBias, clip: [u32; 3], [channels, heads, hidden]: [u32; 3]) -> Architecture {
    Architecture {
        kind: Kind::VideoMae(pooling),
        has_family_names: true,
        frames: clip[0],
        height: clip[1],
        width: clip[2],
        patch: [2, 4, 4],
        channels,
        heads,
        depth: 2,
        hidden,
        activation: Activation::Gelu,
        epsilon: 1e-12,
        qkv_bias,
        classes: Some(3),
    }
}

/// VideoMAE-B, as published for Kinetics.
fn base() -> Architecture {
    let small = architecture(Pooling::Mean, QkvBias::Published, [16, 224, 224], [768, 12, 3072]);
    Architecture { patch: [2, 16, 16], depth: 12, classes: Some(400), ..small }
}

#[test]
fn executors_agree_round_the_edges_of_sizes() {
    let sizes = [([2, 4, 4], [12, 1, 20]), ([4, 12, 8], [20, 5, 33]), ([6, 8, 20], [64, 2, 128]), ([2, 36, 28], [36, 3, 17])];
    let biases = [QkvBias::Published, QkvBias::QueryAndValue, QkvBias::None, QkvBias::All];
    for (number, ((clip, widths), bias)) in (0..).zip(sizes.into_iter().zip(biases)) {
        for pooling in [Pooling::First, Pooling::Mean] {
            let network = architecture(pooling, bias, clip, widths);
            for outputs in [
                NetworkOutputs::LOGITS,
                NetworkOutputs { features: Some(Features::Final), ..NetworkOutputs::LOGITS },
                NetworkOutputs { features: Some(Features::Block(0)), operands: Some(1), ..NetworkOutputs::NOTHING },
            ] {
                let plan = vit::plan(&network, 2, &outputs, PlanLimits::default()).expect("a small network");
                let what = format!("{clip:?} {widths:?} {pooling:?} {bias:?} {outputs:?}");
                assert_agree(&what, &plan, &random_inputs(&plan, 80 + number), Tolerance::LAYER);
            }
        }
    }
    let plan = vit::plan(
        &architecture(Pooling::Mean, QkvBias::Published, [4, 8, 8], [64, 4, 128]),
        1,
        &NetworkOutputs::LOGITS,
        PlanLimits::default(),
    );
    let plan = plan.expect("a small network");
    let inputs = random_inputs(&plan, 90);
    assert_agree_as_half("VideoMAE", plan, &inputs);
}

#[test]
fn a_network_goes_through_in_slices() {
    let limits = PlanLimits { scratch_bytes: 4096, ..PlanLimits::default() };
    for pooling in [Pooling::First, Pooling::Mean] {
        let network = architecture(pooling, QkvBias::Published, [4, 16, 12], [32, 2, 64]);
        let outputs = NetworkOutputs { features: Some(Features::Final), ..NetworkOutputs::LOGITS };
        let [whole, sliced] =
            [PlanLimits::default(), limits].map(|limits| vit::plan(&network, 3, &outputs, limits).expect("plans"));
        assert!(sliced.dispatches().count() > whole.dispatches().count());
        let inputs = random_inputs(&whole, 91);
        let (found, expected) = (run(&sliced, &inputs), run(&whole, &inputs));
        for (name, expected) in &expected {
            let outcome = compare(&found[name], expected, Tolerance::LAYER);
            assert!(outcome.passed(), "{pooling:?} {name}: {outcome:?}");
        }
    }
}

/// Where the mean of all tokens is small, what is added to its variance shows: PyTorch's 1e-5, whatever the configuration says of other norms.
#[test]
fn the_norm_of_the_mean_has_an_epsilon_of_its_own() {
    let network = architecture(Pooling::Mean, QkvBias::Published, [4, 8, 8], [16, 2, 16]);
    let outputs = NetworkOutputs { features: Some(Features::Final), ..NetworkOutputs::LOGITS };
    let plan = vit::plan(&network, 1, &outputs, PlanLimits::default()).expect("a small network");
    let mut inputs = random_inputs(&plan, 92);
    let added = ["clip", "positions", "attention.output.dense", "0.output.dense", "1.output.dense"];
    let names: Vec<String> = inputs.keys().filter(|name| added.iter().any(|part| name.contains(part))).cloned().collect();
    names.iter().for_each(|name| change(&mut inputs, name, |_, value| 4e-3 * value));
    for found in [run(&plan, &inputs), reference::run(&plan, &inputs, Route::Direct).expect("runs")] {
        let tokens: Vec<&[f32]> = found["features"].data().chunks(16).collect();
        let mean: Vec<f64> =
            (0..16).map(|c| tokens.iter().map(|token| f64::from(token[c])).sum::<f64>() / tokens.len() as f64).collect();
        let logits = |epsilon: f64| -> Vec<f32> {
            let centre = mean.iter().sum::<f64>() / 16.0;
            let variance = mean.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / 16.0;
            assert!(variance < 1e-3, "{variance}");
            let of = |name: &str, index: usize| f64::from(inputs[name].data()[index]);
            let normed =
                |c: usize| (mean[c] - centre) / (variance + epsilon).sqrt() * of("fc_norm.weight", c) + of("fc_norm.bias", c);
            let logit = |class: usize| {
                let products = (0..16).map(|c| of("classifier.weight", class * 16 + c) * normed(c));
                (products.sum::<f64>() + of("classifier.bias", class)) as f32
            };
            (0..3).map(logit).collect()
        };
        let outcome = |epsilon| {
            let expected = Tensor::new(vec![1, 3], logits(epsilon)).expect("three");
            compare(&found["logits"], &expected, Tolerance { absolute: 1e-4, relative: 0.0 })
        };
        assert!(outcome(1e-5).passed(), "{:?}", outcome(1e-5));
        assert!(!outcome(1e-12).passed(), "too large to show");
    }
}

#[test]
fn the_published_size_is_planned_in_little_memory() {
    let network = base();
    assert_eq!(network.published_multiply_adds().expect("fits"), Some(180_344_586_240 + 400 * 768));
    let plan = network.plan(1, &NetworkOutputs::LOGITS, PlanLimits::default()).expect("plans");
    let weights: u64 = plan.buffers().iter().filter(|spec| spec.role == Role::Input).map(|spec| spec.bytes()).sum();
    // 87 million parameters and a table of 1,568 positions; the clip is an input too.
    assert!((350_000_000..370_000_000).contains(&weights), "{weights}");
    let beside = plan.peak_bytes() - weights;
    // The scores of one layer alone would be 118 MB.
    assert!(beside < 60_000_000, "{beside} bytes beside the weights");
    // Every token counts for a mean; for the first token alone the last block does less.
    let first = Architecture { kind: Kind::VideoMae(Pooling::First), ..base() };
    let first = first.plan(1, &NetworkOutputs::LOGITS, PlanLimits::default()).expect("plans");
    assert!(first.multiply_adds() < plan.multiply_adds() * 95 / 100);
}

#[test]
fn what_cannot_be_is_refused() {
    let network = architecture(Pooling::Mean, QkvBias::Published, [4, 8, 8], [16, 2, 16]);
    let headless = Architecture { classes: None, ..network.clone() };
    let refused = |network: &Architecture, outputs: &NetworkOutputs| {
        vit::plan(network, 1, outputs, PlanLimits::default()).expect_err("refused")
    };
    assert!(matches!(refused(&headless, &NetworkOutputs::LOGITS), Error::Argument { what: "outputs", .. }));
    let heads = Architecture { heads: 3, ..network.clone() };
    assert!(matches!(refused(&heads, &NetworkOutputs::LOGITS), Error::DoesNotDivide { given: 16, divisor: 3, .. }));
    let frames = Architecture { frames: 3, ..network.clone() };
    assert!(matches!(refused(&frames, &NetworkOutputs::LOGITS), Error::DoesNotDivide { given: 3, divisor: 2, .. }));
    let block = NetworkOutputs { operands: Some(2), ..NetworkOutputs::NOTHING };
    assert!(matches!(refused(&network, &block), Error::OutOfRange { what: "layer", index: 2, count: 2 }));
}
