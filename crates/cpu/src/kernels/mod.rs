//! The kernels: a file each, by the shader's stem. What has no file runs as the reference does.

use orthoformer::plan::Dispatch;

/// Most bindings that a kernel reads.
pub(crate) const MOST_BINDINGS: usize = 8;

/// How a dispatch runs.
#[derive(Debug)]
pub(crate) enum Step {
    /// By the loops of the reference.
    Reference,
}

impl Step {
    /// The fastest way to run a dispatch.
    pub fn of(_dispatch: &Dispatch) -> Self {
        Self::Reference
    }

    /// Runs it: inputs as they are bound, and the output.
    pub fn run(&mut self, dispatch: &Dispatch, inputs: &[&[f32]], output: &mut [f32]) {
        match self {
            Self::Reference => (dispatch.kernel.row().reference)(&dispatch.params, inputs, output),
        }
    }
}
