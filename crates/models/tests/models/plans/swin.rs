//! Swin and Video Swin: answers from elsewhere, edges, and what is refused.

use orthoformer::compare::{Tolerance, compare};
use orthoformer::reference::{self, Route};
use orthoformer::{Error, Plan, PlanLimits, Tensor, Tensors};
use orthoformer_models::networks::swin::{self, Architecture, Dimensions};
use orthoformer_models::networks::{Features, Network, NetworkOutputs, TrajectoryOutputs};
use support::{assert_agree, assert_agree_as_half, random_inputs, run};

use super::files::tensors;

const EVERYTHING: NetworkOutputs = NetworkOutputs { features: Some(Features::Final), ..NetworkOutputs::LOGITS };

/// A network of two stages, the second with twice as many heads, for clips `[frames, height, width]`.
fn architecture(
    [patch, window]: [[u32; 3]; 2],
    depths: [u32; 2],
    [channels, heads, ratio]: [u32; 3],
    clip: [u32; 3],
) -> Architecture {
    Architecture {
        dimensions: if patch[0] == 1 { Dimensions::Two } else { Dimensions::Three },
        frames: clip[0],
        height: clip[1],
        width: clip[2],
        patch,
        channels,
        depths: depths.to_vec(),
        heads: vec![heads, 2 * heads],
        window,
        hidden: vec![ratio * channels, 2 * ratio * channels],
        classes: 3,
    }
}

fn plan(architecture: &Architecture, batch: u32, outputs: &NetworkOutputs) -> Plan {
    swin::plan(architecture, batch, outputs, PlanLimits::default()).expect("a small network")
}

/// Runs a network on both executors and holds them against the answer.
fn check(what: &str, architecture: &Architecture, mut given: Tensors, outputs: &NetworkOutputs) {
    let input = given["input"].clone();
    let batch = input.shape()[0];
    let clip = [batch, 3, architecture.frames as usize, architecture.height as usize, architecture.width as usize];
    given.insert("clip".to_owned(), Tensor::new(clip.to_vec(), input.into_data()).expect("as many numbers"));
    let plan = plan(architecture, batch as u32, outputs);
    let by_gpu = run(&plan, &given);
    let by_reference = reference::run(&plan, &given, Route::Direct).expect("runs");
    for (name, found) in by_gpu.iter().chain(&by_reference) {
        let outcome = compare(found, &given[&format!("expected.{name}")], Tolerance::NETWORK);
        println!("{what}, {name}: {outcome:?}");
        assert!(outcome.passed(), "{what}, {name}: {outcome:?}");
    }
}

#[test]
fn networks_give_the_published_codes_answers() {
    let video = architecture([[2, 4, 4], [4, 3, 3]], [2, 2], [24, 2, 4], [12, 44, 40]);
    let pictures = architecture([[1, 4, 4], [1, 5, 5]], [2, 2], [24, 2, 4], [1, 52, 68]);
    for (folder, network) in [("video_swin", video), ("swin", pictures)] {
        let mut given = tensors(&format!("networks/{folder}/model.safetensors"));
        given.extend(tensors(&format!("networks/{folder}/case.safetensors")));
        check(folder, &Architecture { classes: 5, ..network }, given, &NetworkOutputs::LOGITS);
    }
}

/// Grids that windows and patches do not divide, clipped windows whose biases are those of other places, one frame, one token. The answers are
/// torchvision 0.29's, in float64, for weights that were drawn; each file has both.
#[test]
fn edges_are_the_published_codes() {
    let video = |window, clip| architecture([[2, 4, 4], window], [2, 1], [8, 1, 2], clip);
    let picture = |[rows, columns]: [u32; 2], clip| architecture([[1, 4, 4], [1, rows, columns]], [2, 1], [8, 1, 2], clip);
    let cases = [
        ("clipped_window", video([4, 3, 7], [5, 38, 17])),
        ("one_frame", video([4, 3, 3], [1, 25, 31])),
        ("one_token", video([8, 7, 7], [2, 3, 4])),
        ("small_picture", picture([5, 4], [1, 13, 42])),
        ("picture", picture([3, 4], [1, 27, 33])),
    ];
    for (name, network) in cases {
        check(name, &network, tensors(&format!("network_edges/{name}.safetensors")), &EVERYTHING);
    }
}

#[test]
fn executors_agree_round_the_edges() {
    let sizes = [[3, 9, 21], [1, 4, 8], [8, 24, 12], [7, 25, 26]];
    for (turn, clip) in sizes.into_iter().enumerate() {
        let video = architecture([[2, 4, 4], [2, 3, 2]], [2, 2], [12, 1 + turn as u32 % 2, 2], clip);
        let pictures = architecture([[1, 3, 4], [1, 2, 3]], [3, 1], [12, 3, 1], [1, clip[1], clip[2]]);
        for network in [video, pictures] {
            let plan = plan(&network, 1 + turn as u32, &EVERYTHING);
            let inputs = random_inputs(&plan, 60 + turn as u64);
            assert_agree(&format!("{network:?}"), &plan, &inputs, Tolerance::NETWORK);
            assert_agree_as_half(&format!("{network:?}"), plan, &inputs);
        }
    }
}

#[test]
fn networks_in_slices_are_the_same() {
    // Batch items by turns, then heads too.
    let network = architecture([[2, 2, 2], [2, 3, 2]], [2, 2], [16, 4, 2], [5, 9, 11]);
    let whole = plan(&network, 3, &EVERYTHING);
    let inputs = random_inputs(&whole, 70);
    let expected = reference::run(&whole, &inputs, Route::Direct).expect("runs");
    for (scratch_bytes, binding_bytes) in [(20_000, 128 << 20), (1, 14_000)] {
        let limits = PlanLimits { scratch_bytes, binding_bytes, ..PlanLimits::default() };
        let sliced = swin::plan(&network, 3, &EVERYTHING, limits).expect("weights fit");
        assert!(sliced.dispatches().count() > whole.dispatches().count());
        let found = run(&sliced, &inputs);
        for (name, expected) in &expected {
            let outcome = compare(&found[name], expected, Tolerance::NETWORK);
            assert!(outcome.passed(), "{scratch_bytes} {binding_bytes} {name}: {outcome:?}");
        }
    }
    let limits = PlanLimits { binding_bytes: 3_000, ..PlanLimits::default() };
    assert!(matches!(swin::plan(&network, 1, &EVERYTHING, limits), Err(Error::BindingTooLarge { .. })));
}

#[test]
fn features_of_blocks_are_counted_through_all_stages() {
    let network = architecture([[2, 4, 4], [2, 3, 2]], [2, 2], [12, 3, 2], [5, 18, 22]);
    let only = |block| NetworkOutputs { features: Some(Features::Block(block)), ..NetworkOutputs::NOTHING };
    let inputs = random_inputs(&plan(&network, 2, &EVERYTHING), 80);
    let shapes = [[2, 90, 12], [2, 90, 12], [2, 27, 24], [2, 27, 24]];
    let mut before = 0;
    for (block, shape) in (0..4).zip(shapes) {
        let alone = plan(&network, 2, &only(block));
        assert!(alone.multiply_adds() > before, "more blocks, more work");
        before = alone.multiply_adds();
        let found = run(&alone, &inputs);
        assert_eq!(found["features"].shape(), shape);
        let (grid, channels) = network.tokens_after(Features::Block(block)).expect("a block");
        assert_eq!([grid.iter().product(), channels].map(|size: u32| size as usize), shape[1..]);
        let both = plan(&network, 2, &NetworkOutputs { logits: true, ..only(block) });
        assert_agree(&format!("block {block}"), &both, &inputs, Tolerance::NETWORK);
        let outcome = compare(&run(&both, &inputs)["features"], &found["features"], Tolerance::OPERATION);
        assert!(outcome.passed(), "{block}: {outcome:?}");
    }
    assert!(plan(&network, 2, &NetworkOutputs::LOGITS).multiply_adds() > before);
}

/// torchvision's `swin3d_t`, for 16 frames of 224 x 224 pixels.
fn swin3d_t() -> Architecture {
    Architecture {
        dimensions: Dimensions::Three,
        frames: 16,
        height: 224,
        width: 224,
        patch: [2, 4, 4],
        channels: 96,
        depths: vec![2, 2, 6, 2],
        heads: vec![3, 6, 12, 24],
        window: [8, 7, 7],
        hidden: vec![384, 768, 1536, 3072],
        classes: 400,
    }
}

#[test]
fn the_published_count_of_multiply_adds() {
    let network = swin3d_t();
    let published = network.published_multiply_adds().expect("the published sizes").expect("published");
    // torchvision gives 43.88 G.
    println!("swin3d_t: {published} as published");
    assert!((published as f64 / 43.882e9 - 1.0).abs() < 1e-3, "{published}");
    let planned = plan(&network, 1, &NetworkOutputs::LOGITS).multiply_adds();
    println!("swin3d_t: {planned} planned");
    assert!((planned as f64 / published as f64 - 1.0).abs() < 0.03, "{planned}");
    // Twice the frames: half a window more along time.
    let long = Architecture { frames: 32, ..network };
    assert!(swin::plan(&long, 1, &NetworkOutputs::LOGITS, PlanLimits::default()).is_ok());
}

#[test]
fn impossible_networks_are_refused() {
    let good = architecture([[2, 4, 4], [2, 3, 2]], [2, 2], [12, 3, 2], [5, 18, 22]);
    let refusal = |network: &Architecture| {
        swin::plan(network, 1, &NetworkOutputs::LOGITS, PlanLimits::default()).expect_err("refused").to_string()
    };
    let said = |network: Architecture, part: &str| {
        let message = refusal(&network);
        assert!(message.contains(part), "{message:?} has no {part:?}");
    };
    assert!(good.check().is_ok());
    assert_eq!(good.tokens_after(Features::Final).expect("sizes that fit"), ([3, 3, 3], 24));
    assert!(matches!(good.tokens_after(Features::Block(4)), Err(Error::OutOfRange { index: 4, count: 4, .. })));
    said(Architecture { window: [2, 0, 2], ..good.clone() }, "rows of a window is 0");
    said(Architecture { heads: vec![5, 6], ..good.clone() }, "channels is 12, which is not a multiple of heads = 5");
    said(Architecture { heads: vec![0, 6], ..good.clone() }, "heads is 0");
    said(Architecture { heads: vec![3], ..good.clone() }, "one for each of 2 stages");
    said(Architecture { depths: Vec::new(), ..good.clone() }, "stages is 0");
    said(Architecture { depths: vec![2, 0], ..good.clone() }, "depth (blocks of a stage) is 0");
    said(Architecture { depths: vec![2; 100], heads: vec![3; 100], hidden: vec![9; 100], ..good.clone() }, "stages is 100");
    said(Architecture { frames: 0, ..good.clone() }, "frames is 0");
    said(Architecture { patch: [2, 4, 0], ..good.clone() }, "width of a patch is 0");
    said(Architecture { classes: 0, ..good.clone() }, "classes is 0");
    said(
        Architecture { channels: 384, heads: vec![1, 1], ..good.clone() },
        "head size is 384; the most that is supported is 256",
    );
    said(Architecture { dimensions: Dimensions::Two, ..good.clone() }, "expected 1 in two dimensions");
    let picture = architecture([[1, 4, 4], [1, 3, 2]], [2, 2], [12, 3, 2], [1, 3, 22]);
    said(picture, "whole patches of a picture is 0");
    // The largest of everything, one after the other: a refusal each, and nothing overflows.
    let huge = u32::MAX;
    let all_huge = Architecture {
        dimensions: Dimensions::Three,
        frames: huge,
        height: huge,
        width: huge,
        patch: [huge; 3],
        channels: huge,
        depths: vec![huge; 2],
        heads: vec![huge; 2],
        window: [huge; 3],
        hidden: vec![huge; 2],
        classes: huge,
    };
    for network in [
        all_huge,
        Architecture { frames: 16_384, height: 16_384, width: 16_384, patch: [1, 1, 1], ..good.clone() },
        Architecture { channels: 1 << 20, heads: vec![1 << 20, 1 << 20], ..good.clone() },
        Architecture { window: [1 << 10; 3], ..good.clone() },
        Architecture { hidden: vec![1 << 20, 1 << 20], height: 16_384, width: 16_384, ..good.clone() },
    ] {
        refusal(&network);
        assert!(swin::plan(&network, huge, &EVERYTHING, PlanLimits::default()).is_err());
    }
    let outputs = |features, trajectories| NetworkOutputs { features, trajectories, ..NetworkOutputs::NOTHING };
    let asked = |outputs| swin::plan(&good, 1, &outputs, PlanLimits::default()).expect_err("refused");
    assert!(matches!(asked(outputs(Some(Features::Block(4)), None)), Error::OutOfRange { index: 4, count: 4, .. }));
    assert!(matches!(asked(outputs(None, None)), Error::Argument { .. }));
    let operands = NetworkOutputs { operands: Some(4), ..NetworkOutputs::LOGITS };
    assert!(matches!(asked(operands), Error::OutOfRange { index: 4, count: 4, .. }));
    let trajectories = TrajectoryOutputs { block: 0, queries: vec![0] };
    assert!(asked(outputs(None, Some(trajectories))).to_string().contains("a Swin has no trajectories"));
}
