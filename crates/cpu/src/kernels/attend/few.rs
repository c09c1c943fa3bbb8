//! Attention of a few rows, key by key: keys and values are read once, as they lie.

use pulp::Simd;

use super::packs::KeyRows;
use crate::context::Scratch;
use crate::kernels::temporal_pool::pool_row;
use crate::kernels::temporal_weights::{length, weigh_row};
use crate::simd::matrix::{Rows, RowsMut};

/// Computes a row of values for each query row.
#[inline(always)]
pub(super) fn attend<S: Simd>(
    simd: S,
    scale: f32,
    queries: Rows<'_>,
    rows: usize,
    [keys, values]: [&KeyRows<'_>; 2],
    mut tokens: RowsMut<'_>,
    scratch: &mut Scratch,
) {
    let count = keys.count();
    let weights = scratch.weights.elements_mut(count);
    let key_matrix = keys.matrix(&mut scratch.rows);
    let key_rows = Rows { elements: key_matrix.elements, stride: key_matrix.row_stride };
    let mut longest = 0.0;
    for key in 0..count {
        let length = length(simd, key_rows.part(key, 0, keys.width));
        longest = if length <= longest { longest } else { length };
    }
    let value_matrix = values.matrix(&mut scratch.others);
    let value_rows = Rows { elements: value_matrix.elements, stride: value_matrix.row_stride };
    for row in 0..rows {
        weigh_row(simd, scale, queries.part(row, 0, keys.width), key_rows, longest, weights);
        pool_row(simd, weights, value_rows, tokens.part(row, 0, values.width));
    }
}
