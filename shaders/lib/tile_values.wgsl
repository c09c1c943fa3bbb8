// Sums of weighted values in register blocks, for the tiles of lib/tiles.wgsl.
//
// Weights and values go through workgroup memory in slices of 16 keys; four neighbouring lines of weights are stored together, so vectors are
// permuted by 2 (slice % 4).
//! use tiles, tile_products, tile_softmax, shared_rows, blocks
//! vec4 values

const VALUE1: u32 = min(1u, VALUE_VEC4S - 1u);
const VALUE2: u32 = min(2u, VALUE_VEC4S - 1u);
const VALUE3: u32 = min(3u, VALUE_VEC4S - 1u);

// Sums of the first and second four rows: a column a row, a component an element of the value, whose vectors are COLUMNS apart.
var<private> o00: mat4x4<f32>;
var<private> o01: mat4x4<f32>;
var<private> o02: mat4x4<f32>;
var<private> o03: mat4x4<f32>;
var<private> o10: mat4x4<f32>;
var<private> o11: mat4x4<f32>;
var<private> o12: mat4x4<f32>;
var<private> o13: mat4x4<f32>;

fn clear_tokens() {
    o00 = mat4x4<f32>();
    o01 = mat4x4<f32>();
    o02 = mat4x4<f32>();
    o03 = mat4x4<f32>();
    o10 = mat4x4<f32>();
    o11 = mat4x4<f32>();
    o12 = mat4x4<f32>();
    o13 = mat4x4<f32>();
}

fn correct_tokens() {
    o00 = scale_columns(o00, rows0.correction);
    o01 = scale_columns(o01, rows0.correction);
    o02 = scale_columns(o02, rows0.correction);
    o03 = scale_columns(o03, rows0.correction);
    o10 = scale_columns(o10, rows1.correction);
    o11 = scale_columns(o11, rows1.correction);
    o12 = scale_columns(o12, rows1.correction);
    o13 = scale_columns(o13, rows1.correction);
}

// Adds the value of key 4 quad + i of the slice times its weights.
fn add_value(quad: u32, i: u32, row: u32, column: u32) {
    let weights0 = row_tile[quad][i][0][row ^ (2u * i)];
    let weights1 = row_tile[quad][i][ROW1][row ^ (2u * i)];
    let value0 = column_tile[quad][i][0][column];
    o00 = add_products(o00, weights0, value0);
    if (ROW_VEC4S > 1u) { o10 = add_products(o10, weights1, value0); }
    let value1 = column_tile[quad][i][VALUE1][column];
    if (VALUE_VEC4S > 1u) { o01 = add_products(o01, weights0, value1); }
    if (VALUE_VEC4S > 1u && ROW_VEC4S > 1u) { o11 = add_products(o11, weights1, value1); }
    let value2 = column_tile[quad][i][VALUE2][column];
    if (VALUE_VEC4S > 2u) { o02 = add_products(o02, weights0, value2); }
    if (VALUE_VEC4S > 2u && ROW_VEC4S > 1u) { o12 = add_products(o12, weights1, value2); }
    let value3 = column_tile[quad][i][VALUE3][column];
    if (VALUE_VEC4S > 3u) { o03 = add_products(o03, weights0, value3); }
    if (VALUE_VEC4S > 3u && ROW_VEC4S > 1u) { o13 = add_products(o13, weights1, value3); }
}

fn value_vector(start: u32, vector: u32, exists: bool) -> vec4<f32> {
    if (exists && vector < p.value_size / 4u) {
        return vec4<f32>(values[start + vector]);
    }
    return vec4<f32>();
}

// Stages the weights of a slice of 16 keys for four rows: one of each invocation, or two.
fn keep_weights(block: BlockCoords, half: u32, weights0: mat4x4<f32>, weights1: mat4x4<f32>, slice: u32) {
    var own = weights0;
    if (KEY_VEC4S > 1u && slice * 16u >= 4u * COLUMNS) { own = weights1; }
    if (COLUMNS == 16u) {
        let odd = select(own[0], own[1], slice % 2u == 1u);
        let later = select(own[2], own[3], slice % 2u == 1u);
        keep_rows(block.column, half, block.row, select(odd, later, slice % 4u > 1u));
    } else {
        keep_rows(block.column, half, block.row, select(own[0], own[2], slice % 2u == 1u));
        keep_rows(block.column + 8u, half, block.row, select(own[1], own[3], slice % 2u == 1u));
    }
}

// Adds the values of the tile's keys from `first` on, times the weights in the blocks.
fn add_values(tile: TileCoords, block: BlockCoords, first: u32) {
    let total_keys = all_keys();
    let column = block.lane % COLUMNS;
    let quad = block.lane / (4u * COLUMNS);
    let i = block.lane / COLUMNS % 4u;
    for (var slice = 0u; 16u * slice < min(KEYS, total_keys - first); slice++) {
        let key = first + 16u * slice + block.lane / COLUMNS;
        let start = value_start(tile, min(key, total_keys - 1u)) / 4u;
        let value0 = value_vector(start, column, key < total_keys);
        let value1 = value_vector(start, column + COLUMNS, key < total_keys && VALUE_VEC4S > 1u);
        let value2 = value_vector(start, column + 2u * COLUMNS, key < total_keys && VALUE_VEC4S > 2u);
        let value3 = value_vector(start, column + 3u * COLUMNS, key < total_keys && VALUE_VEC4S > 3u);
        workgroupBarrier();
        keep_weights(block, 0u, s00, s01, slice);
        if (ROW_VEC4S > 1u) { keep_weights(block, ROW1, s10, s11, slice); }
        column_tile[quad][i][0][column] = value0;
        if (VALUE_VEC4S > 1u) { column_tile[quad][i][VALUE1][column] = value1; }
        if (VALUE_VEC4S > 2u) { column_tile[quad][i][VALUE2][column] = value2; }
        if (VALUE_VEC4S > 3u) { column_tile[quad][i][VALUE3][column] = value3; }
        workgroupBarrier();
        let quads = (min(16u, total_keys - first - 16u * slice) + 3u) / 4u;
        for (var each = 0u; each < quads; each++) {
            add_value(each, 0u, block.row, block.column);
            add_value(each, 1u, block.row, block.column);
            add_value(each, 2u, block.row, block.column);
            add_value(each, 3u, block.row, block.column);
        }
    }
}
