//! Versions of the temporal stage's kernels.

use super::linear::fours;
use super::{Suited, Variant, VariantRow, Wanted};
use crate::kernel::Kernel;
use crate::params::{TemporalPoolParams, TemporalWeightsParams, count, looped};

pub(super) static WEIGHTS_BROADCAST: VariantRow = VariantRow {
    kernel: Kernel::TemporalWeights,
    variant: Variant::Broadcast,
    stem: "temporal_weights_broadcast",
    source: include_str!("../../shaders/temporal_weights_broadcast.wgsl"),
    libraries: &["grid", "constants", "temporal_weights_params", "broadcast"],
    constants: &["LANES"],
    tiles: &[],
    suit: weights_broadcast,
};

fn weights_broadcast(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: TemporalWeightsParams = wanted.params();
    let lanes = wanted.capabilities.subgroup_of(8)?;
    fours(&[
        ("width", p.width),
        ("q offset", p.q_offset),
        ("q batch stride", p.q_batch_stride),
        ("q row stride", p.q_row_stride),
        ("q head stride", p.q_head_stride),
        ("t offset", p.t_offset),
        ("t batch stride", p.t_batch_stride),
        ("t row stride", p.t_row_stride),
        ("t frame stride", p.t_frame_stride),
    ])?;
    // A loop that is passed over takes a turn all the same.
    let one_by_one = looped(p.heads.into(), looped(u64::from(p.width / 4), 0));
    let scores = one_by_one.max(looped(p.heads.div_ceil(16).into(), u64::from(p.width / 4)) + looped(1, 1));
    let softmax = looped(p.heads.div_ceil(lanes).into(), 3 * looped(p.frames.into(), 0));
    Ok(Suited {
        tile: None,
        constants: vec![lanes],
        workgroups: count(&[p.batch, p.rows]),
        loop_turns: looped(p.frames.div_ceil(lanes).into(), scores) + softmax,
    })
}

pub(super) static POOL_BROADCAST: VariantRow = VariantRow {
    kernel: Kernel::TemporalPool,
    variant: Variant::Broadcast,
    stem: "temporal_pool_broadcast",
    source: include_str!("../../shaders/temporal_pool_broadcast.wgsl"),
    libraries: &["grid", "temporal_pool_params", "broadcast"],
    constants: &["LANES"],
    tiles: &[],
    suit: pool_broadcast,
};

fn pool_broadcast(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: TemporalPoolParams = wanted.params();
    let lanes = wanted.capabilities.subgroup_of(8)?;
    if p.t_head_stride != 0 {
        return Err("each head pools a part of the token of its own".to_owned());
    }
    fours(&[
        ("width", p.width),
        ("frames", p.frames),
        ("weights offset", p.a_offset),
        ("weights batch stride", p.a_batch_stride),
        ("weights head stride", p.a_head_stride),
        ("weights row stride", p.a_row_stride),
        ("t offset", p.t_offset),
        ("t batch stride", p.t_batch_stride),
        ("t row stride", p.t_row_stride),
        ("t frame stride", p.t_frame_stride),
        ("output offset", p.out_offset),
        ("output batch stride", p.out_batch_stride),
        ("output row stride", p.out_row_stride),
        ("output head stride", p.out_head_stride),
    ])?;
    Ok(Suited {
        tile: None,
        constants: vec![lanes],
        workgroups: count(&[p.batch, p.rows, p.heads.div_ceil(16), p.width.div_ceil(4 * lanes)]),
        // Bottom-tested; or the loops for subgroups of another size, which are tested even if they are never entered.
        loop_turns: (u64::from(p.frames / 4) + looped(1, 1))
            .max(looped(p.heads.min(16).into(), looped((p.frames / 4).into(), 0))),
    })
}
