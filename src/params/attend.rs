//! Params of the attention kernels.

use super::{Extent, any, count, extent, looped, params};
use crate::kernel::{Kernel, KernelParams};
use crate::shape::{MAX_HEAD_SIZE, MIN_KEYS_PER_TILE};

params! {
    /// Segmented attention (`attend`): `tokens[b,h,g,r,f] = sum_j softmax_j(scale * q[b,h,g,r] . k[b,h,g,f,j]) v[b,h,g,f,j]`.
    AttendParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Groups: each has queries and keys of its own.
        groups: u32,
        /// Query rows of a group.
        rows: u32,
        /// Key segments of a group: each has a softmax and an output of its own.
        segments: u32,
        /// Keys of a segment, without the extra one.
        keys: u32,
        /// 1 if every segment has the extra key ahead of its own (the class token in divided attention), else 0.
        extra_keys: u32,
        /// Numbers in a query and a key.
        head_size: u32,
        /// Numbers in a value.
        value_size: u32,
        /// Factor on every score.
        scale: f32,
        /// First query.
        q_offset: u32,
        /// From a batch item's queries to the next's.
        q_batch_stride: u32,
        /// From a head's queries to the next's.
        q_head_stride: u32,
        /// From a group's queries to the next's.
        q_group_stride: u32,
        /// From a query to the next.
        q_row_stride: u32,
        /// First key.
        k_offset: u32,
        /// The extra key of batch item 0, head 0.
        k_extra_offset: u32,
        /// From a batch item's keys to the next's.
        k_batch_stride: u32,
        /// From a head's keys to the next's.
        k_head_stride: u32,
        /// From a group's keys to the next's.
        k_group_stride: u32,
        /// From a segment's keys to the next's.
        k_segment_stride: u32,
        /// From a key to the next.
        k_row_stride: u32,
        /// First value.
        v_offset: u32,
        /// The extra value of batch item 0, head 0.
        v_extra_offset: u32,
        /// From a batch item's values to the next's.
        v_batch_stride: u32,
        /// From a head's values to the next's.
        v_head_stride: u32,
        /// From a group's values to the next's.
        v_group_stride: u32,
        /// From a segment's values to the next's.
        v_segment_stride: u32,
        /// From a value to the next.
        v_row_stride: u32,
        /// First output.
        out_offset: u32,
        /// From a batch item's outputs to the next's.
        out_batch_stride: u32,
        /// From a head's outputs to the next's.
        out_head_stride: u32,
        /// From a group's outputs to the next's.
        out_group_stride: u32,
        /// From a query row's outputs to the next's.
        out_row_stride: u32,
        /// From a segment's output to the next's.
        out_segment_stride: u32,
    }
}

impl KernelParams for AttendParams {
    const KERNEL: Kernel = Kernel::Attend;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let outer = |batch, head| [(p.batch, batch), (p.heads, head)];
        let of_segments = |offset, batch, head, group, segment, row, extra, width| {
            let [b, h] = outer(batch, head);
            let own = extent(offset, &[b, h, (p.groups, group), (p.segments, segment), (p.keys, row)], width);
            if p.extra_keys == 0 { own } else { own.and(extent(extra, &[b, h], width)) }
        };
        let [b, h] = outer(p.q_batch_stride, p.q_head_stride);
        let queries = extent(p.q_offset, &[b, h, (p.groups, p.q_group_stride), (p.rows, p.q_row_stride)], p.head_size);
        let (k, v) = (
            [p.k_offset, p.k_batch_stride, p.k_head_stride, p.k_group_stride, p.k_segment_stride, p.k_row_stride],
            [p.v_offset, p.v_batch_stride, p.v_head_stride, p.v_group_stride, p.v_segment_stride, p.v_row_stride],
        );
        let [b, h] = outer(p.out_batch_stride, p.out_head_stride);
        let out_axes = [b, h, (p.groups, p.out_group_stride), (p.rows, p.out_row_stride), (p.segments, p.out_segment_stride)];
        vec![
            queries,
            of_segments(k[0], k[1], k[2], k[3], k[4], k[5], p.k_extra_offset, p.head_size),
            of_segments(v[0], v[1], v[2], v[3], v[4], v[5], p.v_extra_offset, p.value_size),
            extent(p.out_offset, &out_axes, p.value_size),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let mut counts = any(&[("batch", self.batch), ("heads", self.heads), ("groups", self.groups), ("rows", self.rows)]);
        counts.extend(any(&[("segments", self.segments), ("keys", self.keys)]));
        counts.push(("extra keys + 1", self.extra_keys.saturating_add(1), 2));
        counts.extend([("head size", self.head_size, MAX_HEAD_SIZE), ("value size", self.value_size, MAX_HEAD_SIZE)]);
        counts
    }

    fn iterations(&self) -> u64 {
        let &[head, value, tile] = self.constants().as_slice() else { return u64::MAX };
        let [head, value, tile] = [head, value, tile].map(u64::from);
        let staging = looped((tile * head).div_ceil(64), 0) + looped((tile * value).div_ceil(64), 0);
        let scores = looped(tile / 4, looped(head / 4, 0));
        let sums = looped(value / 4, 0) + looped(tile / 4, looped(value / 4, 0));
        let tiles = (u64::from(self.keys) + u64::from(self.extra_keys)).div_ceil(tile);
        2 * looped(head, 0) + looped(tiles, staging + looped(head / 4, 0) + scores + sums) + looped(value, 0)
    }

    fn multiply_adds(&self) -> u64 {
        let keys = u64::from(self.keys) + u64::from(self.extra_keys);
        let sizes = u64::from(self.head_size) + u64::from(self.value_size);
        count(&[self.batch, self.heads, self.groups, self.rows, self.segments]).saturating_mul(keys * sizes)
    }

    fn workgroups(&self) -> u64 {
        count(&[self.rows.div_ceil(64), self.segments, self.heads, self.groups, self.batch])
    }

    fn constants(&self) -> Vec<u32> {
        let (head, value) = (self.head_size.div_ceil(16) * 4, self.value_size.div_ceil(16) * 4);
        // Keys and values of a tile, and a number per key, in the 16 KiB of workgroup memory that every device has.
        let fits = |keys: u32| keys * ((head + value) * 16 + 4) <= 16 << 10;
        vec![head, value, if fits(2 * MIN_KEYS_PER_TILE) { 2 * MIN_KEYS_PER_TILE } else { MIN_KEYS_PER_TILE }]
    }
}

params! {
    /// Attention weights of chosen queries (`attend_rows`): `weights[b,h,i,f,j] = softmax_j(scale * q[b,h,chosen[i]] . k[b,h,f,j])`.
    AttendRowsParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Query rows there are; `chosen` holds numbers below this.
        rows: u32,
        /// Chosen query rows.
        chosen_count: u32,
        /// Key segments.
        segments: u32,
        /// Keys of a segment.
        keys: u32,
        /// Numbers in a query and a key.
        head_size: u32,
        /// Factor on every score.
        scale: f32,
        /// First query.
        q_offset: u32,
        /// From a batch item's queries to the next's.
        q_batch_stride: u32,
        /// From a head's queries to the next's.
        q_head_stride: u32,
        /// From a query to the next.
        q_row_stride: u32,
        /// First key.
        k_offset: u32,
        /// From a batch item's keys to the next's.
        k_batch_stride: u32,
        /// From a head's keys to the next's.
        k_head_stride: u32,
        /// From a segment's keys to the next's.
        k_segment_stride: u32,
        /// From a key to the next.
        k_row_stride: u32,
        /// First weight; weights are dense `[batch, heads, chosen, segments, keys]` from there.
        out_offset: u32,
    }
}

impl KernelParams for AttendRowsParams {
    const KERNEL: Kernel = Kernel::AttendRows;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let queries = [(p.batch, p.q_batch_stride), (p.heads, p.q_head_stride), (p.rows, p.q_row_stride)];
        let (batch, head) = ((p.batch, p.k_batch_stride), (p.heads, p.k_head_stride));
        let keys = [batch, head, (p.segments, p.k_segment_stride), (p.keys, p.k_row_stride)];
        vec![
            extent(p.q_offset, &queries, p.head_size),
            extent(p.k_offset, &keys, p.head_size),
            Extent::dense(0, p.chosen_count.into()),
            Extent::dense(p.out_offset, count(&[p.batch, p.heads, p.chosen_count, p.segments, p.keys])),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let mut counts = any(&[("batch", self.batch), ("heads", self.heads), ("rows", self.rows)]);
        counts.extend(any(&[("chosen rows", self.chosen_count), ("segments", self.segments), ("keys", self.keys)]));
        counts.push(("head size", self.head_size, MAX_HEAD_SIZE));
        counts
    }

    fn iterations(&self) -> u64 {
        let vectors = u64::from(self.head_size.div_ceil(4));
        let keys = u64::from(self.keys.div_ceil(64));
        let reductions = 2 * looped(6, 0);
        looped(vectors, 0) + 2 * looped(keys, 2 * looped(vectors, 0)) + looped(keys, 0) + reductions
    }

    fn multiply_adds(&self) -> u64 {
        count(&[self.batch, self.heads, self.chosen_count, self.segments, self.keys, self.head_size])
    }

    fn workgroups(&self) -> u64 {
        count(&[self.batch, self.heads, self.chosen_count, self.segments])
    }
}

params! {
    /// Attention weights of all queries (`attend_weights`): `weights[b,h,g,r,j] = softmax_j(scale * q[b,h,g,r] . k[b,h,g,j])`.
    AttendWeightsParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Groups: each has queries and keys of its own.
        groups: u32,
        /// Query rows of a group.
        rows: u32,
        /// Keys of a group.
        keys: u32,
        /// Numbers in a query and a key.
        head_size: u32,
        /// Factor on every score.
        scale: f32,
        /// First query.
        q_offset: u32,
        /// From a batch item's queries to the next's.
        q_batch_stride: u32,
        /// From a head's queries to the next's.
        q_head_stride: u32,
        /// From a group's queries to the next's.
        q_group_stride: u32,
        /// From a query to the next.
        q_row_stride: u32,
        /// First key.
        k_offset: u32,
        /// From a batch item's keys to the next's.
        k_batch_stride: u32,
        /// From a head's keys to the next's.
        k_head_stride: u32,
        /// From a group's keys to the next's.
        k_group_stride: u32,
        /// From a key to the next.
        k_row_stride: u32,
        /// First weight; the weights of the keys follow each other.
        out_offset: u32,
        /// From a batch item's weights to the next's.
        out_batch_stride: u32,
        /// From a head's weights to the next's.
        out_head_stride: u32,
        /// From a group's weights to the next's.
        out_group_stride: u32,
        /// From a query row's weights to the next's.
        out_row_stride: u32,
    }
}

impl KernelParams for AttendWeightsParams {
    const KERNEL: Kernel = Kernel::AttendWeights;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let outer = |batch, head, group| [(p.batch, batch), (p.heads, head), (p.groups, group)];
        let queries = [&outer(p.q_batch_stride, p.q_head_stride, p.q_group_stride)[..], &[(p.rows, p.q_row_stride)]].concat();
        let keys = [&outer(p.k_batch_stride, p.k_head_stride, p.k_group_stride)[..], &[(p.keys, p.k_row_stride)]].concat();
        let out = [&outer(p.out_batch_stride, p.out_head_stride, p.out_group_stride)[..], &[(p.rows, p.out_row_stride)]].concat();
        vec![
            extent(p.q_offset, &queries, p.head_size),
            extent(p.k_offset, &keys, p.head_size),
            extent(p.out_offset, &out, p.keys),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let mut counts = any(&[("batch", self.batch), ("heads", self.heads), ("groups", self.groups), ("rows", self.rows)]);
        counts.extend([("keys", self.keys, u32::MAX), ("head size", self.head_size, MAX_HEAD_SIZE)]);
        counts
    }

    fn iterations(&self) -> u64 {
        let &[head, tile] = self.constants().as_slice() else { return u64::MAX };
        let [head, tile] = [head, tile].map(u64::from);
        let staging = looped((tile * head).div_ceil(64), 0) + looped(head / 4, 0);
        let scores = looped(tile / 4, looped(head / 4, 0));
        let tiles = u64::from(self.keys).div_ceil(tile);
        2 * looped(head, 0) + 2 * looped(tiles, staging + scores + looped(tile / 4, 0))
    }

    fn multiply_adds(&self) -> u64 {
        count(&[self.batch, self.heads, self.groups, self.rows, self.keys, self.head_size])
    }

    fn workgroups(&self) -> u64 {
        count(&[self.rows.div_ceil(64), self.heads, self.groups, self.batch])
    }

    fn constants(&self) -> Vec<u32> {
        vec![self.head_size.div_ceil(16) * 4, 2 * MIN_KEYS_PER_TILE]
    }
}
