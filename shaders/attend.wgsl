// Segmented attention, streaming: for every query row and every segment of keys a softmax and an output of its own.
//
//   tokens[b,h,g,r,f,:] = sum_j softmax_j(scale * queries[b,h,g,r,:] . keys[b,h,g,f,j,:]) values[b,h,g,f,j,:]
//
// Trajectory attention has one group and a segment per frame, joint attention one group and one segment. Divided attention has a group
// per frame (or per position) and the class token as extra key. Scores never go to memory: keys and values are staged in tiles, and a
// running row max and row sum correct the earlier sums (online softmax). Scores are kept in two parts (lib/score.wgsl) and scaled last.
//
// Grid: see lib/segments.wgsl; one workgroup takes 64 rows, one invocation a row. Limits: head size 1 to 256, value size 1 to 128, 16 KiB of
// workgroup memory, no optional feature.
// Prelude: HEAD_VECTORS and VALUE_VECTORS (sizes in vec4, rounded up to multiples of four), KEYS_PER_TILE (8 or 16).
//! use grid, constants, score, segments, key_tile, value_tile

const ROWS: u32 = WORKGROUP;

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
    let scale = abs(p.scale);
    var row_max = Score(LOWEST, 0.0);
    var row_sum = 0.0;
    let total_keys = all_keys();
    for (var first = 0u; first < total_keys; first += KEYS_PER_TILE) {
        workgroupBarrier();
        stage_keys(tile, lane, first, total_keys);
        stage_values(tile, lane, first, total_keys);
        workgroupBarrier();
        measure_keys(lane);
        workgroupBarrier();

        let left = total_keys - first;
        var scores: array<FourScores, KEYS_PER_TILE / 4u>;
        var new_max = row_max;
        for (var j = 0u; j < KEYS_PER_TILE; j += 4u) {
            let four = four_scores(j, q_unit);
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

    if (row < p.rows) {
        store_token(token_start(tile, row), row_sum);
    }
}
