//! The row of attention within windows.

use super::binding::{any, read, write};
use super::{Kernel, KernelRow};
use crate::params::AttendWindowsParams;
use crate::reference::attend_windows;

pub(super) static ATTEND_WINDOWS: KernelRow = KernelRow {
    kernel: Kernel::AttendWindows,
    stem: "attend_windows",
    source: include_str!("../../shaders/attend_windows.wgsl"),
    libraries: &["grid", "constants", "score", "windows", "key_tile", "value_tile"],
    bindings: &[
        any("StoredQueries", read("queries")),
        any("StoredKeys", read("keys")),
        any("StoredValues", read("values")),
        any("StoredTable", read("table")),
        any("StoredTokens", write("tokens")),
    ],
    fields: AttendWindowsParams::FIELDS,
    constants: &["HEAD_VECTORS", "VALUE_VECTORS", "KEYS_PER_TILE"],
    workgroup: 64,
    accesses_in_range: true,
    reference: attend_windows::run,
};
