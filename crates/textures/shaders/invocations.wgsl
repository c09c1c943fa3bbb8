// Invocations of workgroups of 64: numbered in one dimension, with workgroups folded over the grid's x and y, because a dimension holds 65,535 of them
// only; or over the pixels of a picture, a row of it a row of the grid, without a division.

fn invocation_number(workgroup: vec3<u32>, grid: vec3<u32>, lane: u32) -> u32 {
    return (workgroup.y * grid.x + workgroup.x) * 64u + lane;
}

fn pixel_of(workgroup: vec3<u32>, lane: u32) -> vec2<u32> {
    return vec2<u32>(workgroup.x * 64u + lane, workgroup.y);
}
