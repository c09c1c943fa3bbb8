// Tokens of a coarser grid brought back to the finer one: every place gets the token that covers it.
//
//   y[b, (f, y, x), c] = x[b, (f / depth, y / height, x / width), c]
//
// Grid: an invocation a number of the finer tokens, in their order, 64 a workgroup. Limits: no loops; no optional feature.
//! use grid

struct Params {
    batch: u32,
    frames: u32,             // of the coarser grid, as are the next two
    grid_rows: u32,
    grid_columns: u32,
    depth: u32,              // what a place of it covers
    height: u32,
    width: u32,
    size: u32,               // numbers of a token
    x_offset: u32,           // offsets and strides are in elements; x has no gaps
    y_offset: u32,
    y_batch_stride: u32,
    y_row_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<StoredX>;
@group(0) @binding(2) var<storage, read_write> y: array<StoredY>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * 64u + lane;
    let column = number % p.size;
    let place = number / p.size;
    let columns = p.grid_columns * p.width;
    let rows = p.grid_rows * p.height;
    let tokens = p.frames * p.depth * rows * columns;
    let batch = place / tokens;
    if (batch >= p.batch) {
        return;
    }
    let frame = batch * p.frames + place % tokens / (rows * columns) / p.depth;
    let row = frame * p.grid_rows + place / columns % rows / p.height;
    let covering = row * p.grid_columns + place % columns / p.width;
    y[p.y_offset + batch * p.y_batch_stride + place % tokens * p.y_row_stride + column] =
        StoredY(x[p.x_offset + covering * p.size + column]);
}
