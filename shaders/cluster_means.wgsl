// Means of clusters.
//
//   means[g,c,:] = mean of x[g,i,:] over the rows i with assignments[g,i] = c, or centres[g,c,:] if there are none
//
// Every invocation scans all rows for those of its cluster. That reads more than scattering rows would, but needs no atomics and gives the
// same bits on every run.
//
// Grid: one invocation four columns, numbered (g * centres + c) * blocks + block, WORKGROUP in a workgroup. Rows lie in blocks of four columns
// (src/kernel/gather_rows.rs). Needs no optional feature.
//! use grid
//! vec4 x

// Writes a column of the new centre at `to`; an empty cluster keeps that of the old centre at `before`.
fn store(to: u32, before: u32, column: u32, sum: f32, members: f32) {
    if (column < p.size) {
        var result = centres[before + column];
        if (members > 0.0) {
            result = sum / members;
        }
        means[to + column] = result;
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * WORKGROUP + lane;
    let blocks = (p.size + 3u) / 4u;
    let block = number % blocks;
    let centre = number / blocks % p.clusters;
    let group = number / blocks / p.clusters;
    if (group >= p.groups) {
        return;
    }
    let assigned = assignments_at(group);
    let step = p.x.stride.z / 4u;
    var at = x_at(group, block, 0u) / 4u;
    var sum = vec4<f32>();
    var members = 0.0;
    for (var row = 0u; row < p.rows; row++) {
        if (u32(assignments[assigned + row]) == centre) {
            sum += x[at];
            members += 1.0;
        }
        at += step;
    }
    let to = means_at(group, centre);
    let before = centres_at(group, centre);
    store(to, before, block * 4u, sum.x, members);
    store(to, before, block * 4u + 1u, sum.y, members);
    store(to, before, block * 4u + 2u, sum.z, members);
    store(to, before, block * 4u + 3u, sum.w, members);
}
