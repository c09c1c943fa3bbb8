//! Deformable Video Transformers as plans, round the edges of their sizes and asked for more or less.

use orthoformer::compare::{Tolerance, compare};
use orthoformer::reference::{self, Route};
use orthoformer::{Error, Plan, PlanLimits, Tensor, Tensors};
use orthoformer_models::networks::deformable::{self, Architecture, AttentionSpec, Fusion, Logits, MotionSource, MultiScale};
use orthoformer_models::networks::{Features, NetworkOutputs, TrajectoryOutputs};
use support::{assert_agree, assert_agree_as_half, change, random_inputs, run};

use super::formulas::matrix_of;

/// An attention of `[heads, samples]`.
fn attention([heads, samples]: [u32; 2], logits: Logits, scales: Option<(&[[u32; 3]], Fusion)>) -> AttentionSpec {
    let scales = scales.map(|(strides, fusion)| MultiScale { strides: strides.to_vec(), fusion });
    AttentionSpec { heads, samples, logits, qkv_bias: true, scales }
}

const MOTION: Logits = Logits::Motion { hidden: 12 };

/// `[frames, crop, patch, patch depth, channels, depth, hidden, sub-clip]`.
fn architecture(sizes: [u32; 8], attention: AttentionSpec, motion: MotionSource) -> Architecture {
    let [frames, crop, patch, patch_depth, channels, depth, hidden, sub_clip] = sizes;
    Architecture { frames, crop, patch, patch_depth, channels, depth, hidden, sub_clip, attention, motion, classes: 5 }
}

const BLOCKS: MotionSource = MotionSource::Blocks { radius: 3, mean: [0.45, 0.4, 0.5], deviation: [0.225, 0.25, 0.5] };
const SMALL: [u32; 8] = [8, 16, 4, 2, 24, 2, 40, 2];

fn network(architecture: &Architecture, batch: u32, outputs: &NetworkOutputs) -> Plan {
    deformable::plan(architecture, batch, outputs, PlanLimits::default()).expect("a small network")
}

fn everything() -> NetworkOutputs {
    NetworkOutputs { features: Some(Features::Final), ..NetworkOutputs::LOGITS }
}

/// Inputs whose clip has pixels as a normalised video has them, of few levels.
fn seen(plan: &Plan, seed: u64) -> Tensors {
    let mut inputs = random_inputs(plan, seed);
    let plane = inputs["clip"].shape()[2..].iter().product::<usize>();
    let normalised = [(0.45, 0.225), (0.4, 0.25), (0.5, 0.5)];
    change(&mut inputs, "clip", |index, number| {
        let (mean, deviation) = normalised[index / plane % 3];
        (((number / 1.7 + 1.0) * 127.0).round() / 255.0 - mean) / deviation
    });
    inputs
}

fn networks_of_all_kinds() -> Vec<Architecture> {
    let scales: &[[u32; 3]] = &[[1, 1, 1], [1, 2, 2]];
    vec![
        architecture([1, 1, 1, 1, 4, 1, 1, 1], attention([1, 1], MOTION, None), BLOCKS),
        architecture(SMALL, attention([2, 4], MOTION, None), BLOCKS),
        architecture(SMALL, attention([3, 8], Logits::Dot, None), MotionSource::Given),
        architecture(SMALL, attention([2, 3], MOTION, Some((scales, Fusion::Mlp))), BLOCKS),
        architecture(SMALL, attention([2, 3], Logits::Dot, Some((scales, Fusion::Mixer))), MotionSource::Given),
    ]
}

#[test]
fn networks_round_the_edges() {
    for (number, architecture) in networks_of_all_kinds().iter().enumerate() {
        for outputs in [NetworkOutputs::LOGITS, everything()] {
            let plan = network(architecture, 1 + number as u32 % 2, &outputs);
            let inputs = seen(&plan, 65);
            assert_agree(&format!("{architecture:?}"), &plan, &inputs, Tolerance::NETWORK);
            assert_agree_as_half(&format!("{architecture:?}"), plan, &inputs);
        }
    }
}

#[test]
fn operands_are_handed_out_at_every_scale() {
    let operands = NetworkOutputs { operands: Some(1), ..NetworkOutputs::NOTHING };
    for architecture in &networks_of_all_kinds()[1..] {
        let (plan, scales) = (network(architecture, 3, &operands), &architecture.attention.scales);
        let inputs = seen(&plan, 68);
        assert_agree(&format!("{architecture:?}"), &plan, &inputs, Tolerance::NETWORK);
        let (found, samples) = (run(&plan, &inputs), architecture.attention.samples as usize);
        let heads = architecture.attention.heads as usize;
        let tokens: &[(&str, usize)] = if scales.is_some() { &[("scales.0.", 64), ("scales.1.", 16)] } else { &[("", 64)] };
        assert_eq!(found.len(), 2 * tokens.len());
        for (prefix, tokens) in tokens {
            let axes = [3, heads, *tokens, 2];
            assert_eq!(found[&format!("{prefix}displacements")].shape(), [&axes[..], &[2 * samples]].concat());
            assert_eq!(found[&format!("{prefix}sample_logits")].shape(), [&axes[..], &[samples]].concat());
        }
        // The same of clips that go through one by one.
        let limits = PlanLimits { scratch_bytes: 1, ..PlanLimits::default() };
        let sliced = deformable::plan(architecture, 3, &operands, limits).expect("one clip at a time");
        assert!(sliced.dispatches().count() > plan.dispatches().count());
        let one_by_one = run(&sliced, &inputs);
        found.iter().for_each(|(name, all)| assert_eq!(one_by_one[name].data(), all.data(), "{name}"));
    }
}

#[test]
fn motion_by_blocks_is_motion_given() {
    let by_blocks = &networks_of_all_kinds()[3];
    let given = Architecture { motion: MotionSource::Given, ..by_blocks.clone() };
    let (plan, other) = (network(by_blocks, 2, &everything()), network(&given, 2, &everything()));
    let mut inputs = seen(&plan, 66);
    let buffers = reference::run_buffers(&plan, &inputs, Route::Direct).expect("runs");
    let (_, motion) = plan.buffers().iter().zip(buffers).find(|(spec, _)| spec.name == "motion by blocks").expect("there");
    assert!(motion.iter().any(|&number| number != 0.0) && motion.iter().all(|number| number.abs() <= 0.75));
    inputs.insert("motion".to_owned(), Tensor::new(vec![2, 4, 4, 4, 2, 2], motion).expect("of all patches"));
    let (found, expected) = (run(&plan, &inputs), run(&other, &inputs));
    assert_eq!(found["logits"].data(), expected["logits"].data());
    // It matters.
    change(&mut inputs, "motion", |_, number| -number);
    assert_ne!(run(&other, &inputs)["logits"].data(), expected["logits"].data());
}

#[test]
fn features_of_a_block_are_what_the_next_one_gets() {
    for small in &networks_of_all_kinds()[1..] {
        let deep = Architecture { depth: 3, ..small.clone() };
        let only = |features| NetworkOutputs { logits: false, features: Some(features), ..NetworkOutputs::LOGITS };
        let inputs = seen(&network(&deep, 2, &everything()), 67);
        let of = |architecture: &Architecture, outputs: &NetworkOutputs| run(&network(architecture, 2, outputs), &inputs);
        let second = of(&deep, &only(Features::Block(1)))["features"].clone();
        assert_eq!(second.shape(), [2, 64, 24]);
        assert!(compare(&second, &of(small, &only(Features::Block(1)))["features"], Tolerance::OPERATION).passed());
        assert_ne!(second.data(), of(&deep, &only(Features::Block(2)))["features"].data());
        // Features in the middle do not disturb what follows, and stay as they are.
        let both = of(&deep, &NetworkOutputs { features: Some(Features::Block(1)), ..NetworkOutputs::LOGITS });
        assert_eq!(both["logits"].data(), of(&deep, &NetworkOutputs::LOGITS)["logits"].data());
        assert_eq!(both["features"].data(), second.data());
        // The head sees the mean of the final features.
        let all = of(&deep, &everything());
        let [weight, bias] =
            ["head.weight", "head.bias"].map(|name| matrix_of(&inputs[name], if name.ends_with('t') { 24 } else { 5 }));
        let features = matrix_of(&all["features"], 24);
        let mean: Vec<f64> = (0..24).map(|c| features[..64].iter().map(|row| row[c]).sum::<f64>() / 64.0).collect();
        for (class, &logit) in all["logits"].data()[..5].iter().enumerate() {
            let expected = weight[class].iter().zip(&mean).map(|(w, x)| w * x).sum::<f64>() + bias[0][class];
            assert!((f64::from(logit) - expected).abs() < 1e-4, "{logit} {expected}");
        }
    }
}

#[test]
fn networks_of_full_size_are_planned() {
    let scales: &[[u32; 3]] = &[[1, 1, 1], [1, 2, 2], [2, 2, 2]];
    let blocks = MotionSource::Blocks { radius: 16, mean: [0.45; 3], deviation: [0.225; 3] };
    for scales in [None, Some((scales, Fusion::Mlp)), Some((scales, Fusion::Mixer))] {
        let of_logits = |logits| {
            let full = architecture([16, 224, 16, 1, 768, 12, 3072, 4], attention([12, 8], logits, scales), blocks);
            let one = network(&full, 1, &everything()).multiply_adds();
            let eight = network(&full, 8, &everything());
            assert_eq!(eight.multiply_adds(), 8 * one);
            assert!(eight.dispatches().count() < 8000, "{}", eight.dispatches().count());
            one
        };
        let (by_motion, dot) = (of_logits(Logits::Motion { hidden: 64 }), of_logits(Logits::Dot));
        println!("{scales:?}: {by_motion} multiply-adds with logits of motion, {dot} with products");
        // Four products of C x C and an MLP, of 3136 tokens in 12 blocks, and more.
        assert!(by_motion > 12 * 3136 * 11 * 768 * 768 && dot > by_motion);
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let scales: &[[u32; 3]] = &[[1, 1, 1], [1, 2, 2]];
    let refusal = |change: &dyn Fn(&mut Architecture)| {
        let mut architecture = architecture(SMALL, attention([2, 4], MOTION, Some((scales, Fusion::Mlp))), BLOCKS);
        change(&mut architecture);
        deformable::plan(&architecture, 1, &NetworkOutputs::LOGITS, PlanLimits::default()).expect_err("makes no sense")
    };
    let zeros: [fn(&mut Architecture); 14] = [
        |a| a.frames = 0,
        |a| a.crop = 0,
        |a| a.patch = 0,
        |a| a.patch_depth = 0,
        |a| a.channels = 0,
        |a| a.depth = 0,
        |a| a.hidden = 0,
        |a| a.sub_clip = 0,
        |a| a.classes = 0,
        |a| a.attention.heads = 0,
        |a| a.attention.samples = 0,
        |a| a.attention.logits = Logits::Motion { hidden: 0 },
        |a| a.attention.scales.as_mut().expect("some").strides.clear(),
        |a| a.attention.scales.as_mut().expect("some").strides[1][2] = 0,
    ];
    for (number, zero) in zeros.iter().enumerate() {
        let error = refusal(zero);
        assert!(matches!(error, Error::ZeroSize { .. }), "{number}: {error}");
    }
    let said = |change: &dyn Fn(&mut Architecture)| refusal(change).to_string();
    let strides = |a: &mut Architecture, strides| a.attention.scales.as_mut().expect("some").strides[1] = strides;
    assert_eq!(said(&|a| a.crop = 18), "crop is 18, which is not a multiple of patch side = 4");
    assert_eq!(said(&|a| a.frames = 7), "frames is 7, which is not a multiple of frames of a patch = 2");
    assert_eq!(said(&|a| a.sub_clip = 3), "frames is 4, which is not a multiple of frames of a sub-clip = 3");
    assert_eq!(said(&|a| a.attention.heads = 5), "channels is 24, which is not a multiple of heads = 5");
    assert_eq!(said(&|a| strides(a, [1, 3, 2])), "grid rows is 4, which is not a multiple of stride from top to bottom = 3");
    assert_eq!(said(&|a| strides(a, [4, 2, 2])), "frames of a sub-clip is 2, which is not a multiple of stride along time = 4");
    assert!(said(&|a| (a.channels, a.attention.heads) = (514, 2)).starts_with("head size is 257; the most"));
    let huge: [fn(&mut Architecture); 9] = [
        |a| a.crop = u32::MAX - 3,
        |a| a.frames = u32::MAX - 1,
        |a| (a.patch, a.crop) = (33, 66),
        |a| a.channels = u32::MAX - 1,
        |a| a.depth = u32::MAX,
        |a| a.hidden = u32::MAX,
        |a| a.attention.samples = u32::MAX,
        |a| a.motion = MotionSource::Blocks { radius: 128, mean: [0.0; 3], deviation: [1.0; 3] },
        |a| a.attention.logits = Logits::Motion { hidden: u32::MAX },
    ];
    for (number, huge) in huge.iter().enumerate() {
        let error = refusal(huge);
        assert!(matches!(error, Error::TooLarge { .. } | Error::SizeOverflow { .. }), "{number}: {error}");
    }
    let nan = MotionSource::Blocks { radius: 3, mean: [f32::NAN; 3], deviation: [1.0; 3] };
    assert!(said(&|a| a.motion = nan).contains("finite means"));
    let plan = |batch, outputs: &NetworkOutputs| {
        let small = &networks_of_all_kinds()[1];
        deformable::plan(small, batch, outputs, PlanLimits::default()).expect_err("makes no sense").to_string()
    };
    assert_eq!(plan(0, &NetworkOutputs::LOGITS), "batch is 0; it must be at least 1");
    let trajectories = Some(TrajectoryOutputs { block: 0, queries: vec![] });
    assert!(plan(1, &NetworkOutputs { trajectories, ..NetworkOutputs::LOGITS }).contains("has no trajectories"));
    let block = NetworkOutputs { features: Some(Features::Block(2)), ..NetworkOutputs::LOGITS };
    assert_eq!(plan(1, &block), "layer 2 is out of range; it must be below 2");
}
