// A clip cut in cuboids, each a row for the matrix product that embeds it.
//
//   rows[b, skip + (f*R + r)*C + c, ((h*depth + z)*side + j)*side + i] = clip[b, h, f*depth + z, r*side + j, c*side + i]
//
// The `skip` rows ahead of each batch item's are zero: the class token has no pixels.
//
// Grid: an invocation a number of the rows, in their order, 64 a workgroup. Limits: no loops; no optional feature.

struct Params {
    batch: u32,
    channels: u32,
    frames: u32,             // cuboids along time
    grid_rows: u32,
    grid_columns: u32,
    depth: u32,              // frames of a cuboid
    side: u32,               // pixels
    skip: u32,               // rows
    clip_offset: u32,        // offsets are in elements
    rows_offset: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> clip: array<StoredClip>;
@group(0) @binding(2) var<storage, read_write> rows: array<StoredRows>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(workgroup, grid) * 64u + lane;
    let size = p.channels * p.depth * p.side * p.side;
    let places = p.grid_rows * p.grid_columns;
    let item_rows = p.skip + p.frames * places;
    let row = number / size;
    let batch = row / item_rows;
    if (batch >= p.batch) {
        return;
    }
    if (row % item_rows < p.skip) {
        rows[p.rows_offset + number] = StoredRows(0.0);
        return;
    }
    let cuboid = row % item_rows - p.skip;
    let at = number % size;
    let x = cuboid % p.grid_columns * p.side + at % p.side;
    let y = cuboid % places / p.grid_columns * p.side + at / p.side % p.side;
    let frame = cuboid / places * p.depth + at / (p.side * p.side) % p.depth;
    let channel = at / (p.side * p.side * p.depth);
    let plane = (batch * p.channels + channel) * p.frames * p.depth + frame;
    let pixel = (plane * p.grid_rows * p.side + y) * p.grid_columns * p.side + x;
    rows[p.rows_offset + number] = StoredRows(clip[p.clip_offset + pixel]);
}
