// Attention weights of chosen queries, written out: the rows of the softmax that segmented attention keeps to itself.
//
//   weights[b,h,i,f,j] = softmax_j(scale * queries[b,h,chosen[i],:] . keys[b,h,f,j,:])
//
// Grid: workgroups numbered ((b * heads + h) * chosen_count + i) * segments + f; the invocations of one share its keys.
// Limits: head size 1 to 128, all iterations of an invocation at most 61,440; no optional feature. Scores are
// computed twice rather than stored, as they are kept in two parts (lib/score.wgsl). An invocation rereads only what it wrote.
//! use grid, constants, score, peak, workgroup_reduce, exponential

fn query_number(start: u32, column: u32) -> f32 {
    if (column < p.head_size) {
        return f32(queries[start + column]);
    }
    return 0.0;
}

fn key_number(start: u32, column: u32) -> f32 {
    if (column < p.head_size) {
        return f32(keys[start + column]);
    }
    return 0.0;
}

// Four columns of a query, zero beyond the head.
fn query_vector(start: u32, i: u32) -> vec4<f32> {
    return vec4<f32>(query_number(start, i), query_number(start, i + 1u), query_number(start, i + 2u), query_number(start, i + 3u));
}

fn key_vector(start: u32, i: u32) -> vec4<f32> {
    return vec4<f32>(key_number(start, i), key_number(start, i + 1u), key_number(start, i + 2u), key_number(start, i + 3u));
}

fn peak_of_query(start: u32) -> f32 {
    var peak = 0.0;
    for (var i = 0u; i < p.head_size; i += 4u) {
        peak = max(peak, largest(query_vector(start, i)));
    }
    return peak;
}

fn peak_of_key(start: u32) -> f32 {
    var peak = 0.0;
    for (var i = 0u; i < p.head_size; i += 4u) {
        peak = max(peak, largest(key_vector(start, i)));
    }
    return peak;
}

// The score of a query and a key, times the sign of the scale.
fn score(q_start: u32, q_unit: f32, k_start: u32) -> Score {
    let k_unit = unit_of(peak_of_key(k_start));
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
    let q_unit = unit_of(peak_of_query(q_start));
    let k_start = keys_at(batch, head, segment, 0u);
    let k_stride = p.keys.stride.w;
    let out_start = weights_at(batch, head, choice, segment);

    var peak = Score(LOWEST, 0.0);
    for (var key = lane; key < p.key_count; key += WORKGROUP) {
        peak = higher(peak, score(q_start, q_unit, k_start + key * k_stride));
    }
    peak = workgroup_peak(lane, peak);

    var total = 0.0;
    for (var key = lane; key < p.key_count; key += WORKGROUP) {
        let below = abs(p.scale) * excess(score(q_start, q_unit, k_start + key * k_stride), peak);
        let weight = exponential(below);
        weights[out_start + key] = weight;
        total += weight;
    }
    total = workgroup_sum(lane, total);

    for (var key = lane; key < p.key_count; key += WORKGROUP) {
        weights[out_start + key] = weights[out_start + key] / total;
    }
}
