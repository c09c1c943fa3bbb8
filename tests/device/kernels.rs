//! Segmented attention against its reference, round the edges of its tiles, and the comparison itself.

use orthoformer::Error;
use orthoformer::compare::{Tolerance, compare};
use orthoformer::gpu::RunOptions;
use orthoformer::kernel::{AttendParams, LinearParams};
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::reference::{self, Route};
use orthoformer::view::BoundView;
use support::{assert_agree, assert_agree_as_half, assert_tiles_agree, change, numbers, random_inputs, tiles_of, tokens_plan};

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

#[test]
fn trajectory_tokens_round_the_edges() {
    for sizes in shapes() {
        let plan = tokens_plan(sizes, PlanLimits::default());
        let inputs = random_inputs(&plan, 1);
        assert_agree(&format!("{sizes:?}"), &plan, &inputs, Tolerance::OPERATION);
        assert_agree_as_half(&format!("{sizes:?}"), plan, &inputs);
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
fn a_wrong_kernel_would_be_noticed() {
    // The comparison has teeth: a thousandth more on one number of one key, and the tokens of its frame are wrong.
    let (frames, patches, size) = (2, 9, 8);
    let plan = tokens_plan([1, 1, frames, patches, size], PlanLimits::default());
    let inputs = random_inputs(&plan, 6);
    let expected = reference::run(&plan, &inputs, Route::Direct).expect("runs");
    let mut changed = inputs.clone();
    change(&mut changed, "k", |index, number| if index == patches * size { number + 1e-3 } else { number });
    let found = support::engine().run(&plan, &changed, RunOptions::default()).expect("runs");
    let outcome = compare(&found.outputs["tokens"], &expected["tokens"], Tolerance::OPERATION);
    assert!(!outcome.passed() && outcome.wrong <= patches * frames * size, "{outcome:?}");
}

#[test]
fn trajectory_tokens_in_large_tiles() {
    // So many workgroups that 128 rows a workgroup pay: a row less, a row more, and what is left of 32 keys and of 16.
    for sizes in [[20, 20, 1, 127, 8], [10, 20, 1, 129, 4], [2, 20, 10, 13, 36], [1, 20, 20, 7, 64]] {
        let plan = tokens_plan(sizes, PlanLimits::default());
        assert_eq!(tiles_of(&plan)[..3], [8, 2, 1], "{sizes:?}");
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
    let of_segments = |row: u32, [batch, head]: [u32; 2]| {
        let strides = [batch * row, head * row, segments * keys * row, keys * row, row];
        BoundView::new(row, &strides).with_extra(0)
    };
    let out = rows * segments * value_size;
    let params = AttendParams {
        batch,
        heads,
        groups,
        rows,
        segments,
        key_count: keys,
        extra_keys: 1,
        head_size,
        value_size,
        scale: -0.3,
        queries: BoundView::new(0, &[heads * groups * rows, groups * rows, rows, 1].map(|rows| rows * head_size)),
        keys: of_segments(key, [k_batch, k_head]),
        values: of_segments(value, [v_batch, v_head]),
        tokens: BoundView::new(0, &[heads * groups * out, groups * out, out, segments * value_size, value_size]),
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
        assert_eq!(tiles_of(&plan)[3], sizes[1].div_ceil(32));
        let mut inputs = random_inputs(&plan, 14);
        assert_agree(&format!("{sizes:?}"), &plan, &inputs, Tolerance::OPERATION);
        assert_agree_as_half(&format!("{sizes:?}"), plan.clone(), &inputs);
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

#[test]
fn attention_in_tiles_of_every_size() {
    for sizes in [[64, 68, 16, 64], [12, 36, 62, 66], [20, 124, 65, 3], [8, 8, 33, 65]] {
        let plan = attention_plan(sizes);
        let mut inputs = random_inputs(&plan, 15);
        assert_tiles_agree(&format!("{sizes:?}"), &plan, &inputs);
        change(&mut inputs, "q", |_, number| number * 100.0);
        assert_tiles_agree(&format!("{sizes:?}, logits large"), &plan, &inputs);
    }
}

#[test]
fn dispatches_beyond_their_bindings_are_refused() {
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let x = builder.buffer("x", &[100], Role::Input).expect("small");
    let y = builder.buffer("y", &[100], Role::Output).expect("small");
    let [x, y] = [x, y].map(|buffer| builder.bind_all(buffer).expect("small"));
    let params = LinearParams { batch: 1, groups: 1, rows: 11, inputs: 10, outputs: 1, ..LinearParams::default() };
    let one = |strides| BoundView::new(0, strides);
    let params = LinearParams { x: one(&[0, 0, 10, 1]), w: one(&[0, 0, 0, 1]), y: one(&[0, 0, 1]), ..params };
    let error = builder.push("too long", params, &[x, x, x, x, y]).expect_err("110 numbers from 100");
    assert_eq!(error.to_string(), "kernel linear, binding x: the params access 110 elements, 100 are bound");
    let error = builder.push("too few", params, &[x, y]).expect_err("two bindings of five");
    assert_eq!(error.to_string(), "kernel linear: bindings: 2 given, 5 expected");
    let huge = LinearParams { rows: u32::MAX, x: one(&[0, 0, u32::MAX]), ..params };
    assert!(matches!(builder.push("overflow", huge, &[x, x, x, x, y]), Err(Error::BindingTooShort { .. })));
    let none = LinearParams { rows: 0, ..params };
    assert!(matches!(builder.push("no rows", none, &[x, x, x, x, y]), Err(Error::ZeroSize { what: "rows" })));
    let attend = AttendParams { batch: 1, heads: 1, groups: 1, rows: 1, segments: 1, key_count: 1, ..AttendParams::default() };
    let wide = AttendParams { head_size: 257, value_size: 1, ..attend };
    assert!(matches!(builder.push("wide", wide, &[x, x, x, y]), Err(Error::TooLarge { what: "head size", given: 257, .. })));
    let long = AttendParams { head_size: 1, value_size: 1, key_count: 600_000, ..attend };
    assert!(matches!(builder.push("long", long, &[x, x, x, y]), Err(Error::TooLarge { most: 61_440, .. })));
}

#[test]
fn random_numbers_are_the_same_everywhere() {
    let found = numbers(1, 3, 1.0);
    assert_eq!(found, numbers(1, 3, 1.0));
    assert_ne!(found, numbers(2, 3, 1.0));
}
