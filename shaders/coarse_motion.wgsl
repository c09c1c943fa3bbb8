// Motion on a coarser grid: the mean over the patches that a cell of it covers, in its own unit.
//
//   coarse[b,f,y,x,g] = mean_{j,i} motion[b, f, y*height + j, x*width + i, g] / (width, height)
//
// Frames are those of the coarser grid: the view of `motion` has the first frame that each of them covers, in sub-clips too.
//
// Grid: an invocation an element of the result, in its order, 64 a workgroup. Needs no optional feature.
//! use grid

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * WORKGROUP + lane;
    let axis = number % 2u;
    let other = number / 2u % p.sub_clip;
    let x = number / 2u / p.sub_clip % p.grid_columns;
    let y = number / 2u / p.sub_clip / p.grid_columns % p.grid_rows;
    let frame = number / 2u / p.sub_clip / p.grid_columns / p.grid_rows % p.frames;
    let batch = number / 2u / p.sub_clip / p.grid_columns / p.grid_rows / p.frames;
    if (batch >= p.batch) {
        return;
    }
    let start = motion_at(batch, frame, y * p.height, x * p.width, other) + axis;
    var sum = 0.0;
    for (var j = 0u; j < p.height; j++) {
        let row = start + j * p.motion.stride.z;
        for (var i = 0u; i < p.width; i++) {
            sum += motion[row + i * p.motion.stride.w];
        }
    }
    let side = f32(select(p.height, p.width, axis == 0u));
    coarse[coarse_at(batch, frame, y, x, other) + axis] = sum / (f32(p.height * p.width) * side);
}
