//! Params of the kernels that only Nyström and Performer attention need.

use super::{Extent, any, count, extent, looped, params};
use crate::kernel::{Kernel, KernelParams};
use crate::shape::MAX_HEAD_SIZE;

params! {
    /// Means of consecutive rows (`segment_means`): tokens in patch-major order, `t = s * frames + f`, are cut in segments; the first
    /// `short_segments` have `short_length` tokens, the others one more. `out[b,h,g,r] = mean of segment r`.
    SegmentMeansParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Groups: each has tokens of its own.
        groups: u32,
        /// Frames of a group's tokens.
        frames: u32,
        /// Segments.
        segments: u32,
        /// Segments of the shorter length; they come first.
        short_segments: u32,
        /// Tokens in one of those.
        short_length: u32,
        /// Numbers in a token.
        size: u32,
        /// First token.
        x_offset: u32,
        /// From a batch item's tokens to the next's.
        x_batch_stride: u32,
        /// From a head's tokens to the next's.
        x_head_stride: u32,
        /// From a group's tokens to the next's.
        x_group_stride: u32,
        /// From a frame's tokens to the next's.
        x_frame_stride: u32,
        /// From a place's token to the next place's in the same frame.
        x_patch_stride: u32,
        /// First mean; means are dense `[batch, heads, groups, segments, size]` from there.
        out_offset: u32,
    }
}

impl SegmentMeansParams {
    /// Tokens of a group.
    fn tokens(&self) -> u64 {
        let long = u64::from(self.segments.saturating_sub(self.short_segments));
        u64::from(self.segments) * u64::from(self.short_length) + long
    }
}

impl KernelParams for SegmentMeansParams {
    const KERNEL: Kernel = Kernel::SegmentMeans;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let patches = p.tokens().div_ceil(p.frames.max(1).into()).min(u32::MAX.into()) as u32;
        let outer = [(p.batch, p.x_batch_stride), (p.heads, p.x_head_stride), (p.groups, p.x_group_stride)];
        let x = [&outer[..], &[(p.frames, p.x_frame_stride), (patches, p.x_patch_stride)]].concat();
        let means = count(&[p.batch, p.heads, p.groups, p.segments, p.size]);
        vec![extent(p.x_offset, &x, p.size), Extent::dense(p.out_offset, means)]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let mut counts = any(&[("batch", self.batch), ("heads", self.heads), ("groups", self.groups), ("frames", self.frames)]);
        counts.extend(any(&[("segments", self.segments), ("tokens of a segment", self.short_length), ("size", self.size)]));
        counts
    }

    fn iterations(&self) -> u64 {
        looped(u64::from(self.short_length) + 1, 0)
    }

    fn multiply_adds(&self) -> u64 {
        count(&[self.batch, self.heads, self.groups, self.size]).saturating_mul(self.tokens())
    }

    fn workgroups(&self) -> u64 {
        count(&[self.batch, self.heads, self.groups, self.segments, self.size]).div_ceil(64)
    }
}

params! {
    /// Where the iteration for the pseudo-inverse begins (`inverse_start`): `out[g] = a[g]' / (largest column sum * largest row sum of |a[g]|)`.
    InverseStartParams {
        /// Matrices.
        groups: u32,
        /// Rows and columns of a matrix.
        size: u32,
        /// First matrix; matrices follow each other, rows without gaps.
        a_offset: u32,
        /// First result, likewise.
        out_offset: u32,
    }
}

impl KernelParams for InverseStartParams {
    const KERNEL: Kernel = Kernel::InverseStart;

    fn accesses(&self) -> Vec<Extent> {
        let all = count(&[self.groups, self.size, self.size]);
        vec![Extent::dense(self.a_offset, all), Extent::dense(self.out_offset, all)]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        any(&[("matrices", self.groups), ("matrix size", self.size)])
    }

    fn iterations(&self) -> u64 {
        let lines = u64::from(self.size.div_ceil(64));
        looped(lines, looped(self.size.into(), 0)) + looped(6, 0) + looped(lines, looped(self.size.into(), 0))
    }

    fn multiply_adds(&self) -> u64 {
        count(&[self.groups, self.size, self.size, 3])
    }

    fn workgroups(&self) -> u64 {
        self.groups.into()
    }
}

params! {
    /// What positive random features need to know of each row (`feature_rows`): half its squared length after scaling, and the largest of its
    /// projections. `out[b,h,r] = (square_scale * |x|^2 / 2, max_m projections[b,h,r,m])`.
    FeatureRowsParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Rows.
        rows: u32,
        /// Numbers in a row of `x`.
        size: u32,
        /// Projections of a row.
        features: u32,
        /// Factor on the squared length.
        square_scale: f32,
        /// First row of `x`.
        x_offset: u32,
        /// From a batch item's rows to the next's.
        x_batch_stride: u32,
        /// From a head's rows to the next's.
        x_head_stride: u32,
        /// From a row to the next.
        x_row_stride: u32,
        /// First projection; projections are dense `[batch, heads, rows, features]` from there.
        d_offset: u32,
        /// First pair; pairs are dense `[batch, heads, rows, 2]` from there.
        out_offset: u32,
    }
}

impl KernelParams for FeatureRowsParams {
    const KERNEL: Kernel = Kernel::FeatureRows;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let x = [(p.batch, p.x_batch_stride), (p.heads, p.x_head_stride), (p.rows, p.x_row_stride)];
        vec![
            extent(p.x_offset, &x, p.size),
            Extent::dense(p.d_offset, count(&[p.batch, p.heads, p.rows, p.features])),
            Extent::dense(p.out_offset, count(&[p.batch, p.heads, p.rows, 2])),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let outer = [("batch", self.batch), ("heads", self.heads), ("rows", self.rows)];
        any(&[outer.as_slice(), &[("row size", self.size), ("features", self.features)]].concat())
    }

    fn iterations(&self) -> u64 {
        looped(self.size.into(), 0) + looped(self.features.into(), 0)
    }

    fn multiply_adds(&self) -> u64 {
        count(&[self.batch, self.heads, self.rows, self.size])
    }

    fn workgroups(&self) -> u64 {
        count(&[self.batch, self.heads, self.rows]).div_ceil(64)
    }
}

params! {
    /// Positive random features (`features`), in place of the projections they are made from:
    /// `projections[b,h,r,m] = exp(projections[b,h,r,m] - half_square[b,h,r] - peak) + 1e-6`, where the peak is that of the row, or of all rows.
    FeaturesParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Rows.
        rows: u32,
        /// Features of a row.
        features: u32,
        /// 0: each row has its own peak (queries); 1: the rows of a head share the largest (keys).
        shared_peak: u32,
        /// First pair of `feature_rows`; pairs are dense `[batch, heads, rows, 2]` from there.
        stats_offset: u32,
        /// First projection; projections are dense `[batch, heads, rows, features]` from there.
        out_offset: u32,
    }
}

impl KernelParams for FeaturesParams {
    const KERNEL: Kernel = Kernel::Features;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        vec![
            Extent::dense(p.stats_offset, count(&[p.batch, p.heads, p.rows, 2])),
            Extent::dense(p.out_offset, count(&[p.batch, p.heads, p.rows, p.features])),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        any(&[("batch", self.batch), ("heads", self.heads), ("rows", self.rows), ("features", self.features)])
    }

    fn iterations(&self) -> u64 {
        looped(self.rows.div_ceil(64).into(), 0) + looped(6, 0) + looped(self.features.into(), 0)
    }

    fn multiply_adds(&self) -> u64 {
        0
    }

    fn workgroups(&self) -> u64 {
        count(&[self.rows.div_ceil(64), self.heads, self.batch])
    }
}

params! {
    /// Attention by features (`feature_attend`): `tokens[b,h,r,f] = sum_m q[b,h,r,m] kv[b,h,f,m] / sum_m q[b,h,r,m] k[b,h,f,m]`.
    FeatureAttendParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Query rows.
        rows: u32,
        /// Key segments.
        segments: u32,
        /// Features.
        features: u32,
        /// Numbers in a token.
        value_size: u32,
        /// First query's features, which follow each other.
        q_offset: u32,
        /// From a batch item's queries to the next's.
        q_batch_stride: u32,
        /// From a head's queries to the next's.
        q_head_stride: u32,
        /// From a query to the next.
        q_row_stride: u32,
        /// First of the sums of key features times values.
        kv_offset: u32,
        /// From a batch item's sums to the next's.
        kv_batch_stride: u32,
        /// From a head's sums to the next's.
        kv_head_stride: u32,
        /// From a segment's sums to the next's.
        kv_segment_stride: u32,
        /// From a feature's sums to the next's.
        kv_feature_stride: u32,
        /// From a number of a value to the next.
        kv_value_stride: u32,
        /// First of the sums of key features, which follow each other.
        k_offset: u32,
        /// From a batch item's sums to the next's.
        k_batch_stride: u32,
        /// From a head's sums to the next's.
        k_head_stride: u32,
        /// From a segment's sums to the next's.
        k_segment_stride: u32,
        /// First token.
        out_offset: u32,
        /// From a batch item's tokens to the next's.
        out_batch_stride: u32,
        /// From a head's tokens to the next's.
        out_head_stride: u32,
        /// From a row's tokens to the next's.
        out_row_stride: u32,
        /// From a segment's token to the next's.
        out_segment_stride: u32,
    }
}

impl KernelParams for FeatureAttendParams {
    const KERNEL: Kernel = Kernel::FeatureAttend;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let q = [(p.batch, p.q_batch_stride), (p.heads, p.q_head_stride), (p.rows, p.q_row_stride)];
        let (batch, head, segment) =
            ((p.batch, p.kv_batch_stride), (p.heads, p.kv_head_stride), (p.segments, p.kv_segment_stride));
        let kv = [batch, head, segment, (p.features, p.kv_feature_stride), (p.value_size, p.kv_value_stride)];
        let k = [(p.batch, p.k_batch_stride), (p.heads, p.k_head_stride), (p.segments, p.k_segment_stride)];
        let (batch, head) = ((p.batch, p.out_batch_stride), (p.heads, p.out_head_stride));
        let out = [batch, head, (p.rows, p.out_row_stride), (p.segments, p.out_segment_stride)];
        vec![
            extent(p.q_offset, &q, p.features),
            extent(p.kv_offset, &kv, 1u32),
            extent(p.k_offset, &k, p.features),
            extent(p.out_offset, &out, p.value_size),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let mut counts = any(&[("batch", self.batch), ("heads", self.heads), ("rows", self.rows), ("segments", self.segments)]);
        counts.extend([("features", self.features, u32::MAX), ("value size", self.value_size, MAX_HEAD_SIZE)]);
        counts
    }

    fn iterations(&self) -> u64 {
        let vectors = u64::from(self.value_size.div_ceil(16) * 4);
        let tiles = u64::from(self.features.div_ceil(16));
        let staging = looped((16 * vectors).div_ceil(64), 0);
        looped(tiles, staging + looped(16, looped(vectors / 4, 0))) + looped(vectors, 0)
    }

    fn multiply_adds(&self) -> u64 {
        let numbers = u64::from(self.value_size) + 1;
        count(&[self.batch, self.heads, self.rows, self.segments, self.features]).saturating_mul(numbers)
    }

    fn workgroups(&self) -> u64 {
        count(&[self.rows.div_ceil(64), self.segments, self.heads, self.batch])
    }

    fn constants(&self) -> Vec<u32> {
        vec![self.value_size.div_ceil(16) * 4]
    }
}
