// Means of clusters.
//
//   means[g,c,:] = mean of x[g,i,:] over the rows i with assignments[g,i] = c, or centres[g,c,:] if there are none
//
// Every invocation goes through all rows and takes its own: more reading than adding up as rows come, but no atomics, and the same
// bits on every run.
//
// Grid: one invocation four columns, numbered (g * centres + c) * blocks + block, 64 in a workgroup. Rows lie in blocks of four columns
// (src/params/prototypes.rs). Limits: about 30,000 rows (all loop turns of an invocation at most 61,440); no optional feature.
//! use grid

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
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> assignments: array<f32>;
@group(0) @binding(3) var<storage, read> centres: array<f32>;
@group(0) @binding(4) var<storage, read_write> means: array<f32>;

fn store(at: u32, column: u32, sum: f32, members: f32) {
    if (column < p.size) {
        var result = centres[p.c_offset + at + column];
        if (members > 0.0) {
            result = sum / members;
        }
        means[p.out_offset + at + column] = result;
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * 64u + lane;
    let blocks = (p.size + 3u) / 4u;
    let block = number % blocks;
    let centre = number / blocks % p.centres;
    let group = number / blocks / p.centres;
    if (group >= p.groups) {
        return;
    }
    let x_start = (p.x_offset + group * p.x_group_stride) / 4u + block * p.rows;
    let a_start = p.a_offset + group * p.a_group_stride;
    var sum = vec4<f32>();
    var members = 0.0;
    for (var row = 0u; row < p.rows; row++) {
        if (u32(assignments[a_start + row]) == centre) {
            sum += x[x_start + row];
            members += 1.0;
        }
    }
    let at = group * p.c_group_stride + centre * p.size;
    store(at, block * 4u, sum.x, members);
    store(at, block * 4u + 1u, sum.y, members);
    store(at, block * 4u + 2u, sum.z, members);
    store(at, block * 4u + 3u, sum.w, members);
}
