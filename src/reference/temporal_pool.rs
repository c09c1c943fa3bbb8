//! Reference of `shaders/temporal_pool.wgsl`: trajectory tokens summed over the frames.

use crate::params::TemporalPoolParams;

/// Inputs: weights, tokens; output: pooled. See [`TemporalPoolParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], pooled: &mut [f32]) {
    let p: TemporalPoolParams = bytemuck::pod_read_unaligned(params);
    let &[weights, tokens] = inputs else { return };
    for batch in 0..p.batch {
        for row in 0..p.rows {
            for head in 0..p.heads {
                let a_start = p.a_offset + batch * p.a_batch_stride + head * p.a_head_stride + row * p.a_row_stride;
                let t_start = p.t_offset + batch * p.t_batch_stride + row * p.t_row_stride + head * p.t_head_stride;
                let out_start = p.out_offset + batch * p.out_batch_stride + row * p.out_row_stride + head * p.out_head_stride;
                for column in 0..p.width {
                    let term = |frame: u32| {
                        let token = tokens[(t_start + frame * p.t_frame_stride + column) as usize];
                        f64::from(weights[(a_start + frame) as usize]) * f64::from(token)
                    };
                    pooled[(out_start + column) as usize] = (0..p.frames).map(term).sum::<f64>() as f32;
                }
            }
        }
    }
}
