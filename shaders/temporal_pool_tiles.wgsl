// Temporal pooling with four heads an invocation, for GPUs: the tokens of a trajectory summed over the frames, with one set of weights per head.
//
//   pooled[b,r,h,c] = sum_f weights[b,h,r,f] tokens[b,r,f,c]
//
// A vector of a token serves four heads, whose weights are the same for all invocations of a row: nothing goes through workgroup memory.
//
// Grid: workgroups numbered ((b * rows + r) * head_tiles + head_tile) * column_tiles + column_tile; an invocation makes four elements for each of
// four heads. Limits: every head pools the whole token (heads have a stride of zero); width, offsets and strides of tokens and results are
// multiples of four.
//! use grid, blocks
//! vec4 tokens, pooled

fn store(start: u32, head: u32, sum: vec4<f32>) {
    if (head < p.heads) {
        pooled[(start + head * p.pooled.stride.z) / 4u] = vec4<StoredPooled>(sum);
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let column_tiles = (p.width + 4u * WORKGROUP - 1u) / (4u * WORKGROUP);
    let head_tiles = (p.heads + 3u) / 4u;
    let column = (number % column_tiles * WORKGROUP + lane) * 4u;
    let head = number / column_tiles % head_tiles * 4u;
    let row = number / column_tiles / head_tiles % p.rows;
    let batch = number / column_tiles / head_tiles / p.rows;
    if (batch >= p.batch || column >= p.width) {
        return;
    }
    let four_heads = min(vec4<u32>(head) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.heads - 1u));
    let heads = weights_at(batch, 0u, row) + four_heads * p.weights.stride.y;
    let token = (tokens_at(batch, row, 0u, 0u) + column) / 4u;
    let frame_stride = p.tokens.stride.z / 4u;
    var sums = mat4x4<f32>();
    for (var frame = 0u; frame < p.frames; frame++) {
        let elements = vec4<f32>(tokens[token + frame * frame_stride]);
        let factors =
            vec4<f32>(weights[heads.x + frame], weights[heads.y + frame], weights[heads.z + frame], weights[heads.w + frame]);
        sums = add_products(sums, factors, elements);
    }
    let start = pooled_at(batch, row, 0u) + column;
    store(start, head, sums[0]);
    store(start, head + 1u, sums[1]);
    store(start, head + 2u, sums[2]);
    store(start, head + 3u, sums[3]);
}
