//! Params of the softmax of rows.

use super::{Reach, any, count, extent, looped, params};
use crate::kernel::{Kernel, KernelParams};

params! {
    /// Softmax of rows (`softmax_rows`): `weights[b,g,r,j] = exp(scores[b,g,r,j] - sums[b,g,r])` with `sums[b,g,r] = log sum_j exp(scores[b,g,r,j])`.
    SoftmaxRowsParams {
        /// Batch items.
        batch: u32,
        /// Groups of rows, such as heads.
        groups: u32,
        /// Rows of a group.
        rows: u32,
        /// Scores of a row; they follow each other, and so do weights.
        keys: u32,
        /// 1 if the logarithms of the sums are written too.
        has_sums: u32,
        /// First score.
        scores_offset: u32,
        /// From a batch item's scores to the next's.
        scores_batch_stride: u32,
        /// From a group's scores to the next's.
        scores_group_stride: u32,
        /// From a row's scores to the next's.
        scores_row_stride: u32,
        /// First weight.
        weights_offset: u32,
        /// From a batch item's weights to the next's.
        weights_batch_stride: u32,
        /// From a group's weights to the next's.
        weights_group_stride: u32,
        /// From a row's weights to the next's.
        weights_row_stride: u32,
        /// First of the sums, in the binding of the weights; not among them.
        sums_offset: u32,
        /// From a batch item's sums to the next's.
        sums_batch_stride: u32,
        /// From a group's sums to the next's.
        sums_group_stride: u32,
        /// From a row's sum to the next's.
        sums_row_stride: u32,
    }
}

impl KernelParams for SoftmaxRowsParams {
    const KERNEL: Kernel = Kernel::SoftmaxRows;

    fn reaches(&self) -> Vec<Reach> {
        let p = self;
        let axes = |batch, group, row| [(p.batch, batch), (p.groups, group), (p.rows, row)];
        let scores = axes(p.scores_batch_stride, p.scores_group_stride, p.scores_row_stride);
        let weights = axes(p.weights_batch_stride, p.weights_group_stride, p.weights_row_stride);
        let sums = extent(p.sums_offset, &axes(p.sums_batch_stride, p.sums_group_stride, p.sums_row_stride), 1u32);
        let weights = extent(p.weights_offset, &weights, p.keys);
        vec![extent(p.scores_offset, &scores, p.keys), if p.has_sums == 0 { weights } else { weights.and(sums) }]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        any(&[("batch", self.batch), ("groups", self.groups), ("rows", self.rows), ("keys", self.keys)])
    }

    fn loop_turns(&self) -> u64 {
        3 * looped(self.keys.div_ceil(64).into(), 0) + 2 * looped(6, 0)
    }

    fn multiply_adds(&self) -> u64 {
        count(&[self.batch, self.groups, self.rows, self.keys])
    }

    fn workgroups(&self) -> u64 {
        count(&[self.batch, self.groups, self.rows])
    }
}
