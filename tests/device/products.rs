//! Matrix products against their reference, round the edges of their tiles.

use std::collections::BTreeSet;

use orthoformer::compare::Tolerance;
use orthoformer::params::{Activation, LinearParams};
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};
use support::{assert_agree, assert_agree_as_half, change, random_inputs, tiles_of};

/// `[rows, inputs, outputs, groups, batch]` round the edges of 32 x 32 x 16 tiles.
const PRODUCTS: [[u32; 5]; 12] = [
    [1, 1, 1, 1, 1],
    [31, 15, 33, 1, 1],
    [32, 16, 32, 1, 1],
    [33, 17, 31, 1, 1],
    [64, 48, 96, 2, 1],
    [5, 7, 3, 3, 2],
    [1, 768, 2, 1, 1],
    [100, 1, 1, 1, 1],
    [2, 129, 67, 1, 3],
    [13, 11, 17, 4, 2],
    [34, 100, 1, 1, 1],
    [65, 5, 65, 1, 1],
];

/// The same for variants that read vectors of four, round the edges of tiles of 64 or 128 rows and outputs and of slices of 16 inputs.
const PRODUCTS_OF_FOURS: [[u32; 5]; 11] = [
    [1, 4, 4, 1, 1],
    [63, 16, 64, 1, 1],
    [64, 12, 68, 2, 1],
    [65, 20, 60, 1, 2],
    [130, 36, 132, 1, 1],
    [2, 768, 8, 1, 1],
    [5, 32, 4, 3, 2],
    // So many workgroups that larger tiles pay.
    [127, 20, 128, 11, 12],
    [129, 12, 124, 11, 12],
    [128, 8, 64, 11, 12],
    [60, 4, 124, 11, 12],
];

/// A matrix product with gaps between rows, weights as stored or transposed, everything at an offset.
fn product_plan(sizes: [u32; 5], transposed: bool, bias: bool, limits: PlanLimits) -> Plan {
    ended_plan(sizes, transposed, bias, None, limits)
}

/// The same, or with an activation and a residual that lies like the results.
fn ended_plan(
    [rows, inputs, outputs, groups, batch]: [u32; 5],
    transposed: bool,
    bias: bool,
    ended: Option<Activation>,
    limits: PlanLimits,
) -> Plan {
    let mut builder = PlanBuilder::new(limits);
    let fours = inputs % 4 == 0 && outputs % 4 == 0;
    let (x_row, y_row, offset) = if fours { (inputs + 4, outputs + 8, 4) } else { (inputs + 3, outputs + 2, 5) };
    let length = |count: u32, row: u32| u64::from(offset + batch * groups * count * row);
    let x = builder.buffer("x", &[length(rows, x_row)], Role::Input).expect("small");
    let w = builder.buffer("w", &[u64::from(offset + groups * inputs * outputs)], Role::Input).expect("small");
    let b = builder.buffer("b", &[u64::from(offset + groups * outputs)], Role::Input).expect("small");
    let residual = match ended {
        Some(_) => builder.buffer("residual", &[length(rows, y_row)], Role::Input).expect("small"),
        None => w,
    };
    let y = builder.buffer("y", &[length(rows, y_row)], Role::Output).expect("small");
    let params = LinearParams {
        batch,
        groups,
        rows,
        inputs,
        outputs,
        has_bias: bias.into(),
        x_offset: offset,
        x_batch_stride: groups * rows * x_row,
        x_group_stride: rows * x_row,
        x_row_stride: x_row,
        w_offset: offset,
        w_group_stride: inputs * outputs,
        w_output_stride: if transposed { 1 } else { inputs },
        w_input_stride: if transposed { outputs } else { 1 },
        bias_offset: offset,
        bias_group_stride: outputs,
        activation: ended.map_or(0, Activation::number),
        has_residual: ended.is_some().into(),
        residual_offset: offset,
        residual_batch_stride: groups * rows * y_row,
        residual_group_stride: rows * y_row,
        residual_row_stride: y_row,
        y_offset: offset,
        y_batch_stride: groups * rows * y_row,
        y_group_stride: rows * y_row,
        y_row_stride: y_row,
        ..LinearParams::plain()
    };
    let bindings = [x, w, b, residual, y].map(|buffer| builder.bind_all(buffer).expect("small"));
    builder.push("product", params, &bindings).expect("in range");
    builder.build()
}

#[test]
fn matrix_products_round_the_edges() {
    for sizes in PRODUCTS {
        for (transposed, bias) in [(false, false), (false, true), (true, false), (true, true)] {
            let plan = product_plan(sizes, transposed, bias, PlanLimits { workgroups_per_dimension: 4, ..PlanLimits::default() });
            // Elements between the rows are written by neither: NaN is expected there, and poison found.
            let inputs = random_inputs(&plan, 9);
            let what = format!("{sizes:?} transposed {transposed} bias {bias}");
            assert_agree(&what, &plan, &inputs, Tolerance::OPERATION);
            assert_agree_as_half(&what, plan, &inputs);
        }
    }
}

#[test]
fn matrix_products_of_fours_round_the_edges() {
    for sizes in PRODUCTS_OF_FOURS {
        for (transposed, bias) in [(false, false), (false, true), (true, false), (true, true)] {
            let plan = product_plan(sizes, transposed, bias, PlanLimits::default());
            let what = format!("{sizes:?} transposed {transposed} bias {bias}");
            let inputs = random_inputs(&plan, 9);
            assert_agree(&what, &plan, &inputs, Tolerance::OPERATION);
            assert_agree_as_half(&what, plan, &inputs);
        }
    }
}

#[test]
fn products_end_with_activation_and_residual() {
    for sizes in PRODUCTS.into_iter().chain(PRODUCTS_OF_FOURS) {
        for (activation, bias) in Activation::ALL.into_iter().flat_map(|activation| [(activation, false), (activation, true)]) {
            let plan = ended_plan(sizes, bias, bias, Some(activation), PlanLimits::default());
            let inputs = random_inputs(&plan, 12);
            let what = format!("{sizes:?} ended by {activation:?}, bias {bias}");
            assert_agree(&what, &plan, &inputs, Tolerance::OPERATION);
            assert_agree_as_half(&what, plan, &inputs);
        }
    }
}

#[test]
fn activations_are_right_from_end_to_end() {
    // One times each number: far below zero what is left is small but there, far above it is the number itself.
    let numbers: Vec<f32> = (-1400..1400).map(|step| step as f32 / 100.0).chain([-1e30, -14.5, 14.5, 1e30]).collect();
    for activation in Activation::ALL {
        let plan = ended_plan([1, 4, numbers.len() as u32, 1, 1], false, true, Some(activation), PlanLimits::default());
        let mut inputs = random_inputs(&plan, 13);
        for name in ["x", "residual"] {
            change(&mut inputs, name, |_, _| 0.0);
        }
        change(&mut inputs, "b", |index, _| index.checked_sub(4).map_or(f32::NAN, |index| numbers[index]));
        assert_agree(activation.name(), &plan, &inputs, Tolerance { absolute: 1e-6, relative: 1e-6 });
        if activation == Activation::Gelu {
            // Drivers may take numbers below the smallest normal one for zero, as SwiftShader does.
            let absolute = f32::MIN_POSITIVE.into();
            assert_agree("the little that is left of it", &plan, &inputs, Tolerance { absolute, relative: 0.1 });
        }
    }
}

#[test]
fn matrix_products_in_tiles_of_every_size() {
    let of_sizes =
        |transposed| PRODUCTS_OF_FOURS.map(|sizes| tiles_of(&product_plan(sizes, transposed, false, PlanLimits::default())));
    let found: BTreeSet<Vec<u32>> = of_sizes(false).into_iter().chain(of_sizes(true)).collect();
    let across =
        [0, 1].into_iter().flat_map(|across| [[1, 1], [1, 2], [2, 1], [2, 2]].map(|[rows, outputs]| vec![across, rows, outputs]));
    assert_eq!(found, across.collect());
}

/// A product of transposed `x` with weights for each batch item, `product_scale * x' w' + bias_scale * bias`, where the bias is a matrix, or a
/// row, for each batch item and group.
fn scaled_plan([rows, inputs, outputs, groups, batch]: [u32; 5], matrix: bool, scales: [f32; 2]) -> Plan {
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let (x_column, gap) = (rows + 2, 3);
    let bias_rows = if matrix { rows } else { 1 };
    let sizes = [x_column * inputs, inputs * outputs + gap, bias_rows * outputs + gap, rows * outputs];
    let mut buffers = ["x", "w", "b"].map(|name| (name, Role::Input)).to_vec();
    buffers.push(("y", Role::Output));
    let bindings = buffers.into_iter().zip(sizes).map(|((name, role), size)| {
        let buffer = builder.buffer(name, &[batch.into(), groups.into(), size.into()], role).expect("small");
        builder.bind_all(buffer).expect("small")
    });
    let mut bindings: Vec<_> = bindings.collect();
    // There is no residual.
    bindings.insert(3, bindings[1]);
    let params = LinearParams {
        batch,
        groups,
        rows,
        inputs,
        outputs,
        has_bias: 1,
        x_batch_stride: groups * sizes[0],
        x_group_stride: sizes[0],
        x_row_stride: 1,
        x_input_stride: x_column,
        w_batch_stride: groups * sizes[1],
        w_group_stride: sizes[1],
        w_output_stride: 1,
        w_input_stride: outputs,
        bias_batch_stride: groups * sizes[2],
        bias_group_stride: sizes[2],
        bias_row_stride: if matrix { outputs } else { 0 },
        y_batch_stride: groups * sizes[3],
        y_group_stride: sizes[3],
        y_row_stride: outputs,
        product_scale: scales[0],
        bias_scale: scales[1],
        ..LinearParams::plain()
    };
    builder.push("product", params, &bindings).expect("in range");
    builder.build()
}

#[test]
fn scaled_matrix_products_round_the_edges() {
    for sizes in PRODUCTS {
        for (matrix, scales) in [(true, [-0.25, 3.25]), (true, [-1.0, 15.0]), (false, [0.5, -2.0]), (true, [0.0, 1.0])] {
            let plan = scaled_plan(sizes, matrix, scales);
            let what = format!("{sizes:?} matrix bias {matrix} scales {scales:?}");
            assert_agree(&what, &plan, &random_inputs(&plan, 10), Tolerance::OPERATION);
        }
    }
    // The formula itself, once: 2 (1 * 3 + 2 * 5) - 7 for the first row of x, which is a column as it lies.
    let plan = scaled_plan([1, 2, 1, 1, 1], true, [2.0, -1.0]);
    let mut inputs = random_inputs(&plan, 11);
    for (name, numbers) in [("x", [1.0, 0.0, 0.0, 2.0, 0.0, 0.0].as_slice()), ("w", &[3.0, 5.0]), ("b", &[7.0])] {
        change(&mut inputs, name, |index, _| numbers.get(index).copied().unwrap_or(f32::NAN));
    }
    assert_eq!(support::run(&plan, &inputs)["y"].data(), [19.0]);
}
