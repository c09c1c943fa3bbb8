// Patches of a clip, each a row for the matrix product that embeds it (im2col).
//
//   patches[b * item_rows + skip + (f*R + r)*C + c, h, z, j, i] = clip[b, h, f*depth + z, r*height + j, c*width + i]
//
// with item_rows = skip + F*R*C. Beyond the clip's frames, rows and columns there are zeros, and so in the `skip` rows ahead of each batch
// item's patches: the class token has no pixels. Every axis has a stride, so that channels may come first (pixels) or last (tokens).
//
// Grid: an invocation an element of the patches, 64 a workgroup. Limits: no loops; no optional feature.
//! use grid

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let element = workgroup_number(workgroup, grid) * WORKGROUP + lane;
    let size = p.channels * p.depth * p.height * p.width;
    let positions = p.grid_rows * p.grid_columns;
    let item_rows = p.skip + p.frames * positions;
    let row = element / size;
    let batch = row / item_rows;
    if (batch >= p.batch) {
        return;
    }
    let i = element % p.width;
    let j = element / p.width % p.height;
    let z = element / (p.width * p.height) % p.depth;
    let channel = element % size / (p.width * p.height * p.depth);
    let to = patches_at(row, channel, z, j, i);
    if (row % item_rows < p.skip) {
        patches[to] = StoredPatches(0.0);
        return;
    }
    let position = row % item_rows - p.skip;
    let frame = position / positions * p.depth + z;
    let y = position % positions / p.grid_columns * p.height + j;
    let x = position % p.grid_columns * p.width + i;
    if (frame >= p.clip_frames || y >= p.clip_rows || x >= p.clip_columns) {
        patches[to] = StoredPatches(0.0);
        return;
    }
    patches[to] = StoredPatches(clip[clip_at(batch, channel, frame, y, x)]);
}
