// Segmented attention: large register blocks, keys and values broadcast within a subgroup.
//
//   tokens[b,h,g,r,f,:] = sum_j softmax_j(scale * queries[b,h,g,r,:] . keys[b,h,g,f,j,:]) values[b,h,g,f,j,:]
//
// On a CPU driver a load costs as much as dozens of multiply-adds, a broadcast about as much as one. So each invocation takes four
// queries, loads every eighth key of a block of 40, and the others get it by broadcast; the same for the values. The scores of a block stay in
// registers; a running row max and row sum correct the earlier sums (online softmax). Scores are plain float32; rows whose logits exceed
// the bound (lib/scores.wgsl) are recomputed key by key (lib/precise_values.wgsl).
//
// Grid: see lib/segments.wgsl; a workgroup is one subgroup of LANES invocations and takes 4 * LANES rows.
// Limits: sizes, offsets and strides are multiples of four; LANES at least 8. If a driver runs the workgroup as subgroups of another
// size, all rows are computed key by key. Workgroup memory: 16 bytes a lane for each element of a value. Prelude: LANES, VALUE_VECTORS (value
// size in vec4).
//! use grid, constants, scores, segments, vectors, query_offsets4, precise_values, broadcast, weights
//! vec4 values, tokens

const ROWS: u32 = 4u * LANES;
const KEYS: u32 = 40u;
// Up to this bound a score summed over 128 elements is right to about 1e-5; lib/scores.wgsl lowers it for longer sums.
const PLAIN_SCORES: f32 = 64.0;

// Each invocation's sums of weighted values, VALUE_VECTORS times four vectors: a vector an element, a component a query. Workgroup memory,
// because drivers turn a private array with an unknown index into a ladder of branches.
var<workgroup> sum: array<vec4<f32>, VALUE_VECTORS * LANES * 4u>;

// The key that this lane loads of the eight from `first`; the last one again where there are no more.
fn key_of(first: u32, lane: u32) -> u32 {
    return min(first + lane % 8u, all_keys() - 1u);
}

fn clear(lane: u32) {
    for (var i = 0u; i < VALUE_VECTORS * 4u; i++) {
        sum[i * LANES + lane] = vec4<f32>();
    }
}

fn store(tile: TileCoords, row: u32, i: u32, token: vec4<f32>) {
    if (row < p.rows) {
        tokens[token_start(tile, row) / 4u + i] = vec4<StoredTokens>(token);
    }
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
    let row = tile.first_row + 4u * lane;
    let query_offsets = query_offsets4(tile, row);
    clear(lane);
    var row_max = vec4<f32>(LOWEST);
    var row_sum = vec4<f32>();
    var key_square = 0.0;
    let total_keys = all_keys();
    // Bottom-tested: software drivers run the body of a top-tested loop once more, masked.
    var first = 0u;
    loop {
        let key0 = key_start(tile, key_of(first + 0u, lane)) / 4u;
        let key1 = key_start(tile, key_of(first + 8u, lane)) / 4u;
        let key2 = key_start(tile, key_of(first + 16u, lane)) / 4u;
        let key3 = key_start(tile, key_of(first + 24u, lane)) / 4u;
        let key4 = key_start(tile, key_of(first + 32u, lane)) / 4u;
        var squares = vec4<f32>();
        var last_square = 0.0;
        var scores0 = mat4x4<f32>();
        var scores1 = mat4x4<f32>();
        var scores2 = mat4x4<f32>();
        var scores3 = mat4x4<f32>();
        var scores4 = mat4x4<f32>();
        var scores5 = mat4x4<f32>();
        var scores6 = mat4x4<f32>();
        var scores7 = mat4x4<f32>();
        var scores8 = mat4x4<f32>();
        var scores9 = mat4x4<f32>();
        var i = 0u;
        loop {
            let elements = query_elements(query_offsets, i);
            let k0 = vec4<f32>(keys[key0 + i]);
            scores0 += elements * first_four(k0);
            scores1 += elements * next_four(k0);
            let k1 = vec4<f32>(keys[key1 + i]);
            scores2 += elements * first_four(k1);
            scores3 += elements * next_four(k1);
            let k2 = vec4<f32>(keys[key2 + i]);
            scores4 += elements * first_four(k2);
            scores5 += elements * next_four(k2);
            let k3 = vec4<f32>(keys[key3 + i]);
            scores6 += elements * first_four(k3);
            scores7 += elements * next_four(k3);
            let k4 = vec4<f32>(keys[key4 + i]);
            scores8 += elements * first_four(k4);
            scores9 += elements * next_four(k4);
            squares += vec4<f32>(dot(k0, k0), dot(k1, k1), dot(k2, k2), dot(k3, k3));
            last_square += dot(k4, k4);
            continuing {
                i++;
                break if i >= p.head_size / 4u;
            }
        }
        key_square = max(max(key_square, last_square), max(max(squares.x, squares.y), max(squares.z, squares.w)));
        let left = i32(total_keys - first);
        var new_max = row_max;
        scores0 = scores_of(scores0, left - 0);
        scores1 = scores_of(scores1, left - 4);
        scores2 = scores_of(scores2, left - 8);
        scores3 = scores_of(scores3, left - 12);
        scores4 = scores_of(scores4, left - 16);
        scores5 = scores_of(scores5, left - 20);
        scores6 = scores_of(scores6, left - 24);
        scores7 = scores_of(scores7, left - 28);
        scores8 = scores_of(scores8, left - 32);
        scores9 = scores_of(scores9, left - 36);
        new_max = max(new_max, max(row_max_of(scores0), row_max_of(scores1)));
        new_max = max(new_max, max(row_max_of(scores2), row_max_of(scores3)));
        new_max = max(new_max, max(row_max_of(scores4), row_max_of(scores5)));
        new_max = max(new_max, max(row_max_of(scores6), row_max_of(scores7)));
        new_max = max(new_max, max(row_max_of(scores8), row_max_of(scores9)));
        let correction = exp(row_max - new_max);
        row_max = new_max;
        row_sum *= correction;
        let weights0 = weights_of(scores0, row_max);
        let weights1 = weights_of(scores1, row_max);
        row_sum += row_sum_of(weights0) + row_sum_of(weights1);
        let weights2 = weights_of(scores2, row_max);
        let weights3 = weights_of(scores3, row_max);
        row_sum += row_sum_of(weights2) + row_sum_of(weights3);
        let weights4 = weights_of(scores4, row_max);
        let weights5 = weights_of(scores5, row_max);
        row_sum += row_sum_of(weights4) + row_sum_of(weights5);
        let weights6 = weights_of(scores6, row_max);
        let weights7 = weights_of(scores7, row_max);
        row_sum += row_sum_of(weights6) + row_sum_of(weights7);
        let weights8 = weights_of(scores8, row_max);
        let weights9 = weights_of(scores9, row_max);
        row_sum += row_sum_of(weights8) + row_sum_of(weights9);
        let value0 = value_start(tile, key_of(first + 0u, lane)) / 4u;
        let value1 = value_start(tile, key_of(first + 8u, lane)) / 4u;
        let value2 = value_start(tile, key_of(first + 16u, lane)) / 4u;
        let value3 = value_start(tile, key_of(first + 24u, lane)) / 4u;
        let value4 = value_start(tile, key_of(first + 32u, lane)) / 4u;
        i = 0u;
        loop {
            let at = i * 4u * LANES + lane;
            var elements = mat4x4<f32>(
                sum[at] * correction,
                sum[at + LANES] * correction,
                sum[at + 2u * LANES] * correction,
                sum[at + 3u * LANES] * correction,
            );
            let v0 = vec4<f32>(values[value0 + i]);
            elements += weights0 * transpose(first_four(v0)) + weights1 * transpose(next_four(v0));
            let v1 = vec4<f32>(values[value1 + i]);
            elements += weights2 * transpose(first_four(v1)) + weights3 * transpose(next_four(v1));
            let v2 = vec4<f32>(values[value2 + i]);
            elements += weights4 * transpose(first_four(v2)) + weights5 * transpose(next_four(v2));
            let v3 = vec4<f32>(values[value3 + i]);
            elements += weights6 * transpose(first_four(v3)) + weights7 * transpose(next_four(v3));
            let v4 = vec4<f32>(values[value4 + i]);
            elements += weights8 * transpose(first_four(v4)) + weights9 * transpose(next_four(v4));
            sum[at] = elements[0];
            sum[at + LANES] = elements[1];
            sum[at + 2u * LANES] = elements[2];
            sum[at + 3u * LANES] = elements[3];
            continuing {
                i++;
                break if i >= p.value_size / 4u;
            }
        }
        continuing {
            first += KEYS;
            break if first >= total_keys;
        }
    }

    let query_squares = squares_of(query_offsets);
    let longest_key = subgroupMax(key_square);
    if (subgroup_size != LANES || needs_precision(query_squares, longest_key)) {
        clear(lane);
        row_sum = attend_precisely(tile, query_offsets, lane, query_squares);
    }
    for (var i = 0u; i < p.value_size / 4u; i++) {
        let at = i * 4u * LANES + lane;
        let rows = transpose(mat4x4<f32>(
            sum[at] / row_sum,
            sum[at + LANES] / row_sum,
            sum[at + 2u * LANES] / row_sum,
            sum[at + 3u * LANES] / row_sum,
        ));
        store(tile, row, i, rows[0]);
        store(tile, row + 1u, i, rows[1]);
        store(tile, row + 2u, i, rows[2]);
        store(tile, row + 3u, i, rows[3]);
    }
}
