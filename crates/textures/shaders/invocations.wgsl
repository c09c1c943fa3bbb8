// Invocations are numbered in one dimension; workgroups of 64 are folded over the grid's x and y, because a dimension holds 65,535 of them only.

fn invocation_number(workgroup: vec3<u32>, grid: vec3<u32>, lane: u32) -> u32 {
    return (workgroup.y * grid.x + workgroup.x) * 64u + lane;
}
