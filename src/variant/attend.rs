//! Variants of segmented attention.

use super::linear::stored_as_half;
use super::tiles::{self, TileSize};
use super::{LaunchConfig, LaunchRequest, Need, Variant, VariantRow, require_aligned_views, require_multiple_of_4};
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
    configure: broadcast,
};

fn broadcast(request: &LaunchRequest<'_>) -> Result<LaunchConfig, String> {
    let p: AttendParams = request.params();
    vectors(&p)?;
    let lanes = request.capabilities.subgroup_of(8)?;
    let value = p.value_size / 4;
    request.capabilities.workgroup_memory(value * 4 * lanes * 16)?;
    let [head, value] = [p.head_size / 4, value].map(u64::from);
    let blocks = p.all_keys().div_ceil(40);
    let ends = 2 * looped(4 * value, 0) + looped(value, 0) + looped(head, 0);
    Ok(LaunchConfig {
        tile: None,
        constants: vec![lanes, p.value_size / 4],
        workgroups: count(&[p.rows.div_ceil(4 * lanes), p.segments, p.heads, p.groups, p.batch]),
        iterations: blocks * (1 + head + value) + ends + precise_iterations(&p),
    })
}

/// Iterations of rows that are computed key by key.
fn precise_iterations(p: &AttendParams) -> u64 {
    p.all_keys() * (1 + precise_score_iterations(p.head_size) + u64::from(p.value_size / 4))
}

/// Iterations of the loops that compute four rows' scores with one key in two parts.
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
    configure: weights_broadcast,
};

fn weights_broadcast(request: &LaunchRequest<'_>) -> Result<LaunchConfig, String> {
    let p: AttendWeightsParams = request.params();
    require_multiple_of_4(&[("keys", p.key_count), ("head size", p.head_size)])?;
    require_aligned_views(&[("queries", &p.queries), ("keys", &p.keys), ("weights", &p.weights)])?;
    let lanes = request.capabilities.subgroup_of(8)?;
    let head = u64::from(p.head_size / 4);
    // All blocks of keys, and all but the last again; rows that are computed key by key take all keys twice.
    let plain = (2 * u64::from(p.key_count.div_ceil(64)) - 1) * (1 + head);
    let precise = 2 * u64::from(p.key_count) * (1 + precise_score_iterations(p.head_size));
    Ok(LaunchConfig {
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
    configure: cooperative,
};

fn cooperative(request: &LaunchRequest<'_>) -> Result<LaunchConfig, String> {
    let p: AttendParams = request.params();
    stored_as_half(request.dispatch, 3)?;
    vectors(&p)?;
    let (lanes, side) = request.capabilities.matrices(4)?;
    if lanes % side != 0 {
        return Err(format!("needs subgroups of a multiple of {side}, the adapter's have {lanes}"));
    }
    let (head, value) = (p.head_size.div_ceil(side), p.value_size.div_ceil(side));
    if value * side % (4 * (lanes / side)) != 0 {
        return Err(format!("shares values of {} elements among {} invocations", value * side, lanes / side));
    }
    // Tiles of two bytes an element, and one of four, all with padded lines.
    let bytes = |keys: u32| {
        let (rows, keys, widest) = (4 * side, keys * side, side * head.max(value));
        2 * (rows * (head * side + 8) + keys * (widest + 8) + rows * (keys + 8)) + 4 * rows * (keys.max(value * side) + 4)
    };
    let keys = [4, 2, 1].into_iter().find(|&keys| request.capabilities.workgroup_memory(bytes(keys)).is_ok()).unwrap_or(1);
    request.capabilities.workgroup_memory(bytes(keys))?;
    let all_keys = p.all_keys();
    let [head_vec4s, value_vec4s] = [p.head_size / 4, p.value_size / 4].map(u64::from);
    let plain = looped(all_keys, looped(head_vec4s, 0) + looped(value_vec4s, 0)) + looped(value_vec4s, 0);
    let staging = |lines: u32, sides: u32| looped((lines * sides * side / 4).div_ceil(4 * lanes).into(), 0);
    let products = looped(keys.into(), looped(head.into(), 0)) + looped(value.into(), looped(keys.into(), 0));
    let softmax = 2 * (looped((keys * side * side).div_ceil(lanes).into(), 0) + looped(6, 0));
    let sums = looped(u64::from(value * side / 4).div_ceil((lanes / side).into()), 0);
    let tile = staging(keys * side, head) + staging(keys * side, value) + products + softmax + sums;
    Ok(LaunchConfig {
        tile: None,
        constants: vec![lanes, side, head, value, keys],
        workgroups: count(&[p.rows.div_ceil(4 * side), p.segments, p.heads, p.groups, p.batch]),
        // A loop that is skipped counts as an iteration.
        iterations: (plain + 2).max(staging(4 * side, head) + looped(all_keys.div_ceil((keys * side).into()), tile) + sums + 2),
    })
}

pub(super) static TILES: VariantRow = VariantRow {
    kernel: Kernel::Attend,
    variant: Variant::Tiles,
    stem: "attend_tiles",
    source: include_str!("../../shaders/attend_tiles.wgsl"),
    constants: &["COLUMNS", "ROW_VEC4S", "KEY_VEC4S", "VALUE_VEC4S"],
    examples: &[
        (&[8, 1, 2, 1], 128),
        (&[8, 1, 2, 4], 128),
        (&[8, 2, 1, 1], 128),
        (&[8, 2, 1, 2], 128),
        (&[8, 1, 1, 2], 128),
        (&[16, 1, 1, 2], 256),
    ],
    needs: &[],
    tiles: &["128 rows", "64 rows", "64 rows by 32 keys", "64 rows by 64 keys"],
    configure: tiles,
};

/// Workgroups of 128 rows that keep a large GPU busy; with fewer of them, twice as many of 64 rows are faster.
const BUSY: u64 = 396;

/// Blocks of 8 x 4 scores and up to 8 x 8 sums, or of 4 x 8 and 4 x 16; where there are fewer registers, of 4 x 4 and up to 4 x 8.
const TILE_SIZES: [TileSize; 4] =
    [TileSize::new(8, 2, 1), TileSize::new(8, 1, 2), TileSize::new(8, 1, 1), TileSize::new(16, 1, 1)];

fn tiles(request: &LaunchRequest<'_>) -> Result<LaunchConfig, String> {
    let p: AttendParams = request.params();
    vectors(&p)?;
    let workgroups = |rows: u32| count(&[p.rows.div_ceil(rows), p.segments, p.heads, p.groups, p.batch]);
    // The large size does not leave registers for enough subgroups if values are larger.
    let large = p.value_size <= 64 && p.rows > 64 && workgroups(128) >= BUSY;
    let sizes = if large { &TILE_SIZES[..] } else { &TILE_SIZES[1..] };
    let tile =
        request.tile.unwrap_or_else(|| TILE_SIZES.len() - sizes.len() + tiles::fitting(request, sizes, p.value_size, false));
    let size = TILE_SIZES.get(tile).ok_or("has no such tile size")?;
    if size.row_vec4s > 1 && p.value_size > 64 {
        return Err(format!("has 128 rows for values of up to 64 elements, these have {}", p.value_size));
    }
    let values = size.value_vec4s(p.value_size)?;
    request.capabilities.workgroup_size(size.invocations())?;
    request.capabilities.workgroup_memory(size.workgroup_bytes(values))?;
    Ok(LaunchConfig {
        tile: Some(tile),
        constants: vec![size.columns, size.row_vec4s, size.key_vec4s, values],
        workgroups: workgroups(64 * size.row_vec4s),
        iterations: size.iterations(p.all_keys(), p.head_size, true),
    })
}

pub(super) static WEIGHTS_TILES: VariantRow = VariantRow {
    kernel: Kernel::AttendWeights,
    variant: Variant::Tiles,
    stem: "attend_weights_tiles",
    source: include_str!("../../shaders/attend_weights_tiles.wgsl"),
    constants: &["KEY_VEC4S"],
    examples: &[(&[1], 128), (&[2], 128)],
    needs: &[],
    tiles: &["32 keys", "64 keys"],
    configure: weights_tiles,
};

fn weights_tiles(request: &LaunchRequest<'_>) -> Result<LaunchConfig, String> {
    let p: AttendWeightsParams = request.params();
    require_multiple_of_4(&[("head size", p.head_size)])?;
    require_aligned_views(&[("queries", &p.queries), ("keys", &p.keys)])?;
    let tile = request.tile.unwrap_or(usize::from(p.key_count > 32));
    let size = TileSize::new(8, 1, if tile == 0 { 1 } else { 2 });
    request.capabilities.workgroup_size(size.invocations())?;
    request.capabilities.workgroup_memory(size.workgroup_bytes(1))?;
    Ok(LaunchConfig {
        tile: Some(tile),
        constants: vec![size.key_vec4s],
        workgroups: count(&[p.rows.div_ceil(64), p.heads, p.groups, p.batch]),
        // All keys for row max and row sum, plainly and in parts, and once more.
        iterations: 2 * size.iterations(p.key_count.into(), p.head_size, false),
    })
}

/// Checks that operands can be read as vectors of four.
fn vectors(p: &AttendParams) -> Result<(), String> {
    require_multiple_of_4(&[("head size", p.head_size), ("value size", p.value_size)])?;
    require_aligned_views(&[("queries", &p.queries), ("keys", &p.keys), ("values", &p.values), ("tokens", &p.tokens)])
}
