//! Versions of segmented attention.

use super::linear::{fours, stored_as_half};
use super::{Need, Suited, Variant, VariantRow, Wanted, require_multiple_of_4};
use crate::kernel::{AttendParams, AttendWeightsParams, Kernel, count, looped};

pub(super) static BROADCAST: VariantRow = VariantRow {
    kernel: Kernel::Attend,
    variant: Variant::Broadcast,
    stem: "attend_broadcast",
    source: include_str!("../../shaders/attend_broadcast.wgsl"),
    constants: &["LANES", "VALUE_VECTORS"],
    examples: &[(&[8, 32], 8), (&[32, 8], 32)],
    needs: &[Need::Subgroups],
    tiles: &[],
    suit: broadcast,
};

fn broadcast(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: AttendParams = wanted.params();
    vectors(&p)?;
    let lanes = wanted.capabilities.subgroup_of(8)?;
    let value = p.value_size / 4;
    wanted.capabilities.workgroup_memory(value * 4 * lanes * 16)?;
    let [head, value] = [p.head_size / 4, value].map(u64::from);
    let blocks = p.all_keys().div_ceil(40);
    let ends = 2 * looped(4 * value, 0) + looped(value, 0) + looped(head, 0);
    Ok(Suited {
        tile: None,
        constants: vec![lanes, p.value_size / 4],
        workgroups: count(&[p.rows.div_ceil(4 * lanes), p.segments, p.heads, p.groups, p.batch]),
        iterations: blocks * (1 + head + value) + ends + precise_iterations(&p),
    })
}

/// Iterations of the rows that are done key by key.
fn precise_iterations(p: &AttendParams) -> u64 {
    p.all_keys() * (1 + precise_score_iterations(p.head_size) + u64::from(p.value_size / 4))
}

/// Iterations of the loops that find four rows' scores with one key in two parts.
fn precise_score_iterations(head_size: u32) -> u64 {
    u64::from(head_size / 4) + u64::from(head_size.div_ceil(16))
}

pub(super) static WEIGHTS_BROADCAST: VariantRow = VariantRow {
    kernel: Kernel::AttendWeights,
    variant: Variant::Broadcast,
    stem: "attend_weights_broadcast",
    source: include_str!("../../shaders/attend_weights_broadcast.wgsl"),
    constants: &["LANES"],
    examples: &[(&[8], 8), (&[32], 32)],
    needs: &[Need::Subgroups],
    tiles: &[],
    suit: weights_broadcast,
};

fn weights_broadcast(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: AttendWeightsParams = wanted.params();
    fours(&[("keys", p.key_count), ("head size", p.head_size)])?;
    require_multiple_of_4(&[("queries", &p.queries), ("keys", &p.keys), ("weights", &p.weights)])?;
    let lanes = wanted.capabilities.subgroup_of(8)?;
    let head = u64::from(p.head_size / 4);
    // All blocks of keys, and all but the last again; the key-by-key way goes through all keys twice.
    let plain = (2 * u64::from(p.key_count.div_ceil(64)) - 1) * (1 + head);
    let precise = 2 * u64::from(p.key_count) * (1 + precise_score_iterations(p.head_size));
    Ok(Suited {
        tile: None,
        constants: vec![lanes],
        workgroups: count(&[p.rows.div_ceil(4 * lanes), p.heads, p.groups, p.batch]),
        iterations: plain + looped(head, 0) + precise,
    })
}

pub(super) static COOPERATIVE: VariantRow = VariantRow {
    kernel: Kernel::Attend,
    variant: Variant::Cooperative,
    stem: "attend_cooperative",
    source: include_str!("../../shaders/attend_cooperative.wgsl"),
    constants: &["LANES", "SIDE", "HEAD_SIDES", "VALUE_SIDES", "KEY_SIDES"],
    examples: &[(&[8, 8, 1, 8, 4], 32), (&[32, 8, 16, 4, 4], 128), (&[32, 16, 4, 4, 4], 128)],
    needs: &[Need::Matrices, Need::Subgroups, Need::Half],
    tiles: &[],
    suit: cooperative,
};

fn cooperative(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: AttendParams = wanted.params();
    stored_as_half(wanted.dispatch, 3)?;
    vectors(&p)?;
    let (lanes, side) = wanted.capabilities.matrices(4)?;
    if lanes % side != 0 {
        return Err(format!("needs subgroups of a multiple of {side}, the adapter's have {lanes}"));
    }
    let (head, value) = (p.head_size.div_ceil(side), p.value_size.div_ceil(side));
    if value * side % (4 * (lanes / side)) != 0 {
        return Err(format!("shares values of {} elements among {} invocations", value * side, lanes / side));
    }
    // Tiles of two bytes an element, and one of four, all with longer lines than they hold.
    let bytes = |keys: u32| {
        let (rows, keys, widest) = (4 * side, keys * side, side * head.max(value));
        2 * (rows * (head * side + 8) + keys * (widest + 8) + rows * (keys + 8)) + 4 * rows * (keys.max(value * side) + 4)
    };
    let keys = [4, 2, 1].into_iter().find(|&keys| wanted.capabilities.workgroup_memory(bytes(keys)).is_ok()).unwrap_or(1);
    wanted.capabilities.workgroup_memory(bytes(keys))?;
    let all_keys = p.all_keys();
    let [head_vec4s, value_vec4s] = [p.head_size / 4, p.value_size / 4].map(u64::from);
    let plain = looped(all_keys, looped(head_vec4s, 0) + looped(value_vec4s, 0)) + looped(value_vec4s, 0);
    let staging = |lines: u32, sides: u32| looped((lines * sides * side / 4).div_ceil(4 * lanes).into(), 0);
    let products = looped(keys.into(), looped(head.into(), 0)) + looped(value.into(), looped(keys.into(), 0));
    let softmax = 2 * (looped((keys * side * side).div_ceil(lanes).into(), 0) + looped(6, 0));
    let sums = looped(u64::from(value * side / 4).div_ceil((lanes / side).into()), 0);
    let tile = staging(keys * side, head) + staging(keys * side, value) + products + softmax + sums;
    Ok(Suited {
        tile: None,
        constants: vec![lanes, side, head, value, keys],
        workgroups: count(&[p.rows.div_ceil(4 * side), p.segments, p.heads, p.groups, p.batch]),
        // A loop that is passed over takes an iteration all the same.
        iterations: (plain + 2).max(staging(4 * side, head) + looped(all_keys.div_ceil((keys * side).into()), tile) + sums + 2),
    })
}

pub(super) static TILES: VariantRow = VariantRow {
    kernel: Kernel::Attend,
    variant: Variant::Tiles,
    stem: "attend_tiles",
    source: include_str!("../../shaders/attend_tiles.wgsl"),
    constants: &["ROW_VEC4S", "KEY_VEC4S", "VALUE_VEC4S"],
    examples: &[(&[1, 2, 1], 128), (&[1, 2, 4], 128), (&[2, 1, 1], 128), (&[2, 1, 2], 128)],
    needs: &[],
    tiles: &["128 rows", "64 rows"],
    suit: tiles,
};

/// Workgroups of 128 rows that keep a large GPU busy; with fewer of them, more of half as many rows are better.
const BUSY: u64 = 396;

fn tiles(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: AttendParams = wanted.params();
    vectors(&p)?;
    wanted.capabilities.workgroup_size(128)?;
    let values = p.value_size.div_ceil(32);
    let workgroups = |rows: u32| count(&[p.rows.div_ceil(rows), p.segments, p.heads, p.groups, p.batch]);
    // Blocks of 8 x 4 scores and up to 8 x 8 sums, or of 4 x 8 and 4 x 16: more would not leave registers for enough subgroups.
    let large = match wanted.tile {
        Some(tile) => tile == 0,
        None => values <= 2 && p.rows > 64 && workgroups(128) >= BUSY,
    };
    if large && values > 2 {
        return Err(format!("has 128 rows for values of up to 64 elements, these have {}", p.value_size));
    }
    let [rows, keys] = if large { [2, 1] } else { [1, 2] };
    // Both tiles, and what says whether some row needs more than float32.
    wanted.capabilities.workgroup_memory(16 * 16 * (16 * rows + 8 * values.max(keys)) + 8)?;
    let tiles = |size: u32| p.all_keys().div_ceil(size.into());
    let scores = looped(u64::from(p.head_size).div_ceil(16), looped(4, 0));
    let sums = looped(2, looped(4, 0));
    let plain = looped(tiles(32 * keys), scores + u64::from(keys) * sums);
    let precise = looped(rows.into(), looped(tiles(32), scores + looped(8, 0) + sums + u64::from(p.head_size / 4)));
    Ok(Suited {
        tile: Some(usize::from(!large)),
        constants: vec![rows, keys, values],
        workgroups: workgroups(64 * rows),
        iterations: plain + looped(8, 0) + precise,
    })
}

/// Whether operands can be read as vectors of four.
fn vectors(p: &AttendParams) -> Result<(), String> {
    fours(&[("head size", p.head_size), ("value size", p.value_size)])?;
    require_multiple_of_4(&[("queries", &p.queries), ("keys", &p.keys), ("values", &p.values), ("tokens", &p.tokens)])
}
