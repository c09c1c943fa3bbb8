//! Reference of `shaders/layer_norm.wgsl`: rows brought to mean zero and variance one, then scaled and shifted.

use crate::params::LayerNormParams;

/// Inputs: x, scales, shifts; output: y. See [`LayerNormParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], y: &mut [f32]) {
    let p: LayerNormParams = bytemuck::pod_read_unaligned(params);
    let &[x, scales, shifts] = inputs else { return };
    let size = p.size as usize;
    for batch in 0..p.batch {
        for row in 0..p.rows {
            let x_start = (p.x_offset + batch * p.x_batch_stride + row * p.x_row_stride) as usize;
            let y_start = (p.y_offset + batch * p.y_batch_stride + row * p.y_row_stride) as usize;
            let numbers: Vec<f64> = x[x_start..x_start + size].iter().map(|&number| number.into()).collect();
            let mean = numbers.iter().sum::<f64>() / size as f64;
            let variance = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / size as f64;
            let deviation = (variance + f64::from(p.epsilon)).sqrt();
            for (column, number) in numbers.iter().enumerate() {
                let normal = (number - mean) / deviation;
                y[y_start + column] = (f64::from(scales[column]) * normal + f64::from(shifts[column])) as f32;
            }
        }
    }
}
