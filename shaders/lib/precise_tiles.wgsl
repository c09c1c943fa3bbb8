// The rows of a workgroup with scores to more than float32, by the same tiles, if the logits of any of them exceed the bound of plain
// float32 scores. Scores are split as in lib/score.wgsl: coarse parts use the registers of the first four keys' scores, fine parts those of
// the second four. So a pass has 32 keys at a time and one half of the rows, and no more registers than the plain one.
//! use constants, score, scores, tiles, shared_rows, weights

var<workgroup> any_large: atomic<u32>;
var<workgroup> large: u32;

// Squared lengths of the invocation's queries, and an upper bound of the longest key's.
struct Squares {
    first: vec4<f32>,
    second: vec4<f32>,
    key: f32,
}

// Leaves the invocation's parts of squares: of queries in the row tile, of keys in the column tile.
fn keep_squares(block: BlockCoords, longest: vec4<f32>) {
    let quad = block.lane % 4u;
    if (block.lane < ROWS) {
        keep_rows(8u + quad, block.lane / 64u, block.lane / 4u % 16u, query_square);
    }
    if (block.key_lane < KEYS) {
        column_tile[quad][0][block.key_lane / 32u][block.key_lane / 4u % 8u] = longest;
    }
    if (block.lane == 0u) {
        atomicStore(&any_large, 0u);
    }
}

// Each of four parts of the longest key's square is at most the largest such part.
fn squares_kept(block: BlockCoords) -> Squares {
    var a = vec4<f32>();
    var b = vec4<f32>();
    var c = vec4<f32>();
    var d = vec4<f32>();
    for (var i = 0u; i < 8u; i++) {
        a = max(a, max(column_tile[0][0][0][i], column_tile[0][0][KEY1][i]));
        b = max(b, max(column_tile[1][0][0][i], column_tile[1][0][KEY1][i]));
        c = max(c, max(column_tile[2][0][0][i], column_tile[2][0][KEY1][i]));
        d = max(d, max(column_tile[3][0][0][i], column_tile[3][0][KEY1][i]));
    }
    let row = block.row;
    let first = (kept_rows(8u, 0u, row) + kept_rows(9u, 0u, row)) + (kept_rows(10u, 0u, row) + kept_rows(11u, 0u, row));
    let second = (kept_rows(8u, ROW1, row) + kept_rows(9u, ROW1, row)) + (kept_rows(10u, ROW1, row) + kept_rows(11u, ROW1, row));
    return Squares(first, second, (largest(a) + largest(b)) + (largest(c) + largest(d)));
}

// Whether the logits of some row of the workgroup exceed the bound of plain scores.
fn some_are_large(lane: u32, squares: Squares) -> bool {
    if (needs_precision(squares.first, squares.key) || needs_precision(squares.second, squares.key)) {
        atomicOr(&any_large, 1u);
    }
    workgroupBarrier();
    if (lane == 0u) {
        large = atomicLoad(&any_large);
    }
    return workgroupUniformLoad(&large) != 0u;
}

// Units of the four keys that the invocation has of a tile.
fn units_of_keys(tile: TileCoords, block: BlockCoords, first: u32) -> vec4<f32> {
    let last = all_keys() - 1u;
    let a = key_start(tile, min(first + block.column, last));
    let b = key_start(tile, min(first + block.column + 8u, last));
    let c = key_start(tile, min(first + block.column + 16u, last));
    let d = key_start(tile, min(first + block.column + 24u, last));
    let starts = vec4<u32>(a, b, c, d) / 4u;
    var magnitudes = vec4<f32>();
    var i = 0u;
    loop {
        let four = key_columns(starts + i);
        magnitudes = max(magnitudes, vec4<f32>(largest(four[0]), largest(four[1]), largest(four[2]), largest(four[3])));
        continuing {
            i++;
            break if i >= p.head_size / 4u;
        }
    }
    return vec4<f32>(unit_of(magnitudes.x), unit_of(magnitudes.y), unit_of(magnitudes.z), unit_of(magnitudes.w));
}

fn scale_each(scores: mat4x4<f32>, units: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(scores[0] * units.x, scores[1] * units.y, scores[2] * units.z, scores[3] * units.w);
}

fn add_precisely(quad: u32, i: u32, half: u32, block: BlockCoords, per_query_unit: vec4<f32>, per_key_unit: vec4<f32>) {
    let own = row_tile[quad][i][half][block.row ^ (2u * quad)] * per_query_unit;
    let other = column_tile[quad][i][0][block.column ^ (2u * quad)] * per_key_unit;
    let coarse_own = round(own);
    let coarse_other = round(other);
    s00 = add_products(s00, coarse_other, coarse_own);
    s01 = add_products(add_products(s01, other - coarse_other, coarse_own), other, own - coarse_own);
}

fn multiply_precisely(tile: TileCoords, block: BlockCoords, first: u32, half: u32, per_query_unit: vec4<f32>) {
    let units = units_of_keys(tile, block, first);
    let per_key_unit =
        vec4<f32>(inverse_of(units.x), inverse_of(units.y), inverse_of(units.z), inverse_of(units.w));
    let at = key_offsets4(tile, block.key_lane, first);
    let vectors = p.head_size / 4u;
    s00 = mat4x4<f32>();
    s01 = mat4x4<f32>();
    for (var vector = 0u; vector < vectors; vector += 4u) {
        stage(block, at, vector, false);
        let quads = min(4u, vectors - vector);
        for (var quad = 0u; quad < quads; quad++) {
            add_precisely(quad, 0u, half, block, per_query_unit, per_key_unit);
            add_precisely(quad, 1u, half, block, per_query_unit, per_key_unit);
            add_precisely(quad, 2u, half, block, per_query_unit, per_key_unit);
            add_precisely(quad, 3u, half, block, per_query_unit, per_key_unit);
        }
    }
    s00 = scale_each(s00, units);
    s01 = scale_each(s01, units);
}

fn higher_of(a: Scores, b: Scores) -> Scores {
    let above = excess_of(b, a) > vec4<f32>();
    return Scores(select(a.coarse, b.coarse, above), select(a.fine, b.fine, above));
}

// Scores with one key, or LOWEST if there is none.
fn known_scores(coarse: vec4<f32>, fine: vec4<f32>, exists: bool) -> Scores {
    return Scores(select(vec4<f32>(LOWEST), coarse, exists), select(vec4<f32>(), fine, exists));
}

// Keys that do not exist weigh nothing: a tiny scale would give even LOWEST a weight.
fn precise_weights(coarse: vec4<f32>, fine: vec4<f32>, row_max: Scores, scale: vec4<f32>, exists: bool) -> vec4<f32> {
    return select(vec4<f32>(), exp(scale * excess_of(Scores(coarse, fine), row_max)), exists);
}

// Sums the weighted values of the first (half 0) or second four rows in o00 to o03; leaves their row sums in the row tile.
fn attend_precisely(tile: TileCoords, block: BlockCoords, half: u32, squares: Squares) {
    let lengths = sqrt(select(squares.first, squares.second, half == 1u));
    let units = vec4<f32>(unit_of(lengths.x), unit_of(lengths.y), unit_of(lengths.z), unit_of(lengths.w));
    let inverses = vec4<f32>(inverse_of(units.x), inverse_of(units.y), inverse_of(units.z), inverse_of(units.w));
    let scale = abs(p.scale) * units;
    let total_keys = all_keys();
    var row_max = Scores(vec4<f32>(LOWEST), vec4<f32>());
    var row_sum = vec4<f32>();
    clear_tokens();
    for (var first = 0u; first < total_keys; first += 32u) {
        multiply_precisely(tile, block, first, half, inverses * sign(p.scale));
        let left = i32(total_keys - first) - i32(block.column);
        let lower = higher_of(known_scores(s00[0], s01[0], left > 0), known_scores(s00[1], s01[1], left > 8));
        let upper = higher_of(known_scores(s00[2], s01[2], left > 16), known_scores(s00[3], s01[3], left > 24));
        let own = higher_of(lower, upper);
        workgroupBarrier();
        keep_rows(block.column, 0u, block.row, own.coarse);
        keep_rows(8u + block.column, 0u, block.row, own.fine);
        workgroupBarrier();
        var new_max = row_max;
        for (var i = 0u; i < 8u; i++) {
            new_max = higher_of(new_max, Scores(kept_rows(i, 0u, block.row), kept_rows(8u + i, 0u, block.row)));
        }
        let correction = exp(scale * excess_of(row_max, new_max));
        row_max = new_max;
        s00 = mat4x4<f32>(
            precise_weights(s00[0], s01[0], row_max, scale, left > 0),
            precise_weights(s00[1], s01[1], row_max, scale, left > 8),
            precise_weights(s00[2], s01[2], row_max, scale, left > 16),
            precise_weights(s00[3], s01[3], row_max, scale, left > 24),
        );
        row_sum = row_sum * correction + row_sum_of(s00);
        correct_tokens(correction, vec4<f32>());
        add_values(tile, block, first, s00, s00);
    }
    workgroupBarrier();
    keep_rows(block.column, 0u, block.row, row_sum);
    workgroupBarrier();
}
