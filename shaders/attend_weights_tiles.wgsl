// Attention weights of all queries, written out: tiles in workgroup memory, large register blocks, for GPUs.
//
//   weights[b,h,g,r,j] = softmax_j(scale * queries[b,h,g,r,:] . keys[b,h,g,j,:])
//
// As attend_tiles.wgsl without values. Keys are gone through twice, for row max and row sum and for the weights. Scores are plain float32; if
// the logits of any row of the workgroup exceed the bound (lib/scores.wgsl), all are computed again in parts (lib/tile_parts.wgsl).
//
// Grid: see lib/query_groups.wgsl; a workgroup of 16 x COLUMNS invocations takes 64 rows.
// Limits: head size, and offsets and strides of queries and keys, are multiples of four; 128 invocations, 10 KiB of workgroup memory.
// Prelude: KEY_VEC4S (1 or 2), an invocation's vectors of keys.
//! use grid, query_groups, shared_rows, tiles, tile_parts, tile_products, tile_softmax

const COLUMNS: u32 = 8u;
const ROW_VEC4S: u32 = 1u;
const VALUE_VEC4S: u32 = 1u;
// Up to this bound a score summed over 128 elements is right to about 1e-5; lib/scores.wgsl lowers it for longer sums.
const PLAIN_SCORES: f32 = 32.0;
const HAS_BIASES: bool = false;

fn score_biases(tile: TileCoords, block: BlockCoords, key: u32) -> mat4x4<f32> {
    return mat4x4<f32>();
}

fn all_keys() -> u32 {
    return p.key_count;
}

// The last query again beyond the end.
fn query_of_row(tile: TileCoords, row: u32) -> u32 {
    return query_start(tile, min(row, p.rows - 1u));
}

// Stores the weights of four rows with one key.
fn store_key(tile: TileCoords, block: BlockCoords, key: u32, shares: vec4<f32>) {
    if (key >= p.key_count) {
        return;
    }
    let row = tile.first_row + 4u * block.row;
    if (row < p.rows) { weights[weight_start(tile, row) + key] = StoredWeights(shares.x); }
    if (row + 1u < p.rows) { weights[weight_start(tile, row + 1u) + key] = StoredWeights(shares.y); }
    if (row + 2u < p.rows) { weights[weight_start(tile, row + 2u) + key] = StoredWeights(shares.z); }
    if (row + 3u < p.rows) { weights[weight_start(tile, row + 3u) + key] = StoredWeights(shares.w); }
}

fn store_four(tile: TileCoords, block: BlockCoords, key: u32, scores: mat4x4<f32>, per_sum: vec4<f32>) {
    let shares = weights_of(scores, rows0.row_max);
    store_key(tile, block, key, shares[0] * per_sum);
    store_key(tile, block, key + COLUMNS, shares[1] * per_sum);
    store_key(tile, block, key + 2u * COLUMNS, shares[2] * per_sum);
    store_key(tile, block, key + 3u * COLUMNS, shares[3] * per_sum);
}

// Goes through all keys: for row max and row sum, or to store the weights.
fn take_keys(tile: TileCoords, block: BlockCoords, in_parts: bool, stores: bool) {
    var per_sum = vec4<f32>();
    if (stores) {
        share_row_sums(block);
        per_sum = 1.0 / shared_row_sum(0u, block.row);
    } else {
        begin_rows();
    }
    for (var first = 0u; first < p.key_count; first += KEYS) {
        multiply_keys(tile, block, first, in_parts);
        score_products(tile, block, first, in_parts);
        if (stores) {
            store_four(tile, block, first + block.column, s00, per_sum);
            if (KEY_VEC4S > 1u) { store_four(tile, block, first + 4u * COLUMNS + block.column, s01, per_sum); }
        } else {
            weigh(block);
        }
    }
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
    let block = block_coords(lane);
    var in_parts = false;
    var stores = false;
    loop {
        take_keys(tile, block, in_parts, stores);
        if (stores) {
            break;
        }
        if (!in_parts && some_are_large(block)) {
            in_parts = true;
            measure_queries(tile, block);
        } else {
            stores = true;
        }
    }
}
