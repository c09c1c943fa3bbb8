// Temporal weights: along every trajectory a softmax over the frames.
//
//   weights[b,h,r,f] = softmax_f(scale * queries[b,r,h,:] . tokens[b,r,f,:])
//
// The queries are projected to the trajectory tokens' space (Wk' q2), so the tokens need no projection. The key bias would add the same to
// the scores of all frames, and cancels in the softmax.
//
// Grid: workgroups numbered b * rows + r; its invocations share the heads * frames scores of one query row, then each takes whole heads for the
// softmax. Needs no optional feature.
//! use grid, temporal_softmax

fn product(q: u32, t: u32) -> vec4<f32> {
    return vec4<f32>(f32(queries[q]), f32(queries[q + 1u]), f32(queries[q + 2u]), f32(queries[q + 3u]))
        * vec4<f32>(f32(tokens[t]), f32(tokens[t + 1u]), f32(tokens[t + 2u]), f32(tokens[t + 3u]));
}

// Four sums side by side keep the rounding error of a long dot product small.
fn score(q_start: u32, t_start: u32) -> f32 {
    var sums = vec4<f32>();
    let whole = p.width / 16u * 16u;
    for (var i = 0u; i < whole; i += 16u) {
        sums += product(q_start + i, t_start + i) + product(q_start + i + 4u, t_start + i + 4u)
            + product(q_start + i + 8u, t_start + i + 8u) + product(q_start + i + 12u, t_start + i + 12u);
    }
    for (var i = whole; i < p.width; i++) {
        sums.x += f32(queries[q_start + i]) * f32(tokens[t_start + i]);
    }
    return p.scale * ((sums.x + sums.y) + (sums.z + sums.w));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let row = number % p.rows;
    let batch = number / p.rows;
    if (batch >= p.batch) {
        return;
    }
    let q_start = queries_at(batch, row, 0u);
    let t_start = tokens_at(batch, row, 0u);
    let out_start = weights_at(batch, 0u, row);

    for (var pair = lane; pair < p.heads * p.frames; pair += WORKGROUP) {
        let head = pair / p.frames;
        let frame = pair % p.frames;
        weights[out_start + head * p.weights.stride.y + frame] =
            score(q_start + head * p.queries.stride.z, t_start + frame * p.tokens.stride.z);
    }
    storageBarrier();

    for (var head = lane; head < p.heads; head += WORKGROUP) {
        softmax_in_place(out_start + head * p.weights.stride.y);
    }
}
