//! What patches attend to in networks other than Motionformer, held against the definitions.

mod drawn;
mod looking;
mod rollout;

use orthoformer::Error;
use orthoformer_models::NetworkOutputs;
use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::{AttendOptions, Config, Features, Overrides, PointedPatch, weights};
use orthoformer_video::views::Crop;

use looking::*;

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
    let name = looked.network.config().network.name();
    open(if name == "Swin" { "swin" } else { "video_swin" })
}

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(&shipped(&format!("networks/{name}/model.safetensors"))).expect("shipped")
}

#[test]
fn a_swins_patch_sees_its_window() {
    let known = Overrides { crop: Some(48), ..Overrides::default() };
    for (block, name, side, heads) in
        [(0, "features.1.0.", 12, 2), (1, "features.1.1.", 12, 2), (2, "features.3.0.", 6, 4), (3, "features.3.1.", 6, 4)]
    {
        for at in [(30.0, 20.0), (33.0, 46.0), (31.0, 1.0)] {
            let looked = look(|| open("swin"), &known, AttendOptions { at: Some(at), block: Some(block), ..AT });
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
    let known = Overrides { crop: Some(40), ..Overrides::default() };
    for y in [1.0, 46.0] {
        let looked = look(|| open("swin"), &known, AttendOptions { at: Some((32.0, y)), block: Some(1), ..AT });
        assert_eq!((looked.patch.crop, looked.patch.grid.columns), (Crop::Centre, 10));
        let expected = by_windows(&looked, 1, "features.1.1.", [[1, 10, 10], [1, 5, 5], [1, 5, 5]], 2);
        close(&whole(&looked.track), &expected, 1e-5);
    }
}

#[test]
fn a_video_swins_patch_sees_its_window() {
    // Six frames of patches in windows of four, padded; three of them, where windows are as long as the grid and use the first places of the table.
    for (frames, window) in [(12, 4), (6, 3)] {
        let known = Overrides { crop: Some(40), frames: Some(frames), sampling_rate: Some(1), ..Overrides::default() };
        for (block, name, side, heads) in [(0, "features.0.0.", 10, 2), (1, "features.0.1.", 10, 2), (3, "features.2.1.", 5, 4)] {
            let options = AttendOptions { block: Some(block), frame: frames as usize - 2, ..AT };
            let looked = look(|| open("video_swin"), &known, options);
            let steps = frames as usize / 2;
            assert_eq!((looked.patch.grid.columns as usize, looked.track.sightings.len()), (side, steps));
            let expected = by_windows(&looked, block, name, [[steps, side, side], [window, 3, 3], [4, 3, 3]], heads);
            close(&whole(&looked.track), &expected, 1e-5);
            // Frames that the window does not reach have no weight by construction; those that are only hidden have a trace of one.
            let is_outside: Vec<bool> = expected.chunks(side * side).map(|frame| frame.iter().sum::<f64>() == 0.0).collect();
            let by_construction: Vec<bool> = looked.track.sightings.iter().map(|sighting| sighting.is_by_construction).collect();
            assert_eq!(by_construction, is_outside);
            assert_eq!(is_outside.contains(&true), frames == 12, "{is_outside:?}");
        }
    }
}

#[test]
fn the_mean_of_heads_is_the_mean_of_a_swins_heads() {
    let known = Overrides { crop: Some(48), ..Overrides::default() };
    let of = |head| whole(&look(|| open("swin"), &known, AttendOptions { head, ..AT }).track);
    let heads: Vec<Vec<f64>> = (0..4).map(|head| of(Some(head))).collect();
    let mean: Vec<f64> = (0..36).map(|patch| heads.iter().map(|head| head[patch]).sum::<f64>() / 4.0).collect();
    close(&of(None), &mean, 1e-6);
    // The last block has four heads, the first two.
    let find = |options| {
        let config = Config::of(&open("swin"), &known).expect("says everything");
        PointedPatch::find(&shipped("clips/ball.mp4"), &config, options, |_, _| Ok(())).expect_err("refused")
    };
    assert!(matches!(find(AttendOptions { head: Some(4), ..AT }), Error::OutOfRange { what: "head", index: 4, count: 4 }));
    let first = AttendOptions { head: Some(2), block: Some(0), ..AT };
    assert!(matches!(find(first), Error::OutOfRange { what: "head", index: 2, count: 2 }));
    assert!(matches!(find(AttendOptions { block: Some(4), ..AT }), Error::OutOfRange { what: "layer", index: 4, count: 4 }));
    let config = Config::of(&open("swin"), &Overrides { crop: Some(44), ..Overrides::default() }).expect("says everything");
    let refused =
        PointedPatch::find(&shipped("clips/ball.mp4"), &config, AT, |_, _| Ok(())).expect_err("11 patches in squares of two");
    assert!(matches!(refused, Error::DoesNotDivide { given: 44, divisor: 8, .. }), "{refused}");
}

#[test]
fn queries_and_keys_of_a_vjepa_turn_by_their_positions() {
    let (c, heads, size, pairs, epsilon) = (28, 2, 14, 2, 1e-6);
    for (head, frame) in [(None, 0), (Some(1), 11)] {
        let looked = look(|| open("vjepa2"), &Overrides::default(), AttendOptions { head, frame, block: Some(1), ..AT });
        let wanted = NetworkOutputs { features: Some(Features::Block(0)), operands: Some(1), ..NetworkOutputs::NOTHING };
        let outputs = looked.network.run(&looked.clip, &wanted).expect("runs");
        let all = weights(&open("vjepa2"), looked.network.config()).expect("reads");
        let name = |part: &str| format!("vjepa2.encoder.layer.1.{part}");
        // From the tokens of the block before: along each axis elements turn in pairs, each by an angle of its own.
        let turned = |part: &str| -> Vec<Vec<f64>> {
            let of_token = |(token, row): (usize, &[f32])| {
                let row: Vec<f64> = row.iter().map(|&x| x.into()).collect();
                let row = product(&norm(&row, &all, &name("norm1"), epsilon), &all, &name(part));
                let at = [token / 16, token / 4 % 4, token % 4];
                let of_element = |element: usize| {
                    let (start, own) = (element / size * size, element % size);
                    let Some(&position) = at.get(own / (2 * pairs)) else { return row[element] };
                    let other = if own % 2 == 0 { -row[start + own + 1] } else { row[start + own - 1] };
                    let frequency = 10_000f64.powf(-((own % (2 * pairs) % pairs) as f64) / pairs as f64);
                    let (sine, cosine) = (position as f64 * frequency).sin_cos();
                    row[element] * cosine + other * sine
                };
                (0..c).map(of_element).collect()
            };
            outputs["tokens"].data().chunks(c).enumerate().map(of_token).collect()
        };
        let (queries, keys) = (turned("attention.query"), turned("attention.key"));
        for (name, expected) in [("queries", &queries), ("keys", &keys)] {
            let found: Vec<f64> = outputs[name].data().iter().map(|&x| x.into()).collect();
            close(&found, &expected.concat(), 2e-5);
        }
        let patch = &looked.patch;
        let query = &queries[(patch.step * 4 + patch.patch.1 as usize) * 4 + patch.patch.0 as usize];
        let of_head = |head: usize| {
            let own = head * size..(head + 1) * size;
            let score = |key: &Vec<f64>| dot(&query[own.clone()], &key[own.clone()]) / (size as f64).sqrt();
            softmax(&keys.iter().map(score).collect::<Vec<_>>())
        };
        let of_heads: Vec<Vec<f64>> =
            (0..heads).filter(|&other| head.is_none_or(|head| head == other as u32)).map(of_head).collect();
        let mean = |key: usize| of_heads.iter().map(|weights| weights[key]).sum::<f64>() / of_heads.len() as f64;
        close(&whole(&looked.track), &(0..keys.len()).map(mean).collect::<Vec<_>>(), 1e-5);
        assert!(looked.track.sightings.iter().all(|sighting| !sighting.is_by_construction));
    }
}

#[test]
fn with_divided_attention_other_frames_are_by_construction() {
    let divided = || open("timesformer_divided_space_time");
    for frame in [0, 11] {
        let looked = look(divided, &Overrides::default(), AttendOptions { frame, ..AT });
        let (track, patch) = (&looked.track, &looked.patch);
        let position = (patch.patch.1 * patch.grid.columns + patch.patch.0) as usize;
        for (step, sighting) in track.sightings.iter().enumerate() {
            let is_own = step == patch.step;
            let is_only_position =
                sighting.weights.iter().enumerate().all(|(other, &weight)| (other == position) == (weight == 1.0));
            assert_eq!((sighting.is_by_construction, is_only_position, sighting.is_drawn()), (!is_own, !is_own, is_own));
        }
        // What they weigh does not count for the scale of heat.
        assert_eq!(track.strongest(), track.sightings[patch.step].peak_weight);
        assert!(track.strongest() < 1.0 && track.sightings.len() == 4);
    }
    let joint = look(|| open("timesformer_joint_space_time"), &Overrides::default(), AT);
    assert!(joint.track.sightings.iter().all(|sighting| !sighting.is_by_construction));
}
