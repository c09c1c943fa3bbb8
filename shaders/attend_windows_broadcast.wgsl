// Attention within windows: large register blocks, keys and values broadcast within a subgroup.
//
//   tokens[b,h,n,:] = sum_m softmax_m(scale * queries[b,h,n,:] . keys[b,h,m,:] + table[n - m, h] + mask(n, m)) values[b,h,m,:]
//
// As attend_broadcast.wgsl: each invocation takes four queries, loads every eighth key of a block of 16, and the others get it by broadcast; the same
// for the values. Scores are plain float32; rows whose logits exceed the bound (lib/scores.wgsl) are recomputed key by key.
//
// Grid: see lib/windows.wgsl; a workgroup is one subgroup of LANES invocations and takes 4 * LANES positions.
// Limits: sizes, offsets and strides are multiples of four; LANES at least 8. If a driver runs the workgroup as subgroups of another size, all
// rows are computed key by key. Workgroup memory: 16 bytes a lane for each element of a value, 8 for each position of a window. Prelude: LANES,
// VALUE_VECTORS (value size in vec4), POSITIONS (of a window).
//! use grid, constants, score, scores, windows, window_positions, vectors, precise, broadcast, weights
//! vec4 values, tokens

const ROWS: u32 = 4u * LANES;
const KEYS: u32 = 16u;
// Up to this bound a score summed over 128 elements is right to about 1e-5; lib/scores.wgsl lowers it for longer sums.
const PLAIN_SCORES: f32 = 64.0;

// Each invocation's sums of weighted values, VALUE_VECTORS times four vectors: a vector an element, a component a query.
var<workgroup> sum: array<vec4<f32>, VALUE_VECTORS * LANES * 4u>;

fn clear(lane: u32) {
    for (var i = 0u; i < VALUE_VECTORS * 4u; i++) {
        sum[i * LANES + lane] = vec4<f32>();
    }
}

// Corrects the sums of elements 4 i to 4 i + 3 and adds four rows' weighted values.
fn add_to_sum(i: u32, lane: u32, correction: vec4<f32>, elements: mat4x4<f32>) {
    let at = i * 4u * LANES + lane;
    sum[at] = sum[at] * correction + elements[0];
    sum[at + LANES] = sum[at + LANES] * correction + elements[1];
    sum[at + 2u * LANES] = sum[at + 2u * LANES] * correction + elements[2];
    sum[at + 3u * LANES] = sum[at + 3u * LANES] * correction + elements[3];
}

fn first_codes(code: u32) -> vec4<u32> {
    return vec4<u32>(
        subgroupBroadcast(code, 0u),
        subgroupBroadcast(code, 1u),
        subgroupBroadcast(code, 2u),
        subgroupBroadcast(code, 3u),
    );
}

fn next_codes(code: u32) -> vec4<u32> {
    return vec4<u32>(
        subgroupBroadcast(code, 4u),
        subgroupBroadcast(code, 5u),
        subgroupBroadcast(code, 6u),
        subgroupBroadcast(code, 7u),
    );
}

// Sums the weighted values of four rows in `sum`, by precise scores, key by key. Returns the row sums.
fn attend_precisely(tile: TileCoords, query_offsets: vec4<u32>, own: QueryPositions, lane: u32, query_squares: vec4<f32>) -> vec4<f32> {
    let units = units_of(query_squares);
    let per_unit = inverses_of(units) * sign(p.scale);
    let scale = abs(p.scale);
    var row_max = Scores(vec4<f32>(LOWEST), vec4<f32>());
    var row_sum = vec4<f32>();
    for (var number = 0u; number < POSITIONS; number++) {
        let token = position_tokens[number];
        let products = precise_scores(query_offsets, per_unit, key_of_token(tile, token) / 4u);
        let scores = Scores(products.coarse * units, products.fine * units + bias_of(own, position_codes[number]) / scale);
        let new_max = higher_of(row_max, scores);
        let weights = exp(scale * excess_of(scores, new_max));
        let correction = exp(scale * excess_of(row_max, new_max));
        let value = value_of_token(tile, token) / 4u;
        for (var i = 0u; i < p.value_size / 4u; i++) {
            let elements = vec4<f32>(values[value + i]);
            add_to_sum(i, lane, correction, mat4x4<f32>(weights * elements.x, weights * elements.y, weights * elements.z, weights * elements.w));
        }
        row_sum = row_sum * correction + weights;
        row_max = new_max;
    }
    return row_sum;
}

fn store(tile: TileCoords, position: u32, token: u32, i: u32, vector: vec4<f32>) {
    if (position < POSITIONS && token != PADDING) {
        tokens[token_start(tile, token) / 4u + i] = vec4<StoredTokens>(vector);
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
    stage_positions(tile, lane);
    let row = tile.first_row + 4u * lane;
    let own = query_positions(tile, row);
    let query_offsets = vec4<u32>(
        query_start(tile, own.tokens.x),
        query_start(tile, own.tokens.y),
        query_start(tile, own.tokens.z),
        query_start(tile, own.tokens.w),
    ) / 4u;
    clear(lane);
    var row_max = vec4<f32>(LOWEST);
    var row_sum = vec4<f32>();
    var key_square = 0.0;
    // Bottom-tested: software drivers run the body of a top-tested loop once more, masked.
    var first = 0u;
    loop {
        // The last position again beyond the end.
        let position0 = min(first + lane % 8u, POSITIONS - 1u);
        let position1 = min(first + 8u + lane % 8u, POSITIONS - 1u);
        let token0 = position_tokens[position0];
        let token1 = position_tokens[position1];
        let key0 = key_of_token(tile, token0) / 4u;
        let key1 = key_of_token(tile, token1) / 4u;
        var squares = vec2<f32>();
        var scores0 = mat4x4<f32>();
        var scores1 = mat4x4<f32>();
        var scores2 = mat4x4<f32>();
        var scores3 = mat4x4<f32>();
        var i = 0u;
        loop {
            let elements = query_elements(query_offsets, i);
            let k0 = vec4<f32>(keys[key0 + i]);
            scores0 += elements * first_four(k0);
            scores1 += elements * next_four(k0);
            let k1 = vec4<f32>(keys[key1 + i]);
            scores2 += elements * first_four(k1);
            scores3 += elements * next_four(k1);
            squares += vec2<f32>(dot(k0, k0), dot(k1, k1));
            continuing {
                i++;
                break if i >= p.head_size / 4u;
            }
        }
        key_square = max(key_square, max(squares.x, squares.y));
        let code0 = position_codes[position0];
        let code1 = position_codes[position1];
        let left = i32(POSITIONS - first);
        scores0 = scores_of(scores0, left) + biases_of(own, first_codes(code0));
        scores1 = scores_of(scores1, left - 4) + biases_of(own, next_codes(code0));
        scores2 = scores_of(scores2, left - 8) + biases_of(own, first_codes(code1));
        scores3 = scores_of(scores3, left - 12) + biases_of(own, next_codes(code1));
        let new_max = max(row_max, max(max(row_max_of(scores0), row_max_of(scores1)), max(row_max_of(scores2), row_max_of(scores3))));
        let correction = exp(row_max - new_max);
        row_max = new_max;
        let weights0 = weights_of(scores0, row_max);
        let weights1 = weights_of(scores1, row_max);
        let weights2 = weights_of(scores2, row_max);
        let weights3 = weights_of(scores3, row_max);
        row_sum = row_sum * correction + (row_sum_of(weights0) + row_sum_of(weights1)) + (row_sum_of(weights2) + row_sum_of(weights3));
        let value0 = value_of_token(tile, token0) / 4u;
        let value1 = value_of_token(tile, token1) / 4u;
        i = 0u;
        loop {
            let v0 = vec4<f32>(values[value0 + i]);
            let elements = weights0 * transpose(first_four(v0)) + weights1 * transpose(next_four(v0));
            let v1 = vec4<f32>(values[value1 + i]);
            add_to_sum(i, lane, correction, elements + weights2 * transpose(first_four(v1)) + weights3 * transpose(next_four(v1)));
            continuing {
                i++;
                break if i >= p.value_size / 4u;
            }
        }
        continuing {
            first += KEYS;
            break if first >= POSITIONS;
        }
    }

    let query_squares = squares_of(query_offsets);
    if (subgroup_size != LANES || needs_precision(query_squares, subgroupMax(key_square))) {
        clear(lane);
        row_sum = attend_precisely(tile, query_offsets, own, lane, query_squares);
    }
    for (var i = 0u; i < p.value_size / 4u; i++) {
        let at = i * 4u * LANES + lane;
        let sums = mat4x4<f32>(sum[at] / row_sum, sum[at + LANES] / row_sum, sum[at + 2u * LANES] / row_sum, sum[at + 3u * LANES] / row_sum);
        let rows = transpose(sums);
        store(tile, row, own.tokens.x, i, rows[0]);
        store(tile, row + 1u, own.tokens.y, i, rows[1]);
        store(tile, row + 2u, own.tokens.z, i, rows[2]);
        store(tile, row + 3u, own.tokens.w, i, rows[3]);
    }
}
