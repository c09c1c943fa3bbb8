//! Joint attention, where every frame has the share that falls on it, and divided attention, where a patch sees its own frame, and its own position in the others,
//! with the shares of the pass along time. The class token's share is left out.
//!
//! Rolled out, a block with divided attention has two factors: the pass within frames, then the pass along time. There a class token, which is in every frame,
//! has the mean of what it sees in each; along time it keeps what it has.

use orthoformer::{Result, Tensors};

use super::{Architecture, Kind};
use crate::attribution::{Attribution, FrameAttention, Operands, Patch, by_frames, carried, finite, output};
use crate::model::Model;

/// What a block's attention compares, of the mean of all heads or one.
fn operands<'o>(a: &Architecture, outputs: &'o Tensors, name: &str, head: Option<u32>) -> Result<Operands<'o>> {
    Ok(Operands::new(output(outputs, name)?, a.heads, head))
}

/// What the patch sees, of joint or divided attention.
pub(super) fn attribution(a: &Architecture, patch: &Patch, model: &Model<'_>) -> Result<Attribution> {
    let outputs = patch.operands(model)?;
    let (patches, steps) = (patch.patches(), patch.grid[0]);
    let class = a.kind.class_tokens() as usize;
    let row = |name: &str, keys: Vec<usize>| {
        let operands = operands(a, &outputs, name, patch.head)?;
        finite(operands.row(class + patch.number(), &keys, |_, _| 0.0))
    };
    if a.kind != Kind::TimeSformerDivided {
        let weights = row("operands", (class..class + steps * patches).collect())?;
        return Ok(by_frames(&weights, patches).into());
    }
    let tokens = Tokens { steps, patches };
    let [step, position] = [patch.at[0], patch.in_frame()];
    let times = row("time_operands", tokens.at_position(position).collect())?;
    let own = row("operands", tokens.of_frame(step).collect())?;
    let of_step = |(other, share)| {
        let only_position = || (0..patches).map(|patch| f32::from(u8::from(patch == position))).collect();
        let is_by_construction = other != step;
        FrameAttention { weights: if is_by_construction { only_position() } else { own.clone() }, share, is_by_construction }
    };
    Ok(times.into_iter().enumerate().map(of_step).collect::<Vec<_>>().into())
}

/// The row of weights of all tokens that is `row` ahead of the patch's block.
pub(super) fn roll_out(a: &Architecture, row: &[f64], patch: &Patch, model: &Model<'_>) -> Result<Vec<f64>> {
    let outputs = patch.operands(model)?;
    let within = operands(a, &outputs, "operands", None)?;
    let seen = |operands: &Operands<'_>, token: usize, keys: &[usize]| -> Vec<(usize, f32)> {
        keys.iter().copied().zip(operands.row(token, keys, |_, _| 0.0)).collect()
    };
    if a.kind != Kind::TimeSformerDivided {
        return Ok(within.carried(row));
    }
    let tokens = Tokens { steps: patch.grid[0], patches: patch.patches() };
    let in_frame = |token, step| seen(&within, token, &tokens.with_class(step));
    let row = carried(row, |token| match token.checked_sub(1) {
        Some(patch) => in_frame(token, patch / tokens.patches.max(1)),
        None => {
            let of_steps = (0..tokens.steps).flat_map(|step| in_frame(token, step));
            of_steps.map(|(key, weight)| (key, weight / tokens.steps as f32)).collect()
        }
    });
    let along = operands(a, &outputs, "time_operands", None)?;
    Ok(carried(&row, |token| match token.checked_sub(1) {
        Some(patch) => seen(&along, token, &tokens.at_position(patch % tokens.patches.max(1)).collect::<Vec<_>>()),
        None => vec![(token, 1.0)],
    }))
}

/// Numbers of tokens of which the first is the class token.
struct Tokens {
    /// Frames.
    steps: usize,
    /// Patches of each.
    patches: usize,
}

impl Tokens {
    /// The patches of a frame.
    fn of_frame(&self, step: usize) -> std::ops::Range<usize> {
        1 + step * self.patches..1 + (step + 1) * self.patches
    }

    /// The class token and the patches of a frame.
    fn with_class(&self, step: usize) -> Vec<usize> {
        std::iter::once(0).chain(self.of_frame(step)).collect()
    }

    /// The patches of all frames at a position.
    fn at_position(&self, position: usize) -> impl Iterator<Item = usize> + use<> {
        let patches = self.patches;
        (0..self.steps).map(move |step| 1 + step * patches + position)
    }
}
