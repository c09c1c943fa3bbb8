//! The kernels ahead of products: normalisation of tokens, and clips cut in patches.

use orthoformer::compare::Tolerance;
use orthoformer::kernel::{KernelParams, LayerNormParams, Patchify, PatchifyParams};
use orthoformer::plan::{PlanBuilder, Role};
use orthoformer::view::BoundView;
use orthoformer::{Error, Plan, PlanLimits, Tensor};
use support::{assert_agree, assert_agree_as_half, change, random_inputs, run};

/// A normalisation of `[batch, rows, size]` with gaps, at an offset.
fn norm_plan([batch, rows, size]: [u32; 3]) -> Plan {
    let mut builder = PlanBuilder::new(PlanLimits { workgroups_per_dimension: 8, ..PlanLimits::default() });
    let (x_row, y_row, offset) = (size + 3, size + 2, 5);
    let mut buffer = |name, count: u32, role| builder.buffer(name, &[count.into()], role).expect("small");
    let x = buffer("x", offset + batch * rows * x_row, Role::Input);
    let (scales, shifts) = (buffer("scales", size, Role::Input), buffer("shifts", size, Role::Input));
    let y = buffer("y", offset + batch * rows * y_row, Role::Output);
    let params = LayerNormParams {
        batch,
        rows,
        size,
        epsilon: 1e-6,
        x: BoundView::new(offset, &[rows * x_row, x_row]),
        y: BoundView::new(offset, &[rows * y_row, y_row]),
        ..LayerNormParams::default()
    };
    let bindings = [x, scales, shifts, y].map(|buffer| builder.bind_all(buffer).expect("small"));
    builder.push("norm", params, &bindings).expect("in range");
    builder.build()
}

#[test]
fn normalisation_rounds_the_edges() {
    for sizes in [[1, 1, 1], [2, 3, 2], [1, 5, 63], [3, 1, 64], [1, 2, 65], [2, 2, 129], [1, 1, 768], [1, 17, 7]] {
        let plan = norm_plan(sizes);
        let inputs = random_inputs(&plan, 46);
        assert_agree(&format!("{sizes:?}"), &plan, &inputs, Tolerance::OPERATION);
        assert_agree_as_half(&format!("{sizes:?}"), plan, &inputs);
    }
}

#[test]
fn normalisation_bears_what_networks_bring() {
    let plan = norm_plan([1, 4, 96]);
    let mut inputs = random_inputs(&plan, 47);
    // Far from zero, all alike (nothing but the shifts is left), tiny, and with one outlier.
    change(&mut inputs, "x", |index, number| match (index.max(5) - 5) / 99 {
        0 => 1000.0 + number,
        1 => 3.0,
        2 => number * 1e-6,
        _ if index % 50 == 0 => 1e4,
        _ => number,
    });
    assert_agree("extremes", &plan, &inputs, Tolerance { absolute: 2e-4, relative: 2e-5 });
    change(&mut inputs, "x", |index, number| if index == 5 + 99 + 7 { f32::NAN } else { number });
    assert_agree("NaN in one row", &plan, &inputs, Tolerance { absolute: 2e-4, relative: 2e-5 });
}

#[test]
fn cuboids_round_the_edges() {
    // [batch, channels, frames, rows, columns, depth, side, skip]
    for [batch, channels, frames, grid_rows, grid_columns, depth, side, skip] in
        [[1, 1, 1, 1, 1, 1, 1, 0], [2, 3, 2, 3, 2, 2, 4, 1], [1, 3, 5, 1, 4, 1, 3, 0], [3, 2, 1, 2, 1, 3, 5, 2]]
    {
        let mut builder = PlanBuilder::new(PlanLimits { workgroups_per_dimension: 8, ..PlanLimits::default() });
        let (height, width) = (side, side);
        let [clip_frames, clip_rows, clip_columns] = [frames * depth, grid_rows * side, grid_columns * side];
        let clip = PatchifyParams { batch, channels, clip_frames, clip_rows, clip_columns, ..PatchifyParams::default() };
        let patches = PatchifyParams { depth, height, width, frames, grid_rows, grid_columns, skip, ..clip }.dense();
        let params = PatchifyParams { clip: patches.clip.later(3), patches: patches.patches.later(7), ..patches };
        let row = channels * depth * side * side;
        let pixels = 3 + batch * frames * grid_rows * grid_columns * row;
        let numbers = 7 + batch * (skip + frames * grid_rows * grid_columns) * row;
        let clip = builder.buffer("clip", &[pixels.into()], Role::Input).expect("small");
        let rows = builder.buffer("rows", &[numbers.into()], Role::Output).expect("small");
        let bindings = [clip, rows].map(|buffer| builder.bind_all(buffer).expect("small"));
        builder.push("cuboids", params, &bindings).expect("in range");
        let plan = builder.build();
        assert_agree(&format!("{params:?}"), &plan, &random_inputs(&plan, 48), Tolerance { absolute: 0.0, relative: 0.0 });
    }
}

#[test]
fn cuboids_are_cut_as_a_convolution_sees_them() {
    // One channel, two frames of 2 x 4 pixels, cuboids of 2 x 2 x 2: numbered 0.. in the clip's order.
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let clip = builder.array("clip", &[1, 1, 2, 2, 4], Role::Input).expect("small");
    let patches = builder.array("rows", &[3, 1, 2, 2, 2], Role::Output).expect("small");
    let request = Patchify { clip, patches, frames: 1, grid_rows: 1, grid_columns: 2, skip: 1 };
    builder.launch("cuboids", request).expect("in range");
    let numbered = Tensor::new(vec![1, 1, 2, 2, 4], (0u8..16).map(f32::from).collect()).expect("sixteen");
    let found = run(&builder.build(), &[("clip".to_owned(), numbered)].into());
    let expected = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15];
    assert_eq!(found["rows"].data(), expected.map(|number: u8| f32::from(number)));
}

#[test]
fn cuboids_of_tokens_end_in_zeros() {
    // Tokens of two channels on a grid of 3 x 3, merged two by two, channels together: what is beyond the grid is zero.
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let clip = builder.array("clip", &[1, 1, 3, 3, 2], Role::Input).expect("small").ordered(&[0, 4, 1, 2, 3]);
    // Columns of a row's tokens come first, then their rows, and their channels last.
    let patches = builder.array("rows", &[4, 1, 2, 2, 2], Role::Output).expect("small").ordered(&[0, 4, 1, 3, 2]);
    let together = Patchify { clip, patches, frames: 1, grid_rows: 2, grid_columns: 2, skip: 0 };
    builder.launch("cuboids", together).expect("in range");
    let beyond = Patchify { patches: patches.with_stride(4, 7), ..together };
    assert!(matches!(builder.launch("cuboids", beyond), Err(Error::OutOfRange { what: "bound element", .. })));
    let plan = builder.build();
    let numbered = Tensor::new(vec![1, 1, 3, 3, 2], (1u8..19).map(f32::from).collect()).expect("eighteen");
    let inputs = [("clip".to_owned(), numbered)].into();
    let expected: [u8; 32] =
        [1, 2, 7, 8, 3, 4, 9, 10, 5, 6, 11, 12, 0, 0, 0, 0, 13, 14, 0, 0, 15, 16, 0, 0, 17, 18, 0, 0, 0, 0, 0, 0];
    assert_eq!(run(&plan, &inputs)["rows"].data(), expected.map(f32::from));
    assert_agree("tokens", &plan, &inputs, Tolerance { absolute: 0.0, relative: 0.0 });
}
