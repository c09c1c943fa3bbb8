//! What each kernel's params reach in its bindings, and how many workgroups they need.
//!
//! A plan refuses a dispatch whose params reach beyond what is bound, so kernels index within range by construction.

use crate::kernel::{Kernel, KernelParams};
use crate::params::{AttendParams, AttendRowsParams, LinearParams, TemporalPoolParams, TemporalWeightsParams};
use crate::shape::{MAX_HEAD_SIZE, MIN_KEYS_PER_TILE};

/// One more than the highest index reached from `offset` along axes of `(count, stride)`, the last axis having stride one.
fn extent(offset: u32, axes: &[(u32, u32)], innermost: u32) -> u64 {
    let reach = |&(count, stride): &(u32, u32)| u64::from(count.saturating_sub(1)) * u64::from(stride);
    axes.iter().map(reach).fold(u64::from(offset) + u64::from(innermost), u64::saturating_add)
}

fn count(factors: &[u32]) -> u64 {
    factors.iter().fold(1u64, |total, &factor| total.saturating_mul(factor.into()))
}

/// Turns of a loop over `count` items with `inner` turns inside each: the last test, which ends the loop, is a turn too.
fn looped(count: u64, inner: u64) -> u64 {
    count.saturating_mul(inner.saturating_add(1)).saturating_add(1)
}

/// Counts without a limit of their own.
fn any(named: &[(&'static str, u32)]) -> Vec<(&'static str, u32, u32)> {
    named.iter().map(|&(name, count)| (name, count, u32::MAX)).collect()
}

impl KernelParams for AttendParams {
    const KERNEL: Kernel = Kernel::Attend;

    fn extents(&self) -> Vec<u64> {
        let p = self;
        let outer = |batch, head| [(p.batch, batch), (p.heads, head)];
        let of_segments = |offset, batch, head, group, segment, row, extra, width| {
            let [b, h] = outer(batch, head);
            let own = extent(offset, &[b, h, (p.groups, group), (p.segments, segment), (p.keys, row)], width);
            if p.extra_keys == 0 { own } else { own.max(extent(extra, &[b, h], width)) }
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

    fn loop_turns(&self) -> u64 {
        let &[head, value, tile] = self.constants().as_slice() else { return u64::MAX };
        let [head, value, tile] = [head, value, tile].map(u64::from);
        let staging = looped((tile * head).div_ceil(64), 0) + looped((tile * value).div_ceil(64), 0);
        let scores = looped(tile / 4, looped(head / 4, 0));
        let sums = looped(value / 4, 0) + looped(tile / 4, looped(value / 4, 0));
        let tiles = (u64::from(self.keys) + u64::from(self.extra_keys)).div_ceil(tile);
        2 * looped(head, 0) + looped(tiles, staging + looped(head / 4, 0) + scores + sums) + looped(value, 0)
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

impl KernelParams for AttendRowsParams {
    const KERNEL: Kernel = Kernel::AttendRows;

    fn extents(&self) -> Vec<u64> {
        let p = self;
        let queries = [(p.batch, p.q_batch_stride), (p.heads, p.q_head_stride), (p.rows, p.q_row_stride)];
        let (batch, head) = ((p.batch, p.k_batch_stride), (p.heads, p.k_head_stride));
        let keys = [batch, head, (p.segments, p.k_segment_stride), (p.keys, p.k_row_stride)];
        vec![
            extent(p.q_offset, &queries, p.head_size),
            extent(p.k_offset, &keys, p.head_size),
            p.chosen_count.into(),
            count(&[p.batch, p.heads, p.chosen_count, p.segments, p.keys]).saturating_add(p.out_offset.into()),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let mut counts = any(&[("batch", self.batch), ("heads", self.heads), ("rows", self.rows)]);
        counts.extend(any(&[("chosen rows", self.chosen_count), ("segments", self.segments), ("keys", self.keys)]));
        counts.push(("head size", self.head_size, MAX_HEAD_SIZE));
        counts
    }

    fn loop_turns(&self) -> u64 {
        let vectors = u64::from(self.head_size.div_ceil(4));
        let keys = u64::from(self.keys.div_ceil(64));
        let reductions = 2 * looped(6, 0);
        looped(vectors, 0) + 2 * looped(keys, 2 * looped(vectors, 0)) + looped(keys, 0) + reductions
    }

    fn workgroups(&self) -> u64 {
        count(&[self.batch, self.heads, self.chosen_count, self.segments])
    }
}

impl KernelParams for LinearParams {
    const KERNEL: Kernel = Kernel::Linear;

    fn extents(&self) -> Vec<u64> {
        let p = self;
        let x = [(p.batch, p.x_batch_stride), (p.groups, p.x_group_stride), (p.rows, p.x_row_stride)];
        let w = [(p.groups, p.w_group_stride), (p.outputs, p.w_output_stride), (p.inputs, p.w_input_stride)];
        let y = [(p.batch, p.y_batch_stride), (p.groups, p.y_group_stride), (p.rows, p.y_row_stride)];
        let bias = extent(p.bias_offset, &[(p.groups, p.bias_group_stride)], p.outputs);
        vec![
            extent(p.x_offset, &x, p.inputs),
            extent(p.w_offset, &w, 1),
            if p.has_bias == 0 { 0 } else { bias },
            extent(p.y_offset, &y, p.outputs),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let outer = [("batch", self.batch), ("groups", self.groups), ("rows", self.rows)];
        any(&[outer.as_slice(), &[("inputs", self.inputs), ("outputs", self.outputs)]].concat())
    }

    fn loop_turns(&self) -> u64 {
        looped(self.inputs.div_ceil(16).into(), looped(2, 0) + looped(16, 0))
    }

    fn workgroups(&self) -> u64 {
        count(&[self.rows.div_ceil(32), self.outputs.div_ceil(32), self.groups, self.batch])
    }
}

impl KernelParams for TemporalWeightsParams {
    const KERNEL: Kernel = Kernel::TemporalWeights;

    fn extents(&self) -> Vec<u64> {
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

    fn loop_turns(&self) -> u64 {
        let pairs = (u64::from(self.heads) * u64::from(self.frames)).div_ceil(64);
        let scores = looped(pairs, looped(u64::from(self.width / 16), 0) + looped(u64::from(self.width % 16), 0));
        scores.saturating_add(looped(self.heads.div_ceil(64).into(), 3 * looped(self.frames.into(), 0)))
    }

    fn workgroups(&self) -> u64 {
        count(&[self.batch, self.rows])
    }
}

impl KernelParams for TemporalPoolParams {
    const KERNEL: Kernel = Kernel::TemporalPool;

    fn extents(&self) -> Vec<u64> {
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

    fn loop_turns(&self) -> u64 {
        looped(self.frames.into(), 0)
    }

    fn workgroups(&self) -> u64 {
        count(&[self.batch, self.rows, self.heads, self.width]).div_ceil(64)
    }
}
