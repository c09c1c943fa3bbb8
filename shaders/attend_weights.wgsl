// Attention weights of all queries, written out: softmax rows over one segment of keys a group.
//
//   weights[b,h,g,r,j] = softmax_j(scale * queries[b,h,g,r,:] . keys[b,h,g,j,:])
//
// For few keys, such as prototypes, whose weights are small and used by several products. Scores are kept in two parts (lib/score.wgsl) and
// computed twice: once for row max and row sum, once to write final weights.
//
// Grid: see lib/query_groups.wgsl; a workgroup takes 64 rows, one invocation a row. Limits: head size 1 to 256; 8.1 KiB of workgroup memory, no
// optional feature.
//! use grid, constants, score, query_groups, key_tile

const ROWS: u32 = WORKGROUP;

// Stages a tile of keys. All invocations must call.
fn stage_tile(tile: TileCoords, lane: u32, first: u32) {
    workgroupBarrier();
    stage_keys(tile, lane, first, p.key_count);
    workgroupBarrier();
    measure_keys(lane);
    workgroupBarrier();
}

fn store(start: u32, key: u32, exists: bool, weight: f32) {
    if (exists && key < p.key_count) {
        weights[start + key] = StoredWeights(weight);
    }
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
    let row = tile.first_row + lane;
    let q_unit = take_query(query_start(tile, row), row < p.rows);

    var row_max = Score(LOWEST, 0.0);
    var row_sum = 0.0;
    for (var first = 0u; first < p.key_count; first += KEYS_PER_TILE) {
        stage_tile(tile, lane, first);
        for (var j = 0u; j < KEYS_PER_TILE; j += 4u) {
            let left = max(p.key_count, first + j) - (first + j);
            let four = four_scores(j, q_unit);
            let new_max = higher_of_four(row_max, four, left);
            row_sum = row_sum * exp(abs(p.scale) * excess(row_max, new_max)) + sum_of(four_weights(four, new_max, left));
            row_max = new_max;
        }
    }

    let out = weight_start(tile, row);
    for (var first = 0u; first < p.key_count; first += KEYS_PER_TILE) {
        stage_tile(tile, lane, first);
        for (var j = 0u; j < KEYS_PER_TILE; j += 4u) {
            let left = max(p.key_count, first + j) - (first + j);
            let four = four_weights(four_scores(j, q_unit), row_max, left) / row_sum;
            store(out, first + j, row < p.rows, four.x);
            store(out, first + j + 1u, row < p.rows, four.y);
            store(out, first + j + 2u, row < p.rows, four.z);
            store(out, first + j + 3u, row < p.rows, four.w);
        }
    }
}
