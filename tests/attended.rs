//! What patches attend to in networks other than Motionformer, held against the definitions.
#![cfg(all(feature = "video", feature = "models"))]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{engine, numbers};
use orthoformer::checkpoint::Checkpoint;
use orthoformer::model::{AttendOptions, Config, Known, Network, Placed, PointedPatch, weights};
use orthoformer::ops::motionformer::NetworkOutputs;
use orthoformer::plan::Element;
use orthoformer::video::Clip;
use orthoformer::video::track::Track;
use orthoformer::video::views::Crop;
use orthoformer::{Error, Tensor, Tensors};
use safetensors::tensor::{Dtype, TensorView};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// The middle of the ball's clip, 64 x 48 pixels.
const AT: AttendOptions = AttendOptions { at: (30.0, 20.0), frame: 0, block: None, head: None };

/// A patch, what it attends to, and the network and clip that say so.
struct Looked {
    patch: PointedPatch,
    track: Track,
    network: Network<'static>,
    /// What the network sees, `[1,3,T,H,W]`.
    clip: Tensor,
}

fn look(open: impl Fn() -> Checkpoint, known: &Known, options: AttendOptions) -> Looked {
    let config = Config::of(&open(), known).expect("says everything");
    let path = shipped("clips/ball.mp4");
    let mut patch = PointedPatch::find(&path, &config, options, |_, _| {}).expect("seen");
    let clip = clip(&path, &config, &patch.frames);
    let network = Network::new(Placed::Gpu(engine()), open(), config, Element::F32).expect("fits");
    let track = patch.attend(&network).expect("attends");
    add_up(&track);
    Looked { patch, track, network, clip }
}

/// The centres of these frames of a clip, normalised.
fn clip(path: &Path, config: &Config, frames: &[usize]) -> Tensor {
    let all: Vec<_> = Clip::open(path).expect("a clip").map(|frame| frame.expect("whole")).collect();
    let seen: Vec<_> = frames.iter().map(|&frame| all[frame].clone()).collect();
    config.clips(&[&seen]).expect("large enough")
}

/// Weights of each frame add up to one where it has a share, and shares do.
fn add_up(track: &Track) {
    let mut shares = 0.0;
    for sighting in &track.sightings {
        let share = sighting.temporal_weight.expect("a network's");
        assert!(sighting.weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0) && share >= 0.0);
        let sum: f64 = sighting.weights.iter().map(|&weight| f64::from(weight)).sum();
        assert!((sum - if share > 0.0 { 1.0 } else { 0.0 }).abs() < 1e-4, "{sum} of {share}");
        shares += share;
    }
    assert!((shares - 1.0).abs() < 1e-4, "{shares}");
}

/// The weight of every patch of all frames.
fn whole(track: &Track) -> Vec<f64> {
    let frame = |sighting: &orthoformer::video::track::Sighting| {
        let share = sighting.temporal_weight.expect("a network's");
        sighting.weights.iter().map(|&weight| f64::from(weight) * share).collect::<Vec<_>>()
    };
    track.sightings.iter().flat_map(frame).collect()
}

fn close(found: &[f64], expected: &[f64], within: f64) {
    assert_eq!(found.len(), expected.len());
    for (place, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() < within, "{place}: {a} {b}");
    }
    assert!(expected.iter().any(|&weight| weight > 1.5 / expected.len() as f64), "not all alike");
}

/// Numbers brought to mean zero and variance one, scaled and shifted.
fn norm(row: &[f64], learned: &Tensors, name: &str, epsilon: f64) -> Vec<f64> {
    let count = row.len() as f64;
    let mean = row.iter().sum::<f64>() / count;
    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    let [scales, shifts] = ["weight", "bias"].map(|part| learned[&format!("{name}.{part}")].data());
    let scaled = row.iter().map(|x| (x - mean) / (variance + epsilon).sqrt());
    scaled.zip(scales).zip(shifts).map(|((x, &a), &b)| x * f64::from(a) + f64::from(b)).collect()
}

/// `x W' + b`.
fn product(row: &[f64], learned: &Tensors, name: &str) -> Vec<f64> {
    let [weight, bias] = ["weight", "bias"].map(|part| learned[&format!("{name}.{part}")].data());
    let of =
        |(weights, &bias): (&[f32], &f32)| f64::from(bias) + weights.iter().zip(row).map(|(&w, x)| f64::from(w) * x).sum::<f64>();
    weight.chunks(row.len()).zip(bias).map(of).collect()
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let peak = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (score - peak).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.iter().map(|power| power / total).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// What a Swin's definition says: the grid padded and rolled as a whole, with numbers of regions written over it, and cut in windows. Weights of all tokens by
/// their queries and keys as the network hands them out.
fn by_windows(looked: &Looked, block: u32, name: &str, [grid, window, table]: [[usize; 3]; 3], heads: usize) -> Vec<f64> {
    let wanted = NetworkOutputs { operands: Some(block), ..NetworkOutputs::NOTHING };
    let operands = looked.network.run(&looked.clip, &wanted).expect("runs").remove("operands").expect("handed out");
    let all = weights(&checkpoint_of(looked), looked.network.config()).expect("reads");
    let biases = all[&format!("{name}attn.relative_position_bias_table")].data();
    let (c, at) = (operands.shape()[2] / 3, &looked.patch);
    let shift = [0, 1, 2].map(|axis| if block % 2 == 1 && grid[axis] > window[axis] { window[axis] / 2 } else { 0 });
    let padded = [0, 1, 2].map(|axis| grid[axis].div_ceil(window[axis]) * window[axis]);
    // The whole grid in its rolled order, each place with its window, its number in that, its region and its token.
    let mut places = Vec::new();
    for t in 0..padded[0] {
        for y in 0..padded[1] {
            for x in 0..padded[2] {
                let rolled = [t, y, x];
                let region = [0, 1, 2].map(|axis| match shift[axis] {
                    0 => 0,
                    shift => {
                        (padded[axis] - window[axis]..padded[axis] - shift).contains(&rolled[axis]) as usize
                            + 2 * usize::from(rolled[axis] >= padded[axis] - shift)
                    }
                });
                let from = [0, 1, 2].map(|axis| (rolled[axis] + shift[axis]) % padded[axis]);
                let is_token = (0..3).all(|axis| from[axis] < grid[axis]);
                let token = is_token.then_some((from[0] * grid[1] + from[1]) * grid[2] + from[2]);
                let own = [0, 1, 2].map(|axis| rolled[axis] % window[axis]);
                let number = (own[0] * window[1] + own[1]) * window[2] + own[2];
                places.push(([0, 1, 2].map(|axis| rolled[axis] / window[axis]), number, region, token));
            }
        }
    }
    let query = (at.step * grid[1] + at.patch.1 as usize) * grid[2] + at.patch.0 as usize;
    let own = places.iter().find(|place| place.3 == Some(query)).expect("in some window");
    let seen: Vec<_> = places.iter().filter(|place| place.0 == own.0 && place.3.is_some()).collect();
    let unravel = |n: usize| [n / (table[1] * table[2]), n / table[2] % table[1], n % table[2]].map(|place| place as isize);
    let numbers = |token: usize, part: usize, head: usize| -> Vec<f64> {
        let size = c / heads;
        operands.data()[(token * 3 + part) * c + head * size..][..size].iter().map(|&x| x.into()).collect()
    };
    let mut sums = vec![0.0; grid.iter().product()];
    for head in 0..heads {
        let q = numbers(query, 0, head);
        let score = |place: &&([usize; 3], usize, [usize; 3], Option<usize>)| {
            let (from, to) = (unravel(own.1), unravel(place.1));
            let [dt, dy, dx] = [0, 1, 2].map(|axis| (from[axis] - to[axis] + table[axis] as isize - 1) as usize);
            let row = (dt * (2 * table[1] - 1) + dy) * (2 * table[2] - 1) + dx;
            let mask = if place.2 == own.2 { 0.0 } else { -100.0 };
            dot(&q, &numbers(place.3.expect("a token"), 1, head)) / ((c / heads) as f64).sqrt()
                + f64::from(biases[row * heads + head])
                + mask
        };
        let of_head = softmax(&seen.iter().map(score).collect::<Vec<_>>());
        seen.iter().zip(of_head).for_each(|(place, weight)| sums[place.3.expect("a token")] += weight / heads as f64);
    }
    sums
}

fn checkpoint_of(looked: &Looked) -> Checkpoint {
    let name = looked.network.config().architecture.name();
    open(if name == "Swin" { "swin" } else { "video_swin" })
}

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(&shipped(&format!("networks/{name}/model.safetensors"))).expect("shipped")
}

#[test]
fn a_swins_patch_sees_its_window() {
    let known = Known { crop: Some(48), ..Known::default() };
    for (block, name, side, heads) in
        [(0, "features.1.0.", 12, 2), (1, "features.1.1.", 12, 2), (2, "features.3.0.", 6, 4), (3, "features.3.1.", 6, 4)]
    {
        for at in [(30.0, 20.0), (33.0, 46.0), (31.0, 1.0)] {
            let looked = look(|| open("swin"), &known, AttendOptions { at, block: Some(block), ..AT });
            assert_eq!(looked.patch.crop, Crop::Centre);
            assert_eq!((looked.patch.grid.columns, looked.track.sightings.len()), (side as u32, 1));
            let expected = by_windows(&looked, block, name, [[1, side, side], [1, 5, 5], [1, 5, 5]], heads);
            close(&whole(&looked.track), &expected, 1e-5);
        }
    }
}

#[test]
fn places_that_were_no_neighbours_hide_from_each_other() {
    // Ten rows in two windows of five, rolled by two: the first two rows share a window with the last three.
    let known = Known { crop: Some(40), ..Known::default() };
    for y in [1.0, 46.0] {
        let looked = look(|| open("swin"), &known, AttendOptions { at: (32.0, y), block: Some(1), ..AT });
        assert_eq!((looked.patch.crop, looked.patch.grid.columns), (Crop::Centre, 10));
        let expected = by_windows(&looked, 1, "features.1.1.", [[1, 10, 10], [1, 5, 5], [1, 5, 5]], 2);
        close(&whole(&looked.track), &expected, 1e-5);
    }
}

#[test]
fn a_video_swins_patch_sees_its_window() {
    // Six frames of patches in windows of four, padded; three of them, where windows are as long as the grid and use the first places of the table.
    for (frames, window) in [(12, 4), (6, 3)] {
        let known = Known { crop: Some(40), frames: Some(frames), sampling_rate: Some(1), ..Known::default() };
        for (block, name, side, heads) in [(0, "features.0.0.", 10, 2), (1, "features.0.1.", 10, 2), (3, "features.2.1.", 5, 4)] {
            let options = AttendOptions { block: Some(block), frame: frames as usize - 2, ..AT };
            let looked = look(|| open("video_swin"), &known, options);
            let steps = frames as usize / 2;
            assert_eq!((looked.patch.grid.columns as usize, looked.track.sightings.len()), (side, steps));
            let expected = by_windows(&looked, block, name, [[steps, side, side], [window, 3, 3], [4, 3, 3]], heads);
            close(&whole(&looked.track), &expected, 1e-5);
        }
    }
}

#[test]
fn the_mean_of_heads_is_the_mean_of_a_swins_heads() {
    let known = Known { crop: Some(48), ..Known::default() };
    let of = |head| whole(&look(|| open("swin"), &known, AttendOptions { head, ..AT }).track);
    let heads: Vec<Vec<f64>> = (0..4).map(|head| of(Some(head))).collect();
    let mean: Vec<f64> = (0..36).map(|patch| heads.iter().map(|head| head[patch]).sum::<f64>() / 4.0).collect();
    close(&of(None), &mean, 1e-6);
    // The last block has four heads, the first two.
    let find = |options| {
        let config = Config::of(&open("swin"), &known).expect("says everything");
        PointedPatch::find(&shipped("clips/ball.mp4"), &config, options, |_, _| {}).expect_err("refused")
    };
    assert!(matches!(find(AttendOptions { head: Some(4), ..AT }), Error::OutOfRange { what: "head", index: 4, count: 4 }));
    let first = AttendOptions { head: Some(2), block: Some(0), ..AT };
    assert!(matches!(find(first), Error::OutOfRange { what: "head", index: 2, count: 2 }));
    assert!(matches!(find(AttendOptions { block: Some(4), ..AT }), Error::OutOfRange { what: "layer", index: 4, count: 4 }));
    let config = Config::of(&open("swin"), &Known { crop: Some(44), ..Known::default() }).expect("says everything");
    let refused =
        PointedPatch::find(&shipped("clips/ball.mp4"), &config, AT, |_, _| {}).expect_err("11 patches in squares of two");
    assert!(matches!(refused, Error::DoesNotDivide { given: 44, divisor: 8, .. }), "{refused}");
}

/// A checkpoint with drawn weights.
fn drawn(shapes: &[(String, Vec<usize>)], description: &str) -> Checkpoint {
    let tensors: BTreeMap<String, Tensor> = (0..)
        .zip(shapes)
        .map(|(seed, (name, shape))| {
            let inputs = shape.iter().skip(1).product::<usize>().max(1);
            let is_norm = name.contains("norm") && name.ends_with("weight");
            let scale = if shape.len() > 1 { 2.0 / (inputs as f32).sqrt() } else { 0.5 };
            let data = numbers(900 + seed, shape.iter().product(), scale);
            let data = data.into_iter().map(|x| if is_norm { 1.0 + x } else { x }).collect();
            (name.clone(), Tensor::new(shape.clone(), data).expect("its own shape"))
        })
        .collect();
    let views = tensors.iter().map(|(name, tensor)| {
        let view = TensorView::new(Dtype::F32, tensor.shape().to_vec(), bytemuck::cast_slice(tensor.data()));
        (name.clone(), view.expect("matches"))
    });
    let bytes = safetensors::serialize(views, None).expect("serialises");
    Checkpoint::parse(Path::new("DRAWN"), bytes).expect("a good file").described(description.to_owned())
}

/// `NAME.weight [outputs, inputs]` and `NAME.bias [outputs]`.
fn dense(name: &str, outputs: usize, inputs: usize) -> [(String, Vec<usize>); 2] {
    [(format!("{name}.weight"), vec![outputs, inputs]), (format!("{name}.bias"), vec![outputs])]
}

fn learned_norm(name: &str, width: usize) -> [(String, Vec<usize>); 2] {
    [(format!("{name}.weight"), vec![width]), (format!("{name}.bias"), vec![width])]
}

/// A Perceiver of videos with 11 latents of 12 numbers, and two heads of keys of eight.
fn perceiver() -> Checkpoint {
    let (d, c, keys) = (12, 243, 8);
    let mut shapes = vec![("embeddings.latents".to_owned(), vec![11, d])];
    for (layer, keys, of_key) in [("encoder.cross_attention", keys, c), ("encoder.self_attends.0", d, d)] {
        let name = |part: &str| format!("{layer}.{part}");
        shapes.extend(dense(&name("attention.self.query"), keys, d));
        shapes.extend(dense(&name("attention.self.key"), keys, of_key));
        shapes.extend(dense(&name("attention.self.value"), d, of_key));
        shapes.extend(dense(&name("attention.output.dense"), d, d));
        shapes.extend(learned_norm(&name("attention.self.layernorm1"), d));
        if of_key == c {
            shapes.extend(learned_norm(&name("attention.self.layernorm2"), c));
        }
        shapes.extend(learned_norm(&name("layernorm"), d));
        shapes.extend(dense(&name("mlp.dense1"), d, d));
        shapes.extend(dense(&name("mlp.dense2"), d, d));
    }
    drawn(
        &shapes,
        r#"{"model_type":"perceiver","d_model":243,"d_latents":12,"num_latents":11,"num_blocks":2,"num_self_attends_per_block":1,
        "num_cross_attention_heads":2,"num_self_attention_heads":3,"use_query_residual":true}"#,
    )
}

#[test]
fn of_a_perceiver_the_latent_is_shown_that_sees_the_patch_most() {
    let options = AttendOptions { frame: 5, ..AT };
    let known = Known { sampling_rate: Some(1), ..Known::default() };
    let looked = look(perceiver, &known, options);
    assert_eq!((looked.track.sightings.len(), looked.patch.grid.columns, looked.patch.block), (16, 56, 0));
    // Keys as the network hands them out; queries from the definition, and of one input the key too.
    let wanted = NetworkOutputs { operands: Some(1), ..NetworkOutputs::NOTHING };
    let outputs = looked.network.run(&looked.clip, &wanted).expect("runs");
    let all = weights(&perceiver(), looked.network.config()).expect("reads");
    let keys: Vec<Vec<f64>> = outputs["keys"].data().chunks(8).map(|key| key.iter().map(|&x| x.into()).collect()).collect();
    let name = "encoder.cross_attention.attention.self.";
    let latents: Vec<Vec<f64>> =
        all["embeddings.latents"].data().chunks(12).map(|latent| latent.iter().map(|&x| x.into()).collect()).collect();
    let rows: Vec<Vec<f64>> = latents
        .iter()
        .map(|latent| {
            let query = product(&norm(latent, &all, &format!("{name}layernorm1"), 1e-5), &all, &format!("{name}query"));
            let of_head = |head: usize| {
                let own = head * 4..head * 4 + 4;
                softmax(&keys.iter().map(|key| dot(&query[own.clone()], &key[own.clone()]) / 2.0).collect::<Vec<_>>())
            };
            of_head(0).iter().zip(of_head(1)).map(|(a, b)| (a + b) / 2.0).collect()
        })
        .collect();
    let patch = &looked.patch;
    let input = (patch.step * 56 + patch.patch.1 as usize) * 56 + patch.patch.0 as usize;
    let latent = (0..11).max_by(|&a, &b| rows[a][input].total_cmp(&rows[b][input])).expect("eleven");
    assert!(patch.notes.iter().any(|note| note.contains(&format!("latent {latent} of 11"))), "{:?}", patch.notes);
    close(&whole(&looked.track), &rows[latent], 1e-7);
    assert_eq!((outputs["queries"].shape(), outputs["keys"].shape()), ([1, 11, 8].as_slice(), [1, 50_176, 8].as_slice()));
    let shipped = Checkpoint::open(&shipped("networks/perceiver/model.safetensors")).expect("shipped");
    let config = Config::of(&shipped, &known).expect("says everything");
    let refused = PointedPatch::find(Path::new("none.mp4"), &config, options, |_, _| {}).expect_err("inputs of 40 numbers");
    assert!(refused.to_string().contains("50176 inputs of 243 numbers"), "{refused}");
}

/// A Deformable Video Transformer of `[2 frames x 4 x 4 pixels]` patches in sub-clips of two, with two heads and three samples.
fn deformable(dot: bool) -> Checkpoint {
    let (c, heads, samples, hidden) = (12, 2, 3, 5);
    let mut shapes = vec![
        ("patch_embed.proj.weight".to_owned(), vec![c, 3, 2, 4, 4]),
        ("patch_embed.proj.bias".to_owned(), vec![c]),
        ("pos_embed".to_owned(), vec![1, 36, c]),
        ("time_embed".to_owned(), vec![1, 4, c]),
    ];
    for block in 0..2 {
        let name = |part: &str| format!("blocks.{block}.{part}");
        shapes.extend(learned_norm(&name("norm1"), c));
        shapes.extend(learned_norm(&name("norm2"), c));
        shapes.extend(dense(&name(if dot { "attn.qkv" } else { "attn.qv" }), if dot { 3 * c } else { 2 * c }, c));
        shapes.push((name("attn.offsets.weight"), vec![heads, 2 * samples, c / heads + 2]));
        shapes.push((name("attn.offsets.bias"), vec![heads, 2 * samples]));
        if !dot {
            shapes.extend(dense(&name("attn.motion"), hidden, 2));
            shapes.extend(dense(&name("attn.logits"), heads * samples, hidden));
        }
        shapes.extend(dense(&name("attn.proj"), c, c));
        shapes.extend(dense(&name("mlp.fc1"), 2 * c, c));
        shapes.extend(dense(&name("mlp.fc2"), c, 2 * c));
    }
    shapes.extend(learned_norm("norm", c));
    shapes.extend(dense("head", 5, c));
    drawn(
        &shapes,
        r#"{"model_type":"deformable_video_transformer","image_size":24,"num_frames":8,"num_attention_heads":2,"sub_clip":2,
        "motion_window":3}"#,
    )
}

#[test]
fn a_deformable_networks_patch_sees_its_samples() {
    let known = Known { sampling_rate: Some(1), ..Known::default() };
    for (dot_logits, block, head) in [(true, 0, None), (true, 1, Some(1)), (false, 1, None), (false, 0, Some(0))] {
        let options = AttendOptions { block: Some(block), head, frame: 5, ..AT };
        let looked = look(|| deformable(dot_logits), &known, options);
        let (patch, config) = (&looked.patch, looked.network.config());
        assert_eq!((looked.track.sightings.len(), patch.grid.columns), (4, 6));
        let first_frame = patch.step / 2 * 2;
        let wanted = NetworkOutputs { operands: Some(block), ..NetworkOutputs::NOTHING };
        let outputs = looked.network.run(&looked.clip, &wanted).expect("runs");
        assert_eq!(outputs["displacements"].shape(), [1, 2, 144, 2, 6]);
        assert_eq!(outputs["sample_logits"].shape(), [1, 2, 144, 2, 3]);
        let token = patch.step * 36 + (patch.patch.1 * 6 + patch.patch.0) as usize;
        let mut sums = vec![0.0f64; 144];
        for head in (0..2).filter(|own| head.is_none_or(|head| head as usize == *own)) {
            let start = (head * 144 + token) * 6;
            let logits: Vec<f64> = outputs["sample_logits"].data()[start..start + 6].iter().map(|&x| x.into()).collect();
            let moved = &outputs["displacements"].data()[2 * start..2 * start + 12];
            for (sample, weight) in softmax(&logits).into_iter().enumerate() {
                let (x, y) = (f64::from(moved[2 * sample]), f64::from(moved[2 * sample + 1]));
                let (x, y) = (f64::from(patch.patch.0) + x, f64::from(patch.patch.1) + y);
                // What each patch has of a point, from the definition: nothing that is a patch away.
                for place in 0..36 {
                    let away = [(x - f64::from(place % 6)).abs(), (y - f64::from(place / 6)).abs()];
                    let share = away.map(|away| (1.0 - away).max(0.0));
                    sums[(first_frame + sample / 3) * 36 + place as usize] += weight * share[0] * share[1];
                }
            }
        }
        let total: f64 = sums.iter().sum();
        assert!(total > 0.1, "some lie inside: {total}");
        let expected: Vec<f64> = sums.iter().map(|sum| sum / total).collect();
        close(&whole(&looked.track), &expected, 1e-5);
        assert!(config.architecture.name().starts_with("Deformable"));
        if !dot_logits {
            assert_logits_of_motion(&looked, &outputs, token, block);
        }
    }
}

/// Logits of motion follow from the biases where nothing moves, as in a patch's own frame.
fn assert_logits_of_motion(looked: &Looked, outputs: &Tensors, token: usize, block: u32) {
    let all = weights(&deformable(false), looked.network.config()).expect("reads");
    let name = |part: &str| format!("blocks.{block}.attn.{part}");
    let embedded: Vec<f64> = product(&[0.0, 0.0], &all, &name("motion")).into_iter().map(gelu).collect();
    let at_rest = product(&embedded, &all, &name("logits"));
    for (head, expected) in at_rest.chunks(3).enumerate() {
        let start = (head * 144 + token) * 6 + looked.patch.step % 2 * 3;
        for (found, expected) in outputs["sample_logits"].data()[start..start + 3].iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2))
}
