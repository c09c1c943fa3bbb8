//! Versions of attention within windows.

use super::linear::fours;
use super::{Need, Suited, Variant, VariantRow, Wanted};
use crate::kernel::Kernel;
use crate::params::{AttendWindowsParams, count, looped};

pub(super) static BROADCAST: VariantRow = VariantRow {
    kernel: Kernel::AttendWindows,
    variant: Variant::Broadcast,
    stem: "attend_windows_broadcast",
    source: include_str!("../../shaders/attend_windows_broadcast.wgsl"),
    constants: &["LANES", "VALUE_VECTORS", "PLACES"],
    needs: &[Need::Subgroups],
    tiles: &[],
    suit: broadcast,
};

/// Most biases of a head: their number and a region share 32 bits.
const MAX_BIASES: u64 = 1 << 26;

fn broadcast(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: AttendWindowsParams = wanted.params();
    vectors(&p)?;
    let lanes = wanted.capabilities.subgroup_of(8)?;
    let (places, biases) = (count(&[p.window_frames, p.window_rows, p.window_columns]), p.biases());
    if biases > MAX_BIASES {
        return Err(format!("takes at most {MAX_BIASES} biases of a head, these are {biases}"));
    }
    let places = u32::try_from(places).map_err(|_| format!("a window has {places} places"))?;
    wanted.capabilities.workgroup_memory((p.value_size * lanes * 16).saturating_add(places.saturating_mul(8)))?;
    let [head, value, all] = [p.head_size / 4, p.value_size / 4, places].map(u64::from);
    let staged = looped(all.div_ceil(lanes.into()), 0);
    let plain = all.div_ceil(16) * (1 + head + value);
    let precise = looped(all, 1 + head + u64::from(p.head_size.div_ceil(16)) + looped(value, 0));
    Ok(Suited {
        tile: None,
        constants: vec![lanes, p.value_size / 4, places],
        workgroups: count(&p.windows()).saturating_mul(count(&[places.div_ceil(4 * lanes), p.heads, p.batch])),
        iterations: staged + plain + 2 * looped(4 * value, 0) + looped(value, 0) + looped(head, 0) + precise,
    })
}

/// Whether operands can be read as vectors of four.
fn vectors(p: &AttendWindowsParams) -> Result<(), String> {
    fours(&[
        ("head size", p.head_size),
        ("value size", p.value_size),
        ("q offset", p.q_offset),
        ("q padding offset", p.q_padding_offset),
        ("q batch stride", p.q_batch_stride),
        ("q head stride", p.q_head_stride),
        ("q row stride", p.q_row_stride),
        ("k offset", p.k_offset),
        ("k padding offset", p.k_padding_offset),
        ("k batch stride", p.k_batch_stride),
        ("k head stride", p.k_head_stride),
        ("k row stride", p.k_row_stride),
        ("v offset", p.v_offset),
        ("v padding offset", p.v_padding_offset),
        ("v batch stride", p.v_batch_stride),
        ("v head stride", p.v_head_stride),
        ("v row stride", p.v_row_stride),
        ("output offset", p.out_offset),
        ("output batch stride", p.out_batch_stride),
        ("output head stride", p.out_head_stride),
        ("output row stride", p.out_row_stride),
    ])
}
