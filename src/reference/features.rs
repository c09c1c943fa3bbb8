//! Reference of `shaders/features.wgsl`: positive random features.

use crate::params::FeaturesParams;

/// Input: stats; output: projections, changed in place. See [`FeaturesParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], projections: &mut [f32]) {
    let p: FeaturesParams = bytemuck::pod_read_unaligned(params);
    let &[stats] = inputs else { return };
    let (rows, features) = (p.rows as usize, p.features as usize);
    let heads = stats[p.stats_offset as usize..].chunks(2 * rows).take((p.batch * p.heads) as usize);
    for (stats, projections) in heads.zip(projections[p.out_offset as usize..].chunks_mut(rows * features)) {
        let largest = stats.chunks(2).map(|pair| pair[1]).fold(f32::NEG_INFINITY, f32::max);
        for (pair, row) in stats.chunks(2).zip(projections.chunks_mut(features)) {
            let peak = if p.shared_peak == 0 { pair[1] } else { largest };
            for number in row {
                let exponent = f64::from(*number) - f64::from(peak) - f64::from(pair[0]);
                *number = (exponent.exp() + 1e-6) as f32;
            }
        }
    }
}
