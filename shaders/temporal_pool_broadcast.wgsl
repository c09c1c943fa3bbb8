// Temporal pooling: the tokens of a trajectory summed over the frames, with one set of weights per head; weights broadcast within a
// subgroup.
//
//   pooled[b,r,h,c] = sum_f weights[b,h,r,f] tokens[b,r,f,c]
//
// An invocation loads its four columns once for 16 heads, and the weights of every eighth head; the others get these by broadcast.
//
// Grid: workgroups numbered ((b * rows + r) * head_tiles + head_tile) * column_tiles + column_tile, with 16 heads and 4 * LANES columns in
// a tile; a workgroup is one subgroup of LANES invocations. Limits: every head pools the whole token (heads have a stride of zero); width,
// frames, offsets and strides are multiples of four; LANES at least 8. If a driver runs the workgroup as subgroups of another size, a plain
// loop computes the tile. Prelude: LANES.
//! use grid, broadcast
//! vec4 weights, tokens, pooled

const HEADS: u32 = 16u;

// Offsets of a workgroup's tile, in elements, and an invocation's first column.
struct TileOffsets {
    weights_start: u32,
    tokens_start: u32,
    out_start: u32,
    first_head: u32,
    column: u32,
}

fn weights_of(tile: TileOffsets, head: u32) -> u32 {
    return (tile.weights_start + min(head, p.heads - 1u) * p.weights.stride.y) / 4u;
}

// Tokens of four frames in the invocation's columns: a column a frame.
fn load_tokens(start: u32, frame: u32) -> mat4x4<f32> {
    let at = start + (frame + vec4<u32>(0u, 1u, 2u, 3u)) * (p.tokens.stride.z / 4u);
    return mat4x4<f32>(vec4<f32>(tokens[at.x]), vec4<f32>(tokens[at.y]), vec4<f32>(tokens[at.z]), vec4<f32>(tokens[at.w]));
}

fn store(tile: TileOffsets, head: u32, sums: vec4<f32>) {
    if (head < p.heads && tile.column < p.width) {
        pooled[(tile.out_start + head * p.pooled.stride.z + tile.column) / 4u] = vec4<StoredPooled>(sums);
    }
}

fn store_heads(tile: TileOffsets, head: u32, sums: mat4x4<f32>) {
    store(tile, head, sums[0]);
    store(tile, head + 1u, sums[1]);
    store(tile, head + 2u, sums[2]);
    store(tile, head + 3u, sums[3]);
}

fn pool(tile: TileOffsets, token: u32, lane: u32) {
    let low = weights_of(tile, tile.first_head + lane % 8u);
    let high = weights_of(tile, tile.first_head + 8u + lane % 8u);
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
    store_heads(tile, tile.first_head, sums0);
    store_heads(tile, tile.first_head + 4u, sums1);
    store_heads(tile, tile.first_head + 8u, sums2);
    store_heads(tile, tile.first_head + 12u, sums3);
}

// The same without subgroup operations.
fn pool_one_by_one(tile: TileOffsets, token: u32) {
    for (var head = tile.first_head; head < min(tile.first_head + HEADS, p.heads); head++) {
        var sum = vec4<f32>();
        for (var frame = 0u; frame < p.frames; frame += 4u) {
            sum += load_tokens(token, frame) * weights[weights_of(tile, head) + frame / 4u];
        }
        store(tile, head, sum);
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
    let tile = TileOffsets(
        weights_at(batch, 0u, row),
        tokens_at(batch, row, 0u, 0u),
        pooled_at(batch, row, 0u),
        number / column_tiles % head_tiles * HEADS,
        (number % column_tiles * LANES + lane) * 4u,
    );
    let token = (tile.tokens_start + min(tile.column, p.width - 4u)) / 4u;
    if (subgroup_size == LANES) {
        pool(tile, token, lane);
    } else {
        pool_one_by_one(tile, token);
    }
}
