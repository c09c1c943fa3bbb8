//! The row of the softmax of rows.

use super::binding::{read, write};
use super::{Kernel, KernelRow};
use crate::params::SoftmaxRowsParams;
use crate::reference::softmax_rows;

pub(super) static SOFTMAX_ROWS: KernelRow = KernelRow {
    kernel: Kernel::SoftmaxRows,
    stem: "softmax_rows",
    source: include_str!("../../shaders/softmax_rows.wgsl"),
    libraries: &["grid", "constants", "sum", "exponential"],
    bindings: &[read("scores"), write("weights")],
    fields: SoftmaxRowsParams::FIELDS,
    constants: &[],
    workgroup: 64,
    accesses_in_range: true,
    reference: softmax_rows::run,
};
