// Values in workgroup memory, a tile at a time, and each invocation's sum of them. Needs the constants VALUE_VECTORS (value size in vec4,
// rounded up to a multiple of four), KEYS_PER_TILE (8 or 16) and ROWS (invocations), and the struct TileCoords with value_start(tile, key).

var<workgroup> value_tile: array<vec4<f32>, KEYS_PER_TILE * VALUE_VECTORS>;

fn value_element(start: u32, column: u32, exists: bool) -> f32 {
    if (exists && column < p.value_size) {
        return f32(values[start + column]);
    }
    return 0.0;
}

// Stages the values first .. first + KEYS_PER_TILE of the segment; zero beyond `total_keys` and beyond the value.
fn stage_values(tile: TileCoords, lane: u32, first: u32, total_keys: u32) {
    for (var slot = lane; slot < KEYS_PER_TILE * VALUE_VECTORS; slot += ROWS) {
        let key = first + slot / VALUE_VECTORS;
        let start = value_start(tile, key);
        let column = (slot % VALUE_VECTORS) * 4u;
        let exists = key < total_keys;
        value_tile[slot] = vec4<f32>(
            value_element(start, column, exists),
            value_element(start, column + 1u, exists),
            value_element(start, column + 2u, exists),
            value_element(start, column + 3u, exists),
        );
    }
}

// The invocation's sum of weighted values.
var<private> sum: array<vec4<f32>, VALUE_VECTORS>;

fn correct_sum(correction: f32) {
    for (var i = 0u; i < VALUE_VECTORS; i += 4u) {
        sum[i] *= correction;
        sum[i + 1u] *= correction;
        sum[i + 2u] *= correction;
        sum[i + 3u] *= correction;
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

fn store_element(start: u32, column: u32, element: f32) {
    if (column < p.value_size) {
        tokens[start + column] = StoredTokens(element);
    }
}

// Stores the sum over the row sum.
fn store_token(start: u32, row_sum: f32) {
    for (var i = 0u; i < VALUE_VECTORS; i++) {
        let vector = sum[i] / row_sum;
        store_element(start, i * 4u, vector.x);
        store_element(start, i * 4u + 1u, vector.y);
        store_element(start, i * 4u + 2u, vector.z);
        store_element(start, i * 4u + 3u, vector.w);
    }
}
