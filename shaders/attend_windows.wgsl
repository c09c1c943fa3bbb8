// Attention within windows of a grid of tokens, shifted or not (Swin), streaming.
//
//   tokens[b,h,n,:] = sum_m softmax_m(scale * queries[b,h,n,:] . keys[b,h,m,:] + table[n - m, h] + mask(n, m)) values[b,h,m,:]
//
// over the positions m of n's window (lib/windows.wgsl): padded positions are keys like all others, but no queries. The table has a bias for each
// head and each offset between two positions of a window; the mask is -100 between positions that the shift brings together, else 0.
// Windows are cut by indexing, nothing is copied. Scores never go to memory, as in attend.wgsl; biases go to their fine parts (lib/score.wgsl).
//
// Grid: see lib/windows.wgsl; one workgroup takes 64 positions of a window, one invocation a position. Limits: head size 1 to 256, value size 1
// to 128, a scale other than zero, 16 KiB of workgroup memory, no optional feature.
// Prelude: HEAD_VECTORS and VALUE_VECTORS (sizes in vec4, rounded up to multiples of four), KEYS_PER_TILE (8 or 16).
//! use grid, constants, score, windows, key_tile, value_tile

const ROWS: u32 = WORKGROUP;

fn key_start(tile: TileCoords, position: u32) -> u32 {
    return key_of_token(tile, token_of(tile, position));
}

fn value_start(tile: TileCoords, position: u32) -> u32 {
    return value_of_token(tile, token_of(tile, position));
}

var<workgroup> key_positions: array<PositionCode, KEYS_PER_TILE>;

fn stage_positions(tile: TileCoords, lane: u32, first: u32) {
    if (lane < KEYS_PER_TILE) {
        key_positions[lane] = position_code(tile, min(first + lane, window_positions() - 1u));
    }
}

// The score of the query at `own` with the staged key j, with bias and mask. `middle` is the table index of a zero offset.
fn biased(score: Score, own: PositionCode, middle: u32, j: u32, head: u32) -> Score {
    let key = key_positions[j];
    let bias = f32(table[table_at(middle + own.index - key.index) + head]);
    let mask = select(MASK, 0.0, own.region == key.region);
    return Score(score.coarse, score.fine + (bias + mask) / abs(p.scale));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_coords(workgroup_number(workgroup, grid));
    if (tile.batch >= p.batch) {
        return;
    }
    let total_keys = window_positions();
    let row = min(tile.first_row + lane, total_keys - 1u);
    let own = position_code(tile, row);
    let token = token_of(tile, row);
    let exists = tile.first_row + lane < total_keys && token != PADDING;
    let q_unit = take_query(query_start(tile, token), exists);
    let middle = table_index(p.table_frames * p.table_rows * p.table_columns - 1u);
    let scale = abs(p.scale);
    var row_max = Score(LOWEST, 0.0);
    var row_sum = 0.0;
    for (var first = 0u; first < total_keys; first += KEYS_PER_TILE) {
        workgroupBarrier();
        stage_keys(tile, lane, first, total_keys);
        stage_values(tile, lane, first, total_keys);
        stage_positions(tile, lane, first);
        workgroupBarrier();
        measure_keys(lane);
        workgroupBarrier();

        let left = total_keys - first;
        var scores: array<FourScores, KEYS_PER_TILE / 4u>;
        var new_max = row_max;
        for (var j = 0u; j < KEYS_PER_TILE; j += 4u) {
            let plain = four_scores(j, q_unit);
            let four = FourScores(
                biased(plain.a, own, middle, j, tile.head),
                biased(plain.b, own, middle, j + 1u, tile.head),
                biased(plain.c, own, middle, j + 2u, tile.head),
                biased(plain.d, own, middle, j + 3u, tile.head),
            );
            scores[j / 4u] = four;
            new_max = higher_of_four(new_max, four, max(left, j) - j);
        }
        let correction = exp(scale * excess(row_max, new_max));
        row_max = new_max;
        row_sum *= correction;
        correct_sum(correction);
        for (var j = 0u; j < KEYS_PER_TILE; j += 4u) {
            let real = four_weights(scores[j / 4u], row_max, max(left, j) - j);
            row_sum += sum_of(real);
            add_four_values(j, real);
        }
    }

    if (exists) {
        store_token(token_start(tile, token), row_sum);
    }
}
