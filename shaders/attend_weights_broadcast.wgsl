// Attention weights of all queries, written out: large register blocks, keys broadcast within a subgroup.
//
//   weights[b,h,g,r,j] = softmax_j(scale * queries[b,h,g,r,:] . keys[b,h,g,j,:])
//
// On a CPU driver a load costs as much as dozens of multiply-adds and a broadcast about as much as one. So each invocation takes four
// queries and loads every eighth key of a block of 64; the others get it by broadcast. Weights that are written are final, so all blocks are
// gone through for peaks and totals first, and then all but the last, whose scores are there still, a second time. Scores are plain float32;
// rows for which that would not do (lib/scores.wgsl) are done again, key by key.
//
// Grid: see lib/query_groups.wgsl; a workgroup is one subgroup of LANES invocations and takes 4 * LANES rows.
// Limits: keys, head size, offsets and strides are multiples of four; LANES at least 8. Should a driver run the workgroup as subgroups of
// another size, all rows are done key by key. No workgroup memory, no barrier. Prelude: LANES.
//! use grid, constants, scores, query_groups, vectors, precise_weights, broadcast, weights

const ROWS: u32 = 4u * LANES;
const KEYS: u32 = 64u;
// Up to here scores of up to 128 numbers, summed up in one, are right to about 1e-5.
const PLAIN_SCORES: f32 = 64.0;

// Eight keys' numbers for four queries: a column a key, a component a query.
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

// Where the key lies that this lane loads of the eight from `first`; the last one again where there are no more.
fn own_key(work: Work, first: u32, lane: u32) -> u32 {
    return key_start(work, min(first + lane % 8u, p.key_count - 1u)) / 4u;
}

fn add_products(sums: Eight, numbers: mat4x4<f32>, key: vec4<f32>) -> Eight {
    return Eight(sums.low + numbers * first_four(key), sums.high + numbers * next_four(key));
}

// Products of four queries and the keys from `first`.
fn products_of(work: Work, starts: vec4<u32>, first: u32, lane: u32) -> Block {
    let low = vec4<u32>(
        own_key(work, first, lane),
        own_key(work, first + 8u, lane),
        own_key(work, first + 16u, lane),
        own_key(work, first + 24u, lane),
    );
    let high = vec4<u32>(
        own_key(work, first + 32u, lane),
        own_key(work, first + 40u, lane),
        own_key(work, first + 48u, lane),
        own_key(work, first + 56u, lane),
    );
    var sums = Block();
    var low_squares = vec4<f32>();
    var high_squares = vec4<f32>();
    // Bottom-tested: software drivers run the body of a loop whose test comes first once more, for nobody.
    var i = 0u;
    loop {
        let numbers = query_numbers(starts, i);
        let a = vec4<f32>(keys[low.x + i]);
        sums.a = add_products(sums.a, numbers, a);
        let b = vec4<f32>(keys[low.y + i]);
        sums.b = add_products(sums.b, numbers, b);
        let c = vec4<f32>(keys[low.z + i]);
        sums.c = add_products(sums.c, numbers, c);
        let d = vec4<f32>(keys[low.w + i]);
        sums.d = add_products(sums.d, numbers, d);
        low_squares += vec4<f32>(dot(a, a), dot(b, b), dot(c, c), dot(d, d));
        let e = vec4<f32>(keys[high.x + i]);
        sums.e = add_products(sums.e, numbers, e);
        let f = vec4<f32>(keys[high.y + i]);
        sums.f = add_products(sums.f, numbers, f);
        let g = vec4<f32>(keys[high.z + i]);
        sums.g = add_products(sums.g, numbers, g);
        let h = vec4<f32>(keys[high.w + i]);
        sums.h = add_products(sums.h, numbers, h);
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

fn peak_of_eight(scores: Eight) -> vec4<f32> {
    return max(peak_of(scores.low), peak_of(scores.high));
}

fn peak_of_block(scores: Block) -> vec4<f32> {
    let low = max(max(peak_of_eight(scores.a), peak_of_eight(scores.b)), max(peak_of_eight(scores.c), peak_of_eight(scores.d)));
    let high = max(max(peak_of_eight(scores.e), peak_of_eight(scores.f)), max(peak_of_eight(scores.g), peak_of_eight(scores.h)));
    return max(low, high);
}

fn total_of_eight(scores: Eight, peak: vec4<f32>) -> vec4<f32> {
    return total_of(weights_of(scores.low, peak)) + total_of(weights_of(scores.high, peak));
}

fn total_of_block(scores: Block, peak: vec4<f32>) -> vec4<f32> {
    let low = (total_of_eight(scores.a, peak) + total_of_eight(scores.b, peak))
        + (total_of_eight(scores.c, peak) + total_of_eight(scores.d, peak));
    let high = (total_of_eight(scores.e, peak) + total_of_eight(scores.f, peak))
        + (total_of_eight(scores.g, peak) + total_of_eight(scores.h, peak));
    return low + high;
}

// weights / total: the shares of four keys.
fn shares_of(scores: mat4x4<f32>, peak: vec4<f32>, total: vec4<f32>) -> mat4x4<f32> {
    let weights = weights_of(scores, peak);
    return mat4x4<f32>(weights[0] / total, weights[1] / total, weights[2] / total, weights[3] / total);
}

fn store_eight(rows: Rows, key: u32, scores: Eight, peak: vec4<f32>, total: vec4<f32>) {
    store_four(rows, key, shares_of(scores.low, peak, total));
    store_four(rows, key + 4u, shares_of(scores.high, peak, total));
}

fn store_block(rows: Rows, first: u32, scores: Block, peak: vec4<f32>, total: vec4<f32>) {
    store_eight(rows, first, scores.a, peak, total);
    store_eight(rows, first + 8u, scores.b, peak, total);
    store_eight(rows, first + 16u, scores.c, peak, total);
    store_eight(rows, first + 24u, scores.d, peak, total);
    store_eight(rows, first + 32u, scores.e, peak, total);
    store_eight(rows, first + 40u, scores.f, peak, total);
    store_eight(rows, first + 48u, scores.g, peak, total);
    store_eight(rows, first + 56u, scores.h, peak, total);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_size) subgroup_size: u32,
) {
    let work = work_of(workgroup_number(workgroup, grid));
    if (work.batch >= p.batch) {
        return;
    }
    let rows = four_rows(work, work.first_row + 4u * lane);
    var peak = vec4<f32>(LOWEST);
    var total = vec4<f32>();
    var key_square = 0.0;
    let blocks = (p.key_count + KEYS - 1u) / KEYS;
    var turn = 0u;
    loop {
        let first = (turn % blocks) * KEYS;
        let scores = scores_of_block(products_of(work, rows.queries, first, lane), i32(p.key_count - first));
        if (turn < blocks) {
            let new_peak = max(peak, peak_of_block(scores));
            total = total * exp(peak - new_peak) + total_of_block(scores, new_peak);
            peak = new_peak;
            key_square = max(key_square, scores.key_square);
        }
        if (turn + 1u >= blocks) {
            store_block(rows, first, scores, peak, total);
        }
        continuing {
            turn++;
            break if turn + 1u >= 2u * blocks;
        }
    }
    let query_squares = squares_of(rows.queries);
    let longest_key = subgroupMax(key_square);
    if (subgroup_size != LANES || needs_precision(query_squares, longest_key)) {
        store_precisely(work, rows, query_squares);
    }
}
