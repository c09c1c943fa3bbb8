// Segmented attention by matrix units: queries, keys and values stored as float16, sums and softmax in float32.
//
//   tokens[b,h,g,r,f,:] = sum_j softmax_j(scale * queries[b,h,g,r,:] . keys[b,h,g,f,j,:]) values[b,h,g,f,j,:]
//
// The invocations of a subgroup multiply matrices of SIDE x SIDE together; a subgroup has SIDE rows. For each tile of keys, scores go
// through workgroup memory to the LANES / SIDE invocations of the row, which compute weights. Weights times values come back the same way
// and are added to the earlier sums, corrected by a running row max (online softmax). Weights are rounded to float16, and the row sum adds
// the rounded ones. Scores are plain float32, whatever their size: float16 storage rounds queries and keys by more. Lines of the tiles are
// padded, so that the lines of a matrix begin at different banks.
//
// Grid: see lib/segments.wgsl; a workgroup of 4 subgroups of LANES invocations takes 4 SIDE rows.
// Limits: queries, keys and values stored as float16; sizes, offsets and strides are multiples of four; LANES a multiple of SIDE; workgroup
// memory as src/variant/attend.rs has it. If a driver runs subgroups of another size than LANES, rows are computed key by key.
// Prelude: LANES, SIDE (8 or 16), HEAD_SIDES and VALUE_SIDES (sizes in SIDE, rounded up), KEY_SIDES (matrices of keys in a tile); Left, Right
// and Sums, the matrices.
//! use grid, constants, segments, vectors, plain_row
//! vec4 values

const ROWS: u32 = 4u * SIDE;
const THREADS: u32 = 4u * LANES;
const HEAD: u32 = HEAD_SIDES * SIDE;
const VALUE: u32 = VALUE_SIDES * SIDE;
const KEYS: u32 = KEY_SIDES * SIDE;
const QUERY_PITCH: u32 = HEAD + 8u;
const COLUMN_PITCH: u32 = max(HEAD, VALUE) + 8u;
const WEIGHT_PITCH: u32 = KEYS + 8u;
const PRODUCT_PITCH: u32 = max(KEYS, VALUE) + 4u;
const PARTS: u32 = LANES / SIDE;             // invocations of a row
const OWN_VECTORS: u32 = VALUE / 4u / PARTS; // vectors of the value that each of them has, PARTS apart

var<workgroup> query_tile: array<f16, ROWS * QUERY_PITCH>;
var<workgroup> column_tile: array<f16, KEYS * COLUMN_PITCH>;     // keys, then values
var<workgroup> weight_tile: array<f16, ROWS * WEIGHT_PITCH>;
var<workgroup> product_tile: array<f32, ROWS * PRODUCT_PITCH>;         // scores, then weights times values

var<private> sums: array<vec4<f32>, OWN_VECTORS>;
var<private> row_max: f32;
var<private> row_sum: f32;

fn stage_queries(tile: TileCoords, lane: u32) {
    for (var slot = lane; slot < ROWS * HEAD / 4u; slot += THREADS) {
        let row = slot / (HEAD / 4u);
        let column = slot % (HEAD / 4u) * 4u;
        var four = vec4<f16>();
        if (tile.first_row + row < p.rows && column < p.head_size) {
            four = queries[(query_start(tile, tile.first_row + row) + column) / 4u];
        }
        let at = row * QUERY_PITCH + column;
        query_tile[at] = four.x;
        query_tile[at + 1u] = four.y;
        query_tile[at + 2u] = four.z;
        query_tile[at + 3u] = four.w;
    }
}

// Stages keys from `first`, or their values: zero beyond the last key, and beyond their size.
fn stage_columns(tile: TileCoords, lane: u32, first: u32, are_values: bool) {
    let width = select(HEAD, VALUE, are_values);
    let size = select(p.head_size, p.value_size, are_values);
    for (var slot = lane; slot < KEYS * width / 4u; slot += THREADS) {
        let key = first + slot / (width / 4u);
        let column = slot % (width / 4u) * 4u;
        var four = vec4<f16>();
        if (key < all_keys() && column < size) {
            if (are_values) {
                four = values[(value_start(tile, key) + column) / 4u];
            } else {
                four = keys[(key_start(tile, key) + column) / 4u];
            }
        }
        let at = slot / (width / 4u) * COLUMN_PITCH + column;
        column_tile[at] = four.x;
        column_tile[at + 1u] = four.y;
        column_tile[at + 2u] = four.z;
        column_tile[at + 3u] = four.w;
    }
}

// Products of the subgroup's queries and the tile's keys.
fn multiply_keys(row: u32) {
    for (var key = 0u; key < KEYS; key += SIDE) {
        var scores = Sums();
        for (var column = 0u; column < HEAD; column += SIDE) {
            let own = coopLoadT<Left>(&query_tile[row * QUERY_PITCH + column], QUERY_PITCH);
            scores = coopMultiplyAdd(own, coopLoad<Right>(&column_tile[key * COLUMN_PITCH + column], COLUMN_PITCH), scores);
        }
        coopStoreT(scores, &product_tile[row * PRODUCT_PITCH + key], PRODUCT_PITCH);
    }
}

// Weights of the subgroup's rows times the tile's values.
fn multiply_values(row: u32) {
    for (var column = 0u; column < VALUE; column += SIDE) {
        var products = Sums();
        for (var key = 0u; key < KEYS; key += SIDE) {
            let own = coopLoadT<Left>(&weight_tile[row * WEIGHT_PITCH + key], WEIGHT_PITCH);
            products = coopMultiplyAdd(own, coopLoadT<Right>(&column_tile[key * COLUMN_PITCH + column], COLUMN_PITCH), products);
        }
        coopStoreT(products, &product_tile[row * PRODUCT_PITCH + column], PRODUCT_PITCH);
    }
}

// Turns every PARTS-th score of a row into a weight, for `left` keys. Returns the correction of the earlier sums.
fn weigh(row: u32, part: u32, left: u32) -> f32 {
    let line = row * PRODUCT_PITCH;
    var new_max = row_max;
    for (var key = part; key < KEYS; key += PARTS) {
        new_max = max(new_max, select(LOWEST, p.scale * product_tile[line + key], key < left));
    }
    for (var step = 1u; step < PARTS; step *= 2u) {
        new_max = max(new_max, subgroupShuffleXor(new_max, step));
    }
    var tile_sum = 0.0;
    for (var key = part; key < KEYS; key += PARTS) {
        var weight = f16();
        if (key < left) {
            weight = f16(exp(p.scale * product_tile[line + key] - new_max));
        }
        weight_tile[row * WEIGHT_PITCH + key] = weight;
        tile_sum += f32(weight);
    }
    for (var step = 1u; step < PARTS; step *= 2u) {
        tile_sum += subgroupShuffleXor(tile_sum, step);
    }
    let correction = exp(row_max - new_max);
    row_max = new_max;
    row_sum = row_sum * correction + tile_sum;
    return correction;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) member: u32,
    @builtin(subgroup_size) subgroup_size: u32,
) {
    let tile = tile_coords(workgroup_number(workgroup, grid));
    if (tile.batch >= p.batch) {
        return;
    }
    row_max = LOWEST;
    if (subgroup_size != LANES) {
        if (index < ROWS) {
            attend_plainly(tile, index);
        }
        return;
    }
    let lane = subgroup * LANES + member;
    let first_row = subgroup * SIDE;
    let row = first_row + member / PARTS;
    let part = member % PARTS;
    let total_keys = all_keys();
    stage_queries(tile, lane);
    for (var first = 0u; first < total_keys; first += KEYS) {
        workgroupBarrier();
        stage_columns(tile, lane, first, false);
        workgroupBarrier();
        multiply_keys(first_row);
        workgroupBarrier();
        stage_columns(tile, lane, first, true);
        let correction = weigh(row, part, total_keys - first);
        workgroupBarrier();
        multiply_values(first_row);
        workgroupBarrier();
        for (var i = 0u; i < OWN_VECTORS; i++) {
            sums[i] = sums[i] * correction + four_elements(row * PRODUCT_PITCH + 4u * (part + i * PARTS));
        }
    }
    for (var i = 0u; i < OWN_VECTORS; i++) {
        store(tile, row, part + i * PARTS, sums[i] / row_sum);
    }
}
