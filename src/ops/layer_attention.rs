//! The attentions of a layer: one kernel, segmented attention, over the packed queries, keys and values.

use super::chunks::chunks;
use super::kit::{SelfAttention, by_frame, by_position, push_attention};
use super::layer::{BatchSlice, LayerAttention, LayerPlan, TemporalValue};
use super::temporal_stage::problem;
use crate::error::Result;
use crate::view::View;

/// Appends the attention of a batch slice, from the packed `qkv` to the attended tokens.
pub(super) fn push(layer: &mut LayerPlan, slice: BatchSlice) -> Result<()> {
    let patches: u64 = layer.spec.shape.patches().into();
    let all = SelfAttention::new(layer.packed(slice), layer.attended(slice), layer.spec.shape.scale());
    match layer.spec.attention {
        _ if layer.class_only => {}
        LayerAttention::Joint => return push_attention(layer.builder, "joint attention", all.joint()),
        LayerAttention::Trajectory(value) => push_trajectories(layer, slice, value)?,
        LayerAttention::DividedSpace => {
            let frames = |tokens: View| by_frame(tokens, patches);
            push_attention(layer.builder, "attention within a frame", all.within(frames, layer.spec.class_token))?;
        }
        LayerAttention::DividedTime => {
            let positions = |tokens: View| by_position(tokens, patches);
            push_attention(layer.builder, "attention along time", all.within(positions, layer.spec.class_token))?;
        }
    }
    if layer.spec.class_token {
        push_attention(layer.builder, "class token", all.first_queries(1).joint())?;
    }
    Ok(())
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
