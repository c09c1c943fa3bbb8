// Means of clusters.
//
//   means[g,c,:] = mean of x[g,i,:] over the rows i with assignments[g,i] = c, or centres[g,c,:] if there are none
//
// Every invocation goes through all rows and takes its own: more reading than adding up as rows come, but no atomics, and the same
// bits on every run.
//
// Grid: one invocation a number, numbered (g * centres + c) * size + column, 64 in a workgroup. Rows lie in blocks of four columns
// (src/params/prototypes.rs). Limits: about 30,000 rows (all loop turns of an invocation at most 61,440); no optional feature.

struct Params {
    groups: u32,
    rows: u32,
    centres: u32,
    size: u32,
    x_offset: u32,           // offsets and strides are in elements
    x_group_stride: u32,
    a_offset: u32,
    a_group_stride: u32,
    c_offset: u32,
    c_group_stride: u32,
    out_offset: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> assignments: array<f32>;
@group(0) @binding(3) var<storage, read> centres: array<f32>;
@group(0) @binding(4) var<storage, read_write> means: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * 64u + lane;
    let column = number % p.size;
    let centre = number / p.size % p.centres;
    let group = number / p.size / p.centres;
    if (group >= p.groups) {
        return;
    }
    let x_start = p.x_offset + group * p.x_group_stride + column / 4u * (4u * p.rows) + column % 4u;
    let a_start = p.a_offset + group * p.a_group_stride;
    var sum = 0.0;
    var members = 0.0;
    for (var row = 0u; row < p.rows; row++) {
        if (u32(assignments[a_start + row]) == centre) {
            sum += x[x_start + row * 4u];
            members += 1.0;
        }
    }
    let at = group * p.c_group_stride + centre * p.size + column;
    var result = centres[p.c_offset + at];
    if (members > 0.0) {
        result = sum / members;
    }
    means[p.out_offset + at] = result;
}
