// Temporal pooling with four heads an invocation, for GPUs: the tokens of a trajectory summed over the frames, with one set of weights per head.
//
//   pooled[b,r,h,c] = sum_f weights[b,h,r,f] tokens[b,r,f,c]
//
// A vector of a token serves four heads, whose weights are the same for all invocations of a row: no number goes through workgroup memory.
//
// Grid: workgroups of 64 invocations numbered ((b * rows + r) * head_tiles + head_tile) * column_tiles + column_tile; an invocation makes four
// numbers for each of four heads. Limits: every head pools the whole token (t_head_stride 0); width, offsets and strides of tokens and results
// are multiples of four; all loop turns of an invocation at most 61,440.
//! use grid, temporal_pool_params, blocks

@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> tokens: array<vec4<StoredTokens>>;
@group(0) @binding(3) var<storage, read_write> pooled: array<vec4<StoredPooled>>;

fn store(start: u32, head: u32, sum: vec4<f32>) {
    if (head < p.heads) {
        pooled[(start + head * p.out_head_stride) / 4u] = vec4<StoredPooled>(sum);
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let column_tiles = (p.width + 255u) / 256u;
    let head_tiles = (p.heads + 3u) / 4u;
    let column = (number % column_tiles * 64u + lane) * 4u;
    let head = number / column_tiles % head_tiles * 4u;
    let row = number / column_tiles / head_tiles % p.rows;
    let batch = number / column_tiles / head_tiles / p.rows;
    if (batch >= p.batch || column >= p.width) {
        return;
    }
    let a_start = p.a_offset + batch * p.a_batch_stride + row * p.a_row_stride;
    let heads = a_start + min(vec4<u32>(head) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.heads - 1u)) * p.a_head_stride;
    let token = (p.t_offset + batch * p.t_batch_stride + row * p.t_row_stride + column) / 4u;
    var sums = mat4x4<f32>();
    for (var frame = 0u; frame < p.frames; frame++) {
        let numbers = vec4<f32>(tokens[token + frame * (p.t_frame_stride / 4u)]);
        let factors =
            vec4<f32>(weights[heads.x + frame], weights[heads.y + frame], weights[heads.z + frame], weights[heads.w + frame]);
        sums = add_products(sums, factors, numbers);
    }
    let start = p.out_offset + batch * p.out_batch_stride + row * p.out_row_stride + column;
    store(start, head, sums[0]);
    store(start, head + 1u, sums[1]);
    store(start, head + 2u, sums[2]);
    store(start, head + 3u, sums[3]);
}
