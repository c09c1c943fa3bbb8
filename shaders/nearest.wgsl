// Nearest centre: which centre each row is closest to, by distance or by angle.
//
//   assignments[g,i] = argmin_c |x[g,i] - centres[g,c]|^2   or   argmax_c x[g,i] . centres[g,c] / |centres[g,c]|
//
// Ties go to the lowest centre. A centre of length zero has a similarity of zero to every row.
//
// Grid: one invocation a row, numbered g * rows + i, WORKGROUP in a workgroup. Rows lie in blocks of four columns (src/kernel/gather_rows.rs).
// Limits: rows of at most 256 elements; no optional feature.
//! use grid
//! vec4 x

fn centre_element(start: u32, column: u32) -> f32 {
    if (column < p.size) {
        return centres[start + column];
    }
    return 0.0;
}

// How far a row is from a centre: the smaller the closer. A row's blocks are `across` vectors apart.
fn distance_to(x_start: u32, across: u32, c_start: u32) -> f32 {
    var distance = 0.0;
    var product = 0.0;
    var square = 0.0;
    for (var block = 0u; block < (p.size + 3u) / 4u; block++) {
        let elements = x[x_start + block * across];
        let column = block * 4u;
        let centre = vec4<f32>(
            centre_element(c_start, column),
            centre_element(c_start, column + 1u),
            centre_element(c_start, column + 2u),
            centre_element(c_start, column + 3u),
        );
        distance += dot(elements - centre, elements - centre);
        product += dot(elements, centre);
        square += dot(centre, centre);
    }
    if (p.spherical == 0u) {
        return distance;
    }
    if (square > 0.0) {
        return -product / sqrt(square);
    }
    return 0.0;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * WORKGROUP + lane;
    let group = number / p.rows;
    let row = number % p.rows;
    if (group >= p.groups) {
        return;
    }
    let x_start = x_at(group, 0u, row) / 4u;
    let across = p.x.stride.y / 4u;
    let c_start = centres_at(group, 0u);
    let centre_stride = p.centres.stride.y;
    var nearest = 0u;
    var least = distance_to(x_start, across, c_start);
    for (var centre = 1u; centre < p.clusters; centre++) {
        let found = distance_to(x_start, across, c_start + centre * centre_stride);
        if (found < least) {
            least = found;
            nearest = centre;
        }
    }
    assignments[assignments_at(group) + row] = f32(nearest);
}
