//! Reference of `shaders/repeat_cells.wgsl`: tokens of a coarser grid brought back to the finer one.

use crate::params::RepeatCellsParams;

/// Input: x; output: y. See [`RepeatCellsParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], y: &mut [f32]) {
    let p: RepeatCellsParams = bytemuck::pod_read_unaligned(params);
    let &[x] = inputs else { return };
    let (rows, columns, size) = (p.grid_rows * p.height, p.grid_columns * p.width, p.size as usize);
    for batch in 0..p.batch {
        for token in 0..p.frames * p.depth * rows * columns {
            let (frame, row, column) = (token / columns / rows, token / columns % rows, token % columns);
            let coarse = (batch * p.frames + frame / p.depth) * p.grid_rows + row / p.height;
            let from = p.x_offset as usize + (coarse * p.grid_columns + column / p.width) as usize * size;
            let to = (p.y_offset + batch * p.y_batch_stride + token * p.y_row_stride) as usize;
            y[to..to + size].copy_from_slice(&x[from..from + size]);
        }
    }
}
