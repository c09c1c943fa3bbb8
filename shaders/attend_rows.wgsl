// Attention weights of chosen queries, written out: rows of the softmax that segmented attention never stores.
//
//   weights[b,h,i,f,j] = softmax_j(scale * queries[b,h,chosen[i],:] . keys[b,h,f,j,:])
//
// Grid: workgroups numbered ((b * heads + h) * chosen_count + i) * segments + f; the invocations of one share its keys.
// Limits: head size 1 to 256; no optional feature. Scores are in two parts (lib/score.wgsl), so they are computed twice rather than stored. An
// invocation rereads only its own writes.
//! use grid, constants, score, max_score, workgroup_reduce, exponential

fn query_element(start: u32, column: u32) -> f32 {
    if (column < p.head_size) {
        return f32(queries[start + column]);
    }
    return 0.0;
}

fn key_element(start: u32, column: u32) -> f32 {
    if (column < p.head_size) {
        return f32(keys[start + column]);
    }
    return 0.0;
}

// Four columns of a query, zero beyond the head.
fn query_vector(start: u32, i: u32) -> vec4<f32> {
    return vec4<f32>(query_element(start, i), query_element(start, i + 1u), query_element(start, i + 2u), query_element(start, i + 3u));
}

fn key_vector(start: u32, i: u32) -> vec4<f32> {
    return vec4<f32>(key_element(start, i), key_element(start, i + 1u), key_element(start, i + 2u), key_element(start, i + 3u));
}

fn query_magnitude(start: u32) -> f32 {
    var magnitude = 0.0;
    for (var i = 0u; i < p.head_size; i += 4u) {
        magnitude = max(magnitude, largest(query_vector(start, i)));
    }
    return magnitude;
}

fn key_magnitude(start: u32) -> f32 {
    var magnitude = 0.0;
    for (var i = 0u; i < p.head_size; i += 4u) {
        magnitude = max(magnitude, largest(key_vector(start, i)));
    }
    return magnitude;
}

// The score of a query and a key, times the sign of the scale.
fn score(q_start: u32, q_unit: f32, k_start: u32) -> Score {
    let k_unit = unit_of(key_magnitude(k_start));
    let per_q_unit = inverse_of(q_unit) * sign(p.scale);
    let per_k_unit = inverse_of(k_unit);
    var products = Products();
    for (var i = 0u; i < p.head_size; i += 4u) {
        let query = query_vector(q_start, i) * per_q_unit;
        products = add_product(products, query, round(query), key_vector(k_start, i) * per_k_unit);
    }
    return score_of(products, q_unit * k_unit);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let segment = number % p.segments;
    let choice = (number / p.segments) % p.chosen_count;
    let head = (number / p.segments / p.chosen_count) % p.heads;
    let batch = number / p.segments / p.chosen_count / p.heads;
    if (batch >= p.batch) {
        return;
    }
    let row = min(chosen[chosen_at(choice)], p.rows - 1u);
    let q_start = queries_at(batch, head, row);
    let q_unit = unit_of(query_magnitude(q_start));
    let k_start = keys_at(batch, head, segment, 0u);
    let k_stride = p.keys.stride.w;
    let out_start = weights_at(batch, head, choice, segment);

    var row_max = Score(LOWEST, 0.0);
    for (var key = lane; key < p.key_count; key += WORKGROUP) {
        row_max = higher(row_max, score(q_start, q_unit, k_start + key * k_stride));
    }
    row_max = workgroup_max_score(lane, row_max);

    var row_sum = 0.0;
    for (var key = lane; key < p.key_count; key += WORKGROUP) {
        let below = abs(p.scale) * excess(score(q_start, q_unit, k_start + key * k_stride), row_max);
        let weight = exponential(below);
        weights[out_start + key] = weight;
        row_sum += weight;
    }
    row_sum = workgroup_sum(lane, row_sum);

    for (var key = lane; key < p.key_count; key += WORKGROUP) {
        weights[out_start + key] = weights[out_start + key] / row_sum;
    }
}
