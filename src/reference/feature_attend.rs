//! Reference of `shaders/feature_attend.wgsl`: attention by features.

use crate::params::FeatureAttendParams;

/// Inputs: queries, key_values, key_sums; output: tokens. See [`FeatureAttendParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], tokens: &mut [f32]) {
    let p: FeatureAttendParams = bytemuck::pod_read_unaligned(params);
    let &[queries, key_values, key_sums] = inputs else { return };
    for batch in 0..p.batch {
        for head in 0..p.heads {
            for segment in 0..p.segments {
                let kv = p.kv_offset + batch * p.kv_batch_stride + head * p.kv_head_stride + segment * p.kv_segment_stride;
                let k = p.k_offset + batch * p.k_batch_stride + head * p.k_head_stride + segment * p.k_segment_stride;
                let sums = &key_sums[k as usize..][..p.features as usize];
                for row in 0..p.rows {
                    let q = p.q_offset + batch * p.q_batch_stride + head * p.q_head_stride + row * p.q_row_stride;
                    let query: Vec<f64> =
                        queries[q as usize..][..p.features as usize].iter().map(|&number| number.into()).collect();
                    let total: f64 = query.iter().zip(sums).map(|(query, &sum)| query * f64::from(sum)).sum();
                    let out = p.out_offset + batch * p.out_batch_stride + head * p.out_head_stride;
                    let out = out + row * p.out_row_stride + segment * p.out_segment_stride;
                    for column in 0..p.value_size {
                        let value = |feature: usize| {
                            let at = kv + feature as u32 * p.kv_feature_stride + column * p.kv_value_stride;
                            f64::from(key_values[at as usize])
                        };
                        let sum: f64 = query.iter().enumerate().map(|(feature, query)| query * value(feature)).sum();
                        tokens[(out + column) as usize] = (sum / total) as f32;
                    }
                }
            }
        }
    }
}
