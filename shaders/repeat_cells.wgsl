// Tokens of a coarser grid brought back to the finer one: every cell of it gets the token that covers it.
//
//   y[b,f,r,c,:] = x[b, f / depth, r / height, c / width, :]
//
// Grid: an invocation an element of the finer tokens, in their order, 64 a workgroup. Limits: no loops; no optional feature.
//! use grid

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * WORKGROUP + lane;
    let element = number % p.size;
    let token = number / p.size;
    let columns = p.grid_columns * p.width;
    let rows = p.grid_rows * p.height;
    let frames = p.frames * p.depth;
    let column = token % columns;
    let row = token / columns % rows;
    let frame = token / (columns * rows) % frames;
    let batch = token / (columns * rows * frames);
    if (batch >= p.batch) {
        return;
    }
    let from_cell = x_at(batch, frame / p.depth, row / p.height, column / p.width);
    y[y_at(batch, frame, row, column) + element] = StoredY(x[from_cell + element]);
}
