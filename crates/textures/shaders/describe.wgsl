// Descriptors of patches: colour means over 4 x 4 cells around the patch in both halves of its time, less a mean colour, at length one.
//
//   keys[s] = c / max(|c|, sqrt(count) / 255),   c = (cells[h, row + j, column + i] - mean) for all h, j, i
//
// What is flatter than one step of 8-bit colour is noise, and is not blown up to full length. An invocation a patch.

struct Params {
    grid: Grid,
    halves: u32,
    // Where the keys begin, elements.
    offset: u32,
    padding0: u32,
    padding1: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> cells: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> mean: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> keys: array<f32>;

// Colour of the descriptor's cell `index`, less the mean.
fn contrast(column: u32, row: u32, index: u32) -> vec3<f32> {
    let half = index / 16u;
    let at = (half * (p.grid.rows + 3u) + row + index / 4u % 4u) * (p.grid.columns + 3u) + column + index % 4u;
    return cells[at].rgb - mean[0].rgb;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let patch_number = invocation_number(workgroup, grid, lane);
    if (patch_number >= p.grid.columns * p.grid.rows) {
        return;
    }
    let column = patch_number % p.grid.columns;
    let row = patch_number / p.grid.columns;
    let count = 16u * p.halves;
    var squares = 0.0;
    for (var i = 0u; i < count; i++) {
        let colour = contrast(column, row, i);
        squares += dot(colour, colour);
    }
    let length = max(sqrt(squares), sqrt(f32(3u * count)) / 255.0);
    let first = p.offset + patch_number * 3u * count;
    for (var i = 0u; i < count; i++) {
        let colour = contrast(column, row, i) / length;
        keys[first + 3u * i] = colour.r;
        keys[first + 3u * i + 1u] = colour.g;
        keys[first + 3u * i + 2u] = colour.b;
    }
}
