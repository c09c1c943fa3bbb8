//! Versions of attention within windows.

use super::linear::fours;
use super::{Need, Suited, Variant, VariantRow, Wanted, require_multiple_of_4};
use crate::kernel::{AttendWindowsParams, Kernel, looped};

pub(super) static BROADCAST: VariantRow = VariantRow {
    kernel: Kernel::AttendWindows,
    variant: Variant::Broadcast,
    stem: "attend_windows_broadcast",
    source: include_str!("../../shaders/attend_windows_broadcast.wgsl"),
    constants: &["LANES", "VALUE_VECTORS", "PLACES"],
    examples: &[(&[8, 8, 1200], 8), (&[32, 2, 49], 32)],
    needs: &[Need::Subgroups],
    tiles: &[],
    suit: broadcast,
};

/// Most biases of a head: their number and a region share 32 bits.
const MAX_BIASES: u64 = 1 << 26;

fn broadcast(wanted: &Wanted<'_>) -> Result<Suited, String> {
    let p: AttendWindowsParams = wanted.params();
    fours(&[("head size", p.head_size), ("value size", p.value_size)])?;
    let views = [("queries", &p.queries), ("keys", &p.keys), ("values", &p.values), ("tokens", &p.tokens)];
    require_multiple_of_4(&views)?;
    let lanes = wanted.capabilities.subgroup_of(8)?;
    let (places, biases) = (p.places(), p.biases());
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
        workgroups: p.workgroups_of(4 * lanes),
        iterations: staged + plain + 2 * looped(4 * value, 0) + looped(value, 0) + looped(head, 0) + precise,
    })
}
