// Patches as they are: [S, depth, side, side, 3], each 0 to 1. Beyond the frame its edge is repeated. An invocation a pixel.

struct Params {
    grid: Grid,
    // Where the values begin, elements.
    offset: u32,
    padding0: u32,
    padding1: u32,
    padding2: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> scaled: array<u32>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = invocation_number(workgroup, grid, lane);
    let g = p.grid;
    let of_frame = g.side * g.side;
    let patch_number = number / (of_frame * g.depth);
    if (patch_number >= g.columns * g.rows) {
        return;
    }
    let frame = number / of_frame % g.depth;
    let x = g.left + i32(patch_number % g.columns * g.side + number % g.side);
    let y = g.top + i32(patch_number / g.columns * g.side + number / g.side % g.side);
    let column = u32(clamp(x, 0, i32(g.width) - 1));
    let row = u32(clamp(y, 0, i32(g.height) - 1));
    let colour = vec3<f32>(channels(scaled[(frame * g.height + row) * g.width + column])) / 255.0;
    let first = p.offset + 3u * number;
    values[first] = colour.r;
    values[first + 1u] = colour.g;
    values[first + 2u] = colour.b;
}
