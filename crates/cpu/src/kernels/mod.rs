//! The kernels: a file each, by the shader's stem. What has no file runs as the reference does.

mod attend;
mod layer_norm;
mod linear;
mod softmax_rows;
mod temporal_pool;
mod temporal_weights;

use orthoformer::kernel::Kernel;
use orthoformer::plan::{Binding, Dispatch};

use super::context::Context;
use super::packs::{Matrices, Packs};

/// Most bindings that a kernel reads.
pub(crate) const MOST_BINDINGS: usize = 8;

/// The number of a binding's packed matrices; `None` if it is no input, so that its elements change while a plan runs.
pub(crate) type PackInput<'p> = dyn FnMut(&Binding, Matrices) -> Option<usize> + 'p;

/// What all steps of a run see.
pub(crate) struct Environment<'e> {
    pub context: &'e Context,
    pub packs: &'e Packs,
}

/// How a dispatch runs.
#[derive(Debug)]
pub(crate) enum Step {
    Attend(Box<attend::Step>),
    LayerNorm(layer_norm::Step),
    Linear(linear::Step),
    SoftmaxRows(softmax_rows::Step),
    TemporalPool(temporal_pool::Step),
    TemporalWeights(temporal_weights::Step),
    /// By the loops of the reference.
    Reference,
}

impl Step {
    /// The fastest way to run a dispatch.
    pub fn of(dispatch: &Dispatch, pack: &mut PackInput<'_>) -> Self {
        let params = &dispatch.params;
        match dispatch.kernel {
            Kernel::Attend => Self::Attend(Box::new(attend::Step::new(bytemuck::pod_read_unaligned(params)))),
            Kernel::LayerNorm => Self::LayerNorm(layer_norm::Step(bytemuck::pod_read_unaligned(params))),
            Kernel::Linear => {
                let params = bytemuck::pod_read_unaligned(params);
                Self::Linear(linear::Step::new(params, |matrices| pack(dispatch.bindings.get(1)?, matrices)))
            }
            Kernel::SoftmaxRows => {
                let params: orthoformer::kernel::SoftmaxRowsParams = bytemuck::pod_read_unaligned(params);
                if params.has_sums == 0 { Self::SoftmaxRows(softmax_rows::Step(params)) } else { Self::Reference }
            }
            Kernel::TemporalPool => Self::TemporalPool(temporal_pool::Step(bytemuck::pod_read_unaligned(params))),
            Kernel::TemporalWeights => {
                Self::TemporalWeights(temporal_weights::Step::new(bytemuck::pod_read_unaligned(params)))
            }
            _ => Self::Reference,
        }
    }

    /// Runs it: inputs as they are bound, and the output.
    pub fn run(&mut self, dispatch: &Dispatch, inputs: &[&[f32]], output: &mut [f32], environment: &Environment<'_>) {
        match (self, inputs) {
            (Self::Attend(step), &[queries, keys, values]) => step.run([queries, keys, values], output, environment),
            (Self::LayerNorm(step), &[x, scales, shifts]) => step.run([x, scales, shifts], output, environment),
            (Self::Linear(step), &[x, w, bias, residual]) => step.run([x, w, bias, residual], output, environment),
            (Self::SoftmaxRows(step), &[scores]) => step.run(scores, output, environment),
            (Self::TemporalPool(step), &[weights, tokens]) => step.run([weights, tokens], output, environment),
            (Self::TemporalWeights(step), &[queries, tokens]) => step.run([queries, tokens], output, environment),
            _ => (dispatch.kernel.row().reference)(&dispatch.params, inputs, output),
        }
    }
}
