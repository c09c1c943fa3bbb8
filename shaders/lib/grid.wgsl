// Workgroups are numbered in one dimension and folded over the grid's x and y, because a dimension holds 65,535 workgroups only. A long
// dispatch is cut into slices, each of which begins at its own first workgroup.

struct Slice {
    first_workgroup: u32,
}

@group(0) @binding(8) var<uniform> slice: Slice;

// Index of this workgroup. It may be beyond the last tile: the last row of the grid is rarely full.
fn workgroup_number(id: vec3<u32>, grid: vec3<u32>) -> u32 {
    return slice.first_workgroup + id.y * grid.x + id.x;
}
