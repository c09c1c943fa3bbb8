//! The matrix product, with optional bias, activation and residual.

use super::declaration::{count, kernel, looped};
use crate::view::{View, indices};

/// Rows and outputs of a workgroup of the baseline, and inputs that it stages at a time.
const BASELINE_TILE: u32 = 32;
const BASELINE_DEPTH: u32 = 16;
/// Rows and outputs of a workgroup of the variant in blocks.
pub(crate) const BLOCKS_TILE: u32 = 128;
/// Rows of a workgroup of the variant by broadcast.
pub(crate) const BROADCAST_ROWS: u32 = 64;
/// Inputs that the variants in tiles and by matrix units stage at a time.
pub(crate) const TILES_DEPTH: u32 = 16;
pub(crate) const COOPERATIVE_DEPTH: u32 = 32;

kernel! {
    /// Matrix product (`linear`): `y[b,g,r,o] = act(product_scale * sum_i x[b,g,r,i] w[b,g,o,i] + bias_scale * bias[b,g,r,o]) + residual[b,g,r,o]`,
    /// where `act` is an [`Activation`] or nothing.
    Linear, LinearParams, "linear", |p|
    sizes {
        /// Batch items.
        batch,
        /// Groups: each has its own `x`, `w`, `bias` and `y`.
        groups,
        /// Rows of `x` and `y` in a group.
        rows,
        /// Elements of a row of `x`.
        inputs,
        /// Elements of a row of `y`.
        outputs,
    }
    values {
        /// [`Activation::number`], 0 for none.
        activation: u32,
        /// Factor on the product.
        product_scale: f32,
        /// Factor on the bias.
        bias_scale: f32,
    }
    flags {
        /// 1 if `bias` is added, else 0.
        has_bias,
        /// 1 if `residual` is added, else 0.
        has_residual,
    }
    read x as any {
        /// Inputs may have any stride, so that a matrix may be used transposed.
        x: [batch, groups, rows, inputs; 1],
    }
    read w as any {
        /// Weights; they may be transposed too.
        w: [batch, groups, outputs, inputs; 1],
    }
    read bias as any {
        /// A vector that all rows share, or a row for each.
        bias: [batch, groups, rows; outputs] if has_bias,
    }
    read residual as any {
        /// Summand behind the activation.
        residual: [batch, groups, rows; outputs] if has_residual,
    }
    write y as any {
        /// Results of a row follow each other.
        y: [batch, groups, rows; outputs],
    }
    shared {
        BASELINE_TILE: BASELINE_TILE,
        BASELINE_DEPTH: BASELINE_DEPTH,
        BLOCKS_TILE: BLOCKS_TILE,
        BROADCAST_ROWS: BROADCAST_ROWS,
        TILES_DEPTH: TILES_DEPTH,
        COOPERATIVE_DEPTH: COOPERATIVE_DEPTH,
        ACTIVATION_GELU: Activation::Gelu.number(),
        ACTIVATION_GELU_FAST: Activation::GeluFast.number(),
        ACTIVATION_TANH: Activation::Tanh.number(),
        ACTIVATION_RELU: Activation::Relu.number(),
    }
    workgroup: 64,
    workgroups: count(&[p.rows.div_ceil(BASELINE_TILE), p.outputs.div_ceil(BASELINE_TILE), p.groups, p.batch]),
    multiply_adds: count(&[p.batch, p.groups, p.rows, p.inputs, p.outputs]),
    iterations: {
        let staged = looped((BASELINE_DEPTH * BASELINE_TILE / 4 / 64).into(), 0);
        looped(p.inputs.div_ceil(BASELINE_DEPTH).into(), staged + looped(BASELINE_DEPTH.into(), 0))
    },
    accesses_in_range: true,
    reference: reference,
}

/// The epilogue of a product may apply one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Activation {
    /// By the error function: `x (1 + erf(x / sqrt 2)) / 2`.
    Gelu = 1,
    /// GELU by the hyperbolic tangent: `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
    GeluFast = 2,
    /// Hyperbolic tangent.
    Tanh = 3,
    /// `max(x, 0)`.
    Relu = 4,
}

impl Activation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Gelu, Self::GeluFast, Self::Tanh, Self::Relu];

    /// Its code in [`LinearParams::activation`] and in shaders.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gelu => "gelu",
            Self::GeluFast => "gelu_fast",
            Self::Tanh => "tanh",
            Self::Relu => "relu",
        }
    }

    /// The function, in float64. NaN stays NaN.
    pub(crate) fn of(self, x: f64) -> f64 {
        match self {
            // 1 + erf(x), without cancellation.
            Self::Gelu => x * 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
            Self::GeluFast => {
                let inside = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                // (1 + tanh u) / 2, without cancellation.
                x / (1.0 + (-2.0 * inside).exp())
            }
            Self::Tanh => x.tanh(),
            Self::Relu if x < 0.0 => 0.0,
            Self::Relu => x,
        }
    }
}

impl Linear {
    /// Params of the product alone, with a factor of one.
    pub fn new(x: View, w: View, y: View) -> Self {
        Self { x, w, bias: None, residual: None, y, activation: 0, product_scale: 1.0, bias_scale: 1.0 }
    }

    /// The same with an activation.
    #[must_use]
    pub fn activated(self, activation: impl Into<Option<Activation>>) -> Self {
        Self { activation: activation.into().map_or(0, Activation::number), ..self }
    }
}

/// Inputs: x, w, bias, residual; output: y.
fn reference(p: &LinearParams, inputs: &[&[f32]], y: &mut [f32]) {
    let &[x, w, bias, residual] = inputs else { return };
    let activation = Activation::ALL.into_iter().find(|activation| activation.number() == p.activation);
    for index in indices([p.batch, p.groups, p.rows]) {
        let [batch, group, row] = index;
        let x_row: Vec<f64> = (0..p.inputs).map(|input| x[p.x.at(&[batch, group, row, input])].into()).collect();
        let bias = (p.has_bias != 0).then(|| p.bias.row(bias, &index, p.outputs));
        let residual = (p.has_residual != 0).then(|| p.residual.row(residual, &index, p.outputs));
        let results = p.y.row_mut(y, &index, p.outputs);
        for (output, result) in results.iter_mut().enumerate() {
            let weights = p.w.at(&[batch, group, output as u32]);
            let weight = |input: usize| f64::from(w[weights + input * p.w.stride(3) as usize]);
            let product: f64 = x_row.iter().enumerate().map(|(input, x)| x * weight(input)).sum();
            let mut sum = f64::from(p.product_scale) * product;
            if let Some(bias) = bias {
                sum += f64::from(p.bias_scale) * f64::from(bias[output]);
            }
            if let Some(activation) = activation {
                sum = activation.of(sum);
            }
            if let Some(residual) = residual {
                sum += f64::from(residual[output]);
            }
            *result = sum as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParams, Request};
    use crate::view::{BoundView, BufferId, Extent};

    #[test]
    fn a_request_is_what_strides_say() {
        let view = |buffer, shape: &[u64]| View::of(BufferId(buffer), shape);
        // Two groups of heads in one row, weights transposed, a bias that all rows share.
        let x = view(0, &[2, 5, 2, 8]).ordered(&[0, 2, 1, 3]);
        let w = view(1, &[2, 8, 12]).ordered(&[0, 2, 1]);
        let request = Linear { bias: Some(view(2, &[12])), ..Linear::new(x, w, view(4, &[2, 2, 5, 12])) };
        let (params, bindings) = request.activated(Activation::Relu).place().expect("they fit");
        let expected = LinearParams {
            x: BoundView::new(0, &[80, 8, 16, 1]),
            w: BoundView::new(0, &[0, 96, 1, 12]),
            bias: BoundView::new(0, &[]),
            y: BoundView::new(0, &[120, 60, 12]),
            batch: 2,
            groups: 2,
            rows: 5,
            inputs: 8,
            outputs: 12,
            activation: 4,
            product_scale: 1.0,
            bias_scale: 1.0,
            has_bias: 1,
            ..LinearParams::default()
        };
        assert_eq!(bytemuck::bytes_of(&params), bytemuck::bytes_of(&expected));
        let dense = |elements| Extent::dense(0, elements);
        assert_eq!(params.accesses(), [dense(160), dense(192), dense(12), Extent::NONE, dense(240)]);
        // Absent operands are bound to the first binding's buffer.
        assert_eq!(bindings.iter().map(|binding| binding.buffer.index()).collect::<Vec<_>>(), [0, 1, 2, 0, 4]);
    }
}
