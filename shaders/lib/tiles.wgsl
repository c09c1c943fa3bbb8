// Tiles of attention's queries and keys in workgroup memory, for a workgroup of 16 x COLUMNS invocations that has ROWS queries and takes KEYS
// keys at a time.
//
// Queries and keys go through workgroup memory in slices of 16 elements. A tile is [slice / 4][slice % 4][vector / 16 or COLUMNS][vector]; loops
// count the outermost index alone, so that addresses are computed once for four elements. Lines begin at the same bank; four lines each four
// apart are stored together, so vectors are permuted by 2 (slice / 4).
//
// Needs COLUMNS (8 or 16), ROW_VEC4S, KEY_VEC4S (1 or 2), VALUE_VEC4S (1 to 4), the struct TileCoords, the offsets
// query_of_row(tile, row), of any row from the tile's first on, and key_start(tile, key) of the first all_keys() keys; HAS_BIASES, and
// score_biases(tile, block, key) of the invocation's first four rows with four keys, COLUMNS apart.
//! use vectors, blocks, tile_parts

const ROWS: u32 = 64u * ROW_VEC4S;
const KEYS: u32 = 4u * COLUMNS * KEY_VEC4S;
// Distance of an invocation's keys, for comparison with what may be negative.
const KEY_STRIDE: i32 = i32(COLUMNS);
const COLUMN_VEC4S: u32 = max(KEY_VEC4S, VALUE_VEC4S);
// Whether some invocations bring queries and keys to the tiles.
const BRINGS_BOTH: bool = ROWS + KEYS > 16u * COLUMNS;
// Indices of the invocation's further vectors, clamped to those it has: an index out of bounds would not compile.
const ROW1: u32 = ROW_VEC4S - 1u;
const KEY1: u32 = KEY_VEC4S - 1u;

var<workgroup> row_tile: array<array<array<array<vec4<f32>, 16>, ROW_VEC4S>, 4>, 4>;
var<workgroup> column_tile: array<array<array<array<vec4<f32>, COLUMNS>, COLUMN_VEC4S>, 4>, 4>;

// Parts of the squares of four vectors that the invocation brings: of its queries, of keys of the latest tile where it brings both, and the
// largest of its keys'.
var<private> square: vec4<f32>;
var<private> key_square: vec4<f32>;
var<private> longest: vec4<f32>;

// The vectors of an invocation's blocks, and those it brings to the tiles.
struct BlockCoords {
    row: u32,
    column: u32,
    lane: u32,
    // Its number among those that bring keys: beyond KEYS if it brings none.
    key_lane: u32,
}

// Drivers read vectors half a subgroup at a time where two neighbours read the same, so the lowest bit chooses the row.
fn block_coords(lane: u32) -> BlockCoords {
    let row = (lane & 1u) | ((lane / COLUMNS) & 14u);
    // Those that bring no queries come first.
    return BlockCoords(row, lane / 2u % COLUMNS, lane, (lane + 16u * COLUMNS - ROWS) % (16u * COLUMNS));
}

// Offsets, in vectors, of the four keys that an invocation brings; the last one again beyond the end.
fn key_offsets4(tile: TileCoords, key_lane: u32, first: u32) -> vec4<u32> {
    let key = first + key_lane / (4u * COLUMNS) * 4u * COLUMNS + key_lane / 4u % COLUMNS;
    let last = all_keys() - 1u;
    let a = key_start(tile, min(key, last));
    let b = key_start(tile, min(key + COLUMNS, last));
    let c = key_start(tile, min(key + 2u * COLUMNS, last));
    let d = key_start(tile, min(key + 3u * COLUMNS, last));
    return vec4<u32>(a, b, c, d) / 4u;
}

// Offsets, in vectors, of the four queries that an invocation brings.
fn query_offsets4(tile: TileCoords, lane: u32) -> vec4<u32> {
    let row = tile.first_row + lane / 4u * 4u;
    let a = query_of_row(tile, row);
    let b = query_of_row(tile, row + 1u);
    let c = query_of_row(tile, row + 2u);
    let d = query_of_row(tile, row + 3u);
    return vec4<u32>(a, b, c, d) / 4u;
}

// Offsets of the four queries and the four keys that an invocation brings. Where none brings both, they are one.
struct Brought {
    own: vec4<u32>,
    keys: vec4<u32>,
}

fn brought(tile: TileCoords, block: BlockCoords, first: u32) -> Brought {
    if (BRINGS_BOTH) {
        return Brought(query_offsets4(tile, block.lane), key_offsets4(tile, block.key_lane, first));
    }
    var own = vec4<u32>();
    if (block.lane < ROWS) {
        own = query_offsets4(tile, block.lane);
    } else {
        own = key_offsets4(tile, block.key_lane, first);
    }
    return Brought(own, own);
}

// Stages 16 elements, from vector `first_vector`, of all queries and of the tile's keys. Zero beyond the head. Where no invocation brings both,
// queries and keys take the same registers.
fn stage(block: BlockCoords, at: Brought, first_vector: u32, part: u32, measures_queries: bool) {
    let quad = block.lane % 4u;
    let vector = first_vector + quad;
    var own = mat4x4<f32>();
    var key = mat4x4<f32>();
    if (vector < p.head_size / 4u) {
        if (block.lane < ROWS) {
            own = query_elements(at.own, vector);
        }
        if (BRINGS_BOTH && block.key_lane < KEYS) {
            key = transpose(key_columns(at.keys + vector));
        }
        if (!BRINGS_BOTH && block.key_lane < KEYS) {
            own = transpose(key_columns(at.keys + vector));
        }
    }
    if (!BRINGS_BOTH) { key = own; }
    if (measures_queries || block.lane >= ROWS) {
        square += squares_along(own);
    }
    if (BRINGS_BOTH) {
        key_square += squares_along(key);
    }
    workgroupBarrier();
    if (block.lane < ROWS) {
        let half = block.lane / 64u;
        let at_row = (block.lane / 4u % 16u) ^ (2u * quad);
        row_tile[quad][0][half][at_row] = own[0];
        row_tile[quad][1][half][at_row] = own[1];
        row_tile[quad][2][half][at_row] = own[2];
        row_tile[quad][3][half][at_row] = own[3];
    }
    if (block.key_lane < KEYS) {
        let pack = block.key_lane / (4u * COLUMNS);
        let at_key = (block.key_lane / 4u % COLUMNS) ^ (2u * quad);
        column_tile[quad][0][pack][at_key] = key[0];
        column_tile[quad][1][pack][at_key] = key[1];
        column_tile[quad][2][pack][at_key] = key[2];
        column_tile[quad][3][pack][at_key] = key[3];
    }
    if (part != PLAIN) {
        split_staged(block, part);
    }
    workgroupBarrier();
}
