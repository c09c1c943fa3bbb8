// Statistics of each row for positive random features: half its squared length, and the largest of its projections.
//
//   stats[b,h,r,0] = square_scale * |x[b,h,r,:]|^2 / 2,   stats[b,h,r,1] = max_m projections[b,h,r,m]
//
// Elements count as 1e16 at the most: the exponential of minus their square is zero either way, and no infinity meets another.
//
// Grid: one invocation a row, numbered (b * heads + h) * rows + r, 64 in a workgroup. Needs no optional feature.
//! use grid

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * WORKGROUP + lane;
    let head = number / p.rows;
    let batch = head / p.heads;
    if (batch >= p.batch) {
        return;
    }
    let row = number % p.rows;
    let start = x_at(batch, head % p.heads, row);
    var square = 0.0;
    for (var column = 0u; column < p.size; column++) {
        // The square of 1e16 is far beyond what an exponential tells apart, and thousands of them stay within float32.
        let element = clamp(x[start + column], -1e16, 1e16);
        square += element * element;
    }
    let projected = projections_at(batch, head % p.heads, row);
    var row_max = projections[projected];
    for (var feature = 1u; feature < p.features; feature++) {
        row_max = max(row_max, projections[projected + feature]);
    }
    let to = stats_at(batch, head % p.heads, row);
    stats[to] = 0.5 * p.square_scale * square;
    stats[to + 1u] = row_max;
}
