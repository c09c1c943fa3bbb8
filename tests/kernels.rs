//! Kernels against their references, round the edges of their tiles.

mod common;

use std::collections::BTreeSet;

use common::{assert_agree, change, numbers, random_inputs};
use orthoformer::compare::{Tolerance, compare, compare_numbers};
use orthoformer::gpu::RunOptions;
use orthoformer::ops::trajectories;
use orthoformer::params::{AttendParams, LinearParams};
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::reference::{self, Route};
use orthoformer::variant::{self, Variant};
use orthoformer::{Error, Shape, Tensors};

/// Tile edges of the attention kernel: 8 or 16 keys staged at a time, 64 rows a workgroup, four numbers a vector.
const TILES: [usize; 3] = [8, 16, 64];
/// Head sizes: the published ones, and what lies between whole vectors.
const HEAD_SIZES: [usize; 14] = [1, 4, 5, 6, 7, 12, 30, 33, 64, 80, 96, 112, 127, 128];

/// `[B, H, F, S, D]`: every head size with one patch, one frame, and a few patches round every edge and primes; the edges take turns.
fn shapes() -> Vec<[usize; 5]> {
    let mut patches: Vec<usize> = TILES.iter().flat_map(|&tile| [tile - 1, tile, tile + 1]).collect();
    patches.extend([2, 13, 31, 127, 129]);
    let mut shapes = Vec::new();
    for (turn, &size) in HEAD_SIZES.iter().enumerate() {
        shapes.extend([[1, 1, 1, 1, size], [1, 2, 3, 1, size]]);
        for step in 0..4 {
            let [batch, heads, frames] = [[1, 1, 1], [2, 3, 2], [1, 2, 5], [3, 1, 1]][(turn + step) % 4];
            shapes.push([batch, heads, frames, patches[(4 * turn + step) % patches.len()], size]);
        }
    }
    shapes
}

fn shape([batch, heads, frames, patches, size]: [usize; 5]) -> Shape {
    Shape::new(batch, heads, frames, patches, size).expect("a small shape")
}

fn tokens_plan(sizes: [usize; 5], limits: PlanLimits) -> Plan {
    trajectories::plan(&shape(sizes), limits).expect("a small shape")
}

#[test]
fn trajectory_tokens_round_the_edges() {
    for sizes in shapes() {
        let plan = tokens_plan(sizes, PlanLimits::default());
        assert_agree(&format!("{sizes:?}"), &plan, &random_inputs(&plan, 1), Tolerance::OPERATION);
    }
}

#[test]
fn trajectory_tokens_in_slices_and_folded_grids() {
    // Whole heads a slice, one head a slice, parts of a head: whole frames of queries where they fit.
    let mut dispatches = [1, 1, 1, 1, 2, 1, 6, 10, 1].into_iter();
    for (binding_bytes, workgroups_per_dimension) in [(128 << 20, 7), (40_000, 65_535), (6_000, 5)] {
        let limits = PlanLimits { binding_bytes, workgroups_per_dimension, ..PlanLimits::default() };
        for sizes in [[2, 3, 2, 17, 12], [1, 2, 5, 7, 30], [3, 1, 3, 3, 7]] {
            let plan = tokens_plan(sizes, limits);
            assert_eq!(plan.dispatches().count(), dispatches.next().expect("one for each"), "{sizes:?} {limits:?}");
            assert_agree(&format!("{sizes:?} {limits:?}"), &plan, &random_inputs(&plan, 2), Tolerance::OPERATION);
        }
    }
}

#[test]
fn large_logits_keep_their_precision() {
    for (factor, sizes) in [(50.0, [1, 2, 3, 33, 64]), (50.0, [1, 1, 2, 20, 128]), (1000.0, [1, 1, 2, 50, 80])] {
        let plan = tokens_plan(sizes, PlanLimits::default());
        let mut inputs = random_inputs(&plan, 3);
        change(&mut inputs, "q", |_, number| number * factor);
        assert_agree(&format!("logits x {factor}, {sizes:?}"), &plan, &inputs, Tolerance::OPERATION);
    }
}

#[test]
fn outliers_do_not_drown_the_rest() {
    let plan = tokens_plan([1, 2, 4, 19, 64], PlanLimits::default());
    let mut inputs = random_inputs(&plan, 4);
    for name in ["q", "k"] {
        change(&mut inputs, name, |index, number| if index % 97 == 0 { number * 100.0 } else { number });
    }
    assert_agree("outliers", &plan, &inputs, Tolerance::OPERATION);
}

#[test]
fn rows_of_negative_scores_and_equal_rows() {
    let plan = tokens_plan([1, 1, 2, 21, 16], PlanLimits::default());
    let mut negative = random_inputs(&plan, 5);
    change(&mut negative, "q", |_, number| number.abs() + 1.0);
    change(&mut negative, "k", |_, number| -number.abs() - 1.0);
    assert_agree("all scores negative", &plan, &negative, Tolerance::OPERATION);
    change(&mut negative, "k", |_, _| -3.0);
    assert_agree("all keys equal", &plan, &negative, Tolerance::OPERATION);
    change(&mut negative, "q", |_, _| 0.0);
    assert_agree("queries of zero", &plan, &negative, Tolerance::OPERATION);
    change(&mut negative, "k", |_, number| number * 1e-30);
    assert_agree("tiny keys", &plan, &negative, Tolerance::OPERATION);
}

#[test]
fn a_wrong_kernel_would_be_noticed() {
    // The comparison has teeth: a thousandth more on one number of one key, and the tokens of its frame are wrong.
    let (frames, patches, size) = (2, 9, 8);
    let plan = tokens_plan([1, 1, frames, patches, size], PlanLimits::default());
    let inputs = random_inputs(&plan, 6);
    let expected = reference::run(&plan, &inputs, Route::Direct).expect("runs");
    let mut changed = inputs.clone();
    change(&mut changed, "k", |index, number| if index == patches * size { number + 1e-3 } else { number });
    let found = common::engine().run(&plan, &changed, RunOptions::default()).expect("runs");
    let outcome = compare(&found.outputs["tokens"], &expected["tokens"], Tolerance::OPERATION);
    assert!(!outcome.passed() && outcome.wrong <= patches * frames * size, "{outcome:?}");
}

#[test]
fn nan_stays_in_the_rows_it_touches() {
    let (frames, patches, size) = (3, 10, 8);
    let plan = tokens_plan([1, 1, frames, patches, size], PlanLimits::default());
    let mut inputs = random_inputs(&plan, 7);
    change(&mut inputs, "q", |index, number| if index == 4 * size { f32::NAN } else { number });
    assert_agree("NaN in query 4", &plan, &inputs, Tolerance::OPERATION);
    let mut inputs = random_inputs(&plan, 8);
    change(&mut inputs, "k", |index, number| if index == (patches + 2) * size { f32::NAN } else { number });
    assert_agree("NaN in a key of frame 1", &plan, &inputs, Tolerance::OPERATION);
    let found = common::engine().run(&plan, &inputs, RunOptions::default()).expect("runs");
    let nan = found.outputs["tokens"].data().chunks(size).enumerate().filter(|(_, token)| token.iter().all(|x| x.is_nan()));
    assert!(nan.map(|(index, _)| index % frames).eq(std::iter::repeat_n(1, frames * patches)), "frame 1 and nothing else is NaN");
}

#[test]
fn nan_and_infinity_in_values_and_infinite_keys() {
    let (patches, size) = (10, 8);
    let plan = tokens_plan([1, 1, 3, patches, size], PlanLimits::default());
    for number in [f32::NAN, f32::INFINITY] {
        let mut inputs = random_inputs(&plan, 8);
        change(&mut inputs, "v", |index, old| if index == (patches + 2) * size + 3 { number } else { old });
        assert_agree(&format!("{number} in a value of frame 1"), &plan, &inputs, Tolerance::OPERATION);
    }
    // An infinite key makes its frame NaN and nothing else.
    let mut inputs = random_inputs(&plan, 8);
    let expected = reference::run(&plan, &inputs, Route::Direct).expect("runs");
    change(&mut inputs, "k", |index, old| if index == (patches + 2) * size { f32::NEG_INFINITY } else { old });
    let found = common::engine().run(&plan, &inputs, RunOptions::default()).expect("runs");
    let pairs = found.outputs["tokens"].data().chunks(size).zip(expected["tokens"].data().chunks(size));
    for (index, (found, expected)) in pairs.enumerate() {
        match index % 3 {
            1 => assert!(found.iter().all(|number| number.is_nan())),
            _ => assert!(compare_numbers(found, expected, Tolerance::OPERATION).passed()),
        }
    }
}

/// How the only dispatch of a plan would run in tiles: the constants of its shader.
fn tiles_of(plan: &Plan) -> Vec<u32> {
    let dispatch = plan.dispatches().next().expect("one");
    let suited = variant::suit(dispatch.kernel, Variant::Tiles, &dispatch.params, common::engine().capabilities());
    suited.expect("all multiples of four").constants
}

#[test]
fn trajectory_tokens_in_large_tiles() {
    // So many workgroups that 128 rows a workgroup pay: a row less, a row more, and what is left of 32 keys and of 16.
    for sizes in [[20, 20, 1, 127, 8], [10, 20, 1, 129, 4], [2, 20, 10, 13, 36], [1, 20, 20, 7, 64]] {
        let plan = tokens_plan(sizes, PlanLimits::default());
        assert_eq!(tiles_of(&plan)[..2], [2, 1], "{sizes:?}");
        let mut inputs = random_inputs(&plan, 13);
        assert_agree(&format!("{sizes:?}"), &plan, &inputs, Tolerance::OPERATION);
        // The scores of some workgroups need more than float32, of the others not; a query of zero among them, and one that is none.
        let (row, count) = (sizes[4], inputs["q"].data().len());
        change(&mut inputs, "q", |index, number| match index / row {
            3 => 0.0,
            70 => f32::NAN,
            _ if index < count / 2 => number * 60.0,
            _ => number,
        });
        assert_agree(&format!("{sizes:?}, some logits large"), &plan, &inputs, Tolerance::OPERATION);
    }
}

/// Attention with an extra key and values of another size than keys, everything at an offset: `[head size, value size, keys, rows]`.
fn attention_plan([head_size, value_size, keys, rows]: [u32; 4]) -> Plan {
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let [batch, heads, groups, segments] = [2, 2, 2, 3];
    let (key, value) = (head_size + 4, value_size + 8);
    let extents = [batch * heads * groups * rows * head_size, batch * heads * (groups * segments * keys + 1) * key];
    let extents = [extents[0], extents[1], batch * heads * (groups * segments * keys + 1) * value];
    let out = batch * heads * groups * rows * segments * value_size;
    let buffers = [("q", extents[0], Role::Input), ("k", extents[1], Role::Input), ("v", extents[2], Role::Input)];
    let bindings = buffers.into_iter().chain([("tokens", out, Role::Output)]).map(|(name, length, role)| {
        let buffer = builder.buffer(name, &[length.into()], role).expect("small");
        builder.bind_all(buffer).expect("small")
    });
    let bindings: Vec<_> = bindings.collect();
    let of_heads = |group: u32| [heads * (groups * group + 1), groups * group + 1];
    let ([k_batch, k_head], [v_batch, v_head]) = (of_heads(segments * keys), of_heads(segments * keys));
    let params = AttendParams {
        batch,
        heads,
        groups,
        rows,
        segments,
        keys,
        extra_keys: 1,
        head_size,
        value_size,
        scale: -0.3,
        q_batch_stride: heads * groups * rows * head_size,
        q_head_stride: groups * rows * head_size,
        q_group_stride: rows * head_size,
        q_row_stride: head_size,
        k_offset: key,
        k_batch_stride: k_batch * key,
        k_head_stride: k_head * key,
        k_group_stride: segments * keys * key,
        k_segment_stride: keys * key,
        k_row_stride: key,
        v_offset: value,
        v_batch_stride: v_batch * value,
        v_head_stride: v_head * value,
        v_group_stride: segments * keys * value,
        v_segment_stride: keys * value,
        v_row_stride: value,
        out_batch_stride: heads * groups * rows * segments * value_size,
        out_head_stride: groups * rows * segments * value_size,
        out_group_stride: rows * segments * value_size,
        out_row_stride: segments * value_size,
        out_segment_stride: value_size,
        ..AttendParams::default()
    };
    builder.push("attention", params, &bindings).expect("in range");
    builder.build()
}

#[test]
fn attention_of_fours_round_the_edges() {
    let sizes = [
        [4, 128, 3, 5],
        [20, 96, 15, 63],
        [64, 68, 16, 64],
        [128, 4, 31, 65],
        [76, 32, 32, 3],
        [12, 36, 62, 66],
        [16, 64, 64, 1],
    ];
    for sizes in sizes {
        let plan = attention_plan(sizes);
        assert_eq!(tiles_of(&plan)[2], sizes[1].div_ceil(32));
        let mut inputs = random_inputs(&plan, 14);
        assert_agree(&format!("{sizes:?}"), &plan, &inputs, Tolerance::OPERATION);
        // Zero keys and tiny queries among scores that need more than float32.
        change(
            &mut inputs,
            "q",
            |index, number| if index / sizes[0] as usize % 5 == 2 { number * 1e-36 } else { number * 100.0 },
        );
        change(&mut inputs, "k", |index, number| if index / 40 % 7 == 3 { 0.0 } else { number });
        assert_agree(&format!("{sizes:?}, logits large"), &plan, &inputs, Tolerance::OPERATION);
    }
}

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
fn product_plan([rows, inputs, outputs, groups, batch]: [u32; 5], transposed: bool, bias: bool, limits: PlanLimits) -> Plan {
    let mut builder = PlanBuilder::new(limits);
    let fours = inputs % 4 == 0 && outputs % 4 == 0;
    let (x_row, y_row, offset) = if fours { (inputs + 4, outputs + 8, 4) } else { (inputs + 3, outputs + 2, 5) };
    let length = |count: u32, row: u32| u64::from(offset + batch * groups * count * row);
    let x = builder.buffer("x", &[length(rows, x_row)], Role::Input).expect("small");
    let w = builder.buffer("w", &[u64::from(offset + groups * inputs * outputs)], Role::Input).expect("small");
    let b = builder.buffer("b", &[u64::from(offset + groups * outputs)], Role::Input).expect("small");
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
        y_offset: offset,
        y_batch_stride: groups * rows * y_row,
        y_group_stride: rows * y_row,
        y_row_stride: y_row,
        ..LinearParams::plain()
    };
    let bindings = [x, w, b, y].map(|buffer| builder.bind_all(buffer).expect("small"));
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
        }
    }
}

#[test]
fn matrix_products_of_fours_round_the_edges() {
    for sizes in PRODUCTS_OF_FOURS {
        for (transposed, bias) in [(false, false), (false, true), (true, false), (true, true)] {
            let plan = product_plan(sizes, transposed, bias, PlanLimits::default());
            let what = format!("{sizes:?} transposed {transposed} bias {bias}");
            assert_agree(&what, &plan, &random_inputs(&plan, 9), Tolerance::OPERATION);
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
    let bindings: Vec<_> = bindings.collect();
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
    assert_eq!(common::run(&plan, &inputs)["y"].data(), [19.0]);
}

#[test]
fn dispatches_beyond_their_bindings_are_refused() {
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let x = builder.buffer("x", &[100], Role::Input).expect("small");
    let y = builder.buffer("y", &[100], Role::Output).expect("small");
    let [x, y] = [x, y].map(|buffer| builder.bind_all(buffer).expect("small"));
    let params = LinearParams { batch: 1, groups: 1, rows: 11, inputs: 10, outputs: 1, ..LinearParams::plain() };
    let params = LinearParams { x_row_stride: 10, w_input_stride: 1, y_row_stride: 1, ..params };
    let error = builder.push("too long", params, &[x, x, x, y]).expect_err("110 numbers from 100");
    assert_eq!(error.to_string(), "kernel linear, binding x: the params reach 110 elements, 100 are bound");
    let error = builder.push("too few", params, &[x, y]).expect_err("two bindings of four");
    assert_eq!(error.to_string(), "kernel linear: bindings: 2 given, 4 expected");
    let huge = LinearParams { rows: u32::MAX, x_row_stride: u32::MAX, ..params };
    assert!(matches!(builder.push("overflow", huge, &[x, x, x, y]), Err(Error::BindingTooShort { .. })));
    let none = LinearParams { rows: 0, ..params };
    assert!(matches!(builder.push("no rows", none, &[x, x, x, y]), Err(Error::ZeroSize { what: "rows" })));
    let attend = AttendParams { batch: 1, heads: 1, groups: 1, rows: 1, segments: 1, keys: 1, ..AttendParams::default() };
    let wide = AttendParams { head_size: 129, value_size: 1, ..attend };
    assert!(matches!(builder.push("wide", wide, &[x, x, x, y]), Err(Error::TooLarge { what: "head size", given: 129, .. })));
    let long = AttendParams { head_size: 1, value_size: 1, keys: 600_000, ..attend };
    assert!(matches!(builder.push("long", long, &[x, x, x, y]), Err(Error::TooLarge { most: 61_440, .. })));
}

#[test]
fn random_numbers_are_the_same_everywhere() {
    let found = numbers(1, 3, 1.0);
    assert_eq!(found, numbers(1, 3, 1.0));
    assert_ne!(found, numbers(2, 3, 1.0));
}

/// Queries and keys of one head: `q` all alike, keys that give |scale| |q| |k| = `size` for two of them, with opposite values, and one that
/// is `outlier` times as long the other way, whose weight is nothing.
fn two_keys_and_an_outlier(head_size: usize, size: f32, outlier: f32) -> (Plan, Tensors) {
    let plan = tokens_plan([1, 1, 1, 70, head_size], PlanLimits::default());
    let mut inputs = random_inputs(&plan, 8);
    let direction = numbers(9, head_size, 1.0);
    let square: f32 = direction.iter().map(|number| number * number).sum();
    // The scale is one over the root of the head size.
    let length = (size * (head_size as f32).sqrt() / square).sqrt();
    change(&mut inputs, "q", |index, _| direction[index % head_size] * length);
    let other = numbers(10, head_size, 1e-3);
    change(&mut inputs, "k", |index, _| {
        let along = direction[index % head_size] * length;
        match index / head_size {
            7 => -along * outlier,
            row if row % 2 == 0 => along + other[index % head_size],
            _ => along - other[index % head_size],
        }
    });
    (plan, inputs)
}

#[test]
fn a_long_key_does_not_blur_the_others() {
    for (head_size, size, outlier) in
        [(64, 100.0, 256.0), (64, 500.0, 256.0), (128, 500.0, 256.0), (128, 2000.0, 64.0), (12, 90.0, 1e4)]
    {
        let (plan, inputs) = two_keys_and_an_outlier(head_size, size, outlier);
        assert_agree(&format!("{head_size} numbers, {size}, x {outlier}"), &plan, &inputs, Tolerance::OPERATION);
    }
}

#[test]
fn scores_are_right_up_to_where_variants_change_their_ways() {
    for head_size in [64, 128] {
        for size in [20.0, 31.0, 33.0, 60.0, 63.0, 65.0, 126.0] {
            let plan = tokens_plan([1, 1, 2, 100, head_size], PlanLimits::default());
            let mut inputs = random_inputs(&plan, 11);
            // Positive numbers, so that sums grow and roundings with them; rows of about the same length.
            let length = (size * (head_size as f32).sqrt() / head_size as f32).sqrt();
            for name in ["q", "k"] {
                change(&mut inputs, name, |_, number| length * (0.9 + 0.05 * number));
            }
            assert_agree(&format!("{head_size} numbers, {size}"), &plan, &inputs, Tolerance::OPERATION);
        }
    }
}
