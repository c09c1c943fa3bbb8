// Scores of deformable attention by products: queries against keys where the samples lie.
//
//   logits[b,h,n,g,p] = scale * queries[b,h,n] . (keys[b,h] at (x + dx, y + dy) of frame g of the query's sub-clip)
//
// with n = (f, y, x) and (dx, dy) = displacements[b,h,n,g,p], in patches. Between patches keys are bilinear, outside of the grid zero.
//
// Grid: an invocation a logit, numbered ((b * heads + h) * tokens + n) * samples of the sub-clip + sample, 64 a workgroup. Needs no optional
// feature.
//! use grid, samples

// A query against one corner's key, or zero outside of the grid. Four sums side by side keep the rounding error small.
fn corner_score(q_start: u32, outer: u32, token: u32) -> f32 {
    if (token == NOWHERE) {
        return 0.0;
    }
    let k_start = outer + token * p.keys.stride.z;
    var sums = vec4<f32>();
    let whole = p.head_size / 4u * 4u;
    for (var i = 0u; i < whole; i += 4u) {
        let q = vec4<f32>(
            f32(queries[q_start + i]),
            f32(queries[q_start + i + 1u]),
            f32(queries[q_start + i + 2u]),
            f32(queries[q_start + i + 3u]),
        );
        let k = vec4<f32>(
            f32(keys[k_start + i]),
            f32(keys[k_start + i + 1u]),
            f32(keys[k_start + i + 2u]),
            f32(keys[k_start + i + 3u]),
        );
        sums += q * k;
    }
    for (var i = whole; i < p.head_size; i++) {
        sums.x += f32(queries[q_start + i]) * f32(keys[k_start + i]);
    }
    return (sums.x + sums.y) + (sums.z + sums.w);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * WORKGROUP + lane;
    let all_samples = p.sub_clip * p.samples;
    let all_tokens = p.frames * p.grid_rows * p.grid_columns;
    let sample = number % all_samples;
    let token = number / all_samples % all_tokens;
    let head = number / all_samples / all_tokens % p.heads;
    let batch = number / all_samples / all_tokens / p.heads;
    if (batch >= p.batch) {
        return;
    }
    let at = displacements_at(batch, head, token) + sample * 2u;
    let corners = corners_of(token, sample, displacements[at], displacements[at + 1u]);
    let q_start = queries_at(batch, head, token);
    let outer = keys_at(batch, head, 0u);
    let scores = vec4<f32>(
        corner_score(q_start, outer, corners.tokens.x),
        corner_score(q_start, outer, corners.tokens.y),
        corner_score(q_start, outer, corners.tokens.z),
        corner_score(q_start, outer, corners.tokens.w),
    );
    let parts = scores * corners.shares;
    logits[logits_at(batch, head, token) + sample] = p.scale * ((parts.x + parts.y) + (parts.z + parts.w));
}
