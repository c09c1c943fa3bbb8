// Temporal pooling: the tokens of a trajectory summed over the frames, with one set of weights per head.
//
//   pooled[b,r,h,c] = sum_f weights[b,h,r,f] tokens[b,r,f,h*t_head_stride + c]
//
// With t_head_stride = 0 every head pools the whole token, and the value projection follows on the one pooled token (projected
// values); with t_head_stride = width a head pools its own part, which is the result already (identity values).
//
// Grid: invocations numbered ((b * rows + r) * heads + h) * width + c, 64 a workgroup. Limits: frames up to 61,439; no optional feature.
//! use grid, temporal_pool_params

@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> tokens: array<StoredTokens>;
@group(0) @binding(3) var<storage, read_write> pooled: array<StoredPooled>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * 64u + lane;
    let column = number % p.width;
    let head = number / p.width % p.heads;
    let row = number / p.width / p.heads % p.rows;
    let batch = number / p.width / p.heads / p.rows;
    if (batch >= p.batch) {
        return;
    }
    let a_start = p.a_offset + batch * p.a_batch_stride + head * p.a_head_stride + row * p.a_row_stride;
    let t_start = p.t_offset + batch * p.t_batch_stride + row * p.t_row_stride + head * p.t_head_stride + column;
    var sum = 0.0;
    for (var frame = 0u; frame < p.frames; frame++) {
        sum += weights[a_start + frame] * f32(tokens[t_start + frame * p.t_frame_stride]);
    }
    pooled[p.out_offset + batch * p.out_batch_stride + row * p.out_row_stride + head * p.out_head_stride + column] = StoredPooled(sum);
}
