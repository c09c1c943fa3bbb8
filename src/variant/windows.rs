//! Variants of attention within windows.

use super::tiles::{self, TileSize};
use super::{LaunchConfig, LaunchRequest, Need, Variant, VariantRow, require_aligned_views, require_multiple_of_4};
use crate::kernel::{AttendWindowsParams, Kernel, looped};

pub(super) static BROADCAST: VariantRow = VariantRow {
    kernel: Kernel::AttendWindows,
    variant: Variant::Broadcast,
    stem: "attend_windows_broadcast",
    source: include_str!("../../shaders/attend_windows_broadcast.wgsl"),
    constants: &["LANES", "VALUE_VECTORS", "POSITIONS"],
    examples: &[(&[8, 8, 1200], 8), (&[32, 2, 49], 32)],
    needs: &[Need::Subgroups],
    tiles: &[],
    configure: broadcast,
};

/// Most biases of a head: the index of a bias shares 32 bits with a region.
const MAX_BIASES: u64 = 1 << 26;

pub(super) static TILES: VariantRow = VariantRow {
    kernel: Kernel::AttendWindows,
    variant: Variant::Tiles,
    stem: "attend_windows_tiles",
    source: include_str!("../../shaders/attend_windows_tiles.wgsl"),
    constants: &["COLUMNS", "KEY_VEC4S", "VALUE_VEC4S", "POSITIONS"],
    examples: &[(&[8, 1, 1, 392], 128), (&[8, 2, 1, 49], 128), (&[16, 1, 2, 49], 256)],
    needs: &[],
    tiles: &["64 rows", "64 rows by 32 keys", "64 rows by 64 keys"],
    configure: tiles,
};

/// As those of segmented attention, with 64 positions.
const TILE_SIZES: [TileSize; 3] = [TileSize::new(8, 1, 2), TileSize::new(8, 1, 1), TileSize::new(16, 1, 1)];

fn tiles(request: &LaunchRequest<'_>) -> Result<LaunchConfig, String> {
    let p: AttendWindowsParams = request.params();
    let positions = vectors(&p)?;
    let tile = request.tile.unwrap_or_else(|| tiles::fitting(request, &TILE_SIZES, p.value_size, true));
    let size = TILE_SIZES.get(tile).ok_or("has no such tile size")?;
    let values = size.value_vec4s(p.value_size)?;
    request.capabilities.workgroup_size(size.invocations())?;
    request.capabilities.workgroup_memory(size.workgroup_bytes(values).saturating_add(positions.saturating_mul(8)))?;
    let staged = looped(positions.div_ceil(size.invocations()).into(), 0);
    Ok(LaunchConfig {
        tile: Some(tile),
        constants: vec![size.columns, size.key_vec4s, values, positions],
        workgroups: p.workgroups_of(64),
        iterations: staged + size.iterations(positions.into(), p.head_size, true),
    })
}

/// Checks that operands can be read as vectors of four, and that biases have indices. Returns the positions of a window.
fn vectors(p: &AttendWindowsParams) -> Result<u32, String> {
    require_multiple_of_4(&[("head size", p.head_size), ("value size", p.value_size)])?;
    let views = [("queries", &p.queries), ("keys", &p.keys), ("values", &p.values), ("tokens", &p.tokens)];
    require_aligned_views(&views)?;
    let (positions, biases) = (p.positions(), p.biases());
    if biases > MAX_BIASES {
        return Err(format!("takes at most {MAX_BIASES} biases of a head, these are {biases}"));
    }
    u32::try_from(positions).map_err(|_| format!("a window has {positions} positions"))
}

fn broadcast(request: &LaunchRequest<'_>) -> Result<LaunchConfig, String> {
    let p: AttendWindowsParams = request.params();
    let positions = vectors(&p)?;
    let lanes = request.capabilities.subgroup_of(8)?;
    request.capabilities.workgroup_memory((p.value_size * lanes * 16).saturating_add(positions.saturating_mul(8)))?;
    let [head, value, all] = [p.head_size / 4, p.value_size / 4, positions].map(u64::from);
    let staged = looped(all.div_ceil(lanes.into()), 0);
    let plain = all.div_ceil(16) * (1 + head + value);
    let precise = looped(all, 1 + head + u64::from(p.head_size.div_ceil(16)) + looped(value, 0));
    Ok(LaunchConfig {
        tile: None,
        constants: vec![lanes, p.value_size / 4, positions],
        workgroups: p.workgroups_of(4 * lanes),
        iterations: staged + plain + 2 * looped(4 * value, 0) + looped(value, 0) + looped(head, 0) + precise,
    })
}
