// Segmented attention: tiles in workgroup memory, large register blocks, for GPUs.
//
//   tokens[b,h,g,r,f,:] = sum_j softmax_j(scale * queries[b,h,g,r,:] . keys[b,h,g,f,j,:]) values[b,h,g,f,j,:]
//
// Two matrix products for each tile of keys, each with blocks of up to 8 x 8 elements in an invocation's registers (lib/tiles.wgsl): scores
// from queries and keys, and tokens from weights and values. Scores never go to memory; weights go through workgroup memory to the other
// invocations of their row. A running row max and row sum correct the earlier sums (online softmax). Queries are staged again for each tile
// of keys, so that 12 KiB hold any head; that is a tenth of the traffic with workgroup memory. Scores are plain float32; if the logits of
// any row of the workgroup exceed the bound (lib/scores.wgsl), all are recomputed in two parts (lib/precise_tiles.wgsl).
//
// Grid: see lib/segments.wgsl; a workgroup of 128 invocations takes ROWS rows.
// Limits: sizes, offsets and strides are multiples of four; 128 invocations, 12 KiB of workgroup memory.
// Prelude: ROW_VEC4S (1 or 2) and KEY_VEC4S (1 or 2), an invocation's vectors of rows and of keys; VALUE_VEC4S (1 to 4), its vectors of a
// value: value size / 32, rounded up.
//! use grid, constants, segments, blocks, weights, shared_rows, tiles, precise_tiles
//! vec4 tokens

// Up to this bound a score summed over 128 elements is right to about 1e-5; lib/scores.wgsl lowers it for longer sums.
const PLAIN_SCORES: f32 = 32.0;

// Adds element 4 quad + i of the slice to the products of queries and keys.
fn add_element(quad: u32, i: u32, row: u32, column: u32) {
    let queries0 = row_tile[quad][i][0][row];
    let queries1 = row_tile[quad][i][ROW1][row];
    let keys0 = column_tile[quad][i][0][column];
    let keys1 = column_tile[quad][i][KEY1][column];
    s00 = add_products(s00, keys0, queries0);
    if (KEY_VEC4S > 1u) { s01 = add_products(s01, keys1, queries0); }
    if (ROW_VEC4S > 1u) { s10 = add_products(s10, keys0, queries1); }
    if (KEY_VEC4S > 1u && ROW_VEC4S > 1u) { s11 = add_products(s11, keys1, queries1); }
}

fn multiply_keys(tile: TileCoords, block: BlockCoords, first: u32) {
    let at = key_offsets4(tile, block.key_lane, first);
    let vectors = p.head_size / 4u;
    s00 = mat4x4<f32>();
    s01 = mat4x4<f32>();
    s10 = mat4x4<f32>();
    s11 = mat4x4<f32>();
    for (var vector = 0u; vector < vectors; vector += 4u) {
        stage(block, at, vector, first == 0u);
        let quads = min(4u, vectors - vector);
        for (var quad = 0u; quad < quads; quad++) {
            let row = block.row ^ (2u * quad);
            let column = block.column ^ (2u * quad);
            add_element(quad, 0u, row, column);
            add_element(quad, 1u, row, column);
            add_element(quad, 2u, row, column);
            add_element(quad, 3u, row, column);
        }
    }
}

// Scaled products with four keys, each 8 apart; LOWEST for keys beyond the `left` that exist from the first on.
fn spread_scores(products: mat4x4<f32>, left: i32) -> mat4x4<f32> {
    let lowest = vec4<f32>(LOWEST);
    return mat4x4<f32>(
        select(lowest, products[0] * p.scale, left > 0),
        select(lowest, products[1] * p.scale, left > 8),
        select(lowest, products[2] * p.scale, left > 16),
        select(lowest, products[3] * p.scale, left > 24),
    );
}

// The weights of four rows with the tile's keys, and the state of their softmax.
struct RowWeights {
    weights0: mat4x4<f32>,
    weights1: mat4x4<f32>,
    row_max: vec4<f32>,
    row_sum: vec4<f32>,
    correction: vec4<f32>,
}

fn weigh(scores0: mat4x4<f32>, scores1: mat4x4<f32>, old_max: vec4<f32>, old_sum: vec4<f32>, tile_max: vec4<f32>) -> RowWeights {
    let row_max = max(old_max, tile_max);
    let correction = exp(old_max - row_max);
    let weights0 = weights_of(scores0, row_max);
    var weights1 = mat4x4<f32>();
    var row_sum = old_sum * correction + row_sum_of(weights0);
    if (KEY_VEC4S > 1u) {
        weights1 = weights_of(scores1, row_max);
        row_sum += row_sum_of(weights1);
    }
    return RowWeights(weights0, weights1, row_max, row_sum, correction);
}

fn keep_row_max(half: u32, block: BlockCoords, scores0: mat4x4<f32>, scores1: mat4x4<f32>) {
    var row_max = row_max_of(scores0);
    if (KEY_VEC4S > 1u) { row_max = max(row_max, row_max_of(scores1)); }
    keep_rows(block.column, half, block.row, row_max);
}

// Sums the weighted values of all rows; leaves row sums, and squares of queries and keys, in the tiles.
fn attend_plainly(tile: TileCoords, block: BlockCoords) {
    let none = vec4<f32>();
    var rows0 = RowWeights(mat4x4<f32>(), mat4x4<f32>(), vec4<f32>(LOWEST), none, none);
    var rows1 = rows0;
    var longest = none;
    let total_keys = all_keys();
    clear_tokens();
    for (var first = 0u; first < total_keys; first += KEYS) {
        key_square = none;
        multiply_keys(tile, block, first);
        longest = max(longest, key_square);
        let left = i32(total_keys - first) - i32(block.column);
        s00 = spread_scores(s00, left);
        s01 = spread_scores(s01, left - 32);
        s10 = spread_scores(s10, left);
        s11 = spread_scores(s11, left - 32);
        workgroupBarrier();
        keep_row_max(0u, block, s00, s01);
        if (ROW_VEC4S > 1u) { keep_row_max(ROW1, block, s10, s11); }
        workgroupBarrier();
        rows0 = weigh(s00, s01, rows0.row_max, rows0.row_sum, shared_row_max(0u, block.row));
        if (ROW_VEC4S > 1u) { rows1 = weigh(s10, s11, rows1.row_max, rows1.row_sum, shared_row_max(ROW1, block.row)); }
        correct_tokens(rows0.correction, rows1.correction);
        add_values(tile, block, first, rows0.weights0, rows1.weights0);
        if (KEY_VEC4S > 1u) { add_values(tile, block, first + 32u, rows0.weights1, rows1.weights1); }
    }
    workgroupBarrier();
    keep_rows(block.column, 0u, block.row, rows0.row_sum);
    if (ROW_VEC4S > 1u) { keep_rows(block.column, ROW1, block.row, rows1.row_sum); }
    keep_squares(block, longest);
    workgroupBarrier();
}

fn store_columns(tile: TileCoords, row: u32, vector: u32, columns: mat4x4<f32>) {
    if (vector >= p.value_size / 4u) {
        return;
    }
    if (row < p.rows) { tokens[token_start(tile, row) / 4u + vector] = vec4<StoredTokens>(columns[0]); }
    if (row + 1u < p.rows) { tokens[token_start(tile, row + 1u) / 4u + vector] = vec4<StoredTokens>(columns[1]); }
    if (row + 2u < p.rows) { tokens[token_start(tile, row + 2u) / 4u + vector] = vec4<StoredTokens>(columns[2]); }
    if (row + 3u < p.rows) { tokens[token_start(tile, row + 3u) / 4u + vector] = vec4<StoredTokens>(columns[3]); }
}

// Stores the invocation's part of its first or second four rows: sums divided by row sums.
fn store_rows(tile: TileCoords, block: BlockCoords, half: u32, row_sum: vec4<f32>, a: mat4x4<f32>, b: mat4x4<f32>, c: mat4x4<f32>, d: mat4x4<f32>) {
    let row = tile.first_row + 64u * half + 4u * block.row;
    let inverse = 1.0 / row_sum;
    store_columns(tile, row, block.column, scale_columns(a, inverse));
    if (VALUE_VEC4S > 1u) { store_columns(tile, row, block.column + 8u, scale_columns(b, inverse)); }
    if (VALUE_VEC4S > 2u) { store_columns(tile, row, block.column + 16u, scale_columns(c, inverse)); }
    if (VALUE_VEC4S > 3u) { store_columns(tile, row, block.column + 24u, scale_columns(d, inverse)); }
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_coords(workgroup_number(workgroup, grid));
    if (tile.batch >= p.batch) {
        return;
    }
    let block = block_coords(tile, lane);
    attend_plainly(tile, block);
    let squares = squares_kept(block);
    if (some_are_large(lane, squares)) {
        for (var half = 0u; half < ROW_VEC4S; half++) {
            attend_precisely(tile, block, half, squares);
            store_rows(tile, block, half, shared_row_sum(0u, block.row), o00, o01, o02, o03);
        }
        return;
    }
    store_rows(tile, block, 0u, shared_row_sum(0u, block.row), o00, o01, o02, o03);
    if (ROW_VEC4S > 1u) { store_rows(tile, block, 1u, shared_row_sum(ROW1, block.row), o10, o11, o12, o13); }
}
