//! The kernels of deformable attention against their reference, round their edges.

use orthoformer::compare::Tolerance;
use orthoformer::kernel::{CoarseMotionParams, DeformableParams, DeformableScoresParams, KernelParams, RepeatCellsParams};
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::view::BoundView;
use orthoformer::{Error, Tensors};
use support::{assert_agree, assert_agree_as_half, change, random_inputs, run};

/// `[batch, heads, frames, rows, columns, frames of a sub-clip, samples, head size]`.
const SIZES: [[u32; 8]; 10] = [
    [1, 1, 1, 1, 1, 1, 1, 1],
    [2, 2, 4, 3, 5, 2, 8, 16],
    [1, 3, 2, 2, 2, 2, 5, 33],
    [1, 1, 3, 1, 7, 1, 3, 64],
    [2, 1, 3, 5, 1, 3, 1, 65],
    [1, 2, 2, 3, 3, 2, 4, 128],
    [1, 1, 2, 2, 3, 1, 3, 301],
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
        values: BoundView::new(2 * c, &[tokens * 3 * c, head_size, 3 * c]),
        displacements: BoundView::new(5, &[heads * tokens * displaced, tokens * displaced, displaced]),
        logits: BoundView::new(1, &[heads * tokens * scored, tokens * scored, scored]),
        tokens: BoundView::new(7, &[tokens * (c + 1), head_size, c + 1]),
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
        queries: BoundView::new(0, &[tokens * 3 * c, head_size, 3 * c]),
        keys: BoundView::new(c, &[tokens * 3 * c, head_size, 3 * c]),
        displacements: BoundView::new(5, &[heads * tokens * displaced, tokens * displaced, displaced]),
        logits: BoundView::new(1, &[heads * tokens * scored, tokens * scored, scored]),
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
        values: BoundView::new(0, &[0, 0, 16]),
        tokens: BoundView::new(0, &[0, 0, 16]),
        ..DeformableParams::default()
    };
    builder.push("three frames", params, &[all, all, all, out]).expect("a fourth frame's value is there");
    let short = DeformableParams { values: params.values.later(1), ..params };
    let error = builder.push("three frames", short, &[all, all, all, out]).expect_err("a fourth frame's value is not there");
    assert!(matches!(error, Error::BindingTooShort { needed: 65, bound: 64, .. }), "{error}");
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
        let finer = buffer("y", 4 + batch * coarse * cell * row, Role::Output);
        // Motion of all frames, of which every `depth`th one counts.
        let pair = [sub_clip * depth * 2, depth * 2];
        let of_patch = [grid_rows * height * grid_columns * width, grid_columns * width, 1].map(|patches| patches * pair[0]);
        let strides = [frames * depth * of_patch[0], depth * of_patch[0], of_patch[1], of_patch[2], pair[1]];
        let sizes = CoarseMotionParams { batch, frames, grid_rows, grid_columns, sub_clip, height, width, ..Default::default() };
        let dense = sizes.dense();
        let shrink = CoarseMotionParams { motion: BoundView::new(3, &strides), coarse: dense.coarse.later(7), ..dense };
        builder.push("coarser", shrink, &[motion, coarser]).expect("in range");
        let sizes = RepeatCellsParams { batch, frames, grid_rows, grid_columns, size, ..RepeatCellsParams::default() };
        let cells = RepeatCellsParams { depth, height, width, ..sizes }.dense();
        let of_frame = [grid_rows * height * grid_columns * width, grid_columns * width, 1].map(|tokens| tokens * row);
        let y = BoundView::new(4, &[coarse * cell * row, of_frame[0], of_frame[1], of_frame[2]]);
        let grow = RepeatCellsParams { x: cells.x.later(1), y, ..cells };
        builder.push("finer", grow, &[x, finer]).expect("in range");
        let plan = builder.build();
        let inputs = random_inputs(&plan, 98);
        assert_agree(&format!("{grow:?}"), &plan, &inputs, Tolerance::OPERATION);
        assert_agree_as_half(&format!("{grow:?}"), plan, &inputs);
    }
}
