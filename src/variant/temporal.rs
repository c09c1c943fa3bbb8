//! Versions of the temporal stage's kernels.

use super::linear::fours;
use super::{Need, Suited, Variant, VariantRow, Wanted, require_multiple_of_4};
use crate::kernel::{Kernel, TemporalPoolParams, TemporalWeightsParams, count, looped};

pub(super) static WEIGHTS_BROADCAST: VariantRow = VariantRow {
    kernel: Kernel::TemporalWeights,
    variant: Variant::Broadcast,
    stem: "temporal_weights_broadcast",
    source: include_str!("../../shaders/temporal_weights_broadcast.wgsl"),
    constants: &["LANES"],
    examples: &[(&[8], 8), (&[32], 32)],
    needs: &[Need::Subgroups],
    tiles: &[],
    suit: weights_broadcast,
};

fn weights_broadcast(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: TemporalWeightsParams = wanted.params();
    let lanes = wanted.capabilities.subgroup_of(8)?;
    weights_of_vectors(&p)?;
    // A loop that is passed over takes an iteration all the same.
    let one_by_one = looped(p.heads.into(), looped(u64::from(p.width / 4), 0));
    let scores = one_by_one.max(looped(p.heads.div_ceil(16).into(), u64::from(p.width / 4)) + looped(1, 1));
    let softmax = looped(p.heads.div_ceil(lanes).into(), 3 * looped(p.frames.into(), 0));
    Ok(Suited {
        tile: None,
        constants: vec![lanes],
        workgroups: count(&[p.batch, p.rows]),
        iterations: looped(p.frames.div_ceil(lanes).into(), scores) + softmax,
    })
}

pub(super) static POOL_BROADCAST: VariantRow = VariantRow {
    kernel: Kernel::TemporalPool,
    variant: Variant::Broadcast,
    stem: "temporal_pool_broadcast",
    source: include_str!("../../shaders/temporal_pool_broadcast.wgsl"),
    constants: &["LANES"],
    examples: &[(&[8], 8), (&[32], 32)],
    needs: &[Need::Subgroups],
    tiles: &[],
    suit: pool_broadcast,
};

fn pool_broadcast(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: TemporalPoolParams = wanted.params();
    let lanes = wanted.capabilities.subgroup_of(8)?;
    whole_tokens_of_vectors(&p)?;
    fours(&[("frames", p.frames)])?;
    require_multiple_of_4(&[("weights", &p.weights)])?;
    Ok(Suited {
        tile: None,
        constants: vec![lanes],
        workgroups: count(&[p.batch, p.rows, p.heads.div_ceil(16), p.width.div_ceil(4 * lanes)]),
        // Bottom-tested; or the loops for subgroups of another size, which are tested even if they are never entered.
        iterations: (u64::from(p.frames / 4) + looped(1, 1))
            .max(looped(p.heads.min(16).into(), looped((p.frames / 4).into(), 0))),
    })
}

pub(super) static WEIGHTS_TILES: VariantRow = VariantRow {
    kernel: Kernel::TemporalWeights,
    variant: Variant::Tiles,
    stem: "temporal_weights_tiles",
    source: include_str!("../../shaders/temporal_weights_tiles.wgsl"),
    constants: &["LINES", "PAIRS"],
    examples: &[(&[2, 1], 64), (&[113, 4], 64)],
    needs: &[],
    tiles: &[],
    suit: weights_tiles,
};

fn weights_tiles(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: TemporalWeightsParams = wanted.params();
    weights_of_vectors(&p)?;
    let lines = p.heads.saturating_add(p.frames);
    wanted.capabilities.workgroup_memory(lines.saturating_mul(9 * 16))?;
    let pairs = p.heads * p.frames;
    let own = pairs.div_ceil(64).min(4);
    let slice = looped((lines * 8).div_ceil(64).into(), 0) + looped(own.into(), looped(8, 0));
    let block = 2 * looped(own.into(), 0) + looped(p.width.div_ceil(32).into(), slice);
    let softmax = looped(p.heads.div_ceil(64).into(), 3 * looped(p.frames.into(), 0));
    Ok(Suited {
        tile: None,
        constants: vec![lines, own],
        workgroups: count(&[p.batch, p.rows]),
        iterations: looped(pairs.div_ceil(64 * own).into(), block) + softmax,
    })
}

/// Checks that projected queries and tokens can be read as vectors of four.
fn weights_of_vectors(p: &TemporalWeightsParams) -> Result<(), String> {
    fours(&[("width", p.width)])?;
    require_multiple_of_4(&[("queries", &p.queries), ("tokens", &p.tokens)])
}

pub(super) static POOL_TILES: VariantRow = VariantRow {
    kernel: Kernel::TemporalPool,
    variant: Variant::Tiles,
    stem: "temporal_pool_tiles",
    source: include_str!("../../shaders/temporal_pool_tiles.wgsl"),
    constants: &[],
    examples: &[(&[], 64)],
    needs: &[],
    tiles: &[],
    suit: pool_tiles,
};

fn pool_tiles(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: TemporalPoolParams = wanted.params();
    whole_tokens_of_vectors(&p)?;
    Ok(Suited {
        tile: None,
        constants: Vec::new(),
        workgroups: count(&[p.batch, p.rows, p.heads.div_ceil(4), p.width.div_ceil(256)]),
        iterations: looped(p.frames.into(), 0),
    })
}

/// Checks that each head pools the whole token, and that tokens and results can be read and written as vectors of four.
fn whole_tokens_of_vectors(p: &TemporalPoolParams) -> Result<(), String> {
    if p.tokens.stride(3) != 0 {
        return Err("each head pools a part of the token of its own".to_owned());
    }
    fours(&[("width", p.width)])?;
    require_multiple_of_4(&[("tokens", &p.tokens), ("pooled", &p.pooled)])
}
