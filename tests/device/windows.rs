//! Attention within windows against its reference, which builds the windows, for every kind of grid.

use orthoformer::Error;
use orthoformer::compare::{Tolerance, compare};
use orthoformer::kernel::AttendWindowsParams;
use orthoformer::plan::{Plan, PlanBuilder, PlanLimits, Role};
use orthoformer::reference::{self, Route};
use orthoformer::variant::Variant;
use orthoformer::view::BoundView;
use support::{assert_agree, assert_agree_as_half, assert_tiles_agree, change, engine, random_inputs};

/// Frames, rows and columns.
type Sides = [u32; 3];

/// A grid, its windows, the window of the table, and the shift.
#[derive(Clone, Copy, Debug)]
struct Windows {
    grid: Sides,
    window: Sides,
    table: Sides,
    shift: Sides,
}

impl Windows {
    /// As the published code clips windows of videos: no larger than the grid, and then not shifted.
    fn of_video(grid: Sides, table: Sides, shift: Sides) -> Self {
        let fits = [0, 1, 2].map(|axis| grid[axis] > table[axis]);
        let window = [0, 1, 2].map(|axis| if fits[axis] { table[axis] } else { grid[axis] });
        Self { grid, window, table, shift: [0, 1, 2].map(|axis| if fits[axis] { shift[axis] } else { 0 }) }
    }

    /// As it pads pictures up to a window.
    fn of_picture([rows, columns]: [u32; 2], window: [u32; 2], shift: [u32; 2]) -> Self {
        let shift = [0, 1].map(|axis| if [rows, columns][axis] > window[axis] { shift[axis] } else { 0 });
        let window = [1, window[0], window[1]];
        Self { grid: [1, rows, columns], window, table: window, shift: [0, shift[0], shift[1]] }
    }

    fn params(&self, [batch, heads, size]: [u32; 3]) -> AttendWindowsParams {
        let tokens: u32 = self.grid.iter().product();
        let (c, row) = (heads * size, 3 * heads * size);
        // The padded places' row is the first of the buffer.
        let packed = |part: u32| BoundView::new(row + part * c, &[tokens * row, size, row]).with_extra(part * c);
        AttendWindowsParams {
            batch,
            heads,
            head_size: size,
            value_size: size,
            scale: (size as f32).sqrt().recip(),
            frames: self.grid[0],
            rows: self.grid[1],
            columns: self.grid[2],
            window_frames: self.window[0],
            window_rows: self.window[1],
            window_columns: self.window[2],
            table_frames: self.table[0],
            table_rows: self.table[1],
            table_columns: self.table[2],
            shift_frames: self.shift[0],
            shift_rows: self.shift[1],
            shift_columns: self.shift[2],
            has_padding: 1,
            queries: packed(0),
            keys: packed(1),
            values: packed(2),
            table: BoundView::new(0, &[heads]),
            tokens: BoundView::new(0, &[tokens * c, size, c]),
        }
    }
}

/// One dispatch over packed queries, keys and values `qkv` and a `table`.
fn plan(params: AttendWindowsParams) -> orthoformer::Result<Plan> {
    let mut builder = PlanBuilder::new(PlanLimits::default());
    let tokens = u64::from(params.frames) * u64::from(params.rows) * u64::from(params.columns);
    let row = u64::from(params.queries.stride(2));
    let qkv = builder.buffer("qkv", &[1 + u64::from(params.batch) * tokens, row], Role::Input)?;
    let sides = [params.table_frames, params.table_rows, params.table_columns].map(|side| 2 * u64::from(side) - 1);
    let table = builder.buffer("table", &[sides.iter().product(), params.heads.into()], Role::Input)?;
    let out = builder.buffer("tokens", &[params.batch.into(), tokens, row / 3], Role::Output)?;
    let [qkv, table, out] = [qkv, table, out].map(|buffer| builder.bind_all(buffer));
    let (qkv, table) = (qkv?, table?);
    builder.push("windows", params, &[qkv, qkv, qkv, table, out?])?;
    Ok(builder.build())
}

/// Grids round the edges of windows of these sides: smaller, as large, one more, not divisible, twice; shifted by half and not.
fn cases() -> Vec<Windows> {
    let mut cases = Vec::new();
    for shift in [[0, 0, 0], [1, 1, 2], [1, 2, 3]] {
        for grid in
            [[1, 1, 1], [2, 3, 4], [3, 3, 4], [2, 4, 5], [5, 7, 8], [4, 6, 9], [1, 9, 2], [1, 6, 8], [4, 1, 1], [3, 5, 13]]
        {
            cases.push(Windows::of_video(grid, [2, 3, 4], shift));
        }
        for grid in [[1, 1], [3, 4], [2, 9], [4, 5], [6, 8], [7, 13]] {
            cases.push(Windows::of_picture(grid, [3, 4], [shift[1], shift[2]]));
        }
    }
    // More places than a workgroup has invocations, and a table of other proportions than the clipped window.
    cases.extend([Windows::of_video([9, 8, 9], [8, 7, 7], [4, 3, 3]), Windows::of_video([3, 9, 5], [8, 7, 7], [4, 3, 3])]);
    cases.push(Windows::of_picture([12, 19], [12, 12], [6, 6]));
    cases
}

#[test]
fn windows_round_the_edges() {
    let sizes = [[1, 2, 12], [2, 1, 1], [1, 1, 33], [2, 3, 4], [1, 2, 32]];
    for (turn, windows) in cases().into_iter().enumerate() {
        let sizes = sizes[turn % sizes.len()];
        let plan = plan(windows.params(sizes)).expect("a small grid");
        let inputs = random_inputs(&plan, turn as u64);
        assert_agree(&format!("{windows:?} {sizes:?}"), &plan, &inputs, Tolerance::OPERATION);
        assert_agree_as_half(&format!("{windows:?} {sizes:?}"), plan, &inputs);
    }
}

#[test]
fn windows_of_fours_are_broadcast() {
    let plan = plan(Windows::of_video([9, 8, 9], [8, 7, 7], [4, 3, 3]).params([1, 2, 32])).expect("a small grid");
    let dispatch = plan.dispatches().next().expect("one");
    match engine().capabilities().subgroup_of(8) {
        Ok(_) => assert!(engine().would_run_as(dispatch, Variant::Broadcast)),
        Err(why) => println!("skipped: windows by broadcast, as the adapter {why}"),
    }
    // What is no multiple of four is not.
    let odd = self::plan(Windows::of_picture([7, 7], [3, 4], [1, 2]).params([1, 1, 33])).expect("a small grid");
    assert!(!engine().would_run_as(odd.dispatches().next().expect("one"), Variant::Broadcast));
}

#[test]
fn the_largest_heads_and_other_value_sizes() {
    let windows = Windows::of_video([3, 5, 9], [2, 3, 4], [1, 1, 2]);
    for (head_size, value_size) in [(128, 128), (100, 7), (3, 65)] {
        let params = AttendWindowsParams { value_size, ..windows.params([2, 2, head_size.max(value_size)]) };
        let plan = plan(AttendWindowsParams { head_size, ..params }).expect("a small grid");
        // Outputs between the values of heads that are shorter than their places stay as they were, poison.
        let inputs = random_inputs(&plan, 3);
        if head_size == value_size {
            assert_agree(&format!("{head_size}"), &plan, &inputs, Tolerance::OPERATION);
            continue;
        }
        let expected = reference::run(&plan, &inputs, Route::Direct).expect("runs");
        let found = support::run(&plan, &inputs);
        let numbers = found["tokens"].data().iter().zip(expected["tokens"].data()).filter(|(_, expected)| !expected.is_nan());
        let apart = numbers.map(|(found, expected)| (found - expected).abs()).fold(0f32, f32::max);
        assert!(apart < 1e-4, "{head_size} and {value_size}: {apart}");
    }
}

#[test]
fn large_logits_and_biases_keep_their_precision() {
    for windows in [Windows::of_video([4, 7, 9], [2, 3, 4], [1, 1, 2]), Windows::of_picture([7, 13], [3, 4], [1, 2])] {
        let plan = plan(windows.params([2, 2, 32])).expect("a small grid");
        let mut inputs = random_inputs(&plan, 5);
        change(&mut inputs, "qkv", |_, number| number * 12.0);
        change(&mut inputs, "table", |_, number| number * 4.0);
        assert_agree(&format!("{windows:?}"), &plan, &inputs, Tolerance::OPERATION);
        assert_tiles_agree(&format!("{windows:?}"), &plan, &inputs);
    }
}

#[test]
fn windows_in_tiles_of_every_size() {
    for (windows, size) in [
        (Windows::of_video([4, 7, 9], [2, 4, 5], [1, 2, 2]), 36),
        (Windows::of_picture([9, 18], [9, 9], [4, 4]), 8),
        (Windows::of_picture([7, 13], [3, 4], [1, 2]), 100),
    ] {
        let plan = plan(windows.params([2, 2, size])).expect("a small grid");
        assert_tiles_agree(&format!("{windows:?}"), &plan, &random_inputs(&plan, 16));
    }
}

#[test]
fn nan_stays_in_its_window_and_beyond_masks() {
    let windows = Windows::of_video([1, 6, 8], [2, 3, 4], [0, 0, 0]);
    let plan = plan(windows.params([1, 1, 4])).expect("a small grid");
    let mut inputs = random_inputs(&plan, 6);
    // The key of token 9, in the first window.
    change(&mut inputs, "qkv", |index, number| if index == 10 * 12 + 5 { f32::NAN } else { number });
    assert_agree("a NaN key", &plan, &inputs, Tolerance::OPERATION);
    let found = support::run(&plan, &inputs);
    let nan = found["tokens"].data().chunks(4).filter(|token| token.iter().all(|number| number.is_nan())).count();
    assert_eq!(nan, 12, "one window of 3 x 4");
    change(&mut inputs, "qkv", |_, number| if number.is_nan() { 0.5 } else { number });
    change(&mut inputs, "table", |index, number| if index == 0 { f32::NAN } else { number });
    assert_agree("a NaN bias", &plan, &inputs, Tolerance::OPERATION);
}

#[test]
fn each_part_of_the_definition_counts() {
    // A shift, a mask, a bias or a padded place less is a result that the comparison tells apart.
    let windows = Windows { grid: [2, 5, 7], window: [2, 3, 4], table: [2, 3, 4], shift: [0, 1, 2] };
    let params = windows.params([1, 2, 8]);
    let right = plan(params).expect("a small grid");
    let inputs = random_inputs(&right, 7);
    let expected = reference::run(&right, &inputs, Route::Direct).expect("runs");
    let differs = |params: AttendWindowsParams| {
        let found = support::run(&plan(params).expect("a small grid"), &inputs);
        !compare(&found["tokens"], &expected["tokens"], Tolerance::OPERATION).passed()
    };
    let own_row = |view: BoundView| view.with_extra(view.offset);
    assert!(!differs(params));
    assert!(differs(AttendWindowsParams { shift_rows: 0, ..params }));
    assert!(differs(AttendWindowsParams { shift_columns: 1, ..params }));
    assert!(differs(AttendWindowsParams { keys: own_row(params.keys), ..params }));
    assert!(differs(AttendWindowsParams { values: own_row(params.values), ..params }));
    assert!(differs(AttendWindowsParams { scale: params.scale * 1.001, ..params }));
    let mut other = inputs.clone();
    change(&mut other, "table", |index, number| if index == 20 { number + 0.05 } else { number });
    let found = support::run(&right, &other);
    assert!(!compare(&found["tokens"], &expected["tokens"], Tolerance::OPERATION).passed());
}

#[test]
fn impossible_windows_are_refused() {
    let params = Windows::of_video([2, 6, 8], [2, 3, 4], [0, 1, 2]).params([1, 1, 4]);
    assert!(matches!(plan(AttendWindowsParams { window_rows: 0, ..params }), Err(Error::ZeroSize { what: "window rows" })));
    let shifted = AttendWindowsParams { shift_columns: 4, ..params };
    assert!(matches!(plan(shifted), Err(Error::TooLarge { what: "shift of columns + 1", given: 5, most: 4 })));
    let larger = AttendWindowsParams { window_rows: 6, ..params };
    assert!(matches!(plan(larger), Err(Error::TooLarge { what: "places of a window", given: 48, most: 24 })));
    let wide = AttendWindowsParams { head_size: 257, ..params };
    assert!(matches!(plan(wide), Err(Error::TooLarge { what: "head size", .. })));
    // Padded places need a row of their own within what is bound.
    let padded = AttendWindowsParams { columns: 7, ..params };
    let beyond = AttendWindowsParams { queries: params.queries.with_extra(1 << 20), ..padded };
    assert!(matches!(plan(beyond), Err(Error::BindingTooShort { binding: "queries", .. })));
    let without = AttendWindowsParams { has_padding: 0, ..padded };
    assert!(matches!(plan(without), Err(Error::ZeroSize { what: "rows of padded places" })));
    assert!(plan(AttendWindowsParams { has_padding: 0, ..params }).is_ok(), "whole windows need none");
}
