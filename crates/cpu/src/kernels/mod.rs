//! The kernels: a file each, by the shader's stem. What has no file runs as the reference does.

mod attend;
mod attend_weights;
mod attend_windows;
mod layer_norm;
mod linear;
mod patchify;
mod rotary;
mod softmax_rows;
pub(crate) mod temporal_pool;
mod temporal_stage;
pub(crate) mod temporal_weights;

use orthoformer::kernel::Kernel;
use orthoformer::plan::{Binding, Dispatch, Stage};

pub(crate) use attend::Packed as PackedAttention;

use super::context::Context;
use super::memory::Fusion;
use super::packs::{Matrices, Packs};

/// Most bindings that a kernel reads.
pub(crate) const MOST_BINDINGS: usize = 8;

/// The number of a binding's packed matrices; `None` if it is no input, so that its elements change while a plan runs.
pub(crate) type PackInput<'p> = dyn FnMut(&Binding, Matrices) -> Option<usize> + 'p;

/// What all steps of a run see.
pub(crate) struct Environment<'e> {
    pub context: &'e Context,
    pub packs: &'e Packs,
    pub attention: &'e mut [PackedAttention],
}

/// A step with what it binds.
#[derive(Debug)]
pub(crate) struct BoundStep {
    pub step: Step,
    pub inputs: Vec<Binding>,
    pub output: Binding,
    /// Its first dispatch, and how many it takes.
    pub first: usize,
    pub count: usize,
    /// Where its output waits until all inputs have been read, if that has to.
    pub staged: Option<Vec<f32>>,
}

impl BoundStep {
    /// The steps of a plan's stage whose first dispatch has this number.
    pub fn of(
        stage: &Stage,
        first: usize,
        fusion: Fusion,
        pack: &mut PackInput<'_>,
        attention: &mut Vec<PackedAttention>,
    ) -> Vec<Self> {
        let dispatches = stage.dispatches();
        if fusion != Fusion::None
            && let Stage::Shortcut { .. } = stage
            && let Some((step, bindings)) = temporal_stage::Step::of(dispatches, pack)
        {
            let step = Step::TemporalStage(Box::new(step));
            let staged = (fusion == Fusion::Staged).then(|| vec![0.0; bindings.output.range().len()]);
            let temporal_stage::Bindings { inputs, output } = bindings;
            attention.iter_mut().for_each(|packed| packed.written(output.buffer()));
            return vec![Self { step, inputs: inputs.to_vec(), output, first, count: dispatches.len(), staged }];
        }
        let mut steps = Vec::new();
        for (number, dispatch) in dispatches.iter().enumerate() {
            let Some((&output, inputs)) = dispatch.bindings.split_last() else { continue };
            let step = Step::of(dispatch, pack, attention);
            attention.iter_mut().for_each(|packed| packed.written(output.buffer()));
            steps.push(Self { step, inputs: inputs.to_vec(), output, first: first + number, count: 1, staged: None });
        }
        steps
    }

    /// Whether it runs as the reference does.
    pub fn is_by_reference(&self) -> bool {
        matches!(self.step, Step::Reference)
    }
}

/// How a dispatch runs.
#[derive(Debug)]
pub(crate) enum Step {
    Attend(Box<attend::Step>),
    AttendWeights(attend_weights::Step),
    AttendWindows(Box<attend_windows::Step>),
    LayerNorm(layer_norm::Step),
    Linear(linear::Step),
    Patchify(patchify::Step),
    Rotary(rotary::Step),
    SoftmaxRows(softmax_rows::Step),
    TemporalPool(temporal_pool::Step),
    TemporalStage(Box<temporal_stage::Step>),
    TemporalWeights(temporal_weights::Step),
    /// By the loops of the reference.
    Reference,
}

impl Step {
    /// The fastest way to run a dispatch.
    fn of(dispatch: &Dispatch, pack: &mut PackInput<'_>, attention: &mut Vec<PackedAttention>) -> Self {
        let params = &dispatch.params;
        match dispatch.kernel {
            Kernel::Attend => {
                let [_, keys, values, _] = dispatch.bindings[..] else { return Self::Reference };
                Self::Attend(Box::new(attend::Step::new(bytemuck::pod_read_unaligned(params), [keys, values], attention)))
            }
            Kernel::AttendWeights => Self::AttendWeights(attend_weights::Step(bytemuck::pod_read_unaligned(params))),
            Kernel::AttendWindows => {
                Self::AttendWindows(Box::new(attend_windows::Step::new(bytemuck::pod_read_unaligned(params))))
            }
            Kernel::Patchify => Self::Patchify(patchify::Step(bytemuck::pod_read_unaligned(params))),
            Kernel::Rotary => Self::Rotary(rotary::Step(bytemuck::pod_read_unaligned(params))),
            Kernel::LayerNorm => Self::LayerNorm(layer_norm::Step(bytemuck::pod_read_unaligned(params))),
            Kernel::Linear => {
                let params = bytemuck::pod_read_unaligned(params);
                Self::Linear(linear::Step::new(params, |matrices| pack(dispatch.bindings.get(1)?, matrices)))
            }
            Kernel::SoftmaxRows => {
                softmax_rows::Step::new(bytemuck::pod_read_unaligned(params)).map_or(Self::Reference, Self::SoftmaxRows)
            }
            Kernel::TemporalPool => Self::TemporalPool(temporal_pool::Step(bytemuck::pod_read_unaligned(params))),
            Kernel::TemporalWeights => Self::TemporalWeights(temporal_weights::Step::new(bytemuck::pod_read_unaligned(params))),
            _ => Self::Reference,
        }
    }

    /// Runs it: inputs as they are bound, and the output.
    pub fn run(&mut self, dispatch: &Dispatch, inputs: &[&[f32]], output: &mut [f32], environment: &mut Environment<'_>) {
        match (self, inputs) {
            (Self::Attend(step), &[queries, keys, values]) => step.run([queries, keys, values], output, environment),
            (Self::AttendWeights(step), &[queries, keys]) => step.run([queries, keys], output, environment),
            (Self::AttendWindows(step), &[queries, keys, values, table]) => {
                step.run([queries, keys, values, table], output, environment);
            }
            (Self::Patchify(step), &[clip]) => step.run(clip, output),
            (Self::Rotary(step), &[x, table]) => step.run([x, table], output),
            (Self::LayerNorm(step), &[x, scales, shifts]) => step.run([x, scales, shifts], output, environment),
            (Self::Linear(step), &[x, w, bias, residual]) => step.run([x, w, bias, residual], output, environment),
            (Self::SoftmaxRows(step), &[scores]) => step.run(scores, output, environment),
            (Self::TemporalPool(step), &[weights, tokens]) => step.run([weights, tokens], output, environment),
            (Self::TemporalStage(step), &[own, tokens, query_bias, value_bias]) => {
                step.run([own, tokens, query_bias, value_bias], output, environment);
            }
            (Self::TemporalWeights(step), &[queries, tokens]) => step.run([queries, tokens], output, environment),
            _ => (dispatch.kernel.row().reference)(&dispatch.params, inputs, output),
        }
    }
}
