//! Params of the temporal stage.

use super::{Extent, any, count, extent, looped, params};
use crate::kernel::{Kernel, KernelParams};

params! {
    /// Temporal weights (`temporal_weights`): `weights[b,h,r,f] = softmax_f(scale * queries[b,r,h] . tokens[b,r,f])`.
    TemporalWeightsParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Query rows.
        rows: u32,
        /// Frames.
        frames: u32,
        /// Numbers in a query and in the part of a token that is compared with it.
        width: u32,
        /// Factor on every score.
        scale: f32,
        /// First query.
        q_offset: u32,
        /// From a batch item's queries to the next's.
        q_batch_stride: u32,
        /// From a row's queries to the next's.
        q_row_stride: u32,
        /// From a head's query to the next's.
        q_head_stride: u32,
        /// First trajectory token.
        t_offset: u32,
        /// From a batch item's tokens to the next's.
        t_batch_stride: u32,
        /// From a row's tokens to the next's.
        t_row_stride: u32,
        /// From a frame's token to the next's.
        t_frame_stride: u32,
        /// First weight; the weights of the frames follow each other.
        out_offset: u32,
        /// From a batch item's weights to the next's.
        out_batch_stride: u32,
        /// From a head's weights to the next's.
        out_head_stride: u32,
        /// From a row's weights to the next's.
        out_row_stride: u32,
    }
}

impl KernelParams for TemporalWeightsParams {
    const KERNEL: Kernel = Kernel::TemporalWeights;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let queries = [(p.batch, p.q_batch_stride), (p.rows, p.q_row_stride), (p.heads, p.q_head_stride)];
        let tokens = [(p.batch, p.t_batch_stride), (p.rows, p.t_row_stride), (p.frames, p.t_frame_stride)];
        let out = [(p.batch, p.out_batch_stride), (p.heads, p.out_head_stride), (p.rows, p.out_row_stride)];
        vec![extent(p.q_offset, &queries, p.width), extent(p.t_offset, &tokens, p.width), extent(p.out_offset, &out, p.frames)]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let outer = [("batch", self.batch), ("heads", self.heads), ("rows", self.rows)];
        any(&[outer.as_slice(), &[("frames", self.frames), ("width", self.width)]].concat())
    }

    fn iterations(&self) -> u64 {
        let pairs = (u64::from(self.heads) * u64::from(self.frames)).div_ceil(64);
        let scores = looped(pairs, looped(u64::from(self.width / 16), 0) + looped(u64::from(self.width % 16), 0));
        scores.saturating_add(looped(self.heads.div_ceil(64).into(), 3 * looped(self.frames.into(), 0)))
    }

    fn multiply_adds(&self) -> u64 {
        count(&[self.batch, self.heads, self.rows, self.frames, self.width])
    }

    fn workgroups(&self) -> u64 {
        count(&[self.batch, self.rows])
    }
}

params! {
    /// Pooled tokens (`temporal_pool`): `pooled[b,r,h,c] = sum_f weights[b,h,r,f] tokens[b,r,f,h*t_head_stride + c]`.
    TemporalPoolParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Query rows.
        rows: u32,
        /// Frames.
        frames: u32,
        /// Numbers pooled for one head.
        width: u32,
        /// First weight; the weights of the frames follow each other.
        a_offset: u32,
        /// From a batch item's weights to the next's.
        a_batch_stride: u32,
        /// From a head's weights to the next's.
        a_head_stride: u32,
        /// From a row's weights to the next's.
        a_row_stride: u32,
        /// First trajectory token.
        t_offset: u32,
        /// From a batch item's tokens to the next's.
        t_batch_stride: u32,
        /// From a row's tokens to the next's.
        t_row_stride: u32,
        /// From a frame's token to the next's.
        t_frame_stride: u32,
        /// From a head's part of a token to the next's; 0 if every head pools the whole token.
        t_head_stride: u32,
        /// First output.
        out_offset: u32,
        /// From a batch item's outputs to the next's.
        out_batch_stride: u32,
        /// From a row's outputs to the next's.
        out_row_stride: u32,
        /// From a head's output to the next's.
        out_head_stride: u32,
    }
}

impl KernelParams for TemporalPoolParams {
    const KERNEL: Kernel = Kernel::TemporalPool;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let weights = [(p.batch, p.a_batch_stride), (p.heads, p.a_head_stride), (p.rows, p.a_row_stride)];
        let (batch, row) = ((p.batch, p.t_batch_stride), (p.rows, p.t_row_stride));
        let tokens = [batch, row, (p.frames, p.t_frame_stride), (p.heads, p.t_head_stride)];
        let out = [(p.batch, p.out_batch_stride), (p.rows, p.out_row_stride), (p.heads, p.out_head_stride)];
        vec![extent(p.a_offset, &weights, p.frames), extent(p.t_offset, &tokens, p.width), extent(p.out_offset, &out, p.width)]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let outer = [("batch", self.batch), ("heads", self.heads), ("rows", self.rows)];
        any(&[outer.as_slice(), &[("frames", self.frames), ("width", self.width)]].concat())
    }

    fn iterations(&self) -> u64 {
        looped(self.frames.into(), 0)
    }

    fn multiply_adds(&self) -> u64 {
        count(&[self.batch, self.heads, self.rows, self.frames, self.width])
    }

    fn workgroups(&self) -> u64 {
        count(&[self.batch, self.rows, self.heads, self.width]).div_ceil(64)
    }
}
