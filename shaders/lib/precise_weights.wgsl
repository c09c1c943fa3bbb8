// Weights of four rows, written out as vectors: their offsets, and weights by precise scores.
//! use constants, precise, query_groups, query_offsets4
//! vec4 weights

// Four rows, and the offsets of their queries and weights, in vectors.
struct Rows {
    first: u32,
    queries: vec4<u32>,
    weights: vec4<u32>,
}

fn four_rows(tile: TileCoords, row: u32) -> Rows {
    let first = vec4<u32>(weight_start(tile, row)) + vec4<u32>(0u, 1u, 2u, 3u) * p.weights.stride.w;
    return Rows(row, query_offsets4(tile, row), first / 4u);
}

fn store_row(at: u32, exists: bool, shares: vec4<f32>) {
    if (exists) {
        weights[at] = vec4<StoredWeights>(shares);
    }
}

// Stores the weights of four keys for four rows: a column a key, a component a row.
fn store_weights(rows: Rows, key: u32, shares: mat4x4<f32>) {
    let at = rows.weights + key / 4u;
    let of_rows = transpose(shares);
    store_row(at.x, key < p.key_count && rows.first < p.rows, of_rows[0]);
    store_row(at.y, key < p.key_count && rows.first + 1u < p.rows, of_rows[1]);
    store_row(at.z, key < p.key_count && rows.first + 2u < p.rows, of_rows[2]);
    store_row(at.w, key < p.key_count && rows.first + 3u < p.rows, of_rows[3]);
}

// Stores the weights of four rows: a pass over all keys for row max and row sum, and another for the weights.
fn store_precisely(tile: TileCoords, rows: Rows, query_squares: vec4<f32>) {
    let units = units_of(query_squares);
    let per_unit = inverses_of(units) * sign(p.scale);
    let scale = abs(p.scale) * units;
    var row_max = Scores(vec4<f32>(LOWEST), vec4<f32>());
    var row_sum = vec4<f32>();
    var latest = mat4x4<f32>();
    var iteration = 0u;
    loop {
        let key = iteration % p.key_count;
        let scores = precise_scores(rows.queries, per_unit, key_start(tile, key) / 4u);
        if (iteration < p.key_count) {
            let new_max = higher_of(row_max, scores);
            row_sum = row_sum * exp(scale * excess_of(row_max, new_max)) + exp(scale * excess_of(scores, new_max));
            row_max = new_max;
        } else {
            latest = mat4x4<f32>(latest[1], latest[2], latest[3], exp(scale * excess_of(scores, row_max)) / row_sum);
            if (key % 4u == 3u) {
                store_weights(rows, key - 3u, latest);
            }
        }
        continuing {
            iteration++;
            break if iteration >= 2u * p.key_count;
        }
    }
}
