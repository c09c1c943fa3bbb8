// Motion on a coarser grid: the mean over the patches that a place of it covers, in its own unit.
//
//   coarse[b,f,y,x,g] = mean_{j,i} motion[b, f*depth, y*height + j, x*width + i, g*depth] / (width, height)
//
// A frame of the coarser grid is the first of the `depth` frames it covers, and so are those of its sub-clips, which are as much shorter.
//
// Grid: an invocation a number of the result, in its order, 64 a workgroup. Limits: all loop turns of an invocation at most 61,440; no optional
// feature.
//! use grid

struct Params {
    batch: u32,
    frames: u32,             // of the coarser grid, as are the next three
    grid_rows: u32,
    grid_columns: u32,
    sub_clip: u32,
    depth: u32,              // what a place of it covers: frames,
    height: u32,             // patches from top to bottom
    width: u32,              // and from left to right
    motion_offset: u32,      // elements
    coarse_offset: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> motion: array<f32>;
@group(0) @binding(2) var<storage, read_write> coarse: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * 64u + lane;
    let axis = number % 2u;
    let other = number / 2u % p.sub_clip;
    let x = number / 2u / p.sub_clip % p.grid_columns;
    let y = number / 2u / p.sub_clip / p.grid_columns % p.grid_rows;
    // Frames of all batch items; sub-clips are whole, so that they follow each other.
    let frame = number / 2u / p.sub_clip / p.grid_columns / p.grid_rows;
    if (frame >= p.batch * p.frames) {
        return;
    }
    let columns = p.grid_columns * p.width;
    let step = p.sub_clip * p.depth * 2u;
    var sum = 0.0;
    for (var j = 0u; j < p.height; j++) {
        let row = (frame * p.depth * p.grid_rows + y) * p.height + j;
        for (var i = 0u; i < p.width; i++) {
            sum += motion[p.motion_offset + (row * columns + x * p.width + i) * step + other * p.depth * 2u + axis];
        }
    }
    let side = f32(select(p.height, p.width, axis == 0u));
    coarse[p.coarse_offset + number] = sum / (f32(p.height * p.width) * side);
}
