//! Joint attention: every frame has the share that falls on it.

use orthoformer::Result;

use super::Architecture;
use crate::attribution::{Attribution, Operands, Patch, by_frames, finite, output};
use crate::model::Model;

/// What the patch sees.
pub(super) fn attribution(a: &Architecture, patch: &Patch, model: &Model<'_>) -> Result<Attribution> {
    let outputs = patch.operands(model)?;
    let operands = Operands::apart(output(&outputs, "queries")?, output(&outputs, "keys")?, a.heads, patch.head);
    let keys: Vec<usize> = (0..patch.grid[0] * patch.patches()).collect();
    let weights = finite(operands.row(patch.number(), &keys, |_, _| 0.0))?;
    Ok(by_frames(&weights, patch.patches()).into())
}
