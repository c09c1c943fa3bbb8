//! Block matching against its reference, and against motion that is known.

use orthoformer::compare::Tolerance;
use orthoformer::params::MatchBlocksParams;
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::{Error, Tensor, Tensors};
use support::{assert_agree, assert_agree_as_half, change, numbers, random_inputs, run};

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
