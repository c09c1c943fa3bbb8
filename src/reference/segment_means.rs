//! Reference of `shaders/segment_means.wgsl`: means of consecutive tokens in patch-major order.

use crate::params::SegmentMeansParams;

/// Input: x; output: means. See [`SegmentMeansParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], means: &mut [f32]) {
    let p: SegmentMeansParams = bytemuck::pod_read_unaligned(params);
    let &[x] = inputs else { return };
    let mut out = means[p.out_offset as usize..].iter_mut();
    for batch in 0..p.batch {
        for head in 0..p.heads {
            for group in 0..p.groups {
                let start = p.x_offset + batch * p.x_batch_stride + head * p.x_head_stride + group * p.x_group_stride;
                let mut first = 0;
                for segment in 0..p.segments {
                    let length = p.short_length + u32::from(segment >= p.short_segments);
                    for column in 0..p.size {
                        let number = |token: u32| {
                            let place = (token % p.frames) * p.x_frame_stride + (token / p.frames) * p.x_patch_stride;
                            f64::from(x[(start + place + column) as usize])
                        };
                        let sum: f64 = (first..first + length).map(number).sum();
                        if let Some(mean) = out.next() {
                            *mean = (sum / f64::from(length)) as f32;
                        }
                    }
                    first += length;
                }
            }
        }
    }
}
