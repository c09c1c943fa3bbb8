//! Joint attention, where every frame has the share that falls on it, and divided attention, where a patch sees its own frame, and its own place in the others,
//! with the shares of the pass along time. The class token's share is left out.

use orthoformer::Result;
use orthoformer::ops::vit;

use super::super::attention_rows::Operands;
use super::super::forward::Network;
use super::{Patch, Seen, by_frames, finite, output};

/// What the patch sees, of joint or divided attention.
pub(super) fn seen(a: &vit::Architecture, patch: &Patch, network: &Network<'_>) -> Result<Vec<Seen>> {
    let outputs = patch.operands(network)?;
    let operands = |name: &str| -> Result<Operands<'_>> { Ok(Operands::new(output(&outputs, name)?, a.heads, patch.head)) };
    let (patches, steps) = (patch.patches(), patch.grid[0]);
    // Tokens: the class token comes first.
    let row = |operands: &Operands<'_>, keys: Vec<usize>| finite(operands.row(1 + patch.number(), &keys, |_, _| 0.0));
    if a.kind != vit::Kind::TimeSformerDivided {
        let weights = row(&operands("operands")?, (1..=steps * patches).collect())?;
        return Ok(by_frames(&weights, patches));
    }
    let [step, place] = [patch.at[0], patch.place()];
    let times = row(&operands("time_operands")?, (0..steps).map(|step| 1 + step * patches + place).collect())?;
    let own = row(&operands("operands")?, (0..patches).map(|other| 1 + step * patches + other).collect())?;
    let of_step = |(other, share)| {
        let only_place = || (0..patches).map(|patch| f32::from(u8::from(patch == place))).collect();
        (if other == step { own.clone() } else { only_place() }, share)
    };
    Ok(times.into_iter().enumerate().map(of_step).collect())
}
