//! Params of the kernels that only Nyström and Performer attention need.

use super::{count, dense};
use crate::kernel::{self, IntoParams, Sealed};
use crate::view::BoundView;

/// Means of consecutive rows (`segment_means`): tokens in patch-major order, `t = s * frames + f`, are cut in segments; the first
/// `short_segments` have `short_length` tokens, the others one more. `out[b,h,g,r] = mean of segment r`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SegmentMeansParams {
    /// Batch items.
    pub batch: u32,
    /// Heads.
    pub heads: u32,
    /// Groups: each has tokens of its own.
    pub groups: u32,
    /// Frames of a group's tokens.
    pub frames: u32,
    /// Segments.
    pub segments: u32,
    /// Segments of the shorter length; they come first.
    pub short_segments: u32,
    /// Tokens in one of those.
    pub short_length: u32,
    /// Numbers in a token.
    pub size: u32,
    /// First token.
    pub x_offset: u32,
    /// From a batch item's tokens to the next's.
    pub x_batch_stride: u32,
    /// From a head's tokens to the next's.
    pub x_head_stride: u32,
    /// From a group's tokens to the next's.
    pub x_group_stride: u32,
    /// From a frame's tokens to the next's.
    pub x_frame_stride: u32,
    /// From a place's token to the next place's in the same frame.
    pub x_patch_stride: u32,
    /// First mean; means are dense `[batch, heads, groups, segments, size]` from there.
    pub out_offset: u32,
}

impl Sealed for SegmentMeansParams {}

impl IntoParams for SegmentMeansParams {
    type Params = kernel::SegmentMeansParams;

    fn into_params(self) -> Self::Params {
        let p = self;
        let tokens = count(&[p.segments, p.short_length]) + u64::from(p.segments.saturating_sub(p.short_segments));
        let patches = u32::try_from(tokens / u64::from(p.frames.max(1))).unwrap_or(u32::MAX);
        let x = [p.x_batch_stride, p.x_head_stride, p.x_group_stride, p.x_frame_stride, p.x_patch_stride];
        kernel::SegmentMeansParams {
            x: BoundView::new(p.x_offset, &x),
            means: dense(p.out_offset, &[p.batch, p.heads, p.groups, p.segments, p.size]),
            batch: p.batch,
            heads: p.heads,
            groups: p.groups,
            frames: p.frames,
            patches,
            segments: p.segments,
            size: p.size,
        }
    }
}

/// Where the iteration for the pseudo-inverse begins (`inverse_start`): `out[g] = a[g]' / (largest column sum * largest row sum of |a[g]|)`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct InverseStartParams {
    /// Matrices.
    pub groups: u32,
    /// Rows and columns of a matrix.
    pub size: u32,
    /// First matrix; matrices follow each other, rows without gaps.
    pub a_offset: u32,
    /// First result, likewise.
    pub out_offset: u32,
}

impl Sealed for InverseStartParams {}

impl IntoParams for InverseStartParams {
    type Params = kernel::InverseStartParams;

    fn into_params(self) -> Self::Params {
        let Self { groups, size, a_offset, out_offset } = self;
        let [matrices, starts] = [a_offset, out_offset].map(|offset| dense(offset, &[groups, size, size]));
        kernel::InverseStartParams { matrices, starts, groups, size }
    }
}

/// What positive random features need to know of each row (`feature_rows`): half its squared length after scaling, and the largest of its
/// projections. `out[b,h,r] = (square_scale * |x|^2 / 2, max_m projections[b,h,r,m])`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FeatureRowsParams {
    /// Batch items.
    pub batch: u32,
    /// Heads.
    pub heads: u32,
    /// Rows.
    pub rows: u32,
    /// Numbers in a row of `x`.
    pub size: u32,
    /// Projections of a row.
    pub features: u32,
    /// Factor on the squared length.
    pub square_scale: f32,
    /// First row of `x`.
    pub x_offset: u32,
    /// From a batch item's rows to the next's.
    pub x_batch_stride: u32,
    /// From a head's rows to the next's.
    pub x_head_stride: u32,
    /// From a row to the next.
    pub x_row_stride: u32,
    /// First projection; projections are dense `[batch, heads, rows, features]` from there.
    pub d_offset: u32,
    /// First pair; pairs are dense `[batch, heads, rows, 2]` from there.
    pub out_offset: u32,
}

impl Sealed for FeatureRowsParams {}

impl IntoParams for FeatureRowsParams {
    type Params = kernel::FeatureRowsParams;

    fn into_params(self) -> Self::Params {
        let p = self;
        kernel::FeatureRowsParams {
            x: BoundView::new(p.x_offset, &[p.x_batch_stride, p.x_head_stride, p.x_row_stride]),
            projections: dense(p.d_offset, &[p.batch, p.heads, p.rows, p.features]),
            stats: dense(p.out_offset, &[p.batch, p.heads, p.rows, 2]),
            batch: p.batch,
            heads: p.heads,
            rows: p.rows,
            size: p.size,
            features: p.features,
            square_scale: p.square_scale,
        }
    }
}

/// Positive random features (`features`), in place of the projections they are made from:
/// `projections[b,h,r,m] = exp(projections[b,h,r,m] - half_square[b,h,r] - peak) + 1e-6`, where the peak is that of the row, or of all rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FeaturesParams {
    /// Batch items.
    pub batch: u32,
    /// Heads.
    pub heads: u32,
    /// Rows.
    pub rows: u32,
    /// Features of a row.
    pub features: u32,
    /// 0: each row has its own peak (queries); 1: the rows of a head share the largest (keys).
    pub shared_peak: u32,
    /// First pair of `feature_rows`; pairs are dense `[batch, heads, rows, 2]` from there.
    pub stats_offset: u32,
    /// First projection; projections are dense `[batch, heads, rows, features]` from there.
    pub out_offset: u32,
}

impl Sealed for FeaturesParams {}

impl IntoParams for FeaturesParams {
    type Params = kernel::FeaturesParams;

    fn into_params(self) -> Self::Params {
        let p = self;
        kernel::FeaturesParams {
            stats: dense(p.stats_offset, &[p.batch, p.heads, p.rows, 2]),
            projections: dense(p.out_offset, &[p.batch, p.heads, p.rows, p.features]),
            batch: p.batch,
            heads: p.heads,
            rows: p.rows,
            features: p.features,
            shared_max: p.shared_peak,
        }
    }
}

/// Attention by features (`feature_attend`): `tokens[b,h,r,f] = sum_m q[b,h,r,m] kv[b,h,f,m] / sum_m q[b,h,r,m] k[b,h,f,m]`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FeatureAttendParams {
    /// Batch items.
    pub batch: u32,
    /// Heads.
    pub heads: u32,
    /// Query rows.
    pub rows: u32,
    /// Key segments.
    pub segments: u32,
    /// Features.
    pub features: u32,
    /// Numbers in a token.
    pub value_size: u32,
    /// First query's features, which follow each other.
    pub q_offset: u32,
    /// From a batch item's queries to the next's.
    pub q_batch_stride: u32,
    /// From a head's queries to the next's.
    pub q_head_stride: u32,
    /// From a query to the next.
    pub q_row_stride: u32,
    /// First of the sums of key features times values.
    pub kv_offset: u32,
    /// From a batch item's sums to the next's.
    pub kv_batch_stride: u32,
    /// From a head's sums to the next's.
    pub kv_head_stride: u32,
    /// From a segment's sums to the next's.
    pub kv_segment_stride: u32,
    /// From a feature's sums to the next's.
    pub kv_feature_stride: u32,
    /// From a number of a value to the next.
    pub kv_value_stride: u32,
    /// First of the sums of key features, which follow each other.
    pub k_offset: u32,
    /// From a batch item's sums to the next's.
    pub k_batch_stride: u32,
    /// From a head's sums to the next's.
    pub k_head_stride: u32,
    /// From a segment's sums to the next's.
    pub k_segment_stride: u32,
    /// First token.
    pub out_offset: u32,
    /// From a batch item's tokens to the next's.
    pub out_batch_stride: u32,
    /// From a head's tokens to the next's.
    pub out_head_stride: u32,
    /// From a row's tokens to the next's.
    pub out_row_stride: u32,
    /// From a segment's token to the next's.
    pub out_segment_stride: u32,
}

impl Sealed for FeatureAttendParams {}

impl IntoParams for FeatureAttendParams {
    type Params = kernel::FeatureAttendParams;

    fn into_params(self) -> Self::Params {
        let p = self;
        let key_values = [p.kv_batch_stride, p.kv_head_stride, p.kv_segment_stride, p.kv_feature_stride, p.kv_value_stride];
        let tokens = [p.out_batch_stride, p.out_head_stride, p.out_row_stride, p.out_segment_stride];
        kernel::FeatureAttendParams {
            queries: BoundView::new(p.q_offset, &[p.q_batch_stride, p.q_head_stride, p.q_row_stride]),
            key_values: BoundView::new(p.kv_offset, &key_values),
            key_sums: BoundView::new(p.k_offset, &[p.k_batch_stride, p.k_head_stride, p.k_segment_stride]),
            tokens: BoundView::new(p.out_offset, &tokens),
            batch: p.batch,
            heads: p.heads,
            rows: p.rows,
            segments: p.segments,
            features: p.features,
            value_size: p.value_size,
        }
    }
}
