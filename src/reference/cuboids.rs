//! Reference of `shaders/cuboids.wgsl`: a clip cut in cuboids, each a row.

use crate::params::CuboidsParams;

/// Input: clip; output: rows. See [`CuboidsParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], rows: &mut [f32]) {
    let p: CuboidsParams = bytemuck::pod_read_unaligned(params);
    let &[clip] = inputs else { return };
    let size = p.row() as usize;
    let mut rows = rows[p.rows_offset as usize..].chunks_exact_mut(size);
    for batch in 0..p.batch {
        rows.by_ref().take(p.skip as usize).for_each(|row| row.fill(0.0));
        for frame in 0..p.frames {
            for place in 0..p.grid_rows * p.grid_columns {
                let Some(row) = rows.next() else { return };
                let corner = [frame * p.depth, place / p.grid_columns * p.height, place % p.grid_columns * p.width];
                for (z, j, i) in numbers(&p) {
                    let [frame, y, x] = [corner[0] + z, corner[1] + j, corner[2] + i];
                    let is_there = frame < p.clip_frames && y < p.clip_rows && x < p.clip_columns;
                    for channel in 0..p.channels {
                        let from = p.clip_offset
                            + batch * p.batch_stride
                            + channel * p.channel_stride
                            + frame * p.frame_stride
                            + y * p.row_stride
                            + x * p.column_stride;
                        let to = channel * p.channel_step + z * p.frame_step + j * p.row_step + i * p.column_step;
                        row[to as usize] = if is_there { clip[from as usize] } else { 0.0 };
                    }
                }
            }
        }
    }
}

/// All places of a cuboid: frame, row and column.
fn numbers(p: &CuboidsParams) -> impl Iterator<Item = (u32, u32, u32)> + use<> {
    let (depth, height, width) = (p.depth, p.height, p.width);
    (0..depth).flat_map(move |z| (0..height).flat_map(move |j| (0..width).map(move |i| (z, j, i))))
}
