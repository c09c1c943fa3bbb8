//! Reference of `shaders/gather_rows.wgsl`: copies of chosen rows.

use super::{dot, unit_factor};
use crate::params::GatherRowsParams;

/// Inputs: queries, keys, indices (whole numbers); output: rows. See [`GatherRowsParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], rows: &mut [f32]) {
    let p: GatherRowsParams = bytemuck::pod_read_unaligned(params);
    let &[queries, keys, indices] = inputs else { return };
    for number in 0..p.batch * p.heads * p.groups {
        let (group, head, batch) = (number % p.groups, number / p.groups % p.heads, number / p.groups / p.heads);
        for row in 0..p.rows {
            let index = indices[(p.index_offset + number * p.index_group_stride + row) as usize] as u32;
            let candidate = match index.checked_sub(p.queries) {
                None => {
                    let outer = batch * p.q_batch_stride + head * p.q_head_stride + group * p.q_group_stride;
                    &queries[(p.q_offset + outer + index * p.q_row_stride) as usize..]
                }
                Some(key) => {
                    let outer = batch * p.k_batch_stride + head * p.k_head_stride + group * p.k_group_stride;
                    &keys[(p.k_offset + outer + key * p.k_row_stride) as usize..]
                }
            };
            let candidate = &candidate[..p.row_size as usize];
            let factor = if p.normalise == 0 { 1.0 } else { unit_factor(dot(candidate, candidate)) };
            let out = p.out_offset + number * p.out_group_stride + row * p.out_row_stride;
            for column in 0..p.padded_size {
                let value = candidate.get(column as usize).map_or(0.0, |&value| f64::from(value) * factor);
                rows[(out + column / 4 * p.out_block_stride + column % 4) as usize] = value as f32;
            }
        }
    }
}
