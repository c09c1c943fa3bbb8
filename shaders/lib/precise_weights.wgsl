// Weights of four rows, written out as vectors: where they lie, and those by precise scores.
//! use constants, precise, query_groups, query_offsets4
//! vec4 weights

// Four rows, and where their queries and weights begin.
struct Rows {
    first: u32,
    queries: vec4<u32>,
    weights: vec4<u32>,
}

fn four_rows(work: Work, row: u32) -> Rows {
    let first = vec4<u32>(weight_start(work, row)) + vec4<u32>(0u, 1u, 2u, 3u) * p.weights.stride.w;
    return Rows(row, query_offsets4(work, row), first / 4u);
}

fn store_row(at: u32, exists: bool, shares: vec4<f32>) {
    if (exists) {
        weights[at] = vec4<StoredWeights>(shares);
    }
}

// Stores the weights of four keys for four rows: a column a key, a component a row.
fn store_four(rows: Rows, key: u32, shares: mat4x4<f32>) {
    let at = rows.weights + key / 4u;
    let of_rows = transpose(shares);
    store_row(at.x, key < p.key_count && rows.first < p.rows, of_rows[0]);
    store_row(at.y, key < p.key_count && rows.first + 1u < p.rows, of_rows[1]);
    store_row(at.z, key < p.key_count && rows.first + 2u < p.rows, of_rows[2]);
    store_row(at.w, key < p.key_count && rows.first + 3u < p.rows, of_rows[3]);
}

// Finds and stores the weights of four rows: all keys for their peak and total, and once more.
fn store_precisely(work: Work, rows: Rows, query_squares: vec4<f32>) {
    let units = units_of(query_squares);
    let per_unit = inverses_of(units) * sign(p.scale);
    let scale = abs(p.scale) * units;
    var peak = Scores(vec4<f32>(LOWEST), vec4<f32>());
    var total = vec4<f32>();
    var latest = mat4x4<f32>();
    var turn = 0u;
    loop {
        let key = turn % p.key_count;
        let scores = precise_scores(rows.queries, per_unit, key_start(work, key) / 4u);
        if (turn < p.key_count) {
            let new_peak = higher_of(peak, scores);
            total = total * exp(scale * excess_of(peak, new_peak)) + exp(scale * excess_of(scores, new_peak));
            peak = new_peak;
        } else {
            latest = mat4x4<f32>(latest[1], latest[2], latest[3], exp(scale * excess_of(scores, peak)) / total);
            if (key % 4u == 3u) {
                store_four(rows, key - 3u, latest);
            }
        }
        continuing {
            turn++;
            break if turn >= 2u * p.key_count;
        }
    }
}
