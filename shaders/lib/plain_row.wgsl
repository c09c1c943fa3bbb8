// A row of segmented attention key by key, for drivers that do not run subgroups as they said. Needs the row's
// running `peak` and `total`, and `numbers` with NUMBER_PITCH numbers for each row, where it sums up.
//! use segments, vectors
//! vec4 values, tokens

fn four_numbers(at: u32) -> vec4<f32> {
    return vec4<f32>(numbers[at], numbers[at + 1u], numbers[at + 2u], numbers[at + 3u]);
}

fn store(work: Work, row: u32, vector: u32, token: vec4<f32>) {
    if (work.first_row + row < p.rows && vector < p.value_size / 4u) {
        tokens[token_start(work, work.first_row + row) / 4u + vector] = vec4<StoredTokens>(token);
    }
}

// A row without matrices: what it sums up lies in its line of `numbers`.
fn attend_plainly(work: Work, row: u32) {
    let line = row * NUMBER_PITCH;
    let query = query_start(work, min(work.first_row + row, p.rows - 1u)) / 4u;
    for (var key = 0u; key < all_keys(); key++) {
        var score = 0.0;
        for (var i = 0u; i < p.head_size / 4u; i++) {
            score += p.scale * dot(vec4<f32>(queries[query + i]), vec4<f32>(keys[key_start(work, key) / 4u + i]));
        }
        let new_peak = max(peak, score);
        let shrink = select(exp(peak - new_peak), 0.0, key == 0u);
        let weight = exp(score - new_peak);
        for (var i = 0u; i < p.value_size / 4u; i++) {
            let value = vec4<f32>(values[value_start(work, key) / 4u + i]);
            let sum = select(four_numbers(line + 4u * i) * shrink, vec4<f32>(), key == 0u) + weight * value;
            numbers[line + 4u * i] = sum.x;
            numbers[line + 4u * i + 1u] = sum.y;
            numbers[line + 4u * i + 2u] = sum.z;
            numbers[line + 4u * i + 3u] = sum.w;
        }
        total = total * shrink + weight;
        peak = new_peak;
    }
    for (var i = 0u; i < p.value_size / 4u; i++) {
        store(work, row, i, four_numbers(line + 4u * i) / total);
    }
}
