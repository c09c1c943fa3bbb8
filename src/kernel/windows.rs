//! The row of attention within windows.

use super::{Kernel, KernelRow};
use super::{any, read, write};
use crate::params::AttendWindowsParams;
use crate::reference::attend_windows;

pub(super) static ATTEND_WINDOWS: KernelRow = KernelRow {
    kernel: Kernel::AttendWindows,
    stem: "attend_windows",
    source: include_str!("../../shaders/attend_windows.wgsl"),
    bindings: &[any(read("queries")), any(read("keys")), any(read("values")), any(read("table")), any(write("tokens"))],
    fields: AttendWindowsParams::FIELDS,
    constants: &["HEAD_VECTORS", "VALUE_VECTORS", "KEYS_PER_TILE"],
    shared: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: attend_windows::run,
};
