//! Reference of `shaders/linear.wgsl`: matrix product with optional bias, activation and residual.

use crate::params::{Activation, LinearParams};

/// Inputs: x, w, bias, residual; output: y. See [`LinearParams`].
pub fn run(params: &[u8], inputs: &[&[f32]], y: &mut [f32]) {
    let p: LinearParams = bytemuck::pod_read_unaligned(params);
    let &[x, w, bias, residual] = inputs else { return };
    let activation = Activation::ALL.into_iter().find(|activation| activation.number() == p.activation);
    for batch in 0..p.batch {
        for group in 0..p.groups {
            for row in 0..p.rows {
                let x_start = p.x_offset + batch * p.x_batch_stride + group * p.x_group_stride + row * p.x_row_stride;
                let x_row: Vec<f32> = (0..p.inputs).map(|input| x[(x_start + input * p.x_input_stride) as usize]).collect();
                let y_start = p.y_offset + batch * p.y_batch_stride + group * p.y_group_stride + row * p.y_row_stride;
                for output in 0..p.outputs {
                    let w_start = p.w_offset + batch * p.w_batch_stride + group * p.w_group_stride + output * p.w_output_stride;
                    let weight = |input: usize| f64::from(w[w_start as usize + input * p.w_input_stride as usize]);
                    let product: f64 = x_row.iter().enumerate().map(|(input, &x)| f64::from(x) * weight(input)).sum();
                    let mut sum = f64::from(p.product_scale) * product;
                    if p.has_bias != 0 {
                        let start = p.bias_offset + batch * p.bias_batch_stride + group * p.bias_group_stride;
                        let bias = bias[(start + row * p.bias_row_stride + output) as usize];
                        sum += f64::from(p.bias_scale) * f64::from(bias);
                    }
                    if let Some(activation) = activation {
                        sum = activation.of(sum);
                    }
                    if p.has_residual != 0 {
                        let start = p.residual_offset + batch * p.residual_batch_stride + group * p.residual_group_stride;
                        sum += f64::from(residual[(start + row * p.residual_row_stride + output) as usize]);
                    }
                    y[(y_start + output) as usize] = sum as f32;
                }
            }
        }
    }
}
