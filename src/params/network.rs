//! Params of the kernels that networks need around their layers.

use super::{Reach, any, count, extent, looped, params};
use crate::kernel::{Kernel, KernelParams};

params! {
    /// Layer normalisation (`layer_norm`): `y[b,r,c] = scales[c] (x[b,r,c] - mean) / sqrt(variance + epsilon) + shifts[c]` with mean and
    /// (biased) variance over the `size` numbers of a row.
    LayerNormParams {
        /// Batch items.
        batch: u32,
        /// Rows of a batch item.
        rows: u32,
        /// Numbers in a row.
        size: u32,
        /// Added to the variance.
        epsilon: f32,
        /// First row of `x`.
        x_offset: u32,
        /// From a batch item of `x` to the next.
        x_batch_stride: u32,
        /// From a row of `x` to the next.
        x_row_stride: u32,
        /// First row of `y`.
        y_offset: u32,
        /// From a batch item of `y` to the next.
        y_batch_stride: u32,
        /// From a row of `y` to the next.
        y_row_stride: u32,
    }
}

impl KernelParams for LayerNormParams {
    const KERNEL: Kernel = Kernel::LayerNorm;

    fn reaches(&self) -> Vec<Reach> {
        let p = self;
        let learned = Reach::dense(0, p.size.into());
        vec![
            extent(p.x_offset, &[(p.batch, p.x_batch_stride), (p.rows, p.x_row_stride)], p.size),
            learned,
            learned,
            extent(p.y_offset, &[(p.batch, p.y_batch_stride), (p.rows, p.y_row_stride)], p.size),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        any(&[("batch", self.batch), ("rows", self.rows), ("row size", self.size)])
    }

    fn loop_turns(&self) -> u64 {
        3 * looped(self.size.div_ceil(64).into(), 0) + 2 * looped(6, 0)
    }

    fn multiply_adds(&self) -> u64 {
        count(&[self.batch, self.rows, self.size, 3])
    }

    fn workgroups(&self) -> u64 {
        count(&[self.batch, self.rows])
    }
}

params! {
    /// A clip cut in cuboids (`cuboids`): `rows[b, skip + (f*R + r)*C + c, ((h*depth + z)*side + j)*side + i] =
    /// clip[b, h, f*depth + z, r*side + j, c*side + i]`. The rows before `skip` are zero.
    CuboidsParams {
        /// Batch items.
        batch: u32,
        /// Channels `h` of the clip.
        channels: u32,
        /// Cuboids along time, `f`.
        frames: u32,
        /// Cuboids from top to bottom, `R`.
        grid_rows: u32,
        /// Cuboids from left to right, `C`.
        grid_columns: u32,
        /// Frames of a cuboid.
        depth: u32,
        /// Height and width of a cuboid, pixels.
        side: u32,
        /// Rows of zeros ahead of each batch item's cuboids: 1 for a class token, else 0.
        skip: u32,
        /// First number of the clip, `[batch, channels, frames * depth, grid_rows * side, grid_columns * side]` without gaps.
        clip_offset: u32,
        /// First row; rows follow each other without gaps.
        rows_offset: u32,
    }
}

impl CuboidsParams {
    /// Numbers in a row.
    pub fn row(&self) -> u64 {
        count(&[self.channels, self.depth, self.side, self.side])
    }

    fn cuboids(&self) -> u64 {
        count(&[self.frames, self.grid_rows, self.grid_columns])
    }

    fn numbers(&self) -> u64 {
        let rows = self.cuboids().saturating_add(self.skip.into());
        rows.saturating_mul(self.row()).saturating_mul(self.batch.into())
    }
}

impl KernelParams for CuboidsParams {
    const KERNEL: Kernel = Kernel::Cuboids;

    fn reaches(&self) -> Vec<Reach> {
        let clip = self.cuboids().saturating_mul(self.row()).saturating_mul(self.batch.into());
        vec![Reach::dense(self.clip_offset, clip), Reach::dense(self.rows_offset, self.numbers())]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let mut counts =
            any(&[("batch", self.batch), ("channels", self.channels), ("frames", self.frames), ("depth", self.depth)]);
        counts.extend(any(&[("grid rows", self.grid_rows), ("grid columns", self.grid_columns), ("side", self.side)]));
        counts
    }

    fn loop_turns(&self) -> u64 {
        0
    }

    fn multiply_adds(&self) -> u64 {
        0
    }

    fn workgroups(&self) -> u64 {
        self.numbers().div_ceil(64)
    }
}
