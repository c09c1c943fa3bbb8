//! Reference of `shaders/feature_rows.wgsl`: half the squared length of each row, and the largest of its projections.

use super::dot;
use crate::params::FeatureRowsParams;

/// Inputs: x, projections; output: stats. See [`FeatureRowsParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], stats: &mut [f32]) {
    let p: FeatureRowsParams = bytemuck::pod_read_unaligned(params);
    let &[x, projections] = inputs else { return };
    let mut projections = projections[p.d_offset as usize..].chunks(p.features as usize);
    let mut stats = stats[p.out_offset as usize..].chunks_mut(2);
    for batch in 0..p.batch {
        for head in 0..p.heads {
            for row in 0..p.rows {
                let start = p.x_offset + batch * p.x_batch_stride + head * p.x_head_stride + row * p.x_row_stride;
                let x = &x[start as usize..][..p.size as usize];
                let (Some(projections), Some(stats)) = (projections.next(), stats.next()) else { return };
                let peak = projections.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                // What float32 cannot hold is as good as its largest: the exponential of minus that is zero.
                let half_square = (0.5 * f64::from(p.square_scale) * dot(x, x)).min(f32::MAX.into());
                stats.copy_from_slice(&[half_square as f32, peak]);
            }
        }
    }
}
