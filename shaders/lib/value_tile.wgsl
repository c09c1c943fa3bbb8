// Values in workgroup memory, a tile at a time, and what each invocation sums up of them. Needs the constants VALUE_VECTORS (value size in
// vec4, rounded up to a multiple of four), KEYS_PER_TILE (8 or 16) and ROWS (invocations), and the struct Work with
// value_start(work, key).

var<workgroup> value_tile: array<vec4<f32>, KEYS_PER_TILE * VALUE_VECTORS>;

fn value_number(start: u32, column: u32, exists: bool) -> f32 {
    if (exists && column < p.value_size) {
        return f32(values[start + column]);
    }
    return 0.0;
}

// Stages the values first .. first + KEYS_PER_TILE of the segment; what lies beyond `total` or the value becomes zero.
fn stage_values(work: Work, lane: u32, first: u32, total: u32) {
    for (var slot = lane; slot < KEYS_PER_TILE * VALUE_VECTORS; slot += ROWS) {
        let key = first + slot / VALUE_VECTORS;
        let start = value_start(work, key);
        let column = (slot % VALUE_VECTORS) * 4u;
        let exists = key < total;
        value_tile[slot] = vec4<f32>(
            value_number(start, column, exists),
            value_number(start, column + 1u, exists),
            value_number(start, column + 2u, exists),
            value_number(start, column + 3u, exists),
        );
    }
}

// What the invocation has summed up of the values.
var<private> sum: array<vec4<f32>, VALUE_VECTORS>;

fn shrink_sum(shrink: f32) {
    for (var i = 0u; i < VALUE_VECTORS; i += 4u) {
        sum[i] *= shrink;
        sum[i + 1u] *= shrink;
        sum[i + 2u] *= shrink;
        sum[i + 3u] *= shrink;
    }
}

// Adds vector i of four staged values from j, each times its weight.
fn add_values(i: u32, j: u32, weights: vec4<f32>) {
    let at = j * VALUE_VECTORS + i;
    sum[i] += weights.x * value_tile[at] + weights.y * value_tile[at + VALUE_VECTORS]
        + weights.z * value_tile[at + 2u * VALUE_VECTORS] + weights.w * value_tile[at + 3u * VALUE_VECTORS];
}

fn add_four_values(j: u32, weights: vec4<f32>) {
    for (var i = 0u; i < VALUE_VECTORS; i += 4u) {
        add_values(i, j, weights);
        add_values(i + 1u, j, weights);
        add_values(i + 2u, j, weights);
        add_values(i + 3u, j, weights);
    }
}

fn store_number(start: u32, column: u32, number: f32) {
    if (column < p.value_size) {
        tokens[start + column] = StoredTokens(number);
    }
}

// Stores the sum over the total of the weights.
fn store_token(start: u32, total_weight: f32) {
    for (var i = 0u; i < VALUE_VECTORS; i++) {
        let vector = sum[i] / total_weight;
        store_number(start, i * 4u, vector.x);
        store_number(start, i * 4u + 1u, vector.y);
        store_number(start, i * 4u + 2u, vector.z);
        store_number(start, i * 4u + 3u, vector.w);
    }
}
