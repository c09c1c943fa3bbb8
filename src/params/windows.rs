//! Attention within windows, told by offsets and strides.

use crate::kernel::{AttendWindowsParams as Params, IntoParams, Sealed};
use crate::view::BoundView;

/// Attention within windows of a grid of tokens (`attend_windows`): `tokens[b,h,n] = sum_m softmax_m(scale * q[b,h,n] . k[b,h,m] +
/// table[n - m, h] + mask(n, m)) v[b,h,m]` over the places `m` of `n`'s window. The grid is padded at its ends to whole windows and rolled by
/// the shift; padded places share one row of queries, keys and values. The mask is -100 between places that were no neighbours before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AttendWindowsParams {
    /// Batch items.
    pub batch: u32,
    /// Heads.
    pub heads: u32,
    /// Elements of a query and a key.
    pub head_size: u32,
    /// Elements of a value.
    pub value_size: u32,
    /// Factor on products of queries and keys. Not zero: biases are divided by it.
    pub scale: f32,
    /// Frames of the grid; tokens are in order of frames, rows and columns.
    pub frames: u32,
    /// Rows of the grid.
    pub rows: u32,
    /// Columns of the grid.
    pub columns: u32,
    /// Frames of a window.
    pub window_frames: u32,
    /// Rows of a window.
    pub window_rows: u32,
    /// Columns of a window.
    pub window_columns: u32,
    /// Frames of the window that the table is for. Where windows are smaller, their places are told apart by number: they are the first ones
    /// of the table's window.
    pub table_frames: u32,
    /// Rows of that window.
    pub table_rows: u32,
    /// Columns of that window.
    pub table_columns: u32,
    /// Frames by which the grid is rolled; fewer than a window's.
    pub shift_frames: u32,
    /// Rows by which the grid is rolled.
    pub shift_rows: u32,
    /// Columns by which the grid is rolled.
    pub shift_columns: u32,
    /// First query.
    pub q_offset: u32,
    /// The query of padded places, head 0; batch items share it.
    pub q_padding_offset: u32,
    /// From a batch item's queries to the next's.
    pub q_batch_stride: u32,
    /// From a head's queries to the next's.
    pub q_head_stride: u32,
    /// From a token's query to the next token's.
    pub q_row_stride: u32,
    /// First key.
    pub k_offset: u32,
    /// The key of padded places, head 0.
    pub k_padding_offset: u32,
    /// From a batch item's keys to the next's.
    pub k_batch_stride: u32,
    /// From a head's keys to the next's.
    pub k_head_stride: u32,
    /// From a token's key to the next token's.
    pub k_row_stride: u32,
    /// First value.
    pub v_offset: u32,
    /// The value of padded places, head 0.
    pub v_padding_offset: u32,
    /// From a batch item's values to the next's.
    pub v_batch_stride: u32,
    /// From a head's values to the next's.
    pub v_head_stride: u32,
    /// From a token's value to the next token's.
    pub v_row_stride: u32,
    /// First bias: the table is `[(2 table_frames - 1) (2 table_rows - 1) (2 table_columns - 1), table_stride]` from there.
    pub table_offset: u32,
    /// From the biases of one offset between places to the next; biases of the heads follow each other.
    pub table_stride: u32,
    /// First output.
    pub out_offset: u32,
    /// From a batch item's outputs to the next's.
    pub out_batch_stride: u32,
    /// From a head's outputs to the next's.
    pub out_head_stride: u32,
    /// From a token's output to the next token's.
    pub out_row_stride: u32,
}

impl Sealed for AttendWindowsParams {}

impl IntoParams for AttendWindowsParams {
    type Params = Params;

    fn into_params(self) -> Params {
        let q = [self.q_batch_stride, self.q_head_stride, self.q_row_stride];
        let k = [self.k_batch_stride, self.k_head_stride, self.k_row_stride];
        let v = [self.v_batch_stride, self.v_head_stride, self.v_row_stride];
        let out = [self.out_batch_stride, self.out_head_stride, self.out_row_stride];
        let params = Params {
            queries: BoundView::new(self.q_offset, &q).with_extra(self.q_padding_offset),
            keys: BoundView::new(self.k_offset, &k).with_extra(self.k_padding_offset),
            values: BoundView::new(self.v_offset, &v).with_extra(self.v_padding_offset),
            table: BoundView::new(self.table_offset, &[self.table_stride]),
            tokens: BoundView::new(self.out_offset, &out),
            batch: self.batch,
            heads: self.heads,
            head_size: self.head_size,
            value_size: self.value_size,
            frames: self.frames,
            rows: self.rows,
            columns: self.columns,
            table_frames: self.table_frames,
            table_rows: self.table_rows,
            table_columns: self.table_columns,
            window_frames: self.window_frames,
            window_rows: self.window_rows,
            window_columns: self.window_columns,
            scale: self.scale,
            shift_frames: self.shift_frames,
            shift_rows: self.shift_rows,
            shift_columns: self.shift_columns,
            has_padding: 0,
        };
        Params { has_padding: u32::from(params.is_padded()), ..params }
    }
}
