// Nearest centre: which centre each row is closest to, by distance or by angle.
//
//   assignments[g,i] = argmin_c |x[g,i] - centres[g,c]|^2   or   argmax_c x[g,i] . centres[g,c] / |centres[g,c]|
//
// Ties go to the lowest centre. A centre of length zero has a likeness of zero to every row.
//
// Grid: one invocation a row, numbered g * rows + i, 64 in a workgroup. Rows lie in blocks of four columns (src/params/prototypes.rs).
// Limits: rows of at most 128 numbers, all loop turns of an invocation at most 61,440; no optional feature.
//! use grid

struct Params {
    groups: u32,
    rows: u32,
    centres: u32,
    size: u32,
    spherical: u32,          // 0 or 1
    x_offset: u32,           // offsets and strides are in elements
    x_group_stride: u32,
    c_offset: u32,
    c_group_stride: u32,
    out_offset: u32,
    out_group_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> centres: array<f32>;
@group(0) @binding(3) var<storage, read_write> assignments: array<f32>;

fn centre_number(start: u32, column: u32) -> f32 {
    if (column < p.size) {
        return centres[start + column];
    }
    return 0.0;
}

// How far a row is from a centre: the smaller the closer.
fn farness(x_start: u32, c_start: u32) -> f32 {
    var distance = 0.0;
    var product = 0.0;
    var square = 0.0;
    for (var block = 0u; block < (p.size + 3u) / 4u; block++) {
        let numbers = x[x_start + block * p.rows];
        let column = block * 4u;
        let centre = vec4<f32>(
            centre_number(c_start, column),
            centre_number(c_start, column + 1u),
            centre_number(c_start, column + 2u),
            centre_number(c_start, column + 3u),
        );
        distance += dot(numbers - centre, numbers - centre);
        product += dot(numbers, centre);
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

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * 64u + lane;
    let group = number / p.rows;
    let row = number % p.rows;
    if (group >= p.groups) {
        return;
    }
    let x_start = (p.x_offset + group * p.x_group_stride) / 4u + row;
    let c_start = p.c_offset + group * p.c_group_stride;
    var nearest = 0u;
    var least = farness(x_start, c_start);
    for (var centre = 1u; centre < p.centres; centre++) {
        let found = farness(x_start, c_start + centre * p.size);
        if (found < least) {
            least = found;
            nearest = centre;
        }
    }
    assignments[p.out_offset + group * p.out_group_stride + row] = f32(nearest);
}
