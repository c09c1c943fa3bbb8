// A clip cut in cuboids, each a row for the matrix product that embeds it.
//
//   rows[b, skip + (f*R + r)*C + c, h*channel_step + z*frame_step + j*row_step + i*column_step] =
//       clip[b, h, f*depth + z, r*height + j, c*width + i]
//
// Beyond the clip's frames, rows and columns there are zeros, and so in the `skip` rows ahead of each batch item's: the class token
// has no pixels. The clip has a stride for everything, so that channels may come first (pixels) or last (tokens).
//
// Grid: an invocation a number of the rows, 64 a workgroup. Limits: no loops; no optional feature.
//! use grid

struct Params {
    batch: u32,
    channels: u32,
    frames: u32,             // cuboids along time
    grid_rows: u32,
    grid_columns: u32,
    depth: u32,              // frames of a cuboid
    height: u32,             // pixels of a cuboid
    width: u32,
    clip_frames: u32,        // what there is of the clip
    clip_rows: u32,
    clip_columns: u32,
    skip: u32,               // rows
    clip_offset: u32,        // offsets, strides and steps are in elements
    batch_stride: u32,
    channel_stride: u32,
    frame_stride: u32,
    row_stride: u32,
    column_stride: u32,
    rows_offset: u32,
    channel_step: u32,
    frame_step: u32,
    row_step: u32,
    column_step: u32,
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
    let size = p.channels * p.depth * p.height * p.width;
    let places = p.grid_rows * p.grid_columns;
    let item_rows = p.skip + p.frames * places;
    let row = number / size;
    let batch = row / item_rows;
    if (batch >= p.batch) {
        return;
    }
    let at = number % size;
    if (row % item_rows < p.skip) {
        rows[p.rows_offset + number] = StoredRows(0.0);
        return;
    }
    let i = at % p.width;
    let j = at / p.width % p.height;
    let z = at / (p.width * p.height) % p.depth;
    let channel = at / (p.width * p.height * p.depth);
    let cuboid = row % item_rows - p.skip;
    let frame = cuboid / places * p.depth + z;
    let y = cuboid % places / p.grid_columns * p.height + j;
    let x = cuboid % p.grid_columns * p.width + i;
    let to = p.rows_offset + row * size + channel * p.channel_step + z * p.frame_step + j * p.row_step + i * p.column_step;
    if (frame >= p.clip_frames || y >= p.clip_rows || x >= p.clip_columns) {
        rows[to] = StoredRows(0.0);
        return;
    }
    let pixel = p.clip_offset + batch * p.batch_stride + channel * p.channel_stride + frame * p.frame_stride
        + y * p.row_stride + x * p.column_stride;
    rows[to] = StoredRows(clip[pixel]);
}
