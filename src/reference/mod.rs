//! The CPU reference: every kernel as plain loops with float64 sums and no tricks.
//!
//! [`run`] walks the same [`Plan`] as the GPU engine. If a plan takes an algebraic shortcut over several kernels, the reference
//! takes the direct route ([`direct`]), so that comparing the two checks the algebra too. [`Route::Kernels`] follows the kernels
//! instead, to find a wrong one.

pub mod direct;

use crate::error::{Error, Result};
use crate::plan::{Binding, BufferSpec, Dispatch, Plan, Role, Stage};
use crate::tensor::Tensors;

/// How the reference treats shortcuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The published order of the computation: the right answer.
    Direct,
    /// Kernel by kernel, like the GPU: it fills the scratch buffers in between too.
    Kernels,
}

/// Runs a plan on the CPU. Outputs come back under their buffers' names; elements that no stage writes are NaN. If the plan is
/// stored as float16, inputs and outputs of kernels are rounded to that; intermediate values of the direct route are not.
///
/// # Errors
/// Those of [`Plan::inputs`], and [`Error::OutOfMemory`].
pub fn run(plan: &Plan, inputs: &Tensors, route: Route) -> Result<Tensors> {
    let buffers = run_buffers(plan, inputs, route)?;
    let outputs = plan.buffers().iter().zip(buffers).filter(|(spec, _)| spec.is_output());
    outputs.map(|(spec, data)| Ok((spec.name.clone(), spec.tensor(data)?))).collect()
}

/// Runs a plan and hands out all of its buffers, in the plan's order. Elements that no stage writes are NaN.
///
/// # Errors
/// Those of [`Plan::inputs`], and [`Error::OutOfMemory`].
pub fn run_buffers(plan: &Plan, inputs: &Tensors, route: Route) -> Result<Vec<Vec<f32>>> {
    let given = plan.inputs(inputs)?;
    let buffer = |spec: &BufferSpec| match &spec.role {
        Role::Constant(words) => Ok(words.iter().map(|&word| f32::from_bits(word)).collect()),
        Role::Input => Ok(Vec::new()),
        Role::Output | Role::Indices | Role::Scratch => unwritten(spec),
    };
    let mut buffers: Vec<Vec<f32>> = plan.buffers().iter().map(buffer).collect::<Result<_>>()?;
    for (id, tensor) in given {
        buffers[id.index()] = tensor.data().to_vec();
        plan.buffers()[id.index()].element.round(&mut buffers[id.index()]);
    }
    for stage in plan.stages() {
        match (stage, route) {
            (Stage::Shortcut { direct, .. }, Route::Direct) => direct.run(&mut buffers),
            _ => stage.dispatches().iter().for_each(|dispatch| run_dispatch(dispatch, &mut buffers)),
        }
    }
    Ok(buffers)
}

/// A buffer of NaN, or [`Error::OutOfMemory`].
fn unwritten(spec: &BufferSpec) -> Result<Vec<f32>> {
    let failed =
        |message: String| Error::OutOfMemory { doing: format!("allocating the reference's buffer {:?}", spec.name), message };
    let count = usize::try_from(spec.elements()).map_err(|error| failed(error.to_string()))?;
    let mut data = Vec::new();
    data.try_reserve_exact(count).map_err(|error| failed(format!("{} bytes: {error}", spec.bytes())))?;
    data.resize(count, f32::NAN);
    Ok(data)
}

/// Runs one dispatch: the last binding is taken out, written, and put back.
fn run_dispatch(dispatch: &Dispatch, buffers: &mut [Vec<f32>]) {
    let Some((output, inputs)) = dispatch.bindings.split_last() else { return };
    let mut written = std::mem::take(&mut buffers[output.buffer.index()]);
    let inputs: Vec<&[f32]> = inputs.iter().map(|binding| part(buffers, binding)).collect();
    let range = output.range();
    (dispatch.kernel.row().reference)(&dispatch.params, &inputs, &mut written[range.clone()]);
    dispatch.elements.last().copied().unwrap_or_default().round(&mut written[range]);
    buffers[output.buffer.index()] = written;
}

/// The bound part of a buffer.
fn part<'b>(buffers: &'b [Vec<f32>], binding: &Binding) -> &'b [f32] {
    &buffers[binding.buffer.index()][binding.range()]
}
