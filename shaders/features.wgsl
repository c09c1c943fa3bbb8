// Positive random features of the softmax kernel (Choromanski et al., Performer, ICLR 2021); they overwrite their projections.
//
//   projections[b,h,r,m] = exp(projections[b,h,r,m] - stats[b,h,r,0] - max) + 1e-6
//
// The max is the largest projection of the row (queries), or of all rows of the head (keys). It cancels in attention but for the 1e-6, as
// does the factor 1 / sqrt(features), which is left out. Exponents are never above zero, so nothing overflows.
//
// Grid: workgroups numbered (b * heads + h) * row_tiles + tile; one takes 64 rows, one invocation a row. Needs no optional feature.
//! use grid, constants, workgroup_reduce

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = workgroup_number(workgroup, grid);
    let row_tiles = (p.rows + WORKGROUP - 1u) / WORKGROUP;
    let head = tile / row_tiles % p.heads;
    let batch = tile / row_tiles / p.heads;
    if (batch >= p.batch) {
        return;
    }
    let row = (tile % row_tiles) * WORKGROUP + lane;
    let stats_start = stats_at(batch, head, 0u);
    let stats_stride = p.stats.stride.z;
    var own = LOWEST;
    for (var other = lane; other < p.rows; other += WORKGROUP) {
        own = max(own, stats[stats_start + other * stats_stride + 1u]);
    }
    var largest = workgroup_max(lane, own);
    if (row >= p.rows) {
        return;
    }
    if (p.shared_max == 0u) {
        largest = stats[stats_start + row * stats_stride + 1u];
    }
    let half_square = stats[stats_start + row * stats_stride];
    let start = projections_at(batch, head, row);
    for (var feature = 0u; feature < p.features; feature++) {
        var similarity = 0.0;
        // Beyond 200 it is zero, even if the projection is infinite.
        if (half_square < 200.0) {
            similarity = exp((projections[start + feature] - largest) - half_square);
        }
        projections[start + feature] = similarity + 1e-6;
    }
}
