// Work items are numbered in one dimension and folded over the grid's x and y, because a dimension holds 65,535 workgroups only.

// Number of this workgroup. It may lie beyond the work there is: the last row of the grid is rarely full.
fn workgroup_number(id: vec3<u32>, grid: vec3<u32>) -> u32 {
    return id.y * grid.x + id.x;
}
