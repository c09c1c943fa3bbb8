//! Params of what goes between a grid of tokens and a coarser one.

use super::{Extent, any, count, extent, looped, params};
use crate::kernel::{Kernel, KernelParams};

params! {
    /// Motion on a coarser grid (`coarse_motion`): `coarse[b,f,y,x,g] = mean_{j,i} motion[b, f*depth, y*height + j, x*width + i, g*depth] / (width,
    /// height)`. Both are `[batch, frames, rows, columns, frames of a sub-clip, 2]` without gaps; a sub-clip is as long in either grid.
    CoarseMotionParams {
        /// Batch items.
        batch: u32,
        /// Frames of the coarser grid.
        frames: u32,
        /// Its rows.
        grid_rows: u32,
        /// Its columns.
        grid_columns: u32,
        /// Its frames in a sub-clip.
        sub_clip: u32,
        /// Frames that a place of it covers.
        depth: u32,
        /// Patches from top to bottom that a place of it covers.
        height: u32,
        /// Patches from left to right.
        width: u32,
        /// First number of the motion.
        motion_offset: u32,
        /// First number of the coarser one.
        coarse_offset: u32,
    }
}

impl CoarseMotionParams {
    fn numbers(&self) -> u64 {
        count(&[self.batch, self.frames, self.grid_rows, self.grid_columns, self.sub_clip, 2])
    }

    fn covered(&self) -> u64 {
        count(&[self.height, self.width])
    }
}

impl KernelParams for CoarseMotionParams {
    const KERNEL: Kernel = Kernel::CoarseMotion;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let places = count(&[p.batch, p.frames, p.depth, p.grid_rows, p.height, p.grid_columns, p.width]);
        let motion = Extent::dense(p.motion_offset, places.saturating_mul(count(&[p.sub_clip, p.depth, 2])));
        vec![motion, Extent::dense(p.coarse_offset, p.numbers())]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let p = self;
        let mut counts = any(&[("batch", p.batch), ("frames", p.frames), ("frames of a sub-clip", p.sub_clip)]);
        counts.extend(any(&[("grid rows", p.grid_rows), ("grid columns", p.grid_columns)]));
        counts.extend(any(&[("depth", p.depth), ("height", p.height), ("width", p.width)]));
        counts
    }

    fn iterations(&self) -> u64 {
        looped(self.height.into(), looped(self.width.into(), 0))
    }

    fn multiply_adds(&self) -> u64 {
        self.numbers().saturating_mul(self.covered())
    }

    fn workgroups(&self) -> u64 {
        self.numbers().div_ceil(64)
    }
}

params! {
    /// Tokens of a coarser grid brought back to the finer one (`repeat_cells`): `y[b, (f, y, x), c] = x[b, (f / depth, y / height, x / width), c]`.
    RepeatCellsParams {
        /// Batch items.
        batch: u32,
        /// Frames of the coarser grid.
        frames: u32,
        /// Its rows.
        grid_rows: u32,
        /// Its columns.
        grid_columns: u32,
        /// Frames that a place of it covers.
        depth: u32,
        /// Rows of the finer grid that it covers.
        height: u32,
        /// Columns of the finer grid that it covers.
        width: u32,
        /// Numbers of a token.
        size: u32,
        /// First element of `x`, whose tokens follow each other without gaps.
        x_offset: u32,
        /// First element of `y`.
        y_offset: u32,
        /// From a batch item of `y` to the next.
        y_batch_stride: u32,
        /// From a token of `y` to the next.
        y_row_stride: u32,
    }
}

impl RepeatCellsParams {
    fn coarse(&self) -> u64 {
        count(&[self.frames, self.grid_rows, self.grid_columns])
    }

    fn tokens(&self) -> u64 {
        self.coarse().saturating_mul(count(&[self.depth, self.height, self.width]))
    }
}

impl KernelParams for RepeatCellsParams {
    const KERNEL: Kernel = Kernel::RepeatCells;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let tokens = u32::try_from(p.tokens()).unwrap_or(u32::MAX);
        vec![
            Extent::dense(p.x_offset, p.coarse().saturating_mul(count(&[p.batch, p.size]))),
            extent(p.y_offset, &[(p.batch, p.y_batch_stride), (tokens, p.y_row_stride)], p.size),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let p = self;
        let mut counts = any(&[("batch", p.batch), ("frames", p.frames), ("numbers of a token", p.size)]);
        counts.extend(any(&[("grid rows", p.grid_rows), ("grid columns", p.grid_columns)]));
        counts.extend(any(&[("depth", p.depth), ("height", p.height), ("width", p.width)]));
        counts
    }

    fn iterations(&self) -> u64 {
        0
    }

    fn multiply_adds(&self) -> u64 {
        0
    }

    fn workgroups(&self) -> u64 {
        self.tokens().saturating_mul(count(&[self.batch, self.size])).div_ceil(64)
    }
}
