// Attention weights of all queries, written out: large register blocks, keys broadcast within a subgroup.
//
//   weights[b,h,g,r,j] = softmax_j(scale * queries[b,h,g,r,:] . keys[b,h,g,j,:])
//
// On a CPU driver a load costs as much as dozens of multiply-adds, a broadcast about as much as one. So each invocation takes four
// queries and loads every eighth key of a block of 64; the others get it by broadcast. A first pass over all blocks finds row max and row
// sum, a second one writes final weights; the last block keeps its scores and is computed once. Scores are plain float32; rows whose logits
// exceed the bound (lib/scores.wgsl) are recomputed key by key.
//
// Grid: see lib/query_groups.wgsl; a workgroup is one subgroup of LANES invocations and takes 4 * LANES rows.
// Limits: keys, head size, offsets and strides are multiples of four; LANES at least 8. If a driver runs the workgroup as subgroups of
// another size, all rows are computed key by key. No workgroup memory, no barrier. Prelude: LANES.
//! use grid, constants, scores, query_groups, vectors, precise_weights, broadcast, weights

const ROWS: u32 = 4u * LANES;
const KEYS: u32 = 64u;
// Up to this bound a score summed over 128 elements is right to about 1e-5; lib/scores.wgsl lowers it for longer sums.
const PLAIN_SCORES: f32 = 64.0;

// Products or scores of eight keys and four queries: a column a key, a component a query.
struct Eight {
    low: mat4x4<f32>,
    high: mat4x4<f32>,
}

// The same for a block of keys.
struct Block {
    a: Eight,
    b: Eight,
    c: Eight,
    d: Eight,
    e: Eight,
    f: Eight,
    g: Eight,
    h: Eight,
    key_square: f32,         // of the longest key that this invocation loaded
}

// Offset, in vectors, of the key that this lane loads of the eight from `first`; the last key again beyond the end.
fn own_key(tile: TileCoords, first: u32, lane: u32) -> u32 {
    return key_start(tile, min(first + lane % 8u, p.key_count - 1u)) / 4u;
}

fn add_products(sums: Eight, elements: mat4x4<f32>, key: vec4<f32>) -> Eight {
    return Eight(sums.low + elements * first_four(key), sums.high + elements * next_four(key));
}

// Products of four queries and the keys from `first`.
fn products_of(tile: TileCoords, query_offsets: vec4<u32>, first: u32, lane: u32) -> Block {
    let low = vec4<u32>(
        own_key(tile, first, lane),
        own_key(tile, first + 8u, lane),
        own_key(tile, first + 16u, lane),
        own_key(tile, first + 24u, lane),
    );
    let high = vec4<u32>(
        own_key(tile, first + 32u, lane),
        own_key(tile, first + 40u, lane),
        own_key(tile, first + 48u, lane),
        own_key(tile, first + 56u, lane),
    );
    var sums = Block();
    var low_squares = vec4<f32>();
    var high_squares = vec4<f32>();
    // Bottom-tested: software drivers run the body of a top-tested loop once more, masked.
    var i = 0u;
    loop {
        let elements = query_elements(query_offsets, i);
        let a = vec4<f32>(keys[low.x + i]);
        sums.a = add_products(sums.a, elements, a);
        let b = vec4<f32>(keys[low.y + i]);
        sums.b = add_products(sums.b, elements, b);
        let c = vec4<f32>(keys[low.z + i]);
        sums.c = add_products(sums.c, elements, c);
        let d = vec4<f32>(keys[low.w + i]);
        sums.d = add_products(sums.d, elements, d);
        low_squares += vec4<f32>(dot(a, a), dot(b, b), dot(c, c), dot(d, d));
        let e = vec4<f32>(keys[high.x + i]);
        sums.e = add_products(sums.e, elements, e);
        let f = vec4<f32>(keys[high.y + i]);
        sums.f = add_products(sums.f, elements, f);
        let g = vec4<f32>(keys[high.z + i]);
        sums.g = add_products(sums.g, elements, g);
        let h = vec4<f32>(keys[high.w + i]);
        sums.h = add_products(sums.h, elements, h);
        high_squares += vec4<f32>(dot(e, e), dot(f, f), dot(g, g), dot(h, h));
        continuing {
            i++;
            break if i >= p.head_size / 4u;
        }
    }
    let squares = max(low_squares, high_squares);
    sums.key_square = max(max(squares.x, squares.y), max(squares.z, squares.w));
    return sums;
}

fn scores_of_eight(products: Eight, left: i32) -> Eight {
    return Eight(scores_of(products.low, left), scores_of(products.high, left - 4));
}

// The scores of a block, of whose keys `left` exist.
fn scores_of_block(products: Block, left: i32) -> Block {
    return Block(
        scores_of_eight(products.a, left),
        scores_of_eight(products.b, left - 8),
        scores_of_eight(products.c, left - 16),
        scores_of_eight(products.d, left - 24),
        scores_of_eight(products.e, left - 32),
        scores_of_eight(products.f, left - 40),
        scores_of_eight(products.g, left - 48),
        scores_of_eight(products.h, left - 56),
        products.key_square,
    );
}

fn row_max_of_eight(scores: Eight) -> vec4<f32> {
    return max(row_max_of(scores.low), row_max_of(scores.high));
}

fn row_max_of_block(scores: Block) -> vec4<f32> {
    let low = max(max(row_max_of_eight(scores.a), row_max_of_eight(scores.b)), max(row_max_of_eight(scores.c), row_max_of_eight(scores.d)));
    let high = max(max(row_max_of_eight(scores.e), row_max_of_eight(scores.f)), max(row_max_of_eight(scores.g), row_max_of_eight(scores.h)));
    return max(low, high);
}

fn row_sum_of_eight(scores: Eight, row_max: vec4<f32>) -> vec4<f32> {
    return row_sum_of(weights_of(scores.low, row_max)) + row_sum_of(weights_of(scores.high, row_max));
}

fn row_sum_of_block(scores: Block, row_max: vec4<f32>) -> vec4<f32> {
    let low = (row_sum_of_eight(scores.a, row_max) + row_sum_of_eight(scores.b, row_max))
        + (row_sum_of_eight(scores.c, row_max) + row_sum_of_eight(scores.d, row_max));
    let high = (row_sum_of_eight(scores.e, row_max) + row_sum_of_eight(scores.f, row_max))
        + (row_sum_of_eight(scores.g, row_max) + row_sum_of_eight(scores.h, row_max));
    return low + high;
}

// Weights over row sum: the shares of four keys.
fn shares_of(scores: mat4x4<f32>, row_max: vec4<f32>, row_sum: vec4<f32>) -> mat4x4<f32> {
    let weights = weights_of(scores, row_max);
    return mat4x4<f32>(weights[0] / row_sum, weights[1] / row_sum, weights[2] / row_sum, weights[3] / row_sum);
}

fn store_eight(rows: Rows, key: u32, scores: Eight, row_max: vec4<f32>, row_sum: vec4<f32>) {
    store_weights(rows, key, shares_of(scores.low, row_max, row_sum));
    store_weights(rows, key + 4u, shares_of(scores.high, row_max, row_sum));
}

fn store_block(rows: Rows, first: u32, scores: Block, row_max: vec4<f32>, row_sum: vec4<f32>) {
    store_eight(rows, first, scores.a, row_max, row_sum);
    store_eight(rows, first + 8u, scores.b, row_max, row_sum);
    store_eight(rows, first + 16u, scores.c, row_max, row_sum);
    store_eight(rows, first + 24u, scores.d, row_max, row_sum);
    store_eight(rows, first + 32u, scores.e, row_max, row_sum);
    store_eight(rows, first + 40u, scores.f, row_max, row_sum);
    store_eight(rows, first + 48u, scores.g, row_max, row_sum);
    store_eight(rows, first + 56u, scores.h, row_max, row_sum);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_size) subgroup_size: u32,
) {
    let tile = tile_coords(workgroup_number(workgroup, grid));
    if (tile.batch >= p.batch) {
        return;
    }
    let rows = four_rows(tile, tile.first_row + 4u * lane);
    var row_max = vec4<f32>(LOWEST);
    var row_sum = vec4<f32>();
    var key_square = 0.0;
    let blocks = (p.key_count + KEYS - 1u) / KEYS;
    var iteration = 0u;
    loop {
        let first = (iteration % blocks) * KEYS;
        let scores = scores_of_block(products_of(tile, rows.queries, first, lane), i32(p.key_count - first));
        if (iteration < blocks) {
            let new_max = max(row_max, row_max_of_block(scores));
            row_sum = row_sum * exp(row_max - new_max) + row_sum_of_block(scores, new_max);
            row_max = new_max;
            key_square = max(key_square, scores.key_square);
        }
        if (iteration + 1u >= blocks) {
            store_block(rows, first, scores, row_max, row_sum);
        }
        continuing {
            iteration++;
            break if iteration + 1u >= 2u * blocks;
        }
    }
    let query_squares = squares_of(rows.queries);
    let longest_key = subgroupMax(key_square);
    if (subgroup_size != LANES || needs_precision(query_squares, longest_key)) {
        store_precisely(tile, rows, query_squares);
    }
}
