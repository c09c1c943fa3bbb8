// A row of segmented attention key by key, for drivers that run subgroups of another size than they reported. Needs the row's running
// `row_max` and `row_sum`, and `product_tile` with PRODUCT_PITCH elements a row for the sums.
//! use segments, vectors
//! vec4 values, tokens

fn four_elements(at: u32) -> vec4<f32> {
    return vec4<f32>(product_tile[at], product_tile[at + 1u], product_tile[at + 2u], product_tile[at + 3u]);
}

fn store(tile: TileCoords, row: u32, vector: u32, token: vec4<f32>) {
    if (tile.first_row + row < p.rows && vector < p.value_size / 4u) {
        tokens[token_start(tile, tile.first_row + row) / 4u + vector] = vec4<StoredTokens>(token);
    }
}

// A row without matrix units, summed in its line of `product_tile`.
fn attend_plainly(tile: TileCoords, row: u32) {
    let line = row * PRODUCT_PITCH;
    let query = query_start(tile, min(tile.first_row + row, p.rows - 1u)) / 4u;
    for (var key = 0u; key < all_keys(); key++) {
        var score = 0.0;
        for (var i = 0u; i < p.head_size / 4u; i++) {
            score += p.scale * dot(vec4<f32>(queries[query + i]), vec4<f32>(keys[key_start(tile, key) / 4u + i]));
        }
        let new_max = max(row_max, score);
        let correction = select(exp(row_max - new_max), 0.0, key == 0u);
        let weight = exp(score - new_max);
        for (var i = 0u; i < p.value_size / 4u; i++) {
            let value = vec4<f32>(values[value_start(tile, key) / 4u + i]);
            let sum = select(four_elements(line + 4u * i) * correction, vec4<f32>(), key == 0u) + weight * value;
            product_tile[line + 4u * i] = sum.x;
            product_tile[line + 4u * i + 1u] = sum.y;
            product_tile[line + 4u * i + 2u] = sum.z;
            product_tile[line + 4u * i + 3u] = sum.w;
        }
        row_sum = row_sum * correction + weight;
        row_max = new_max;
    }
    for (var i = 0u; i < p.value_size / 4u; i++) {
        store(tile, row, i, four_elements(line + 4u * i) / row_sum);
    }
}
