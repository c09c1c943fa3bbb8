// Keys in workgroup memory, a tile at a time, and their scores with the query that each invocation holds. Needs the constants
// HEAD_VECTORS (head size in vec4, rounded up to a multiple of four), KEYS_PER_TILE (8 or 16) and ROWS (invocations), and the struct TileCoords
// with key_start(tile, key).
//! use constants, score

var<workgroup> key_tile: array<vec4<f32>, KEYS_PER_TILE * HEAD_VECTORS>;
var<workgroup> key_unit: array<f32, KEYS_PER_TILE>;

fn key_element(start: u32, column: u32, exists: bool) -> f32 {
    if (exists && column < p.head_size) {
        return f32(keys[start + column]);
    }
    return 0.0;
}

// Stages the keys first .. first + KEYS_PER_TILE of the segment; zero beyond `total_keys` and beyond the head.
fn stage_keys(tile: TileCoords, lane: u32, first: u32, total_keys: u32) {
    for (var slot = lane; slot < KEYS_PER_TILE * HEAD_VECTORS; slot += ROWS) {
        let key = first + slot / HEAD_VECTORS;
        let start = key_start(tile, key);
        let column = (slot % HEAD_VECTORS) * 4u;
        let exists = key < total_keys;
        key_tile[slot] = vec4<f32>(
            key_element(start, column, exists),
            key_element(start, column + 1u, exists),
            key_element(start, column + 2u, exists),
            key_element(start, column + 3u, exists),
        );
    }
}

// Finds each staged key's unit.
fn measure_keys(lane: u32) {
    if (lane < KEYS_PER_TILE) {
        var magnitude = 0.0;
        for (var i = 0u; i < HEAD_VECTORS; i += 4u) {
            let at = lane * HEAD_VECTORS + i;
            magnitude = max(magnitude, max(largest(key_tile[at]), largest(key_tile[at + 1u])));
            magnitude = max(magnitude, max(largest(key_tile[at + 2u]), largest(key_tile[at + 3u])));
        }
        key_unit[lane] = unit_of(magnitude);
    }
}

fn query_element(start: u32, column: u32, exists: bool) -> f32 {
    if (exists && column < p.head_size) {
        return f32(queries[start + column]);
    }
    return 0.0;
}

// Four columns of a query, zero beyond the head and for rows that do not exist.
fn load_query(start: u32, column: u32, exists: bool) -> vec4<f32> {
    return vec4<f32>(
        query_element(start, column, exists),
        query_element(start, column + 1u, exists),
        query_element(start, column + 2u, exists),
        query_element(start, column + 3u, exists),
    );
}

// The invocation's query in units, and its coarse part.
var<private> query: array<vec4<f32>, HEAD_VECTORS>;
var<private> coarse_query: array<vec4<f32>, HEAD_VECTORS>;

// Loads the query and returns its unit. It takes the scale's sign, so that the largest product stays the largest score.
fn take_query(start: u32, exists: bool) -> f32 {
    var magnitude = 0.0;
    for (var i = 0u; i < HEAD_VECTORS; i++) {
        query[i] = load_query(start, i * 4u, exists);
        magnitude = max(magnitude, largest(query[i]));
    }
    let unit = unit_of(magnitude);
    for (var i = 0u; i < HEAD_VECTORS; i++) {
        query[i] = query[i] * (sign(p.scale) * inverse_of(unit));
        coarse_query[i] = round(query[i]);
    }
    return unit;
}

// Adds the products of four vectors from i of the staged key j.
fn add_four(products: Products, i: u32, j: u32, per_unit: f32) -> Products {
    let at = j * HEAD_VECTORS + i;
    var added = add_product(products, query[i], coarse_query[i], key_tile[at] * per_unit);
    added = add_product(added, query[i + 1u], coarse_query[i + 1u], key_tile[at + 1u] * per_unit);
    added = add_product(added, query[i + 2u], coarse_query[i + 2u], key_tile[at + 2u] * per_unit);
    return add_product(added, query[i + 3u], coarse_query[i + 3u], key_tile[at + 3u] * per_unit);
}

struct FourScores {
    a: Score,
    b: Score,
    c: Score,
    d: Score,
}

// The scores of the query with four staged keys from j: fewer iterations, and four uses of each query vector.
fn four_scores(j: u32, q_unit: f32) -> FourScores {
    let units = vec4<f32>(key_unit[j], key_unit[j + 1u], key_unit[j + 2u], key_unit[j + 3u]);
    var a = Products();
    var b = Products();
    var c = Products();
    var d = Products();
    for (var i = 0u; i < HEAD_VECTORS; i += 4u) {
        a = add_four(a, i, j, inverse_of(units.x));
        b = add_four(b, i, j + 1u, inverse_of(units.y));
        c = add_four(c, i, j + 2u, inverse_of(units.z));
        d = add_four(d, i, j + 3u, inverse_of(units.w));
    }
    return FourScores(
        score_of(a, units.x * q_unit),
        score_of(b, units.y * q_unit),
        score_of(c, units.z * q_unit),
        score_of(d, units.w * q_unit),
    );
}

// The highest of a row max and four scores, of which `left` exist.
fn higher_of_four(row_max: Score, four: FourScores, left: u32) -> Score {
    let first = higher(higher(row_max, known(four.a, left > 0u)), known(four.b, left > 1u));
    return higher(higher(first, known(four.c, left > 2u)), known(four.d, left > 3u));
}

// exp(scale * (score - row_max)) of four keys, zero for those beyond `left`. The scale's sign is in the scores already.
fn four_weights(four: FourScores, row_max: Score, left: u32) -> vec4<f32> {
    let scale = abs(p.scale);
    let weights = vec4<f32>(
        exp(scale * excess(four.a, row_max)),
        exp(scale * excess(four.b, row_max)),
        exp(scale * excess(four.c, row_max)),
        exp(scale * excess(four.d, row_max)),
    );
    return select(vec4<f32>(), weights, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(left));
}
