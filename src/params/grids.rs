//! Params of what goes between a grid of tokens and a coarser one.

use super::{dense, first_of_each};
use crate::kernel::{self, IntoParams, Sealed};
use crate::view::BoundView;

/// Motion on a coarser grid (`coarse_motion`): `coarse[b,f,y,x,g] = mean_{j,i} motion[b, f*depth, y*height + j, x*width + i, g*depth] / (width,
/// height)`. Both are `[batch, frames, rows, columns, frames of a sub-clip, 2]` without gaps; a sub-clip is as long in either grid.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CoarseMotionParams {
    /// Batch items.
    pub batch: u32,
    /// Frames of the coarser grid.
    pub frames: u32,
    /// Its rows.
    pub grid_rows: u32,
    /// Its columns.
    pub grid_columns: u32,
    /// Its frames in a sub-clip.
    pub sub_clip: u32,
    /// Frames that a place of it covers.
    pub depth: u32,
    /// Patches from top to bottom that a place of it covers.
    pub height: u32,
    /// Patches from left to right.
    pub width: u32,
    /// First number of the motion.
    pub motion_offset: u32,
    /// First number of the coarser one.
    pub coarse_offset: u32,
}

impl Sealed for CoarseMotionParams {}

impl IntoParams for CoarseMotionParams {
    type Params = kernel::CoarseMotionParams;

    fn into_params(self) -> Self::Params {
        let p = self;
        let [frames, sub_clip] = [p.frames, p.sub_clip].map(|count| count.saturating_mul(p.depth));
        let (rows, columns) = (p.grid_rows.saturating_mul(p.height), p.grid_columns.saturating_mul(p.width));
        let motion = dense(p.motion_offset, &[p.batch, frames, rows, columns, sub_clip, 2]);
        kernel::CoarseMotionParams {
            motion: first_of_each(first_of_each(motion, 1, p.depth), 4, p.depth),
            coarse: dense(p.coarse_offset, &[p.batch, p.frames, p.grid_rows, p.grid_columns, p.sub_clip, 2]),
            batch: p.batch,
            frames: p.frames,
            grid_rows: p.grid_rows,
            grid_columns: p.grid_columns,
            sub_clip: p.sub_clip,
            height: p.height,
            width: p.width,
        }
    }
}

/// Tokens of a coarser grid brought back to the finer one (`repeat_cells`): `y[b, (f, y, x), c] = x[b, (f / depth, y / height, x / width), c]`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RepeatCellsParams {
    /// Batch items.
    pub batch: u32,
    /// Frames of the coarser grid.
    pub frames: u32,
    /// Its rows.
    pub grid_rows: u32,
    /// Its columns.
    pub grid_columns: u32,
    /// Frames that a place of it covers.
    pub depth: u32,
    /// Rows of the finer grid that it covers.
    pub height: u32,
    /// Columns of the finer grid that it covers.
    pub width: u32,
    /// Numbers of a token.
    pub size: u32,
    /// First element of `x`, whose tokens follow each other without gaps.
    pub x_offset: u32,
    /// First element of `y`.
    pub y_offset: u32,
    /// From a batch item of `y` to the next.
    pub y_batch_stride: u32,
    /// From a token of `y` to the next.
    pub y_row_stride: u32,
}

impl Sealed for RepeatCellsParams {}

impl IntoParams for RepeatCellsParams {
    type Params = kernel::RepeatCellsParams;

    fn into_params(self) -> Self::Params {
        let p = self;
        let columns = p.grid_columns.saturating_mul(p.width).saturating_mul(p.y_row_stride);
        let frame = p.grid_rows.saturating_mul(p.height).saturating_mul(columns);
        kernel::RepeatCellsParams {
            x: dense(p.x_offset, &[p.batch, p.frames, p.grid_rows, p.grid_columns, p.size]),
            y: BoundView::new(p.y_offset, &[p.y_batch_stride, frame, columns, p.y_row_stride]),
            batch: p.batch,
            frames: p.frames,
            grid_rows: p.grid_rows,
            grid_columns: p.grid_columns,
            size: p.size,
            depth: p.depth,
            height: p.height,
            width: p.width,
        }
    }
}
