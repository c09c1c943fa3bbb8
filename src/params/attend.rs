//! Params of the attention kernels with loose offsets and strides, for operations that are not written in views yet.

use crate::kernel::{self, IntoParams, KernelParams, Sealed};
use crate::view::BoundView;

/// Segmented attention (`attend`): `tokens[b,h,g,r,f] = sum_j softmax_j(scale * q[b,h,g,r] . k[b,h,g,f,j]) v[b,h,g,f,j]`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AttendParams {
    /// Batch items.
    pub batch: u32,
    /// Heads.
    pub heads: u32,
    /// Groups: each has queries and keys of its own.
    pub groups: u32,
    /// Query rows of a group.
    pub rows: u32,
    /// Key segments of a group: each has a softmax and an output of its own.
    pub segments: u32,
    /// Keys of a segment, without the extra one.
    pub keys: u32,
    /// 1 if every segment has the extra key ahead of its own (the class token in divided attention), else 0.
    pub extra_keys: u32,
    /// Elements of a query and a key.
    pub head_size: u32,
    /// Elements of a value.
    pub value_size: u32,
    /// Factor on every score.
    pub scale: f32,
    /// First query.
    pub q_offset: u32,
    /// From a batch item's queries to the next's.
    pub q_batch_stride: u32,
    /// From a head's queries to the next's.
    pub q_head_stride: u32,
    /// From a group's queries to the next's.
    pub q_group_stride: u32,
    /// From a query to the next.
    pub q_row_stride: u32,
    /// First key.
    pub k_offset: u32,
    /// The extra key of batch item 0, head 0.
    pub k_extra_offset: u32,
    /// From a batch item's keys to the next's.
    pub k_batch_stride: u32,
    /// From a head's keys to the next's.
    pub k_head_stride: u32,
    /// From a group's keys to the next's.
    pub k_group_stride: u32,
    /// From a segment's keys to the next's.
    pub k_segment_stride: u32,
    /// From a key to the next.
    pub k_row_stride: u32,
    /// First value.
    pub v_offset: u32,
    /// The extra value of batch item 0, head 0.
    pub v_extra_offset: u32,
    /// From a batch item's values to the next's.
    pub v_batch_stride: u32,
    /// From a head's values to the next's.
    pub v_head_stride: u32,
    /// From a group's values to the next's.
    pub v_group_stride: u32,
    /// From a segment's values to the next's.
    pub v_segment_stride: u32,
    /// From a value to the next.
    pub v_row_stride: u32,
    /// First output.
    pub out_offset: u32,
    /// From a batch item's outputs to the next's.
    pub out_batch_stride: u32,
    /// From a head's outputs to the next's.
    pub out_head_stride: u32,
    /// From a group's outputs to the next's.
    pub out_group_stride: u32,
    /// From a query row's outputs to the next's.
    pub out_row_stride: u32,
    /// From a segment's output to the next's.
    pub out_segment_stride: u32,
}

impl Sealed for AttendParams {}

impl IntoParams for AttendParams {
    type Params = kernel::AttendParams;

    fn into_params(self) -> Self::Params {
        let p = self;
        let keys = [p.k_batch_stride, p.k_head_stride, p.k_group_stride, p.k_segment_stride, p.k_row_stride];
        let values = [p.v_batch_stride, p.v_head_stride, p.v_group_stride, p.v_segment_stride, p.v_row_stride];
        let tokens = [p.out_batch_stride, p.out_head_stride, p.out_group_stride, p.out_row_stride, p.out_segment_stride];
        kernel::AttendParams {
            queries: BoundView::new(p.q_offset, &[p.q_batch_stride, p.q_head_stride, p.q_group_stride, p.q_row_stride]),
            keys: BoundView::new(p.k_offset, &keys).with_extra(p.k_extra_offset),
            values: BoundView::new(p.v_offset, &values).with_extra(p.v_extra_offset),
            tokens: BoundView::new(p.out_offset, &tokens),
            batch: p.batch,
            heads: p.heads,
            groups: p.groups,
            rows: p.rows,
            segments: p.segments,
            key_count: p.keys,
            head_size: p.head_size,
            value_size: p.value_size,
            scale: p.scale,
            extra_keys: p.extra_keys,
        }
    }
}

impl AttendParams {
    /// As [`KernelParams::iterations`].
    pub fn iterations(self) -> u64 {
        self.into_params().iterations()
    }
}

/// Attention weights of chosen queries (`attend_rows`): `weights[b,h,i,f,j] = softmax_j(scale * q[b,h,chosen[i]] . k[b,h,f,j])`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AttendRowsParams {
    /// Batch items.
    pub batch: u32,
    /// Heads.
    pub heads: u32,
    /// Query rows there are; `chosen` holds numbers below this.
    pub rows: u32,
    /// Chosen query rows.
    pub chosen_count: u32,
    /// Key segments.
    pub segments: u32,
    /// Keys of a segment.
    pub keys: u32,
    /// Elements of a query and a key.
    pub head_size: u32,
    /// Factor on every score.
    pub scale: f32,
    /// First query.
    pub q_offset: u32,
    /// From a batch item's queries to the next's.
    pub q_batch_stride: u32,
    /// From a head's queries to the next's.
    pub q_head_stride: u32,
    /// From a query to the next.
    pub q_row_stride: u32,
    /// First key.
    pub k_offset: u32,
    /// From a batch item's keys to the next's.
    pub k_batch_stride: u32,
    /// From a head's keys to the next's.
    pub k_head_stride: u32,
    /// From a segment's keys to the next's.
    pub k_segment_stride: u32,
    /// From a key to the next.
    pub k_row_stride: u32,
    /// First weight; weights are dense `[batch, heads, chosen, segments, keys]` from there.
    pub out_offset: u32,
}

impl Sealed for AttendRowsParams {}

impl IntoParams for AttendRowsParams {
    type Params = kernel::AttendRowsParams;

    fn into_params(self) -> Self::Params {
        let p = self;
        let weights =
            [p.heads * p.chosen_count * p.segments * p.keys, p.chosen_count * p.segments * p.keys, p.segments * p.keys, p.keys];
        kernel::AttendRowsParams {
            queries: BoundView::new(p.q_offset, &[p.q_batch_stride, p.q_head_stride, p.q_row_stride]),
            keys: BoundView::new(p.k_offset, &[p.k_batch_stride, p.k_head_stride, p.k_segment_stride, p.k_row_stride]),
            chosen: BoundView::new(0, &[1]),
            weights: BoundView::new(p.out_offset, &weights),
            batch: p.batch,
            heads: p.heads,
            rows: p.rows,
            chosen_count: p.chosen_count,
            segments: p.segments,
            key_count: p.keys,
            head_size: p.head_size,
            scale: p.scale,
        }
    }
}

/// Attention weights of all queries (`attend_weights`): `weights[b,h,g,r,j] = softmax_j(scale * q[b,h,g,r] . k[b,h,g,j])`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AttendWeightsParams {
    /// Batch items.
    pub batch: u32,
    /// Heads.
    pub heads: u32,
    /// Groups: each has queries and keys of its own.
    pub groups: u32,
    /// Query rows of a group.
    pub rows: u32,
    /// Keys of a group.
    pub keys: u32,
    /// Elements of a query and a key.
    pub head_size: u32,
    /// Factor on every score.
    pub scale: f32,
    /// First query.
    pub q_offset: u32,
    /// From a batch item's queries to the next's.
    pub q_batch_stride: u32,
    /// From a head's queries to the next's.
    pub q_head_stride: u32,
    /// From a group's queries to the next's.
    pub q_group_stride: u32,
    /// From a query to the next.
    pub q_row_stride: u32,
    /// First key.
    pub k_offset: u32,
    /// From a batch item's keys to the next's.
    pub k_batch_stride: u32,
    /// From a head's keys to the next's.
    pub k_head_stride: u32,
    /// From a group's keys to the next's.
    pub k_group_stride: u32,
    /// From a key to the next.
    pub k_row_stride: u32,
    /// First weight; the weights of the keys follow each other.
    pub out_offset: u32,
    /// From a batch item's weights to the next's.
    pub out_batch_stride: u32,
    /// From a head's weights to the next's.
    pub out_head_stride: u32,
    /// From a group's weights to the next's.
    pub out_group_stride: u32,
    /// From a query row's weights to the next's.
    pub out_row_stride: u32,
}

impl Sealed for AttendWeightsParams {}

impl IntoParams for AttendWeightsParams {
    type Params = kernel::AttendWeightsParams;

    fn into_params(self) -> Self::Params {
        let p = self;
        kernel::AttendWeightsParams {
            queries: BoundView::new(p.q_offset, &[p.q_batch_stride, p.q_head_stride, p.q_group_stride, p.q_row_stride]),
            keys: BoundView::new(p.k_offset, &[p.k_batch_stride, p.k_head_stride, p.k_group_stride, p.k_row_stride]),
            weights: BoundView::new(p.out_offset, &[p.out_batch_stride, p.out_head_stride, p.out_group_stride, p.out_row_stride]),
            batch: p.batch,
            heads: p.heads,
            groups: p.groups,
            rows: p.rows,
            key_count: p.keys,
            head_size: p.head_size,
            scale: p.scale,
        }
    }
}
