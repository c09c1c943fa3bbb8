// Tiles and register blocks of segmented attention, for a workgroup of 16 x 8 invocations that has ROWS queries and takes KEYS keys at a time.
//
// Two matrix products share two tiles: queries times keys in slices of 16 numbers, weights times values in slices of 16 keys. A tile is
// [slice / 4][slice % 4][vector / 16 or 8][vector]; only the outermost index is counted by a loop, so that addresses are worked out once for
// four numbers. Of queries and keys, four lines each four apart are stored together, and of weights four neighbouring ones; lines begin at
// the same bank, so places are changed by 2 (slice / 4) there and by 2 (slice % 4) here.
//
// Needs ROW_VEC4S, KEY_VEC4S (1 or 2) and VALUE_VEC4S (1 to 4).
//! use segments, vectors, query_offsets4, blocks, shared_rows
//! vec4 values

const ROWS: u32 = 64u * ROW_VEC4S;
const KEYS: u32 = 32u * KEY_VEC4S;
const COLUMN_VEC4S: u32 = max(KEY_VEC4S, VALUE_VEC4S);
// The last of the invocation's vectors, by their names: indices of parts that are not there would not compile.
const ROW1: u32 = ROW_VEC4S - 1u;
const KEY1: u32 = KEY_VEC4S - 1u;
const VALUE1: u32 = min(1u, VALUE_VEC4S - 1u);
const VALUE2: u32 = min(2u, VALUE_VEC4S - 1u);
const VALUE3: u32 = min(3u, VALUE_VEC4S - 1u);

var<workgroup> row_tile: array<array<array<array<vec4<f32>, 16>, ROW_VEC4S>, 4>, 4>;
var<workgroup> column_tile: array<array<array<array<vec4<f32>, 8>, COLUMN_VEC4S>, 4>, 4>;

// Scores, then weights, of the first and second four rows with the first and second four keys: a column a key, a component a row. Key i of the
// n-th four is number 32 n + 8 i + column of the tile, so that each slice of 16 values has two of every invocation's weights.
var<private> s00: mat4x4<f32>;
var<private> s01: mat4x4<f32>;
var<private> s10: mat4x4<f32>;
var<private> s11: mat4x4<f32>;
// Sums of the first and second four rows: a column a row, a component a number of the value, whose vectors are 8 apart.
var<private> o00: mat4x4<f32>;
var<private> o01: mat4x4<f32>;
var<private> o02: mat4x4<f32>;
var<private> o03: mat4x4<f32>;
var<private> o10: mat4x4<f32>;
var<private> o11: mat4x4<f32>;
var<private> o12: mat4x4<f32>;
var<private> o13: mat4x4<f32>;
// What the invocation has staged: parts of the squares of four queries, and of four keys.
var<private> query_square: vec4<f32>;
var<private> key_square: vec4<f32>;

// Which vectors an invocation has in its blocks, and which it brings to the tiles.
struct Place {
    row: u32,
    column: u32,
    lane: u32,
    key_lane: u32,           // beyond KEYS for those that bring no keys
    queries: vec4<u32>,
}

// Drivers read vectors half a subgroup at a time where two neighbours want the same: so the lowest bit chooses the row.
fn place_of(work: Work, lane: u32) -> Place {
    let row = (lane & 1u) | ((lane >> 3u) & 14u);
    let queries = query_offsets4(work, work.first_row + lane / 4u * 4u);
    return Place(row, (lane >> 1u) & 7u, lane, lane ^ (128u - ROWS), queries);
}

// Where the four keys begin that an invocation brings; the last one again where there are no more.
fn four_keys(work: Work, key_lane: u32, first: u32) -> vec4<u32> {
    let key = first + key_lane / 32u * 32u + key_lane / 4u % 8u;
    let last = all_keys() - 1u;
    let a = key_start(work, min(key, last));
    let b = key_start(work, min(key + 8u, last));
    let c = key_start(work, min(key + 16u, last));
    let d = key_start(work, min(key + 24u, last));
    return vec4<u32>(a, b, c, d) / 4u;
}

// Stages 16 numbers, from vector `first_vector`, of all queries and of the tile's keys. Zero beyond the head.
fn stage(place: Place, at: vec4<u32>, first_vector: u32, measures_queries: bool) {
    let quad = place.lane % 4u;
    let vector = first_vector + quad;
    var own = mat4x4<f32>();
    var key = mat4x4<f32>();
    if (vector < p.head_size / 4u) {
        if (place.lane < ROWS) {
            own = query_numbers(place.queries, vector);
        }
        if (place.key_lane < KEYS) {
            key = transpose(key_columns(at + vector));
            key_square += squares_along(key);
        }
    }
    if (measures_queries) {
        query_square += squares_along(own);
    }
    workgroupBarrier();
    if (place.lane < ROWS) {
        let half = place.lane / 64u;
        let at_row = (place.lane / 4u % 16u) ^ (2u * quad);
        row_tile[quad][0][half][at_row] = own[0];
        row_tile[quad][1][half][at_row] = own[1];
        row_tile[quad][2][half][at_row] = own[2];
        row_tile[quad][3][half][at_row] = own[3];
    }
    if (place.key_lane < KEYS) {
        let part = place.key_lane / 32u;
        let at_key = (place.key_lane / 4u % 8u) ^ (2u * quad);
        column_tile[quad][0][part][at_key] = key[0];
        column_tile[quad][1][part][at_key] = key[1];
        column_tile[quad][2][part][at_key] = key[2];
        column_tile[quad][3][part][at_key] = key[3];
    }
    workgroupBarrier();
}

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

fn shrink_tokens(factors0: vec4<f32>, factors1: vec4<f32>) {
    o00 = scale_columns(o00, factors0);
    o01 = scale_columns(o01, factors0);
    o02 = scale_columns(o02, factors0);
    o03 = scale_columns(o03, factors0);
    o10 = scale_columns(o10, factors1);
    o11 = scale_columns(o11, factors1);
    o12 = scale_columns(o12, factors1);
    o13 = scale_columns(o13, factors1);
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

// Adds the values of up to 32 keys of the tile from number `first` on, times the weights of the first or the second four keys.
fn add_values(work: Work, place: Place, first: u32, weights0: mat4x4<f32>, weights1: mat4x4<f32>) {
    let total = all_keys();
    let column = place.lane % 8u;
    for (var slice = 0u; slice < 32u && first + slice < total; slice += 16u) {
        let key = first + slice + place.lane / 8u;
        let start = value_start(work, min(key, total - 1u)) / 4u;
        let value0 = value_vector(start, column, key < total);
        let value1 = value_vector(start, column + 8u, key < total && VALUE_VEC4S > 1u);
        let value2 = value_vector(start, column + 16u, key < total && VALUE_VEC4S > 2u);
        let value3 = value_vector(start, column + 24u, key < total && VALUE_VEC4S > 3u);
        workgroupBarrier();
        keep_rows(place.column, 0u, place.row, select(weights0[2], weights0[0], slice == 0u));
        keep_rows(place.column + 8u, 0u, place.row, select(weights0[3], weights0[1], slice == 0u));
        if (ROW_VEC4S > 1u) {
            keep_rows(place.column, ROW1, place.row, select(weights1[2], weights1[0], slice == 0u));
            keep_rows(place.column + 8u, ROW1, place.row, select(weights1[3], weights1[1], slice == 0u));
        }
        let quad = place.lane / 32u;
        let i = place.lane / 8u % 4u;
        column_tile[quad][i][0][column] = value0;
        if (VALUE_VEC4S > 1u) { column_tile[quad][i][VALUE1][column] = value1; }
        if (VALUE_VEC4S > 2u) { column_tile[quad][i][VALUE2][column] = value2; }
        if (VALUE_VEC4S > 3u) { column_tile[quad][i][VALUE3][column] = value3; }
        workgroupBarrier();
        let quads = (min(16u, total - first - slice) + 3u) / 4u;
        for (var each = 0u; each < quads; each++) {
            add_value(each, 0u, place.row, place.column);
            add_value(each, 1u, place.row, place.column);
            add_value(each, 2u, place.row, place.column);
            add_value(each, 3u, place.row, place.column);
        }
    }
}
