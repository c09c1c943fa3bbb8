//! Params of attention within windows.

use super::{Extent, any, count, extent, looped, params};
use crate::kernel::{Kernel, KernelParams};
use crate::shape::{MAX_HEAD_SIZE, MIN_KEYS_PER_TILE};

/// Most places along an axis of a grid and of a window, so that no sum of them exceeds 32 bits. Tables are bounded by what is bound.
const MAX_SIDE: u32 = 1 << 20;

params! {
    /// Attention within windows of a grid of tokens (`attend_windows`): `tokens[b,h,n] = sum_m softmax_m(scale * q[b,h,n] . k[b,h,m] +
    /// table[n - m, h] + mask(n, m)) v[b,h,m]` over the places `m` of `n`'s window. The grid is padded at its ends to whole windows and rolled by
    /// the shift; padded places share one row of queries, keys and values. The mask is -100 between places that were no neighbours before.
    AttendWindowsParams {
        /// Batch items.
        batch: u32,
        /// Heads.
        heads: u32,
        /// Numbers in a query and a key.
        head_size: u32,
        /// Numbers in a value.
        value_size: u32,
        /// Factor on products of queries and keys. Not zero: biases are divided by it.
        scale: f32,
        /// Frames of the grid; tokens are in order of frames, rows and columns.
        frames: u32,
        /// Rows of the grid.
        rows: u32,
        /// Columns of the grid.
        columns: u32,
        /// Frames of a window.
        window_frames: u32,
        /// Rows of a window.
        window_rows: u32,
        /// Columns of a window.
        window_columns: u32,
        /// Frames of the window that the table is for. Where windows are smaller, their places are told apart by number: they are the first ones
        /// of the table's window.
        table_frames: u32,
        /// Rows of that window.
        table_rows: u32,
        /// Columns of that window.
        table_columns: u32,
        /// Frames by which the grid is rolled; fewer than a window's.
        shift_frames: u32,
        /// Rows by which the grid is rolled.
        shift_rows: u32,
        /// Columns by which the grid is rolled.
        shift_columns: u32,
        /// First query.
        q_offset: u32,
        /// The query of padded places, head 0; batch items share it.
        q_padding_offset: u32,
        /// From a batch item's queries to the next's.
        q_batch_stride: u32,
        /// From a head's queries to the next's.
        q_head_stride: u32,
        /// From a token's query to the next token's.
        q_row_stride: u32,
        /// First key.
        k_offset: u32,
        /// The key of padded places, head 0.
        k_padding_offset: u32,
        /// From a batch item's keys to the next's.
        k_batch_stride: u32,
        /// From a head's keys to the next's.
        k_head_stride: u32,
        /// From a token's key to the next token's.
        k_row_stride: u32,
        /// First value.
        v_offset: u32,
        /// The value of padded places, head 0.
        v_padding_offset: u32,
        /// From a batch item's values to the next's.
        v_batch_stride: u32,
        /// From a head's values to the next's.
        v_head_stride: u32,
        /// From a token's value to the next token's.
        v_row_stride: u32,
        /// First bias: the table is `[(2 table_frames - 1) (2 table_rows - 1) (2 table_columns - 1), table_stride]` from there.
        table_offset: u32,
        /// From the biases of one offset between places to the next; biases of the heads follow each other.
        table_stride: u32,
        /// First output.
        out_offset: u32,
        /// From a batch item's outputs to the next's.
        out_batch_stride: u32,
        /// From a head's outputs to the next's.
        out_head_stride: u32,
        /// From a token's output to the next token's.
        out_row_stride: u32,
    }
}

impl AttendWindowsParams {
    fn grid(&self) -> [u32; 3] {
        [self.frames, self.rows, self.columns]
    }

    fn window(&self) -> [u32; 3] {
        [self.window_frames, self.window_rows, self.window_columns]
    }

    fn table(&self) -> [u32; 3] {
        [self.table_frames, self.table_rows, self.table_columns]
    }

    /// Places of a window.
    fn places(&self) -> u64 {
        count(&self.window())
    }

    /// Tokens of a batch item.
    fn tokens(&self) -> u64 {
        count(&self.grid())
    }

    /// Windows along each axis.
    pub(crate) fn windows(&self) -> [u32; 3] {
        let [grid, window] = [self.grid(), self.window()];
        [0, 1, 2].map(|axis| grid[axis].div_ceil(window[axis].max(1)))
    }

    /// Biases of a head: one for each offset between two places.
    pub(crate) fn biases(&self) -> u64 {
        count(&self.table().map(|size| size.saturating_mul(2).saturating_sub(1)))
    }

    fn biases_reached(&self) -> Extent {
        extent(self.table_offset, &[(self.biases().min(u32::MAX.into()) as u32, self.table_stride)], self.heads)
    }

    fn is_padded(&self) -> bool {
        self.grid().iter().zip(self.window()).any(|(size, window)| size % window.max(1) != 0)
    }

    /// What is reached of queries, keys or values: those of all tokens, and those of padded places if there are such.
    fn rows_reached(&self, [offset, padding, batch, head, row]: [u32; 5], width: u32) -> Extent {
        let tokens = self.tokens().min(u32::MAX.into()) as u32;
        let own = extent(offset, &[(self.batch, batch), (self.heads, head), (tokens, row)], width);
        if self.is_padded() { own.and(extent(padding, &[(self.heads, head)], width)) } else { own }
    }
}

impl KernelParams for AttendWindowsParams {
    const KERNEL: Kernel = Kernel::AttendWindows;

    fn accesses(&self) -> Vec<Extent> {
        let p = self;
        let tokens = p.tokens().min(u32::MAX.into()) as u32;
        let out = [(p.batch, p.out_batch_stride), (p.heads, p.out_head_stride), (tokens, p.out_row_stride)];
        vec![
            p.rows_reached([p.q_offset, p.q_padding_offset, p.q_batch_stride, p.q_head_stride, p.q_row_stride], p.head_size),
            p.rows_reached([p.k_offset, p.k_padding_offset, p.k_batch_stride, p.k_head_stride, p.k_row_stride], p.head_size),
            p.rows_reached([p.v_offset, p.v_padding_offset, p.v_batch_stride, p.v_head_stride, p.v_row_stride], p.value_size),
            p.biases_reached(),
            extent(p.out_offset, &out, p.value_size),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, u32, u32)> {
        let p = self;
        let mut counts = any(&[("batch", p.batch), ("heads", p.heads)]);
        counts.extend([("head size", p.head_size, MAX_HEAD_SIZE), ("value size", p.value_size, MAX_HEAD_SIZE)]);
        counts.extend([("frames", p.frames, MAX_SIDE), ("rows", p.rows, MAX_SIDE), ("columns", p.columns, MAX_SIDE)]);
        for (what, side) in ["table frames", "table rows", "table columns"].into_iter().zip(p.table()) {
            counts.push((what, side, u32::MAX));
        }
        for (what, side) in ["window frames", "window rows", "window columns"].into_iter().zip(p.window()) {
            counts.push((what, side, MAX_SIDE));
        }
        let places = |sizes: [u32; 3]| count(&sizes).min(u32::MAX.into()) as u32;
        counts.push(("places of a window", places(p.window()), places(p.table())));
        let shifts = [p.shift_frames, p.shift_rows, p.shift_columns];
        for ((what, shift), window) in
            ["shift of frames + 1", "shift of rows + 1", "shift of columns + 1"].into_iter().zip(shifts).zip(p.window())
        {
            counts.push((what, shift.saturating_add(1), window));
        }
        counts
    }

    fn iterations(&self) -> u64 {
        let &[head, value, tile] = self.constants().as_slice() else { return u64::MAX };
        let [head, value, tile] = [head, value, tile].map(u64::from);
        let staging = looped((tile * head).div_ceil(64), 0) + looped((tile * value).div_ceil(64), 0);
        let scores = looped(tile / 4, looped(head / 4, 0));
        let sums = looped(value / 4, 0) + looped(tile / 4, looped(value / 4, 0));
        let tiles = self.places().div_ceil(tile);
        2 * looped(head, 0) + looped(tiles, staging + looped(head / 4, 0) + scores + sums) + looped(value, 0)
    }

    fn multiply_adds(&self) -> u64 {
        let sizes = u64::from(self.head_size) + u64::from(self.value_size);
        count(&[self.batch, self.heads]).saturating_mul(self.tokens()).saturating_mul(self.places().saturating_mul(sizes))
    }

    fn workgroups(&self) -> u64 {
        let tiles = self.places().div_ceil(64);
        count(&self.windows()).saturating_mul(count(&[self.heads, self.batch])).saturating_mul(tiles)
    }

    fn constants(&self) -> Vec<u32> {
        let (head, value) = (self.head_size.div_ceil(16) * 4, self.value_size.div_ceil(16) * 4);
        // Keys, values and three numbers per key in the 16 KiB of workgroup memory that every device has.
        let fits = |keys: u32| keys * ((head + value) * 16 + 12) <= 16 << 10;
        vec![head, value, if fits(2 * MIN_KEYS_PER_TILE) { 2 * MIN_KEYS_PER_TILE } else { MIN_KEYS_PER_TILE }]
    }
}
