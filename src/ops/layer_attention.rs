//! The attentions of a layer: one kernel, segmented attention, over the packed queries, keys and values.

use super::chunks::chunks;
use super::kit::{heads, one_group, one_segment, push_attention};
use super::layer::{BatchSlice, LayerAttention, LayerPlan, TemporalValue};
use super::temporal_stage::problem;
use crate::error::Result;
use crate::kernel::Attend;
use crate::view::View;

/// Appends the attention of a batch slice, from the packed `qkv` to the attended tokens.
pub(super) fn push(layer: &mut LayerPlan, slice: BatchSlice) -> Result<()> {
    let all = Operands::of(layer, slice);
    let patches: u64 = layer.spec.shape.patches().into();
    match layer.spec.attention {
        _ if layer.class_only => {}
        LayerAttention::Joint => return all.push(layer, "joint attention", one_group, false),
        LayerAttention::Trajectory(value) => push_trajectories(layer, slice, value)?,
        LayerAttention::DividedSpace => {
            all.push(layer, "attention within a frame", |tokens| tokens.split(2, patches), true)?;
        }
        LayerAttention::DividedTime => {
            let by_place = |tokens: View| tokens.split(2, patches).ordered(&[0, 1, 3, 2, 4]);
            all.push(layer, "attention along time", by_place, true)?;
        }
    }
    if layer.spec.class_token {
        let class = |tokens: View| tokens.part(2, 0, 1);
        let own = Operands { queries: class(all.queries), out: class(all.out), ..all };
        own.push(layer, "class token", one_group, false)?;
    }
    Ok(())
}

/// All tokens of a batch slice, `[items, heads, tokens, D]` each.
#[derive(Clone, Copy)]
struct Operands {
    queries: View,
    keys: View,
    values: View,
    out: View,
}

impl Operands {
    fn of(layer: &LayerPlan, slice: BatchSlice) -> Self {
        let packed = layer.packed(slice);
        let out = heads(layer.attended(slice), layer.spec.shape.heads().into());
        Self { queries: packed.queries(), keys: packed.keys(), values: packed.values(), out }
    }

    /// Appends attention within groups of tokens. If it is divided, the class token, where there is one, is skipped as a query and an extra
    /// key of every group.
    fn push(&self, layer: &mut LayerPlan, label: &'static str, groups: impl Fn(View) -> View, divided: bool) -> Result<()> {
        let has_class = divided && layer.spec.class_token;
        let grouped = |tokens: View| groups(tokens.from(2, has_class.into()));
        let with_class = |tokens: View| {
            let own = one_segment(grouped(tokens));
            if has_class { own.with_extra(&tokens.part(2, 0, 1)) } else { own }
        };
        let request = Attend {
            queries: grouped(self.queries),
            keys: with_class(self.keys),
            values: with_class(self.values),
            tokens: grouped(self.out).with_axis(4, 1),
            scale: layer.spec.shape.scale(),
        };
        push_attention(layer.builder, label, request)
    }
}

/// Trajectory attention, chunk of queries by chunk of queries.
fn push_trajectories(layer: &mut LayerPlan, slice: BatchSlice, value: TemporalValue) -> Result<()> {
    let (frames, patches) = (layer.spec.shape.frames(), layer.spec.shape.patches());
    let Some(buffers) = &layer.trajectory else { return Ok(()) };
    let (chunks, scratch) = (chunks(buffers.rows, frames, patches), buffers.scratch_of_a_chunk());
    let mut prepared = match &buffers.approximator {
        Some(approximator) => approximator.prepare(layer.builder, &problem(layer, slice))?,
        None => Vec::new(),
    };
    for chunk in chunks {
        let Some(buffers) = &layer.trajectory else { return Ok(()) };
        let stages = chunk.plan(layer, buffers, slice, value)?;
        prepared.drain(..).chain(stages).for_each(|stage| layer.builder.push_stage(stage));
        layer.builder.release(&scratch)?;
    }
    Ok(())
}
