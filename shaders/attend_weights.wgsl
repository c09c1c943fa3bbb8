// Attention weights of all queries, written out: softmax rows over one segment of keys a group.
//
//   weights[b,h,g,r,j] = softmax_j(scale * queries[b,h,g,r,:] . keys[b,h,g,j,:])
//
// For few keys, such as prototypes, whose weights are small and used by several products. Scores are kept in two parts (lib/score.wgsl) and
// computed twice: once for their peak and total, once to write weights that are final.
//
// Grid: see lib/query_groups.wgsl; a workgroup takes 64 rows, one invocation a row. Limits: head size 1 to 128, all iterations of
// an invocation at most 61,440; 8.1 KiB of workgroup memory, no optional feature.
//! use grid, constants, score, query_groups, key_tile

const ROWS: u32 = WORKGROUP;

// Stages a tile of keys. All invocations have to call.
fn stage_tile(work: Work, lane: u32, first: u32) {
    workgroupBarrier();
    stage_keys(work, lane, first, p.key_count);
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
    let work = work_of(workgroup_number(workgroup, grid));
    if (work.batch >= p.batch) {
        return;
    }
    let row = work.first_row + lane;
    let q_unit = take_query(query_start(work, row), row < p.rows);

    var peak = Score(LOWEST, 0.0);
    var total = 0.0;
    for (var first = 0u; first < p.key_count; first += KEYS_PER_TILE) {
        stage_tile(work, lane, first);
        for (var j = 0u; j < KEYS_PER_TILE; j += 4u) {
            let left = max(p.key_count, first + j) - (first + j);
            let four = four_scores(j, q_unit);
            let new_peak = higher_of_four(peak, four, left);
            total = total * exp(abs(p.scale) * excess(peak, new_peak)) + sum_of(four_weights(four, new_peak, left));
            peak = new_peak;
        }
    }

    let out = weight_start(work, row);
    for (var first = 0u; first < p.key_count; first += KEYS_PER_TILE) {
        stage_tile(work, lane, first);
        for (var j = 0u; j < KEYS_PER_TILE; j += 4u) {
            let left = max(p.key_count, first + j) - (first + j);
            let four = four_weights(four_scores(j, q_unit), peak, left) / total;
            store(out, first + j, row < p.rows, four.x);
            store(out, first + j + 1u, row < p.rows, four.y);
            store(out, first + j + 2u, row < p.rows, four.z);
            store(out, first + j + 3u, row < p.rows, four.w);
        }
    }
}
