//! Joint attention: every frame has the share that falls on it.

use orthoformer::{Result, Tensors};

use super::Architecture;
use crate::attribution::{Attribution, Operands, Patch, by_frames, finite, output};
use crate::model::Model;

/// What a block's attention compares, of the mean of all heads or one.
fn operands<'o>(a: &Architecture, outputs: &'o Tensors, head: Option<u32>) -> Result<Operands<'o>> {
    Ok(Operands::apart(output(outputs, "queries")?, output(outputs, "keys")?, a.heads, head))
}

/// What the patch sees.
pub(super) fn attribution(a: &Architecture, patch: &Patch, model: &Model<'_>) -> Result<Attribution> {
    let outputs = patch.operands(model)?;
    let operands = operands(a, &outputs, patch.head)?;
    let keys: Vec<usize> = (0..patch.grid[0] * patch.patches()).collect();
    let weights = finite(operands.row(patch.number(), &keys, |_, _| 0.0))?;
    Ok(by_frames(&weights, patch.patches()).into())
}

/// The row of weights of all tokens that is `row` ahead of the patch's block.
pub(super) fn roll_out(a: &Architecture, row: &[f64], patch: &Patch, model: &Model<'_>) -> Result<Vec<f64>> {
    Ok(operands(a, &patch.operands(model)?, None)?.carried(row))
}
