//! What operations fill in for the temporal stage's kernels.

use crate::kernel::{self, IntoParams, Sealed};
use crate::view::BoundView;

/// Temporal weights (`temporal_weights`): `weights[b,h,r,f] = softmax_f(scale * queries[b,r,h] . tokens[b,r,f])`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TemporalWeightsParams {
    /// Batch items.
    pub batch: u32,
    /// Heads.
    pub heads: u32,
    /// Query rows.
    pub rows: u32,
    /// Frames.
    pub frames: u32,
    /// Numbers in a query and in the part of a token that is compared with it.
    pub width: u32,
    /// Factor on every score.
    pub scale: f32,
    /// First query.
    pub q_offset: u32,
    /// From a batch item's queries to the next's.
    pub q_batch_stride: u32,
    /// From a row's queries to the next's.
    pub q_row_stride: u32,
    /// From a head's query to the next's.
    pub q_head_stride: u32,
    /// First trajectory token.
    pub t_offset: u32,
    /// From a batch item's tokens to the next's.
    pub t_batch_stride: u32,
    /// From a row's tokens to the next's.
    pub t_row_stride: u32,
    /// From a frame's token to the next's.
    pub t_frame_stride: u32,
    /// First weight; the weights of the frames follow each other.
    pub out_offset: u32,
    /// From a batch item's weights to the next's.
    pub out_batch_stride: u32,
    /// From a head's weights to the next's.
    pub out_head_stride: u32,
    /// From a row's weights to the next's.
    pub out_row_stride: u32,
}

impl Sealed for TemporalWeightsParams {}

impl IntoParams for TemporalWeightsParams {
    type Params = kernel::TemporalWeightsParams;

    fn into_params(self) -> kernel::TemporalWeightsParams {
        let p = self;
        let Self { batch, heads, rows, frames, width, scale, .. } = p;
        let queries = BoundView::new(p.q_offset, &[p.q_batch_stride, p.q_row_stride, p.q_head_stride]);
        let tokens = BoundView::new(p.t_offset, &[p.t_batch_stride, p.t_row_stride, p.t_frame_stride]);
        let weights = BoundView::new(p.out_offset, &[p.out_batch_stride, p.out_head_stride, p.out_row_stride]);
        kernel::TemporalWeightsParams { queries, tokens, weights, batch, heads, rows, frames, width, scale }
    }
}

/// Pooled tokens (`temporal_pool`): `pooled[b,r,h,c] = sum_f weights[b,h,r,f] tokens[b,r,f,h*t_head_stride + c]`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TemporalPoolParams {
    /// Batch items.
    pub batch: u32,
    /// Heads.
    pub heads: u32,
    /// Query rows.
    pub rows: u32,
    /// Frames.
    pub frames: u32,
    /// Numbers pooled for one head.
    pub width: u32,
    /// First weight; the weights of the frames follow each other.
    pub a_offset: u32,
    /// From a batch item's weights to the next's.
    pub a_batch_stride: u32,
    /// From a head's weights to the next's.
    pub a_head_stride: u32,
    /// From a row's weights to the next's.
    pub a_row_stride: u32,
    /// First trajectory token.
    pub t_offset: u32,
    /// From a batch item's tokens to the next's.
    pub t_batch_stride: u32,
    /// From a row's tokens to the next's.
    pub t_row_stride: u32,
    /// From a frame's token to the next's.
    pub t_frame_stride: u32,
    /// From a head's part of a token to the next's; 0 if every head pools the whole token.
    pub t_head_stride: u32,
    /// First output.
    pub out_offset: u32,
    /// From a batch item's outputs to the next's.
    pub out_batch_stride: u32,
    /// From a row's outputs to the next's.
    pub out_row_stride: u32,
    /// From a head's output to the next's.
    pub out_head_stride: u32,
}

impl Sealed for TemporalPoolParams {}

impl IntoParams for TemporalPoolParams {
    type Params = kernel::TemporalPoolParams;

    fn into_params(self) -> kernel::TemporalPoolParams {
        let p = self;
        let Self { batch, heads, rows, frames, width, .. } = p;
        let weights = BoundView::new(p.a_offset, &[p.a_batch_stride, p.a_head_stride, p.a_row_stride]);
        let tokens = BoundView::new(p.t_offset, &[p.t_batch_stride, p.t_row_stride, p.t_frame_stride, p.t_head_stride]);
        let pooled = BoundView::new(p.out_offset, &[p.out_batch_stride, p.out_row_stride, p.out_head_stride]);
        kernel::TemporalPoolParams { weights, tokens, pooled, batch, heads, rows, frames, width }
    }
}
