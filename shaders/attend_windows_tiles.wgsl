// Attention within windows: tiles in workgroup memory, large register blocks, for GPUs.
//
//   tokens[b,h,n,:] = sum_m softmax_m(scale * queries[b,h,n,:] . keys[b,h,m,:] + table[n - m, h] + mask(n, m)) values[b,h,m,:]
//
// As attend_tiles.wgsl, with biases and the mask added to the scaled products. Tokens and codes of the window's positions are found once and stay
// in workgroup memory. Scores are plain float32; if the logits of any row of the workgroup, less its biases, exceed the bound
// (lib/scores.wgsl), all are computed again in parts (lib/tile_parts.wgsl).
//
// Grid: see lib/windows.wgsl; a workgroup of 16 x COLUMNS invocations takes 64 positions of a window.
// Limits: sizes, offsets and strides of all but the table are multiples of four; 256 invocations, 13 KiB of workgroup memory and 8 bytes for each
// position of a window.
// Prelude: COLUMNS (8 or 16), KEY_VEC4S (1 or 2), an invocation's vectors of keys; VALUE_VEC4S (1 to 4), its vectors of a value: value size /
// (4 COLUMNS), rounded up; POSITIONS (of a window).
//! use grid, windows, window_positions, blocks, shared_rows, tiles, tile_parts, tile_products, tile_softmax, tile_values
//! vec4 tokens

const ROW_VEC4S: u32 = 1u;
const LANES: u32 = 16u * COLUMNS;
// Up to this bound a score summed over 128 elements is right to about 1e-5; lib/scores.wgsl lowers it for longer sums.
const PLAIN_SCORES: f32 = 32.0;
const HAS_BIASES: bool = true;

fn all_keys() -> u32 {
    return POSITIONS;
}

// The last position's query again beyond the end.
fn query_of_row(tile: TileCoords, row: u32) -> u32 {
    return query_start(tile, position_tokens[min(row, POSITIONS - 1u)]);
}

fn key_start(tile: TileCoords, position: u32) -> u32 {
    return key_of_token(tile, position_tokens[position]);
}

fn value_start(tile: TileCoords, position: u32) -> u32 {
    return value_of_token(tile, position_tokens[position]);
}

// Biases and masks of four rows with four keys, each COLUMNS apart; the last key again beyond the end.
fn score_biases(tile: TileCoords, block: BlockCoords, key: u32) -> mat4x4<f32> {
    let at = min(vec4<u32>(key) + COLUMNS * vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(POSITIONS - 1u));
    let codes = vec4<u32>(position_codes[at.x], position_codes[at.y], position_codes[at.z], position_codes[at.w]);
    return biases_of(query_positions(tile, tile.first_row + 4u * block.row), codes);
}

// Sums the weighted values of all rows.
fn attend(tile: TileCoords, block: BlockCoords, in_parts: bool) {
    begin_rows();
    clear_tokens();
    for (var first = 0u; first < POSITIONS; first += KEYS) {
        multiply_keys(tile, block, first, in_parts);
        score_products(tile, block, first, in_parts);
        weigh(block);
        correct_tokens();
        add_values(tile, block, first);
    }
}

fn store_row(tile: TileCoords, position: u32, vector: u32, token: vec4<f32>) {
    if (position >= POSITIONS || vector >= p.value_size / 4u) {
        return;
    }
    let index = position_tokens[position];
    if (index != PADDING) { tokens[token_start(tile, index) / 4u + vector] = vec4<StoredTokens>(token); }
}

// Stores a vector of the values of the invocation's four rows: sums divided by row sums.
fn store_columns(tile: TileCoords, block: BlockCoords, vector: u32, columns: mat4x4<f32>) {
    let position = tile.first_row + 4u * block.row;
    let inverse = 1.0 / shared_row_sum(0u, block.row);
    store_row(tile, position, vector, columns[0] * inverse.x);
    store_row(tile, position + 1u, vector, columns[1] * inverse.y);
    store_row(tile, position + 2u, vector, columns[2] * inverse.z);
    store_row(tile, position + 3u, vector, columns[3] * inverse.w);
}

@compute @workgroup_size(16u * COLUMNS)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_coords(workgroup_number(workgroup, grid));
    if (tile.batch >= p.batch) {
        return;
    }
    stage_positions(tile, lane);
    let block = block_coords(lane);
    var in_parts = false;
    loop {
        attend(tile, block, in_parts);
        if (in_parts || !some_are_large(block)) {
            break;
        }
        in_parts = true;
        measure_queries(tile, block);
    }
    share_row_sums(block);
    store_columns(tile, block, block.column, o00);
    if (VALUE_VEC4S > 1u) { store_columns(tile, block, block.column + COLUMNS, o01); }
    if (VALUE_VEC4S > 2u) { store_columns(tile, block, block.column + 2u * COLUMNS, o02); }
    if (VALUE_VEC4S > 3u) { store_columns(tile, block, block.column + 3u * COLUMNS, o03); }
}
