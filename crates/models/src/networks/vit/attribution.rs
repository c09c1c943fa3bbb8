//! Joint attention, where every frame has the share that falls on it, and divided attention, where a patch sees its own frame, and its own position in the others,
//! with the shares of the pass along time. The class token's share is left out.

use orthoformer::Result;

use super::{Architecture, Kind};
use crate::attribution::{Attribution, FrameAttention, Operands, Patch, by_frames, finite, output};
use crate::model::Model;

/// What the patch sees, of joint or divided attention.
pub(super) fn attribution(a: &Architecture, patch: &Patch, model: &Model<'_>) -> Result<Attribution> {
    let outputs = patch.operands(model)?;
    let operands = |name: &str| -> Result<Operands<'_>> { Ok(Operands::new(output(&outputs, name)?, a.heads, patch.head)) };
    let (patches, steps) = (patch.patches(), patch.grid[0]);
    // Tokens: the class token comes first.
    let row = |operands: &Operands<'_>, keys: Vec<usize>| finite(operands.row(1 + patch.number(), &keys, |_, _| 0.0));
    if a.kind != Kind::TimeSformerDivided {
        let weights = row(&operands("operands")?, (1..=steps * patches).collect())?;
        return Ok(by_frames(&weights, patches).into());
    }
    let [step, position] = [patch.at[0], patch.in_frame()];
    let times = row(&operands("time_operands")?, (0..steps).map(|step| 1 + step * patches + position).collect())?;
    let own = row(&operands("operands")?, (0..patches).map(|other| 1 + step * patches + other).collect())?;
    let of_step = |(other, share)| {
        let only_position = || (0..patches).map(|patch| f32::from(u8::from(patch == position))).collect();
        let is_by_construction = other != step;
        FrameAttention { weights: if is_by_construction { only_position() } else { own.clone() }, share, is_by_construction }
    };
    Ok(times.into_iter().enumerate().map(of_step).collect::<Vec<_>>().into())
}
