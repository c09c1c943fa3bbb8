//! Layers and followings through approximations.

use orthoformer::compare::{Tolerance, compare, compare_numbers};
use orthoformer::gpu::RunOptions;
use orthoformer::ops::approximation::{
    Approximation, Candidates, Criterion, FeatureProjection, Greedy, Nystrom, Performer, Prototypes, Selection,
};
use orthoformer::ops::follow::{self, FollowSpec};
use orthoformer::ops::{Biases, LayerAttention, LayerOutputs, LayerSpec, Operation, TemporalValue, layer};
use orthoformer::picks::{TOLERANCE, with_picks};
use orthoformer::plan::PlanLimits;
use orthoformer::reference::direct::replay;
use orthoformer::reference::{self, Route};
use orthoformer::{Shape, Tensor, Tensors};
use support::{assert_agree, change, constant, engine, plan, random_inputs, run, whole_numbers};

use crate::formulas::{Head, Matrix, matrix};

fn orthoformer(count: u32, candidates: Candidates, per_frame: bool, selection: Selection) -> Approximation {
    Approximation::Orthoformer(Prototypes { count, candidates, selection, per_frame })
}

/// Approximations of clips with at least four patches a frame.
fn approximations() -> Vec<Approximation> {
    let greedy = |criterion| Selection::Greedy(Greedy { criterion, seed: 2, ..Greedy::default() });
    vec![
        orthoformer(7, Candidates::QueriesAndKeys, false, greedy(Criterion::Sum)),
        orthoformer(4, Candidates::QueriesAndKeys, true, greedy(Criterion::Max)),
        orthoformer(3, Candidates::QueriesAndKeys, true, Selection::SegmentMeans),
        orthoformer(5, Candidates::Queries, false, Selection::KMeans { iterations: 2, seed: 3, spherical: true }),
        Approximation::Nystrom(Nystrom { landmarks: 5, iterations: 6 }),
        Approximation::Performer(Performer { features: 19, projection: FeatureProjection::Drawn { seed: 4 } }),
        Approximation::Performer(Performer { features: 6, projection: FeatureProjection::Given }),
    ]
}

fn spec([batch, heads, frames, patches, size]: [usize; 5], approximation: &Approximation, all: bool) -> LayerSpec {
    LayerSpec {
        shape: Shape::new(batch, heads, frames, patches, size).expect("a small shape"),
        attention: LayerAttention::Trajectory(TemporalValue::Projected),
        approximation: approximation.clone(),
        class_token: all,
        biases: Biases { qkv: all, proj_q: all, proj_kv: all, proj: all },
        outputs: LayerOutputs { tokens: all, temporal_weights: all, indices: true, queries: Vec::new() },
    }
}

/// Runs a layer within limits and compares it with the reference without; picks are those of the adapter. All that came out.
fn check(spec: &LayerSpec, limits: PlanLimits, inputs: &Tensors) -> Tensors {
    let operation = Operation::Layer(spec.clone());
    let options = RunOptions { poison: true, read_scratch: true, ..RunOptions::default() };
    let found = engine().run(&operation.plan(limits).expect("a small layer"), inputs, options).expect("runs").outputs;
    let same = match found.get("indices") {
        Some(indices) => with_picks(&operation, indices),
        None => operation,
    };
    for (name, expected) in reference::run(&plan(&same), inputs, Route::Direct).expect("runs") {
        let outcome = compare(&found[&name], &expected, Tolerance::LAYER);
        assert!(outcome.passed(), "{spec:?} {limits:?}, output {name}: {outcome:?}");
    }
    found
}

#[test]
fn layers_round_the_edges() {
    for sizes in [[2, 3, 4, 9, 16], [1, 2, 1, 65, 12], [3, 1, 2, 17, 30], [1, 2, 3, 8, 80]] {
        for approximation in approximations() {
            for value in [TemporalValue::Projected, TemporalValue::Identity] {
                for all in [true, false] {
                    let spec = LayerSpec { attention: LayerAttention::Trajectory(value), ..spec(sizes, &approximation, all) };
                    let inputs = random_inputs(&plan(&Operation::Layer(spec.clone())), 1);
                    let found = check(&spec, PlanLimits::default(), &inputs);
                    let greedy =
                        matches!(&approximation, Approximation::Orthoformer(Prototypes { selection: Selection::Greedy(_), .. }));
                    assert_eq!(found.contains_key("indices"), greedy);
                }
            }
        }
    }
}

#[test]
fn slices_and_chunks_of_layers_change_nothing() {
    for approximation in approximations() {
        for all in [true, false] {
            let spec = spec([3, 2, 5, 14, 12], &approximation, all);
            let inputs = random_inputs(&plan(&Operation::Layer(spec.clone())), 2);
            let whole = check(&spec, PlanLimits::default(), &inputs);
            for scratch_bytes in [80_000, 20_000, 8_000, 3_000, 1] {
                let found = check(&spec, PlanLimits { scratch_bytes, ..PlanLimits::default() }, &inputs);
                assert_eq!(found.get("indices"), whole.get("indices"), "{approximation}, scratch of {scratch_bytes}");
            }
            check(&spec, PlanLimits { scratch_bytes: 8_192, binding_bytes: 24_576, ..PlanLimits::default() }, &inputs);
        }
    }
}

/// Queries, keys and values of a layer's patches as the inputs of trajectories, `[B, H, N, D]`.
fn unpacked(spec: &LayerSpec, packed: &Tensor) -> Tensors {
    let shape = &spec.shape;
    let [batch, heads, tokens, size] = [shape.batch(), shape.heads(), shape.tokens(), shape.head_size()].map(|n| n as usize);
    let (channels, class) = (heads * size, usize::from(spec.class_token));
    let part = |number: usize| {
        let mut data = Vec::new();
        for item in 0..batch {
            for head in 0..heads {
                for token in 0..tokens {
                    let row = item * (tokens + class) + class + token;
                    data.extend_from_slice(&packed.data()[row * 3 * channels + number * channels + head * size..][..size]);
                }
            }
        }
        Tensor::new(vec![batch, heads, tokens, size], data).expect("all heads")
    };
    (0..3).map(|number| (["q", "k", "v"][number].to_owned(), part(number))).collect()
}

/// Tokens of a layer `[B, N, F, C]` in the order of trajectories, `[B, H, N, F, D]`.
fn by_head(shape: &Shape, tokens: &Tensor) -> Vec<f32> {
    let (heads, size) = (shape.heads() as usize, shape.head_size() as usize);
    let item = tokens.data().len() / shape.batch() as usize;
    let of_head =
        |item: &[f32], head: usize| -> Vec<f32> { item.chunks(size).skip(head).step_by(heads).flatten().copied().collect() };
    tokens.data().chunks(item).flat_map(|item| (0..heads).flat_map(move |head| of_head(item, head))).collect()
}

#[test]
fn tokens_of_layers_are_those_of_their_queries_keys_and_values() {
    let sizes = [2, 3, 4, 9, 16];
    for approximation in approximations() {
        let spec = spec(sizes, &approximation, true);
        let plan = plan(&Operation::Layer(spec.clone()));
        let inputs = random_inputs(&plan, 3);
        let found = check(&spec, PlanLimits::default(), &inputs);
        let heads = Head::all(&spec.shape, &unpacked(&spec, &found["packed qkv"]));
        let formula = |(number, head): (usize, &Head)| match &approximation {
            Approximation::Orthoformer(prototypes) => {
                let of_head = if prototypes.per_frame { sizes[2] } else { 1 };
                let all = matrix(found["landmarks"].data(), sizes[4]);
                let groups: Vec<Matrix> = all.chunks(prototypes.count as usize).map(<[_]>::to_vec).collect();
                head.orthoformer(&groups[number * of_head..][..of_head])
            }
            Approximation::Nystrom(nystrom) => head.nystrom(nystrom.landmarks as usize, nystrom.iterations),
            Approximation::Performer(_) => {
                let given = inputs.get("projection").map(|given| given.data().to_vec());
                let drawn = || constant(&plan, "projection").into_iter().map(f32::from_bits).collect::<Vec<f32>>();
                head.performer(&matrix(&given.unwrap_or_else(drawn), sizes[4]))
            }
            Approximation::Exact => head.exact(),
        };
        let expected: Vec<f32> = heads.iter().enumerate().flat_map(formula).collect();
        let outcome = compare_numbers(&by_head(&spec.shape, &found["tokens"]), &expected, Tolerance::LAYER);
        assert!(outcome.passed(), "{approximation}: {outcome:?}");
    }
}

#[test]
fn picks_of_layers_are_right() {
    for (approximation, groups) in approximations().into_iter().zip([vec![None], (0..4).map(Some).collect()]) {
        let spec = spec([2, 3, 4, 9, 16], &approximation, true);
        let found = check(&spec, PlanLimits::default(), &random_inputs(&plan(&Operation::Layer(spec.clone())), 4));
        let Approximation::Orthoformer(prototypes) = &approximation else { panic!("the first two are") };
        let Selection::Greedy(greedy) = &prototypes.selection else { panic!("the first two are") };
        let mut shape = vec![6, prototypes.count as usize];
        shape.splice(1..1, prototypes.per_frame.then_some(4));
        assert_eq!(found["indices"].shape(), shape);
        let qkv = unpacked(&spec, &found["packed qkv"]);
        let rows = |head: usize, name: &str, frame: Option<usize>| -> Vec<Vec<f32>> {
            let of_head: Vec<&[f32]> = qkv[name].data().chunks(16).skip(head * 36).take(36).collect();
            frame.map_or(&of_head[..], |frame| &of_head[frame * 9..][..9]).iter().map(|row| row.to_vec()).collect()
        };
        let picks = whole_numbers(&found["indices"]);
        let mut picks = picks.chunks(prototypes.count as usize);
        for (head, frame) in (0..6).flat_map(|head| groups.iter().map(move |&frame| (head, frame))) {
            let candidates = [rows(head, "q", frame), rows(head, "k", frame)].concat();
            let candidates: Vec<&[f32]> = candidates.iter().map(Vec::as_slice).collect();
            let picks: Vec<usize> = picks.next().expect("for every group").iter().map(|&pick| pick as usize).collect();
            let replay = replay(&candidates, greedy.normalise, greedy.criterion, None, &picks);
            assert!(replay.gap <= TOLERANCE, "head {head}, frame {frame:?}: {replay:?}");
        }
    }
}

#[test]
fn layers_that_make_no_sense_are_refused() {
    let approximation = &approximations()[0];
    let refused = |spec: &LayerSpec| layer::plan(spec, PlanLimits::default()).expect_err("must be refused").to_string();
    let sizes = [1, 1, 3, 10, 4];
    for attention in [LayerAttention::Joint, LayerAttention::DividedSpace, LayerAttention::DividedTime] {
        let spec = LayerSpec { attention, outputs: LayerOutputs::default(), ..spec(sizes, approximation, true) };
        let expected = "approximation: \"orthoformer\" is not valid; expected exact, as attention is not `trajectory`";
        assert_eq!(refused(&spec), expected);
        let indices = LayerOutputs { indices: true, ..LayerOutputs::default() };
        let exact = LayerSpec { approximation: Approximation::Exact, outputs: indices, ..spec };
        assert!(refused(&exact).contains("no extra outputs"));
    }
    let outputs = LayerOutputs { queries: vec![1, 2], ..LayerOutputs::default() };
    let expected = "attention of chosen queries: \"2 queries\" is not valid; expected none, as only exact attention has a row for each query";
    assert_eq!(refused(&LayerSpec { outputs, ..spec(sizes, approximation, true) }), expected);
    let many = orthoformer(61, Candidates::QueriesAndKeys, false, Selection::SegmentMeans);
    assert_eq!(refused(&spec(sizes, &many, true)), "prototypes is 61; the most that is supported is 60");
}

/// A following of `queries` in clips of `[frames, patches, size]`.
fn followed(queries: usize, [frames, patches, head_size]: [usize; 3], scale: f32) -> FollowSpec {
    FollowSpec { queries, frames, patches, head_size, value_size: head_size, scale }
}

#[test]
fn followings_agree_with_the_reference() {
    // Around the 64 columns of attention that one head of the feature kernel takes, too.
    for (queries, clip) in
        [(1, [1, 5, 4]), (3, [4, 9, 16]), (2, [2, 63, 12]), (5, [3, 64, 7]), (1, [2, 65, 30]), (70, [2, 130, 64])]
    {
        for approximation in approximations() {
            if matches!(&approximation, Approximation::Orthoformer(prototypes) if prototypes.per_frame) {
                continue;
            }
            for scale in [1.0 / (clip[2] as f32).sqrt(), 2.0] {
                let spec = followed(queries, clip, scale);
                let plan = follow::attention(&spec, &approximation, PlanLimits::default()).expect("a small clip");
                let mut inputs = random_inputs(&plan, 5);
                ["query", "keys"].iter().for_each(|name| change(&mut inputs, name, |_, number| number * 0.5));
                let what = format!("{spec:?} {approximation}");
                assert_agree(&what, &plan, &inputs, Tolerance::LAYER);
                if !matches!(approximation, Approximation::Nystrom(_)) {
                    let attention = &run(&plan, &inputs)["attention"];
                    let mut sums = attention.data().chunks(clip[1]).map(|row| row.iter().sum::<f32>());
                    assert!(sums.all(|sum| (sum - 1.0).abs() < 1e-4), "{what}: a row for each frame sums to one");
                }
            }
        }
    }
}

#[test]
fn followings_lead_to_the_tokens_of_trajectories() {
    // Queries of the clip itself: what their attention makes of the keys are their trajectory tokens.
    let clip @ [frames, patches, size] = [3, 11, 16];
    let shape = Shape::new(1, 1, frames, patches, size).expect("small");
    let shared = approximations().into_iter();
    let shared = shared.filter(|a| !matches!(a, Approximation::Orthoformer(prototypes) if prototypes.per_frame));
    for approximation in shared.chain([Approximation::Exact]) {
        let whole = plan(&Operation::Trajectories(shape, approximation.clone()));
        let mut inputs = random_inputs(&whole, 6);
        let keys = inputs["k"].data().to_vec();
        for (name, axes) in
            [("q", vec![1, 1, 33, size]), ("v", vec![1, 1, 33, size]), ("keys", clip.to_vec()), ("values", clip.to_vec())]
        {
            inputs.insert(name.to_owned(), Tensor::new(axes, keys.clone()).expect("all keys"));
        }
        let expected = run(&whole, &inputs)["tokens"].data()[5 * frames * size..][..2 * frames * size].to_vec();
        let query = Tensor::new(vec![2, size], keys[5 * size..][..2 * size].to_vec()).expect("tokens 5 and 6");
        inputs.insert("query".to_owned(), query);
        let spec = followed(2, clip, shape.scale());
        let following = follow::plan(&spec, &approximation, PlanLimits::default()).expect("small");
        let found = run(&following, &inputs);
        let alone = run(&follow::attention(&spec, &approximation, PlanLimits::default()).expect("small"), &inputs);
        assert_eq!(found["attention"], alone["attention"], "{approximation}: the same with tokens and without");
        let outcome = compare_numbers(found["tokens"].data(), &expected, Tolerance::LAYER);
        assert!(outcome.passed(), "{approximation}: {outcome:?}");
    }
}

#[test]
fn followings_that_make_no_sense_are_refused() {
    let refused = |spec: &FollowSpec, approximation: &Approximation| {
        follow::attention(spec, approximation, PlanLimits::default()).expect_err("must be refused").to_string()
    };
    let spec = followed(2, [3, 5, 4], 1.0);
    let per_frame = refused(&spec, &approximations()[1]);
    let expected = "prototypes: \"per frame\" is not valid; expected shared by all frames, to follow a query through them";
    assert_eq!(per_frame, expected);
    for (scale, given) in [(0.0, "0"), (-0.5, "-0.5")] {
        for approximation in approximations().into_iter().filter(|a| a.name() != "orthoformer") {
            let message = refused(&FollowSpec { scale, ..spec }, &approximation);
            assert_eq!(message, format!("scale: {given:?} is not valid; expected a number above 0"));
        }
    }
    let nan = refused(&FollowSpec { scale: f32::NAN, ..spec }, &approximations()[0]);
    assert_eq!(nan, "scale: \"NaN\" is not valid; expected a finite number");
    let many = refused(&spec, &Approximation::Nystrom(Nystrom { landmarks: 16, iterations: 6 }));
    assert_eq!(many, "landmarks is 16; the most that is supported is 15");
}
