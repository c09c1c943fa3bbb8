//! Tokens of a coarser grid brought back to the finer one.

use super::declaration::{count, kernel};
use crate::view::indices;

kernel! {
    /// Tokens of a coarser grid brought back to the finer one (`repeat_cells`): `y[b,f,r,c] = x[b, f / depth, r / height, c / width]`.
    RepeatCells, RepeatCellsParams, "repeat_cells", |p|
    sizes {
        /// Batch items.
        batch,
        /// Frames of the coarser grid.
        frames,
        /// Rows of the coarser grid.
        grid_rows "grid rows",
        /// Columns of the coarser grid.
        grid_columns "grid columns",
        /// Elements of a token.
        size "numbers of a token",
    }
    given {
        /// Frames that a cell of the coarser grid covers.
        depth,
        /// Rows of the finer grid that it covers.
        height,
        /// Columns of the finer grid that it covers.
        width,
    }
    read x as any {
        /// Tokens of the coarser grid.
        x: [batch, frames, grid_rows, grid_columns; size],
    }
    write y as any {
        /// Tokens of the finer grid.
        y: [batch, (count(&[p.frames, p.depth])), (count(&[p.grid_rows, p.height])), (count(&[p.grid_columns, p.width])); size],
    }
    workgroup: 64,
    workgroups: p.elements().div_ceil(64),
    multiply_adds: 0,
    iterations: 0,
    accesses_in_range: true,
    reference: reference,
}

impl RepeatCellsParams {
    /// Elements of the result.
    fn elements(&self) -> u64 {
        count(&[self.batch, self.frames, self.grid_rows, self.grid_columns, self.depth, self.height, self.width, self.size])
    }
}

/// Input: x; output: y.
fn reference(p: &RepeatCellsParams, inputs: &[&[f32]], y: &mut [f32]) {
    let &[x] = inputs else { return };
    let sizes = [p.batch, p.frames * p.depth, p.grid_rows * p.height, p.grid_columns * p.width];
    for [batch, frame, row, column] in indices(sizes) {
        let token = p.x.row(x, &[batch, frame / p.depth, row / p.height, column / p.width], p.size);
        p.y.row_mut(y, &[batch, frame, row, column], p.size).copy_from_slice(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BoundView, BufferId, Extent, View};

    #[test]
    fn views_are_seen_as_they_lie() {
        let x = View::of(BufferId(0), &[2, 4, 2, 3, 8]);
        // Behind a class token.
        let y = View::of(BufferId(1), &[2, 1 + 8 * 6 * 15, 8]).from(1, 1).split(1, 90).split(2, 15);
        let (params, _) = RepeatCells { x, y, depth: 2, height: 3, width: 5 }.place().expect("they fit");
        let sizes = RepeatCellsParams { batch: 2, frames: 4, grid_rows: 2, grid_columns: 3, size: 8, ..params };
        let (x, y) = (BoundView::new(0, &[192, 48, 24, 8]), BoundView::new(8, &[5768, 720, 120, 8]));
        assert_eq!(params, RepeatCellsParams { x, y, depth: 2, height: 3, width: 5, ..sizes });
        assert_eq!(params.accesses(), [Extent::dense(0, 384), Extent { end: 2 * 5768, elements: 2 * 5760 }]);
    }
}
