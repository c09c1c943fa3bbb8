//! Params of the kernels that networks need around their layers.

use super::{Extent, any, count, extent, looped, params};
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

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let learned = Extent::dense(0, p.size.into());
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

    fn iterations(&self) -> u64 {
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
    /// A clip cut in cuboids (`cuboids`): `rows[b, skip + (f*R + r)*C + c, h*channel_step + z*frame_step + j*row_step + i*column_step] =
    /// clip[b, h, f*depth + z, r*height + j, c*width + i]`. Beyond the clip, and in the rows before `skip`, there are zeros.
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
        /// Height of a cuboid, pixels.
        height: u32,
        /// Width of a cuboid, pixels.
        width: u32,
        /// Frames that there are; cuboids may go beyond.
        clip_frames: u32,
        /// Rows of pixels that there are.
        clip_rows: u32,
        /// Columns of pixels that there are.
        clip_columns: u32,
        /// Rows of zeros ahead of each batch item's cuboids: 1 for a class token, else 0.
        skip: u32,
        /// First number of the clip.
        clip_offset: u32,
        /// From a batch item of the clip to the next.
        batch_stride: u32,
        /// From a channel to the next.
        channel_stride: u32,
        /// From a frame to the next.
        frame_stride: u32,
        /// From a row of pixels to the next.
        row_stride: u32,
        /// From a pixel to the next in its row.
        column_stride: u32,
        /// First row; rows follow each other without gaps.
        rows_offset: u32,
        /// In a row, from a channel to the next.
        channel_step: u32,
        /// In a row, from a frame of the cuboid to the next.
        frame_step: u32,
        /// In a row, from a row of pixels to the next.
        row_step: u32,
        /// In a row, from a pixel to the next.
        column_step: u32,
    }
}

impl CuboidsParams {
    /// Rows in the order of the weights of a convolution, `[channels, depth, height, width]`, of a clip `[batch, channels, clip_frames, clip_rows,
    /// clip_columns]` without gaps. All sizes have to be set.
    pub fn of_pixels(self) -> Self {
        let plane = self.clip_rows * self.clip_columns;
        Self {
            batch_stride: self.channels * self.clip_frames * plane,
            channel_stride: self.clip_frames * plane,
            frame_stride: plane,
            row_stride: self.clip_columns,
            column_stride: 1,
            ..self.as_weights()
        }
    }

    /// The same of tokens `[batch, clip_frames, clip_rows, clip_columns, channels]` without gaps.
    pub fn of_tokens(self) -> Self {
        let row = self.clip_columns * self.channels;
        Self {
            batch_stride: self.clip_frames * self.clip_rows * row,
            channel_stride: 1,
            frame_stride: self.clip_rows * row,
            row_stride: row,
            column_stride: self.channels,
            ..self.as_weights()
        }
    }

    fn as_weights(self) -> Self {
        let plane = self.height * self.width;
        Self { channel_step: self.depth * plane, frame_step: plane, row_step: self.width, column_step: 1, ..self }
    }

    /// Numbers in a row.
    pub fn row(&self) -> u64 {
        count(&[self.channels, self.depth, self.height, self.width])
    }

    fn numbers(&self) -> u64 {
        let rows = count(&[self.frames, self.grid_rows, self.grid_columns]).saturating_add(self.skip.into());
        rows.saturating_mul(self.row()).saturating_mul(self.batch.into())
    }
}

impl KernelParams for CuboidsParams {
    const KERNEL: Kernel = Kernel::Cuboids;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        // What cuboids cover of the clip, as far as it is there.
        let seen = |cuboids: u32, size: u32, there: u32| cuboids.saturating_mul(size).min(there);
        let clip = [
            (p.batch, p.batch_stride),
            (p.channels, p.channel_stride),
            (seen(p.frames, p.depth, p.clip_frames), p.frame_stride),
            (seen(p.grid_rows, p.height, p.clip_rows), p.row_stride),
            (seen(p.grid_columns, p.width, p.clip_columns), p.column_stride),
        ];
        let steps = [(p.channels, p.channel_step), (p.depth, p.frame_step), (p.height, p.row_step), (p.width, p.column_step)];
        let rows = Extent::dense(p.rows_offset, p.numbers());
        // Steps that lead out of a row lead out of the last one too.
        let beyond = extent(0, &steps, 1u32).end.saturating_sub(p.row());
        vec![extent(p.clip_offset, &clip, 1u32), Extent { end: rows.end.saturating_add(beyond), ..rows }]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let mut counts =
            any(&[("batch", self.batch), ("channels", self.channels), ("frames", self.frames), ("depth", self.depth)]);
        counts.extend(any(&[("grid rows", self.grid_rows), ("grid columns", self.grid_columns)]));
        counts.extend(any(&[("height", self.height), ("width", self.width), ("frames of the clip", self.clip_frames)]));
        counts.extend(any(&[("rows of the clip", self.clip_rows), ("columns of the clip", self.clip_columns)]));
        counts
    }

    fn iterations(&self) -> u64 {
        0
    }

    fn multiply_adds(&self) -> u64 {
        0
    }

    fn workgroups(&self) -> u64 {
        self.numbers().div_ceil(64)
    }
}
