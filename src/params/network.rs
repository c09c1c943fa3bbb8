//! Kernels that networks need around their layers, by offsets and strides.

use super::count;
use crate::kernel::{IntoParams, PatchifyParams, Sealed};
use crate::view::BoundView;

/// Layer normalisation by offsets and strides: see [`LayerNorm`](crate::kernel::LayerNorm).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LayerNormParams {
    /// Batch items.
    pub batch: u32,
    /// Rows of a batch item.
    pub rows: u32,
    /// Elements of a row.
    pub size: u32,
    /// Added to the variance.
    pub epsilon: f32,
    /// First row of `x`.
    pub x_offset: u32,
    /// From a batch item of `x` to the next.
    pub x_batch_stride: u32,
    /// From a row of `x` to the next.
    pub x_row_stride: u32,
    /// First row of `y`.
    pub y_offset: u32,
    /// From a batch item of `y` to the next.
    pub y_batch_stride: u32,
    /// From a row of `y` to the next.
    pub y_row_stride: u32,
}

impl Sealed for LayerNormParams {}

impl IntoParams for LayerNormParams {
    type Params = crate::kernel::LayerNormParams;

    fn into_params(self) -> Self::Params {
        let p = self;
        Self::Params {
            x: BoundView::new(p.x_offset, &[p.x_batch_stride, p.x_row_stride]),
            scales: BoundView::default(),
            shifts: BoundView::default(),
            y: BoundView::new(p.y_offset, &[p.y_batch_stride, p.y_row_stride]),
            batch: p.batch,
            rows: p.rows,
            size: p.size,
            epsilon: p.epsilon,
        }
    }
}

/// Patches of a clip by offsets and strides: see [`Patchify`](crate::kernel::Patchify).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CuboidsParams {
    /// Batch items.
    pub batch: u32,
    /// Channels `h` of the clip.
    pub channels: u32,
    /// Patches along time, `f`.
    pub frames: u32,
    /// Patches from top to bottom, `R`.
    pub grid_rows: u32,
    /// Patches from left to right, `C`.
    pub grid_columns: u32,
    /// Frames of a patch.
    pub depth: u32,
    /// Height of a patch, pixels.
    pub height: u32,
    /// Width of a patch, pixels.
    pub width: u32,
    /// Frames that there are; patches may go beyond.
    pub clip_frames: u32,
    /// Rows of pixels that there are.
    pub clip_rows: u32,
    /// Columns of pixels that there are.
    pub clip_columns: u32,
    /// Rows of zeros ahead of each batch item's patches: 1 for a class token, else 0.
    pub skip: u32,
    /// First element of the clip.
    pub clip_offset: u32,
    /// From a batch item of the clip to the next.
    pub batch_stride: u32,
    /// From a channel to the next.
    pub channel_stride: u32,
    /// From a frame to the next.
    pub frame_stride: u32,
    /// From a row of pixels to the next.
    pub row_stride: u32,
    /// From a pixel to the next in its row.
    pub column_stride: u32,
    /// First row; rows follow each other without gaps.
    pub rows_offset: u32,
    /// In a row, from a channel to the next.
    pub channel_step: u32,
    /// In a row, from a frame of the patch to the next.
    pub frame_step: u32,
    /// In a row, from a row of pixels to the next.
    pub row_step: u32,
    /// In a row, from a pixel to the next.
    pub column_step: u32,
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
}

impl Sealed for CuboidsParams {}

impl IntoParams for CuboidsParams {
    type Params = PatchifyParams;

    fn into_params(self) -> PatchifyParams {
        let p = self;
        let clip = [p.batch_stride, p.channel_stride, p.frame_stride, p.row_stride, p.column_stride];
        let row = u32::try_from(p.row()).unwrap_or(u32::MAX);
        PatchifyParams {
            clip: BoundView::new(p.clip_offset, &clip),
            patches: BoundView::new(p.rows_offset, &[row, p.channel_step, p.frame_step, p.row_step, p.column_step]),
            batch: p.batch,
            channels: p.channels,
            clip_frames: p.clip_frames,
            clip_rows: p.clip_rows,
            clip_columns: p.clip_columns,
            depth: p.depth,
            height: p.height,
            width: p.width,
            frames: p.frames,
            grid_rows: p.grid_rows,
            grid_columns: p.grid_columns,
            skip: p.skip,
        }
    }
}
