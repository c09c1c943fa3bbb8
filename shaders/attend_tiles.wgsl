// Segmented attention: tiles in workgroup memory, large register blocks, for GPUs.
//
//   tokens[b,h,g,r,f,:] = sum_j softmax_j(scale * queries[b,h,g,r,:] . keys[b,h,g,f,j,:]) values[b,h,g,f,j,:]
//
// Two matrix products for each tile of keys, each with blocks of up to 8 x 8 elements in an invocation's registers: scores from queries and
// keys (lib/tile_products.wgsl), and tokens from weights and values (lib/tile_values.wgsl). Scores never go to memory; weights go through workgroup
// memory to the other invocations of their row. A running row max and row sum correct the earlier sums (online softmax). Queries are staged
// again for each tile of keys, so that 14 KiB hold any head; that is a tenth of the traffic with workgroup memory. Scores are plain float32; if
// the logits of any row of the workgroup exceed the bound (lib/scores.wgsl), all are computed again in parts (lib/tile_parts.wgsl).
//
// Grid: see lib/segments.wgsl; a workgroup of 16 x COLUMNS invocations takes ROWS rows.
// Limits: sizes, offsets and strides are multiples of four; 256 invocations, 16 KiB of workgroup memory.
// Prelude: COLUMNS (8 or 16), ROW_VEC4S (1 or 2) and KEY_VEC4S (1 or 2), an invocation's vectors of rows and of keys; VALUE_VEC4S (1 to 4), its vectors of a
// value: value size / (4 COLUMNS), rounded up.
//! use grid, segments, blocks, shared_rows, tiles, tile_parts, tile_products, tile_softmax, tile_values
//! vec4 tokens

// Up to this bound a score summed over 128 elements is right to about 1e-5; lib/scores.wgsl lowers it for longer sums.
const PLAIN_SCORES: f32 = 32.0;
const HAS_BIASES: bool = false;

fn score_biases(tile: TileCoords, block: BlockCoords, key: u32) -> mat4x4<f32> {
    return mat4x4<f32>();
}

// The last query again beyond the end.
fn query_of_row(tile: TileCoords, row: u32) -> u32 {
    return query_start(tile, min(row, p.rows - 1u));
}

// Sums the weighted values of all rows.
fn attend(tile: TileCoords, block: BlockCoords, in_parts: bool) {
    begin_rows();
    clear_tokens();
    for (var first = 0u; first < all_keys(); first += KEYS) {
        multiply_keys(tile, block, first, in_parts);
        score_products(tile, block, first, in_parts);
        weigh(block);
        correct_tokens();
        add_values(tile, block, first);
    }
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
fn store_rows(tile: TileCoords, block: BlockCoords, half: u32, a: mat4x4<f32>, b: mat4x4<f32>, c: mat4x4<f32>, d: mat4x4<f32>) {
    let row = tile.first_row + 64u * half + 4u * block.row;
    let inverse = 1.0 / shared_row_sum(half, block.row);
    store_columns(tile, row, block.column, scale_columns(a, inverse));
    if (VALUE_VEC4S > 1u) { store_columns(tile, row, block.column + COLUMNS, scale_columns(b, inverse)); }
    if (VALUE_VEC4S > 2u) { store_columns(tile, row, block.column + 2u * COLUMNS, scale_columns(c, inverse)); }
    if (VALUE_VEC4S > 3u) { store_columns(tile, row, block.column + 3u * COLUMNS, scale_columns(d, inverse)); }
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
    store_rows(tile, block, 0u, o00, o01, o02, o03);
    if (ROW_VEC4S > 1u) { store_rows(tile, block, 1u, o10, o11, o12, o13); }
}
