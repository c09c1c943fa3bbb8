//! The attentions of a layer: one kernel, segmented attention, over slices of the packed `qkv` buffer.

use super::chunks::chunks;
use super::layer::{BatchSlice, LayerAttention, LayerPlan, TemporalValue};
use super::temporal_stage::problem;
use crate::error::Result;
use crate::params::AttendParams;
use crate::plan::Binding;

/// Appends the attention of a batch slice, from the packed `qkv` to the attended tokens.
pub(super) fn push(layer: &mut LayerPlan, slice: BatchSlice) -> Result<()> {
    let (c, t) = (layer.spec.shape.channels(), layer.sequence);
    let (frames, patches) = (layer.spec.shape.frames(), layer.spec.shape.patches());
    let packed_row = 3 * c;
    match layer.spec.attention {
        _ if layer.class_only => {}
        LayerAttention::Joint => {
            let all = AttendParams { rows: t, keys: t, ..packed(layer, slice, 0) };
            return push_attended(layer, slice, "joint attention", all);
        }
        LayerAttention::Trajectory(value) => push_trajectories(layer, slice, value)?,
        LayerAttention::DividedSpace => {
            let own_frame = AttendParams {
                groups: frames,
                rows: patches,
                keys: patches,
                q_group_stride: patches * packed_row,
                k_group_stride: patches * packed_row,
                v_group_stride: patches * packed_row,
                out_group_stride: patches * c,
                ..divided(layer, slice)
            };
            push_attended(layer, slice, "attention within a frame", own_frame)?;
        }
        LayerAttention::DividedTime => {
            let own_place = AttendParams {
                groups: patches,
                rows: frames,
                keys: frames,
                q_group_stride: packed_row,
                q_row_stride: patches * packed_row,
                k_group_stride: packed_row,
                k_row_stride: patches * packed_row,
                v_group_stride: packed_row,
                v_row_stride: patches * packed_row,
                out_group_stride: c,
                out_row_stride: patches * c,
                ..divided(layer, slice)
            };
            push_attended(layer, slice, "attention along time", own_place)?;
        }
    }
    if layer.spec.class_token {
        let class = AttendParams { rows: 1, keys: t, ..packed(layer, slice, 0) };
        push_attended(layer, slice, "class token", class)?;
    }
    Ok(())
}

/// Trajectory attention, chunk of queries by chunk of queries.
fn push_trajectories(layer: &mut LayerPlan, slice: BatchSlice, value: TemporalValue) -> Result<()> {
    let (frames, patches) = (layer.spec.shape.frames(), layer.spec.shape.patches());
    let Some(buffers) = &layer.trajectory else { return Ok(()) };
    let (chunks, scratch) = (chunks(buffers.rows, frames, patches), buffers.scratch_of_a_chunk());
    let mut prepared = match &buffers.approximator {
        Some(approximator) => approximator.prepare(layer.builder, &problem(layer, slice)?)?,
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

/// Params over the packed buffer and into the attended tokens, both skipping `skip` tokens; one group, one segment; rows and keys
/// are left to the caller.
pub(super) fn packed(layer: &LayerPlan, slice: BatchSlice, skip: u32) -> AttendParams {
    let shape = &layer.spec.shape;
    let (c, size) = (shape.channels(), shape.head_size());
    let (row, item) = (3 * c, layer.sequence * 3 * c);
    AttendParams {
        batch: slice.items,
        heads: shape.heads(),
        groups: 1,
        segments: 1,
        head_size: size,
        value_size: size,
        scale: shape.scale(),
        q_offset: skip * row,
        q_batch_stride: item,
        q_head_stride: size,
        q_row_stride: row,
        k_offset: skip * row + c,
        k_extra_offset: c,
        k_batch_stride: item,
        k_head_stride: size,
        k_row_stride: row,
        v_offset: skip * row + 2 * c,
        v_extra_offset: 2 * c,
        v_batch_stride: item,
        v_head_stride: size,
        v_row_stride: row,
        out_offset: skip * c,
        out_batch_stride: layer.sequence * c,
        out_head_stride: size,
        out_row_stride: c,
        ..AttendParams::default()
    }
}

/// Divided attention: the class token, where there is one, is skipped as a query and an extra key of every group.
fn divided(layer: &LayerPlan, slice: BatchSlice) -> AttendParams {
    let class = u32::from(layer.spec.class_token);
    AttendParams { extra_keys: class, ..packed(layer, slice, class) }
}

fn push_attended(layer: &mut LayerPlan, slice: BatchSlice, label: &'static str, params: AttendParams) -> Result<()> {
    let (packed, attended): (Binding, Binding) = (layer.packed(slice)?, layer.attended(slice)?);
    layer.builder.push(label, params, &[packed, packed, packed, attended])
}
