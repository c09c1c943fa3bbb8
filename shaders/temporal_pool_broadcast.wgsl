// Temporal pooling: the tokens of a trajectory summed over the frames, with one set of weights per head; weights broadcast within a
// subgroup.
//
//   pooled[b,r,h,c] = sum_f weights[b,h,r,f] tokens[b,r,f,c]
//
// An invocation has four columns, loads them once for 16 heads, and the weights of every eighth head; the others get these by broadcast.
//
// Grid: workgroups numbered ((b * rows + r) * head_tiles + head_tile) * column_tiles + column_tile, with 16 heads and 4 * LANES columns in
// a tile; a workgroup is one subgroup of LANES invocations. Limits: every head pools the whole token (heads have a stride of zero); width,
// frames, offsets and strides are multiples of four; LANES at least 8. Should a driver run the workgroup as subgroups of another size, a plain
// loop does the work. Prelude: LANES.
//! use grid, broadcast
//! vec4 weights, tokens, pooled

const HEADS: u32 = 16u;

// What a workgroup takes: starts in elements.
struct Work {
    weights_start: u32,
    tokens_start: u32,
    out_start: u32,
    first_head: u32,
    column: u32,
}

fn weights_of(work: Work, head: u32) -> u32 {
    return (work.weights_start + min(head, p.heads - 1u) * p.weights.stride.y) / 4u;
}

// Tokens of four frames in the invocation's columns: a column a frame.
fn load_tokens(start: u32, frame: u32) -> mat4x4<f32> {
    let at = start + (frame + vec4<u32>(0u, 1u, 2u, 3u)) * (p.tokens.stride.z / 4u);
    return mat4x4<f32>(vec4<f32>(tokens[at.x]), vec4<f32>(tokens[at.y]), vec4<f32>(tokens[at.z]), vec4<f32>(tokens[at.w]));
}

fn store(work: Work, head: u32, sums: vec4<f32>) {
    if (head < p.heads && work.column < p.width) {
        pooled[(work.out_start + head * p.pooled.stride.z + work.column) / 4u] = vec4<StoredPooled>(sums);
    }
}

fn store_heads(work: Work, head: u32, sums: mat4x4<f32>) {
    store(work, head, sums[0]);
    store(work, head + 1u, sums[1]);
    store(work, head + 2u, sums[2]);
    store(work, head + 3u, sums[3]);
}

fn pool(work: Work, token: u32, lane: u32) {
    let low = weights_of(work, work.first_head + lane % 8u);
    let high = weights_of(work, work.first_head + 8u + lane % 8u);
    var sums0 = mat4x4<f32>();
    var sums1 = mat4x4<f32>();
    var sums2 = mat4x4<f32>();
    var sums3 = mat4x4<f32>();
    var frame = 0u;
    loop {
        let own = load_tokens(token, frame);
        let a = weights[low + frame / 4u];
        sums0 += own * first_four(a);
        sums1 += own * next_four(a);
        let b = weights[high + frame / 4u];
        sums2 += own * first_four(b);
        sums3 += own * next_four(b);
        continuing {
            frame += 4u;
            break if frame >= p.frames;
        }
    }
    store_heads(work, work.first_head, sums0);
    store_heads(work, work.first_head + 4u, sums1);
    store_heads(work, work.first_head + 8u, sums2);
    store_heads(work, work.first_head + 12u, sums3);
}

// The same without subgroup operations.
fn pool_one_by_one(work: Work, token: u32) {
    for (var head = work.first_head; head < min(work.first_head + HEADS, p.heads); head++) {
        var sum = vec4<f32>();
        for (var frame = 0u; frame < p.frames; frame += 4u) {
            sum += load_tokens(token, frame) * weights[weights_of(work, head) + frame / 4u];
        }
        store(work, head, sum);
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_size) subgroup_size: u32,
) {
    let number = workgroup_number(workgroup, grid);
    let column_tiles = (p.width + 4u * LANES - 1u) / (4u * LANES);
    let head_tiles = (p.heads + HEADS - 1u) / HEADS;
    let row = number / column_tiles / head_tiles % p.rows;
    let batch = number / column_tiles / head_tiles / p.rows;
    if (batch >= p.batch) {
        return;
    }
    let work = Work(
        weights_at(batch, 0u, row),
        tokens_at(batch, row, 0u, 0u),
        pooled_at(batch, row, 0u),
        number / column_tiles % head_tiles * HEADS,
        (number % column_tiles * LANES + lane) * 4u,
    );
    let token = (work.tokens_start + min(work.column, p.width - 4u)) / 4u;
    if (subgroup_size == LANES) {
        pool(work, token, lane);
    } else {
        pool_one_by_one(work, token);
    }
}
