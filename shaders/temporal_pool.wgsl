// Temporal pooling: the tokens of a trajectory summed over the frames, with one set of weights per head.
//
//   pooled[b,r,h,c] = sum_f weights[b,h,r,f] tokens[b,r,f,h,c]
//
// With a stride of zero between heads every head pools the whole token, and the value projection follows (projected values). With a stride of
// `width` a head pools its own part, and that is the result (identity values).
//
// Grid: invocations numbered ((b * rows + r) * heads + h) * width + c, WORKGROUP of them a workgroup. Limits: frames up to 61,439; no optional feature.
//! use grid

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * WORKGROUP + lane;
    let column = number % p.width;
    let head = number / p.width % p.heads;
    let row = number / p.width / p.heads % p.rows;
    let batch = number / p.width / p.heads / p.rows;
    if (batch >= p.batch) {
        return;
    }
    let weights_start = weights_at(batch, head, row);
    let tokens_start = tokens_at(batch, row, 0u, head) + column;
    let frame_stride = p.tokens.stride.z;
    var sum = 0.0;
    for (var frame = 0u; frame < p.frames; frame++) {
        sum += weights[weights_start + frame] * f32(tokens[tokens_start + frame * frame_stride]);
    }
    pooled[pooled_at(batch, row, head) + column] = StoredPooled(sum);
}
