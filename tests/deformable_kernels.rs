//! The kernels of deformable attention against their reference, round their edges, and block matching against motion that is known.

mod common;

use common::{assert_agree, assert_agree_as_half, change, numbers, random_inputs, run};
use orthoformer::compare::Tolerance;
use orthoformer::params::{CoarseMotionParams, DeformableParams, DeformableScoresParams, MatchBlocksParams, RepeatCellsParams};
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::{Error, Tensor, Tensors};

/// `[batch, heads, frames, rows, columns, frames of a sub-clip, samples, head size]`.
const SIZES: [[u32; 8]; 9] = [
    [1, 1, 1, 1, 1, 1, 1, 1],
    [2, 2, 4, 3, 5, 2, 8, 16],
    [1, 3, 2, 2, 2, 2, 5, 33],
    [1, 1, 3, 1, 7, 1, 3, 64],
    [2, 1, 3, 5, 1, 3, 1, 65],
    [1, 2, 2, 3, 3, 2, 4, 128],
    [1, 1, 6, 2, 3, 3, 17, 20],
    [1, 1, 8, 1, 2, 8, 16, 4],
    [3, 1, 2, 4, 4, 1, 16, 12],
];

/// Samples of values that lie as in packed tokens `[B, N, 3C]`, with gaps between displacements and logits of tokens.
fn samples_plan([batch, heads, frames, grid_rows, grid_columns, sub_clip, samples, head_size]: [u32; 8]) -> Plan {
    let tokens = frames * grid_rows * grid_columns;
    let (c, all) = (heads * head_size, sub_clip * samples);
    let (displaced, scored) = (2 * all + 3, all + 2);
    let params = DeformableParams {
        batch,
        heads,
        frames,
        grid_rows,
        grid_columns,
        sub_clip,
        samples,
        head_size,
        v_offset: 2 * c,
        v_batch_stride: tokens * 3 * c,
        v_head_stride: head_size,
        v_token_stride: 3 * c,
        displacement_offset: 5,
        displacement_batch_stride: heads * tokens * displaced,
        displacement_head_stride: tokens * displaced,
        displacement_token_stride: displaced,
        logit_offset: 1,
        logit_batch_stride: heads * tokens * scored,
        logit_head_stride: tokens * scored,
        logit_token_stride: scored,
        out_offset: 7,
        out_batch_stride: tokens * (c + 1),
        out_head_stride: head_size,
        out_token_stride: c + 1,
    };
    let mut builder = PlanBuilder::new(PlanLimits { workgroups_per_dimension: 60, ..PlanLimits::default() });
    let mut buffer = |name, count: u32, role| {
        let buffer = builder.buffer(name, &[count.into()], role).expect("small");
        builder.bind_all(buffer).expect("small")
    };
    let values = buffer("values", batch * tokens * 3 * c, Role::Input);
    let displacements = buffer("displacements", 5 + batch * heads * tokens * displaced, Role::Input);
    let logits = buffer("logits", 1 + batch * heads * tokens * scored, Role::Input);
    let out = buffer("tokens", 7 + batch * tokens * (c + 1), Role::Output);
    builder.push("samples", params, &[values, displacements, logits, out]).expect("in range");
    builder.build()
}

/// Scores of queries and keys of the same packed tokens.
fn scores_plan([batch, heads, frames, grid_rows, grid_columns, sub_clip, samples, head_size]: [u32; 8]) -> Plan {
    let tokens = frames * grid_rows * grid_columns;
    let (c, all) = (heads * head_size, sub_clip * samples);
    let (displaced, scored) = (2 * all + 3, all + 2);
    let params = DeformableScoresParams {
        batch,
        heads,
        frames,
        grid_rows,
        grid_columns,
        sub_clip,
        samples,
        head_size,
        scale: 0.3,
        q_offset: 0,
        q_batch_stride: tokens * 3 * c,
        q_head_stride: head_size,
        q_token_stride: 3 * c,
        k_offset: c,
        k_batch_stride: tokens * 3 * c,
        k_head_stride: head_size,
        k_token_stride: 3 * c,
        displacement_offset: 5,
        displacement_batch_stride: heads * tokens * displaced,
        displacement_head_stride: tokens * displaced,
        displacement_token_stride: displaced,
        logit_offset: 1,
        logit_batch_stride: heads * tokens * scored,
        logit_head_stride: tokens * scored,
        logit_token_stride: scored,
    };
    let mut builder = PlanBuilder::new(PlanLimits { workgroups_per_dimension: 60, ..PlanLimits::default() });
    let mut buffer = |name, count: u32, role| {
        let buffer = builder.buffer(name, &[count.into()], role).expect("small");
        builder.bind_all(buffer).expect("small")
    };
    let packed = buffer("packed", batch * tokens * 3 * c, Role::Input);
    let displacements = buffer("displacements", 5 + batch * heads * tokens * displaced, Role::Input);
    let logits = buffer("logits", 1 + batch * heads * tokens * scored, Role::Output);
    builder.push("scores", params, &[packed, packed, displacements, logits]).expect("in range");
    builder.build()
}

/// What displacements may be, by the seed: near, whole, far, outside of every grid, beyond all measure.
fn displaced(inputs: &mut Tensors, kind: usize) {
    const EXTREMES: [f32; 9] = [
        f32::INFINITY,
        f32::NEG_INFINITY,
        3e38,
        -3e38,
        16_777_217.0,
        -1e-10,
        2_147_483_648.0,
        f32::MIN_POSITIVE,
        -4_294_967_296.0,
    ];
    change(inputs, "displacements", |index, number| match kind {
        0 => number,
        1 => (number * 1.5).round(),
        2 => number * 5.0,
        3 => number.signum() * 1000.0 + number,
        _ => EXTREMES[index % EXTREMES.len()],
    });
}

#[test]
fn samples_round_the_edges() {
    for sizes in SIZES {
        for kind in 0..5 {
            let plan = samples_plan(sizes);
            let mut inputs = random_inputs(&plan, 90 + kind as u64);
            displaced(&mut inputs, kind);
            let what = format!("{sizes:?}, displacements {kind}");
            assert_agree(&what, &plan, &inputs, Tolerance::OPERATION);
            assert_agree_as_half(&what, plan, &inputs);
        }
    }
}

#[test]
fn scores_round_the_edges() {
    for sizes in SIZES {
        for kind in 0..5 {
            let plan = scores_plan(sizes);
            let mut inputs = random_inputs(&plan, 95 + kind as u64);
            displaced(&mut inputs, kind);
            let what = format!("{sizes:?}, displacements {kind}");
            assert_agree(&what, &plan, &inputs, Tolerance::OPERATION);
            assert_agree_as_half(&what, plan, &inputs);
        }
    }
}

#[test]
fn samples_outside_of_the_grid_are_zero() {
    let plan = samples_plan(SIZES[1]);
    let mut inputs = random_inputs(&plan, 91);
    displaced(&mut inputs, 3);
    // What lies outside is not looked at: a NaN in every value changes nothing.
    change(&mut inputs, "values", |_, _| f32::NAN);
    let found = run(&plan, &inputs);
    let written: Vec<f32> = found["tokens"].data().iter().copied().filter(|number| !number.is_nan()).collect();
    assert_eq!(written.len(), 2 * 60 * 32);
    assert!(written.iter().all(|&number| number == 0.0));
}

#[test]
fn what_is_not_a_number_stays_so() {
    let sizes = [1, 2, 4, 3, 5, 2, 8, 16];
    for input in ["displacements", "logits", "values"] {
        let plan = samples_plan(sizes);
        let mut inputs = random_inputs(&plan, 92);
        change(&mut inputs, input, |index, number| if index % 371 == 40 { f32::NAN } else { number });
        assert_agree(&format!("NaN in {input}"), &plan, &inputs, Tolerance::OPERATION);
    }
    for input in ["displacements", "packed"] {
        let plan = scores_plan(sizes);
        let mut inputs = random_inputs(&plan, 93);
        change(&mut inputs, input, |index, number| if index % 371 == 40 { f32::NAN } else { number });
        assert_agree(&format!("NaN in {input} of scores"), &plan, &inputs, Tolerance::OPERATION);
    }
    // One displacement of one token of one head: nothing else is NaN.
    let plan = samples_plan(sizes);
    let mut inputs = random_inputs(&plan, 92);
    let before = run(&plan, &inputs)["tokens"].data().iter().filter(|number| number.is_nan()).count();
    change(&mut inputs, "displacements", |index, number| if index == 5 + 35 * 7 { f32::NAN } else { number });
    let after = run(&plan, &inputs)["tokens"].data().iter().filter(|number| number.is_nan()).count();
    assert_eq!(after - before, 16);
}

#[test]
fn sub_clips_that_are_not_whole_are_refused() {
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let buffer = builder.buffer("all", &[64], Role::Input).expect("small");
    let out = builder.buffer("out", &[64], Role::Output).expect("small");
    let [all, out] = [buffer, out].map(|buffer| builder.bind_all(buffer).expect("small"));
    let params = DeformableParams {
        batch: 1,
        heads: 1,
        frames: 3,
        grid_rows: 1,
        grid_columns: 1,
        sub_clip: 2,
        samples: 1,
        head_size: 16,
        v_token_stride: 16,
        out_token_stride: 16,
        ..DeformableParams::default()
    };
    builder.push("three frames", params, &[all, all, all, out]).expect("a fourth frame's value is there");
    let short = DeformableParams { v_offset: 1, ..params };
    let error = builder.push("three frames", short, &[all, all, all, out]).expect_err("a fourth frame's value is not there");
    assert!(matches!(error, Error::BindingTooShort { needed: 65, bound: 64, .. }), "{error}");
}

/// Block matching over a clip of `[batch, channels, frames, rows, columns]` patches.
fn matching(params: MatchBlocksParams) -> Plan {
    let p = params;
    let mut builder = PlanBuilder::new(PlanLimits { workgroups_per_dimension: 60, ..PlanLimits::default() });
    let pixels = p.batch * p.channels * p.frames * p.depth * p.grid_rows * p.side * p.grid_columns * p.side;
    let clip = builder.buffer("clip", &[u64::from(p.clip_offset + pixels)], Role::Input).expect("small");
    let places = p.frames * p.grid_rows * p.grid_columns;
    let motion = u64::from(p.motion_offset + p.batch * places * p.sub_clip * 2);
    let motion = builder.buffer("motion", &[motion], Role::Output).expect("small");
    let bindings = [clip, motion].map(|buffer| builder.bind_all(buffer).expect("small"));
    builder.push("motion", params, &bindings).expect("in range");
    builder.build()
}

/// Whole numbers as they are.
const WHOLE: MatchBlocksParams = MatchBlocksParams {
    batch: 1,
    channels: 1,
    frames: 1,
    grid_rows: 1,
    grid_columns: 1,
    depth: 1,
    side: 1,
    sub_clip: 1,
    radius: 1,
    clip_offset: 0,
    motion_offset: 0,
    red_scale: 1.0,
    green_scale: 1.0,
    blue_scale: 1.0,
    red_shift: 0.0,
    green_shift: 0.0,
    blue_shift: 0.0,
};

fn clip(data: Vec<f32>) -> Tensors {
    Tensors::from([("clip".to_owned(), Tensor::new(vec![data.len()], data).expect("all pixels"))])
}

#[test]
fn motion_round_the_edges() {
    // [batch, channels, frames, rows, columns, depth, side, sub-clip, radius]; few grey levels, so that many sums are equal.
    for [batch, channels, frames, grid_rows, grid_columns, depth, side, sub_clip, radius] in [
        [1, 1, 1, 1, 1, 1, 1, 1, 1],
        [2, 3, 4, 3, 2, 2, 4, 2, 3],
        [1, 2, 3, 1, 5, 1, 3, 3, 7],
        [1, 3, 2, 2, 2, 1, 16, 2, 5],
        [3, 1, 4, 5, 4, 3, 2, 4, 4],
        [1, 3, 2, 1, 1, 1, 32, 2, 2],
        [1, 1, 2, 3, 3, 1, 1, 2, 127],
    ] {
        let levels = if side < 4 { 3.0 } else { 256.0 };
        let sizes =
            MatchBlocksParams { batch, channels, frames, grid_rows, grid_columns, depth, side, sub_clip, radius, ..WHOLE };
        // As clips are normalised: (whole / 255 - mean) / deviation.
        let params = MatchBlocksParams {
            clip_offset: 3,
            motion_offset: 5,
            red_scale: 255.0 * 0.225,
            green_scale: 255.0 * 0.5,
            blue_scale: 255.0,
            red_shift: 255.0 * 0.45,
            green_shift: 255.0 * 0.1,
            blue_shift: 0.0,
            ..sizes
        };
        let plan = matching(params);
        let plane = (frames * depth * grid_rows * side * grid_columns * side) as usize;
        let mut inputs = random_inputs(&plan, 96);
        let factors = [(0.225, 0.45), (0.5, 0.1), (1.0, 0.0)];
        change(&mut inputs, "clip", |index, number| {
            let (deviation, mean) = factors[index.saturating_sub(3) / plane % channels as usize];
            (((number / 1.7 + 1.0) / 2.0 * levels).floor() / 255.0 - mean) / deviation
        });
        let what = format!("{params:?}");
        assert_agree(&what, &plan, &inputs, Tolerance { absolute: 0.0, relative: 0.0 });
        assert_agree_as_half(&what, plan, &inputs);
        // No number at all, and numbers beyond all measure.
        change(&mut inputs, "clip", |index, number| [number, f32::NAN, f32::INFINITY, -1e30, 1e30][index % 5]);
        assert_agree(&what, &matching(params), &inputs, Tolerance { absolute: 0.0, relative: 0.0 });
    }
}

#[test]
fn known_shifts_are_found_exactly() {
    let (side, rows, columns, radius) = (8u32, 4u32, 5u32, 6u32);
    let (height, width) = ((rows * side) as i32, (columns * side) as i32);
    // A picture larger than the frame, seen through a window that moves: nothing comes to an edge of it.
    let picture: Vec<f32> = numbers(97, 100 * 100, 1.0).into_iter().map(|number| ((number + 1.0) * 127.5).round()).collect();
    let shifts = [(0, 0), (3, -2), (-6, 6), (1, 5)];
    let seen = shifts.iter().flat_map(|&(i, j)| {
        let picture = &picture;
        let row = move |y: i32| (0..width).map(move |x| picture[((y - j + 30) * 100 + x - i + 30) as usize]);
        (0..height).flat_map(row)
    });
    let params = MatchBlocksParams { frames: 4, grid_rows: rows, grid_columns: columns, side, sub_clip: 4, radius, ..WHOLE };
    let inputs = clip(seen.collect());
    let found = run(&matching(params), &inputs);
    let mut checked = 0;
    for (number, motion) in found["motion"].data().chunks(2).enumerate() {
        let (cuboid, other) = (number / 4, number % 4);
        let (own, place) = (cuboid / 20, cuboid % 20);
        let (i, j) = (shifts[other].0 - shifts[own].0, shifts[other].1 - shifts[own].1);
        let (x, y) = (place as i32 % 5 * 8 + i, place as i32 / 5 * 8 + j);
        let in_window = i.abs() <= radius as i32 && j.abs() <= radius as i32;
        let in_frame = (0..=width - 8).contains(&x) && (0..=height - 8).contains(&y);
        if in_window && in_frame {
            assert_eq!(motion, [i as f32 / 8.0, j as f32 / 8.0], "patch {place} from frame {own} to {other}");
            checked += 1;
        } else {
            // Nothing to be found; what is found is inside all the same.
            let (left, top) = (place as f32 % 5.0 + motion[0], (place / 5) as f32 + motion[1]);
            assert!((0.0..=4.0).contains(&left) && (0.0..=3.0).contains(&top), "patch {place} goes to {left}, {top}");
        }
    }
    assert!(checked > 150, "{checked} shifts");
    assert_agree("known shifts", &matching(params), &inputs, Tolerance { absolute: 0.0, relative: 0.0 });
}

#[test]
fn of_equal_shifts_the_shortest_wins() {
    let params = MatchBlocksParams { frames: 2, grid_rows: 3, grid_columns: 3, side: 2, sub_clip: 2, radius: 2, ..WHOLE };
    // Nothing to see: nothing moves.
    let found = run(&matching(params), &clip(vec![9.0; 72]));
    assert!(found["motion"].data().iter().all(|&number| number == 0.0));
    // The patch in the middle is bright in the first frame, and as bright at all these places of the second: (dx, dy) in pixels.
    let moved = |places: &[(i32, i32)]| {
        let mut pixels = vec![0.0; 72];
        for (frame, places) in [(0, [(0, 0)].as_slice()), (36, places)] {
            for (dx, dy) in places.iter().flat_map(|&(i, j)| [(i, j), (i + 1, j), (i, j + 1), (i + 1, j + 1)]) {
                pixels[(frame + (2 + dy) * 6 + 2 + dx) as usize] = 100.0;
            }
        }
        let motion = run(&matching(params), &clip(pixels));
        let at = (4 * 2 + 1) * 2;
        [motion["motion"].data()[at] * 2.0, motion["motion"].data()[at + 1] * 2.0]
    };
    assert_eq!(moved(&[(-2, 0), (2, 0)]), [-2.0, 0.0], "left before right");
    assert_eq!(moved(&[(0, -2), (0, 2)]), [0.0, -2.0], "up before down");
    assert_eq!(moved(&[(2, 0), (0, -2)]), [2.0, 0.0], "flat before steep");
    assert_eq!(moved(&[(-2, -2), (2, -2), (-2, 2), (2, 2), (0, 2)]), [0.0, 2.0], "shortest first");
    assert_eq!(moved(&[(2, -2), (2, 2), (-2, 2)]), [2.0, -2.0], "of diagonals the upper");
    assert_eq!(moved(&[(0, 0), (1, 0)]), [0.0, 0.0], "at rest before all");
}

#[test]
fn matching_beyond_its_limits_is_refused() {
    let refusal = |params: MatchBlocksParams| {
        let mut builder = PlanBuilder::new(PlanLimits::default());
        let buffers = [("clip", Role::Input), ("motion", Role::Output)].map(|(name, role)| {
            let buffer = builder.buffer(name, &[1 << 20], role).expect("small");
            builder.bind_all(buffer).expect("small")
        });
        builder.push("motion", params, &buffers).expect_err("beyond a limit")
    };
    let large = MatchBlocksParams { channels: 3, side: 33, ..WHOLE };
    assert!(matches!(refusal(large), Error::TooLarge { given: 3267, most: 3072, .. }));
    assert!(matches!(refusal(MatchBlocksParams { channels: 4, ..WHOLE }), Error::TooLarge { given: 4, most: 3, .. }));
    assert!(matches!(refusal(MatchBlocksParams { radius: 128, ..WHOLE }), Error::TooLarge { given: 128, most: 127, .. }));
    assert!(matches!(refusal(MatchBlocksParams { radius: 0, ..WHOLE }), Error::ZeroSize { .. }));
    assert!(refusal(MatchBlocksParams { side: 32, radius: 100, ..WHOLE }).to_string().contains("loop turns"));
    assert!(matches!(refusal(MatchBlocksParams { frames: u32::MAX, sub_clip: 2, ..WHOLE }), Error::BindingTooShort { .. }));
}

#[test]
fn grids_are_changed_round_the_edges() {
    // [batch, frames, rows, columns, frames of a sub-clip, depth, height, width, size]
    for [batch, frames, grid_rows, grid_columns, sub_clip, depth, height, width, size] in
        [[1, 1, 1, 1, 1, 1, 1, 1, 1], [2, 4, 3, 2, 2, 2, 1, 3, 5], [1, 2, 1, 5, 2, 1, 4, 2, 33], [3, 3, 2, 2, 1, 4, 2, 2, 8]]
    {
        let mut builder = PlanBuilder::new(PlanLimits { workgroups_per_dimension: 60, ..PlanLimits::default() });
        let mut buffer = |name, count: u32, role| {
            let buffer = builder.buffer(name, &[count.into()], role).expect("small");
            builder.bind_all(buffer).expect("small")
        };
        let (coarse, cell) = (frames * grid_rows * grid_columns, depth * height * width);
        let motion = buffer("motion", 3 + batch * coarse * cell * sub_clip * depth * 2, Role::Input);
        let coarser = buffer("coarse", 7 + batch * coarse * sub_clip * 2, Role::Output);
        let x = buffer("x", 1 + batch * coarse * size, Role::Input);
        let row = size + 2;
        let y = buffer("y", 4 + batch * coarse * cell * row, Role::Output);
        let (motion_offset, coarse_offset) = (3, 7);
        let shrink = CoarseMotionParams {
            batch,
            frames,
            grid_rows,
            grid_columns,
            sub_clip,
            depth,
            height,
            width,
            motion_offset,
            coarse_offset,
        };
        builder.push("coarser", shrink, &[motion, coarser]).expect("in range");
        let grow = RepeatCellsParams {
            batch,
            frames,
            grid_rows,
            grid_columns,
            depth,
            height,
            width,
            size,
            x_offset: 1,
            y_offset: 4,
            y_batch_stride: coarse * cell * row,
            y_row_stride: row,
        };
        builder.push("finer", grow, &[x, y]).expect("in range");
        let plan = builder.build();
        let inputs = random_inputs(&plan, 98);
        assert_agree(&format!("{grow:?}"), &plan, &inputs, Tolerance::OPERATION);
        assert_agree_as_half(&format!("{grow:?}"), plan, &inputs);
    }
}
