// Positive random features of the softmax kernel (Choromanski et al., Performer, ICLR 2021), in place of the projections they come from.
//
//   projections[b,h,r,m] = exp(projections[b,h,r,m] - stats[b,h,r,0] - peak) + 1e-6
//
// The peak is the largest projection of the row (queries), or of all rows of the head (keys). It cancels in attention but for the 1e-6, as
// does the factor 1 / sqrt(features), which is left out. Exponents are never above zero, so nothing overflows.
//
// Grid: workgroups numbered (b * heads + h) * row_tiles + tile; one takes 64 rows, one invocation a row. Limits: all loop turns of an
// invocation at most 61,440; no optional feature.
//! use grid, constants

struct Params {
    batch: u32,
    heads: u32,
    rows: u32,
    features: u32,
    shared_peak: u32,        // 0 or 1
    stats_offset: u32,       // offsets are in elements
    out_offset: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> stats: array<f32>;
@group(0) @binding(2) var<storage, read_write> projections: array<f32>;

var<workgroup> peaks: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = workgroup_number(workgroup, grid);
    let row_tiles = (p.rows + 63u) / 64u;
    let head = tile / row_tiles;
    if (head >= p.batch * p.heads) {
        return;
    }
    let row = (tile % row_tiles) * 64u + lane;
    let stats_start = p.stats_offset + head * p.rows * 2u;
    var peak = LOWEST;
    for (var other = lane; other < p.rows; other += 64u) {
        peak = max(peak, stats[stats_start + other * 2u + 1u]);
    }
    peaks[lane] = peak;
    for (var half = 32u; half > 0u; half = half / 2u) {
        workgroupBarrier();
        if (lane < half) {
            peaks[lane] = max(peaks[lane], peaks[lane + half]);
        }
    }
    workgroupBarrier();
    if (row >= p.rows) {
        return;
    }
    peak = peaks[0];
    if (p.shared_peak == 0u) {
        peak = stats[stats_start + row * 2u + 1u];
    }
    let half_square = stats[stats_start + row * 2u];
    let start = p.out_offset + (head * p.rows + row) * p.features;
    for (var feature = 0u; feature < p.features; feature++) {
        var likeness = 0.0;
        // Beyond 200 it is zero, whatever the projection: that may have been infinite.
        if (half_square < 200.0) {
            likeness = exp((projections[start + feature] - peak) - half_square);
        }
        projections[start + feature] = likeness + 1e-6;
    }
}
