// Scores of tiles to more than float32. Queries and keys are split as in lib/score.wgsl, x = coarse + fine, at powers of two of their own. The
// products of coarse parts are exact in any order. Their row max, the row's base, is subtracted before the other two products are added: so a
// block holds one element a score, as in plain float32, and the elements of the highest scores are as small as their fine parts. Where scores have
// biases, the base is that of the highest biased score.
//! use score, scores, tiles, tile_products, shared_rows

// Parts of a product: all of it; coarse by coarse, coarse by fine, fine by all.
const PLAIN: u32 = 0u;
const COARSE: u32 = 1u;
const FINE_KEYS: u32 = 2u;
const FINE_QUERIES: u32 = 3u;

var<workgroup> any_large: atomic<u32>;
var<workgroup> large: u32;
// Powers of two by which the workgroup's queries and the tile's keys are split, in the order in which they are staged.
var<workgroup> query_units: array<vec4<f32>, 16u * ROW_VEC4S>;
var<workgroup> key_units: array<vec4<f32>, COLUMNS * KEY_VEC4S>;
// What is subtracted from the products of four rows.
var<workgroup> row_bases: array<vec4<f32>, 16u * ROW_VEC4S>;

fn coarse_part(elements: vec4<f32>, units: vec4<f32>) -> vec4<f32> {
    let inverses = vec4<f32>(inverse_of(units.x), inverse_of(units.y), inverse_of(units.z), inverse_of(units.w));
    return round(elements * inverses) * units;
}

// Replaces what the invocation has staged by its part. Queries take the scale's sign, so that the largest product stays the largest score.
fn split_staged(block: BlockCoords, part: u32) {
    let quad = block.lane % 4u;
    if (block.lane < ROWS) {
        let half = block.lane / 64u;
        let at_row = (block.lane / 4u % 16u) ^ (2u * quad);
        let units = query_units[block.lane / 4u];
        for (var i = 0u; i < 4u; i++) {
            let own = row_tile[quad][i][half][at_row];
            let coarse = coarse_part(own, units);
            row_tile[quad][i][half][at_row] = select(coarse, own - coarse, part == FINE_QUERIES) * sign(p.scale);
        }
    }
    if (block.key_lane < KEYS && part != FINE_QUERIES) {
        let pack = block.key_lane / (4u * COLUMNS);
        let at_key = (block.key_lane / 4u % COLUMNS) ^ (2u * quad);
        let units = key_units[block.key_lane / 4u];
        for (var i = 0u; i < 4u; i++) {
            let key = column_tile[quad][i][pack][at_key];
            let coarse = coarse_part(key, units);
            column_tile[quad][i][pack][at_key] = select(coarse, key - coarse, part == FINE_KEYS);
        }
    }
}

// Finds the units of the tile's keys, one an invocation of those that stage them.
fn measure_keys(block: BlockCoords, at: vec4<u32>) {
    let lane = block.key_lane;
    var magnitude = 0.0;
    if (lane < KEYS) {
        let start = at[lane % 4u];
        for (var vector = 0u; vector < p.head_size / 4u; vector++) {
            magnitude = max(magnitude, largest(vec4<f32>(keys[start + vector])));
        }
    }
    workgroupBarrier();
    if (lane < KEYS) {
        key_units[lane / 4u][lane % 4u] = unit_of(magnitude);
    }
    workgroupBarrier();
}

// Finds the units of the workgroup's queries, and begins with no bases.
fn measure_queries(tile: TileCoords, block: BlockCoords) {
    let lane = block.lane;
    if (lane < ROWS) {
        let start = query_of_row(tile, tile.first_row + lane) / 4u;
        var magnitude = 0.0;
        for (var vector = 0u; vector < p.head_size / 4u; vector++) {
            magnitude = max(magnitude, largest(vec4<f32>(queries[start + vector])));
        }
        query_units[lane / 4u][lane % 4u] = unit_of(magnitude);
    }
    if (lane < 16u * ROW_VEC4S) {
        row_bases[lane] = vec4<f32>(LOWEST);
    }
    workgroupBarrier();
}

// The highest products of four rows with the keys of which `left` exist from the first on, each COLUMNS apart.
fn highest_of(products0: mat4x4<f32>, products1: mat4x4<f32>, left: i32) -> vec4<f32> {
    let lowest = vec4<f32>(LOWEST);
    var highest = max(
        max(select(lowest, products0[0], left > 0), select(lowest, products0[1], left > 1 * KEY_STRIDE)),
        max(select(lowest, products0[2], left > 2 * KEY_STRIDE), select(lowest, products0[3], left > 3 * KEY_STRIDE)),
    );
    if (KEY_VEC4S > 1u) {
        highest = max(highest, max(
            max(select(lowest, products1[0], left > 4 * KEY_STRIDE), select(lowest, products1[1], left > 5 * KEY_STRIDE)),
            max(select(lowest, products1[2], left > 6 * KEY_STRIDE), select(lowest, products1[3], left > 7 * KEY_STRIDE)),
        ));
    }
    return highest;
}

fn subtract(products: mat4x4<f32>, base: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(products[0] - base, products[1] - base, products[2] - base, products[3] - base);
}

// A product plus a bias in the products' scale, which a single float32 is too coarse for where the mask is in it.
fn add_bias(products: vec4<f32>, biases: vec4<f32>) -> vec4<f32> {
    let scale = abs(p.scale);
    let quotient = biases / scale;
    let rest = fma(-quotient, vec4<f32>(scale), biases) / scale;
    return (products + quotient) + rest;
}

// The products plus the biases of their scores. Only the first four rows have biases.
fn biased(tile: TileCoords, block: BlockCoords, key: u32, products: mat4x4<f32>) -> mat4x4<f32> {
    if (!HAS_BIASES) {
        return products;
    }
    let biases = score_biases(tile, block, key);
    return mat4x4<f32>(
        add_bias(products[0], biases[0]),
        add_bias(products[1], biases[1]),
        add_bias(products[2], biases[2]),
        add_bias(products[3], biases[3]),
    );
}

// Raises the bases of all rows to their highest products with the tile's keys from `first` on, and subtracts them. Biases are added to what is
// left: keys may have equal scores by products that are far apart.
fn subtract_bases(tile: TileCoords, block: BlockCoords, first: u32) {
    let key = first + block.column;
    let left = i32(all_keys()) - i32(key);
    var biased1 = s01;
    if (KEY_VEC4S > 1u) { biased1 = biased(tile, block, key + 4u * COLUMNS, s01); }
    workgroupBarrier();
    keep_rows(block.column, 0u, block.row, highest_of(biased(tile, block, key, s00), biased1, left));
    if (ROW_VEC4S > 1u) { keep_rows(block.column, ROW1, block.row, highest_of(s10, s11, left)); }
    let old0 = row_bases[block.row];
    let old1 = row_bases[16u * ROW1 + block.row];
    workgroupBarrier();
    let base0 = max(old0, shared_row_max(0u, block.row));
    s00 = biased(tile, block, key, subtract(s00, base0));
    if (KEY_VEC4S > 1u) { s01 = biased(tile, block, key + 4u * COLUMNS, subtract(s01, base0)); }
    rows0.row_max += abs(p.scale) * (old0 - base0);
    if (block.column == 0u) { row_bases[block.row] = base0; }
    if (ROW_VEC4S > 1u) {
        let base1 = max(old1, shared_row_max(ROW1, block.row));
        s10 = subtract(s10, base1);
        if (KEY_VEC4S > 1u) { s11 = subtract(s11, base1); }
        rows1.row_max += abs(p.scale) * (old1 - base1);
        if (block.column == 0u) { row_bases[16u * ROW1 + block.row] = base1; }
    }
}

// Leaves the invocation's parts of squares: of queries in the row tile, of keys in the column tile.
fn keep_squares(block: BlockCoords) {
    let quad = block.lane % 4u;
    if (block.lane < ROWS) {
        keep_rows(quad, block.lane / 64u, block.lane / 4u % 16u, square);
    }
    if (block.key_lane < KEYS) {
        column_tile[quad][0][block.key_lane / (4u * COLUMNS)][block.key_lane / 4u % COLUMNS] = longest;
    }
    if (block.lane == 0u) {
        atomicStore(&any_large, 0u);
    }
}

// The squares of four queries, whose parts all invocations kept.
fn query_squares(half: u32, row: u32) -> vec4<f32> {
    return (kept_rows(0u, half, row) + kept_rows(1u, half, row)) + (kept_rows(2u, half, row) + kept_rows(3u, half, row));
}

// Whether the logits of some row of the workgroup exceed the bound of plain scores. All invocations must call.
// Each of four parts of the longest key's square is at most the largest such part.
fn some_are_large(block: BlockCoords) -> bool {
    workgroupBarrier();
    keep_squares(block);
    workgroupBarrier();
    var key = 0.0;
    for (var quad = 0u; quad < 4u; quad++) {
        var part = vec4<f32>();
        for (var i = 0u; i < COLUMNS; i++) {
            part = max(part, max(column_tile[quad][0][0][i], column_tile[quad][0][KEY1][i]));
        }
        key += largest(part);
    }
    if (needs_precision(query_squares(0u, block.row), key) || needs_precision(query_squares(ROW1, block.row), key)) {
        atomicOr(&any_large, 1u);
    }
    workgroupBarrier();
    if (block.lane == 0u) {
        large = atomicLoad(&any_large);
    }
    return workgroupUniformLoad(&large) != 0u;
}
