// Segmented attention: tiles in workgroup memory, large register blocks, for GPUs.
//
//   tokens[b,h,g,r,f,:] = sum_j softmax_j(scale * queries[b,h,g,r,:] . keys[b,h,g,f,j,:]) values[b,h,g,f,j,:]
//
// Two matrix products for each tile of keys, each with blocks of up to 8 x 8 numbers in an invocation's registers (lib/tiles.wgsl): scores
// from queries and keys, and tokens from weights and values. Scores never reach memory; weights go through workgroup memory, where the
// other invocations of their row find them; a running peak and total rescale what was summed before (online softmax). Queries are staged
// again for each tile of keys, a tenth of all traffic with workgroup memory, so that 12 KiB do for any head. Scores are plain
// float32; if that would not do for one of the workgroup's rows (lib/scores.wgsl), all are done again in two parts (lib/precise_tiles.wgsl).
//
// Grid: see lib/segments.wgsl; a workgroup of 128 invocations takes ROWS rows.
// Limits: sizes, offsets and strides are multiples of four; 128 invocations, 12 KiB of workgroup memory.
// Prelude: ROW_VEC4S (1 or 2) and KEY_VEC4S (1 or 2), vectors of rows and of keys an invocation has; VALUE_VEC4S (1 to 4), its vectors of the
// value: value size / 32, rounded up.
//! use grid, constants, segments, blocks, weights, shared_rows, tiles, precise_tiles
//! vec4 tokens

// Up to here scores of up to 128 numbers, summed up in one, are right to about 1e-5.
const PLAIN_SCORES: f32 = 32.0;

// Adds number 4 quad + i of the slice to the products of queries and keys.
fn add_number(quad: u32, i: u32, row: u32, column: u32) {
    let queries0 = row_tile[quad][i][0][row];
    let queries1 = row_tile[quad][i][ROW1][row];
    let keys0 = column_tile[quad][i][0][column];
    let keys1 = column_tile[quad][i][KEY1][column];
    s00 = add_products(s00, keys0, queries0);
    if (KEY_VEC4S > 1u) { s01 = add_products(s01, keys1, queries0); }
    if (ROW_VEC4S > 1u) { s10 = add_products(s10, keys0, queries1); }
    if (KEY_VEC4S > 1u && ROW_VEC4S > 1u) { s11 = add_products(s11, keys1, queries1); }
}

fn multiply_keys(work: Work, place: Place, first: u32) {
    let at = four_keys(work, place.key_lane, first);
    let vectors = p.head_size / 4u;
    s00 = mat4x4<f32>();
    s01 = mat4x4<f32>();
    s10 = mat4x4<f32>();
    s11 = mat4x4<f32>();
    for (var vector = 0u; vector < vectors; vector += 4u) {
        stage(place, at, vector, first == 0u);
        let quads = min(4u, vectors - vector);
        for (var quad = 0u; quad < quads; quad++) {
            let row = place.row ^ (2u * quad);
            let column = place.column ^ (2u * quad);
            add_number(quad, 0u, row, column);
            add_number(quad, 1u, row, column);
            add_number(quad, 2u, row, column);
            add_number(quad, 3u, row, column);
        }
    }
}

// Products with four keys each 8 apart, scaled; the lowest of all for keys beyond the `left` that exist from the first on.
fn spread_scores(products: mat4x4<f32>, left: i32) -> mat4x4<f32> {
    let lowest = vec4<f32>(LOWEST);
    return mat4x4<f32>(
        select(lowest, products[0] * p.scale, left > 0),
        select(lowest, products[1] * p.scale, left > 8),
        select(lowest, products[2] * p.scale, left > 16),
        select(lowest, products[3] * p.scale, left > 24),
    );
}

// The weights of four rows with the tile's keys, and what they have come to.
struct Weighed {
    weights0: mat4x4<f32>,
    weights1: mat4x4<f32>,
    peak: vec4<f32>,
    total: vec4<f32>,
    shrink: vec4<f32>,
}

fn weigh(scores0: mat4x4<f32>, scores1: mat4x4<f32>, old_peak: vec4<f32>, old_total: vec4<f32>, tile_peak: vec4<f32>) -> Weighed {
    let peak = max(old_peak, tile_peak);
    let shrink = exp(old_peak - peak);
    let weights0 = weights_of(scores0, peak);
    var weights1 = mat4x4<f32>();
    var total = old_total * shrink + total_of(weights0);
    if (KEY_VEC4S > 1u) {
        weights1 = weights_of(scores1, peak);
        total += total_of(weights1);
    }
    return Weighed(weights0, weights1, peak, total, shrink);
}

fn keep_peaks(half: u32, place: Place, scores0: mat4x4<f32>, scores1: mat4x4<f32>) {
    var peak = peak_of(scores0);
    if (KEY_VEC4S > 1u) { peak = max(peak, peak_of(scores1)); }
    keep_rows(place.column, half, place.row, peak);
}

// Sums the values up for all rows; leaves total weights, and squares of queries and keys, in the tiles.
fn attend_plainly(work: Work, place: Place) {
    let none = vec4<f32>();
    var rows0 = Weighed(mat4x4<f32>(), mat4x4<f32>(), vec4<f32>(LOWEST), none, none);
    var rows1 = rows0;
    var longest = none;
    let total_keys = all_keys();
    clear_tokens();
    for (var first = 0u; first < total_keys; first += KEYS) {
        key_square = none;
        multiply_keys(work, place, first);
        longest = max(longest, key_square);
        let left = i32(total_keys - first) - i32(place.column);
        s00 = spread_scores(s00, left);
        s01 = spread_scores(s01, left - 32);
        s10 = spread_scores(s10, left);
        s11 = spread_scores(s11, left - 32);
        workgroupBarrier();
        keep_peaks(0u, place, s00, s01);
        if (ROW_VEC4S > 1u) { keep_peaks(ROW1, place, s10, s11); }
        workgroupBarrier();
        rows0 = weigh(s00, s01, rows0.peak, rows0.total, shared_peak(0u, place.row));
        if (ROW_VEC4S > 1u) { rows1 = weigh(s10, s11, rows1.peak, rows1.total, shared_peak(ROW1, place.row)); }
        shrink_tokens(rows0.shrink, rows1.shrink);
        add_values(work, place, first, rows0.weights0, rows1.weights0);
        if (KEY_VEC4S > 1u) { add_values(work, place, first + 32u, rows0.weights1, rows1.weights1); }
    }
    workgroupBarrier();
    keep_rows(place.column, 0u, place.row, rows0.total);
    if (ROW_VEC4S > 1u) { keep_rows(place.column, ROW1, place.row, rows1.total); }
    keep_squares(place, longest);
    workgroupBarrier();
}

fn store_four(work: Work, row: u32, vector: u32, numbers: mat4x4<f32>) {
    if (vector >= p.value_size / 4u) {
        return;
    }
    if (row < p.rows) { tokens[token_start(work, row) / 4u + vector] = vec4<StoredTokens>(numbers[0]); }
    if (row + 1u < p.rows) { tokens[token_start(work, row + 1u) / 4u + vector] = vec4<StoredTokens>(numbers[1]); }
    if (row + 2u < p.rows) { tokens[token_start(work, row + 2u) / 4u + vector] = vec4<StoredTokens>(numbers[2]); }
    if (row + 3u < p.rows) { tokens[token_start(work, row + 3u) / 4u + vector] = vec4<StoredTokens>(numbers[3]); }
}

// Stores what the invocation has of its first or second four rows, sums divided by total weights.
fn store_rows(work: Work, place: Place, half: u32, total: vec4<f32>, a: mat4x4<f32>, b: mat4x4<f32>, c: mat4x4<f32>, d: mat4x4<f32>) {
    let row = work.first_row + 64u * half + 4u * place.row;
    let inverse = 1.0 / total;
    store_four(work, row, place.column, scale_columns(a, inverse));
    if (VALUE_VEC4S > 1u) { store_four(work, row, place.column + 8u, scale_columns(b, inverse)); }
    if (VALUE_VEC4S > 2u) { store_four(work, row, place.column + 16u, scale_columns(c, inverse)); }
    if (VALUE_VEC4S > 3u) { store_four(work, row, place.column + 24u, scale_columns(d, inverse)); }
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let work = work_of(workgroup_number(workgroup, grid));
    if (work.batch >= p.batch) {
        return;
    }
    let place = place_of(work, lane);
    attend_plainly(work, place);
    let squares = squares_kept(place);
    if (some_are_large(lane, squares)) {
        for (var half = 0u; half < ROW_VEC4S; half++) {
            attend_precisely(work, place, half, squares);
            store_rows(work, place, half, shared_total(0u, place.row), o00, o01, o02, o03);
        }
        return;
    }
    store_rows(work, place, 0u, shared_total(0u, place.row), o00, o01, o02, o03);
    if (ROW_VEC4S > 1u) { store_rows(work, place, 1u, shared_total(ROW1, place.row), o10, o11, o12, o13); }
}
