//! Attention within windows of a grid of tokens, shifted or not, with biases by relative position.

use super::arithmetic::{dot, softmax};
use super::declaration::{count, kernel, looped};
use crate::shape::{MAX_HEAD_SIZE, MAX_VALUE_SIZE, MIN_KEYS_PER_TILE};
use crate::view::{BoundView, indices};

/// Most places along an axis of a grid and of a window, so that no sum of them exceeds 32 bits. Tables are bounded by what is bound.
const MAX_SIDE: u32 = 1 << 20;
/// Places of a window, and invocations, of a workgroup.
const PLACES_PER_WORKGROUP: u32 = 64;

kernel! {
    /// Attention within windows of a grid of tokens (`attend_windows`): `tokens[b,h,n] = sum_m softmax_m(scale * q[b,h,n] . k[b,h,m] +
    /// table[n - m, h] + mask(n, m)) v[b,h,m]` over the places `m` of `n`'s window. The grid is padded at its ends to whole windows and rolled by
    /// the shift; padded places share one row of queries, keys and values: the extra row of these views, one a head for all batch items. The mask
    /// is -100 between places that were no neighbours before. Tokens are in order of frames, rows and columns.
    AttendWindows, AttendWindowsParams, "attend_windows", |p|
    sizes {
        /// Batch items.
        batch,
        /// Heads.
        heads,
        /// Elements of a query and a key.
        head_size "head size" <= MAX_HEAD_SIZE,
        /// Elements of a value.
        value_size "value size" <= MAX_VALUE_SIZE,
    }
    given {
        /// Frames of the grid, without padding.
        frames <= MAX_SIDE,
        /// Rows of the grid.
        rows <= MAX_SIDE,
        /// Columns of the grid.
        columns <= MAX_SIDE,
        /// Frames of the window that the table is for. Where windows are smaller, their places are told apart by number: they are the first ones
        /// of the table's window.
        table_frames "table frames",
        /// Rows of that window.
        table_rows "table rows",
        /// Columns of that window.
        table_columns "table columns",
        /// Frames of a window.
        window_frames "window frames" <= MAX_SIDE,
        /// Rows of a window.
        window_rows "window rows" <= MAX_SIDE,
        /// Columns of a window.
        window_columns "window columns" <= MAX_SIDE,
    }
    checks {
        "places of a window": capped(p.places()) => capped(count(&p.table_window())),
        "shift of frames + 1": p.shift_frames.saturating_add(1) => p.window_frames,
        "shift of rows + 1": p.shift_rows.saturating_add(1) => p.window_rows,
        "shift of columns + 1": p.shift_columns.saturating_add(1) => p.window_columns,
        "rows of padded places": if p.is_padded() { p.has_padding } else { 1 } => 1,
    }
    values {
        /// Factor on products of queries and keys. Not zero: biases are divided by it.
        scale: f32,
        /// Frames by which the grid is rolled; fewer than a window's.
        shift_frames: u32,
        /// Rows by which the grid is rolled.
        shift_rows: u32,
        /// Columns by which the grid is rolled.
        shift_columns: u32,
    }
    flags {
        /// 1 if there are rows for padded places, else 0. A grid of whole windows needs none.
        has_padding,
    }
    read queries as any {
        /// Queries of the tokens; the extra row is that of padded places.
        queries: [batch, heads, (p.tokens()); head_size] extra has_padding [1, heads],
    }
    read keys as any {
        /// Keys, likewise.
        keys: [batch, heads, (p.tokens()); head_size] extra has_padding [1, heads],
    }
    read values as any {
        /// Values, likewise.
        values: [batch, heads, (p.tokens()); value_size] extra has_padding [1, heads],
    }
    read table as any {
        /// Biases, a row for each offset between two places of the table's window: `[2 table_frames - 1, 2 table_rows - 1, 2 table_columns - 1]`.
        table: [(p.biases()); heads],
    }
    write tokens as any {
        /// Outputs of the tokens.
        tokens: [batch, heads, (p.tokens()); value_size],
    }
    constants {
        HEAD_VECTORS: vectors(p.head_size),
        VALUE_VECTORS: vectors(p.value_size),
        KEYS_PER_TILE: p.keys_per_tile(),
    }
    examples: &[&[4, 4, 16], &[16, 16, 16], &[32, 32, 8]],
    workgroup: PLACES_PER_WORKGROUP,
    workgroups: p.workgroups_of(PLACES_PER_WORKGROUP),
    multiply_adds: count(&[p.batch, p.heads])
        .saturating_mul(p.tokens())
        .saturating_mul(p.places().saturating_mul(u64::from(p.head_size) + u64::from(p.value_size))),
    iterations: p.tiled_iterations(),
    accesses_in_range: true,
    reference: reference,
}

fn capped(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The vectors of four that so many elements take, a multiple of four.
fn vectors(size: u32) -> u32 {
    size.div_ceil(16) * 4
}

impl AttendWindowsParams {
    fn grid(&self) -> [u32; 3] {
        [self.frames, self.rows, self.columns]
    }

    fn window(&self) -> [u32; 3] {
        [self.window_frames, self.window_rows, self.window_columns]
    }

    fn table_window(&self) -> [u32; 3] {
        [self.table_frames, self.table_rows, self.table_columns]
    }

    /// Places of a window.
    pub(crate) fn places(&self) -> u64 {
        count(&self.window())
    }

    /// Tokens of a batch item.
    fn tokens(&self) -> u64 {
        count(&self.grid())
    }

    /// Biases of a head: one for each offset between two places.
    pub(crate) fn biases(&self) -> u64 {
        count(&self.table_window().map(|size| size.saturating_mul(2).saturating_sub(1)))
    }

    /// Whether the last windows of an axis reach beyond the grid.
    pub(crate) fn is_padded(&self) -> bool {
        self.grid().iter().zip(self.window()).any(|(size, window)| size % window.max(1) != 0)
    }

    /// Workgroups, if each takes so many places of a window.
    pub(crate) fn workgroups_of(&self, places: u32) -> u64 {
        let windows = [0, 1, 2].map(|axis| self.grid()[axis].div_ceil(self.window()[axis].max(1)));
        let tiles = self.places().div_ceil(places.into());
        count(&windows).saturating_mul(count(&[self.heads, self.batch])).saturating_mul(tiles)
    }

    /// As many keys as fit, with their values and three numbers each, in the 16 KiB of workgroup memory that every device has.
    fn keys_per_tile(&self) -> u32 {
        let of_key = (vectors(self.head_size) + vectors(self.value_size)) * 16 + 12;
        if 2 * MIN_KEYS_PER_TILE * of_key <= 16 << 10 { 2 * MIN_KEYS_PER_TILE } else { MIN_KEYS_PER_TILE }
    }

    fn tiled_iterations(&self) -> u64 {
        let [head, value, tile] = [vectors(self.head_size), vectors(self.value_size), self.keys_per_tile()].map(u64::from);
        let invocations = u64::from(PLACES_PER_WORKGROUP);
        let staging = looped((tile * head).div_ceil(invocations), 0) + looped((tile * value).div_ceil(invocations), 0);
        let scores = looped(tile / 4, looped(head / 4, 0));
        let sums = looped(value / 4, 0) + looped(tile / 4, looped(value / 4, 0));
        let tiles = self.places().div_ceil(tile);
        2 * looped(head, 0) + looped(tiles, staging + looped(head / 4, 0) + scores + sums) + looped(value, 0)
    }
}

/// A place of the padded, rolled grid.
#[derive(Clone, Copy)]
struct Place {
    /// Nothing where the grid was padded.
    token: Option<u32>,
    region: usize,
}

/// Inputs: queries, keys, values, table; output: tokens. The grid is padded, rolled and cut as the definition has it.
fn reference(p: &AttendWindowsParams, inputs: &[&[f32]], tokens: &mut [f32]) {
    let places: Vec<[u32; 3]> = indices(p.table_window()).collect();
    let windows = windows(p);
    for item in indices([p.batch, p.heads]) {
        for window in &windows {
            one_window(p, item, window, &places, inputs, tokens);
        }
    }
}

/// All windows, each with its places.
fn windows(p: &AttendWindowsParams) -> Vec<Vec<Place>> {
    let (grid, window) = (p.grid(), p.window());
    let shift = [p.shift_frames, p.shift_rows, p.shift_columns];
    let counts = [0, 1, 2].map(|axis| grid[axis].div_ceil(window[axis]));
    let padded = [0, 1, 2].map(|axis| counts[axis] * window[axis]);
    // The coordinates of an axis after rolling, and the regions they are in.
    let rolled = [0, 1, 2].map(|axis| {
        let mut all: Vec<u32> = (0..padded[axis]).collect();
        all.rotate_left(shift[axis] as usize);
        let mut regions = vec![0; all.len()];
        if shift[axis] > 0 {
            regions[(padded[axis] - window[axis]) as usize..].fill(1);
            regions[(padded[axis] - shift[axis]) as usize..].fill(2);
        }
        all.into_iter().zip(regions).collect::<Vec<(u32, usize)>>()
    });
    let place = |corner: [u32; 3], offset: [u32; 3]| {
        let [t, y, x] = [0, 1, 2].map(|axis| rolled[axis][(corner[axis] * window[axis] + offset[axis]) as usize]);
        let is_token = t.0 < grid[0] && y.0 < grid[1] && x.0 < grid[2];
        let token = is_token.then_some((t.0 * grid[1] + y.0) * grid[2] + x.0);
        Place { token, region: t.1 * 9 + y.1 * 3 + x.1 }
    };
    indices(counts).map(|corner| indices(window).map(|offset| place(corner, offset)).collect()).collect()
}

/// The row of the table that has the biases of two places of the table's window.
fn bias_number([frames, rows, columns]: [u32; 3], from: [u32; 3], to: [u32; 3]) -> u32 {
    let last = [frames, rows, columns].map(|size| size - 1);
    let [t, y, x] = [0, 1, 2].map(|axis| from[axis] + last[axis] - to[axis]);
    (t * (2 * rows - 1) + y) * (2 * columns - 1) + x
}

fn one_window(
    p: &AttendWindowsParams,
    [batch, head]: [u32; 2],
    window: &[Place],
    places: &[[u32; 3]],
    inputs: &[&[f32]],
    tokens: &mut [f32],
) {
    let &[queries, keys, values, table] = inputs else { return };
    // A token's row, or that of padded places.
    let start = |view: &BoundView, token: Option<u32>| match token {
        Some(token) => view.at(&[batch, head, token]),
        None => view.extra_at(&[0, head]),
    };
    for (number, place) in window.iter().enumerate() {
        let Some(token) = place.token else { continue };
        let query = p.queries.row(queries, &[batch, head, token], p.head_size);
        let score = |(other, key): (usize, &Place)| {
            let product = dot(query, &keys[start(&p.keys, key.token)..][..p.head_size as usize]);
            let biases = p.table.row(table, &[bias_number(p.table_window(), places[number], places[other])], p.heads);
            let mask = if key.region == place.region { 0.0 } else { -100.0 };
            f64::from(p.scale) * product + f64::from(biases[head as usize]) + mask
        };
        let mut weights: Vec<f64> = window.iter().enumerate().map(score).collect();
        softmax(&mut weights);
        let mut sum = vec![0.0; p.value_size as usize];
        for (key, weight) in window.iter().zip(weights) {
            for (sum, &value) in sum.iter_mut().zip(&values[start(&p.values, key.token)..]) {
                *sum += weight * f64::from(value);
            }
        }
        for (token, sum) in p.tokens.row_mut(tokens, &[batch, head, token], p.value_size).iter_mut().zip(sum) {
            *token = sum as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams as _, Request as _};
    use crate::view::{BufferId, View};

    /// One frame of 5 x 6 tokens in windows of 3 x 3; the first row of packed queries, keys and values is that of padded places.
    fn request() -> AttendWindows {
        let packed = View::of(BufferId(0), &[1 + 2 * 30, 3, 4, 8]);
        let [queries, keys, values] = [0, 1, 2].map(|part| {
            let rows = packed.index(1, part);
            rows.from(0, 1).split(0, 30).ordered(&[0, 2, 1, 3]).with_extra(&rows)
        });
        let table = View::of(BufferId(1), &[25, 4]);
        let tokens = View::of(BufferId(2), &[2, 30, 4, 8]).ordered(&[0, 2, 1, 3]);
        let [frames, table_frames, window_frames, rows, columns] = [1, 1, 1, 5, 6];
        let [table_rows, table_columns, window_rows, window_columns] = [3; 4];
        let (scale, [shift_frames, shift_rows, shift_columns]) = (0.5, [0, 1, 1]);
        AttendWindows {
            queries,
            keys,
            values,
            table,
            tokens,
            frames,
            rows,
            columns,
            table_frames,
            table_rows,
            table_columns,
            window_frames,
            window_rows,
            window_columns,
            scale,
            shift_frames,
            shift_rows,
            shift_columns,
        }
    }

    #[test]
    fn views_come_to_offsets_and_strides() {
        let (found, bindings) = request().place().expect("views that fit");
        let packed = |part: u32| BoundView::new(96 + 32 * part, &[30 * 96, 8, 96]).with_extra(32 * part);
        let expected = AttendWindowsParams {
            queries: packed(0),
            keys: packed(1),
            values: packed(2),
            table: BoundView::new(0, &[4]),
            tokens: BoundView::new(0, &[30 * 32, 8, 32]),
            has_padding: 1,
            ..found
        };
        assert_eq!((found, found.accesses()), (expected, expected.accesses()));
        assert_eq!([found.batch, found.heads, found.head_size, found.value_size], [2, 4, 8, 8]);
        assert_eq!(bindings.len(), 5);
    }

    #[test]
    fn padded_places_and_other_grids_are_told() {
        let packed = request();
        let few = AttendWindows { columns: 7, ..packed }.place().expect_err("30 tokens");
        assert!(few.to_string().contains("(p.tokens()) is 30, 35 expected"), "{few}");
        let lonely = AttendWindows { queries: packed.tokens, ..packed }.place();
        assert!(lonely.is_err(), "keys have a row for padded places, queries have not");
        let [queries, keys, values] = [packed.tokens; 3];
        let (params, _) = AttendWindows { queries, keys, values, ..packed }.place().expect("views that fit");
        assert!(params.counts().contains(&("rows of padded places", 0, 1)));
    }
}
