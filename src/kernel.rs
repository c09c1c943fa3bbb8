//! The table of kernels: one row a shader, with its bindings, its params and the reference function of the same name.
//!
//! Folders and table are held together by a test: every `shaders/STEM.wgsl` has a row and a `src/reference/STEM.rs`. Another
//! test reflects each shader and compares struct offsets, binding order and access with this table.

use crate::params::Field;
use crate::params::{AttendParams, AttendRowsParams, LinearParams, TemporalPoolParams, TemporalWeightsParams};
use crate::reference::{attend, attend_rows, linear, temporal_pool, temporal_weights};

/// The kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kernel {
    /// Segmented attention: a softmax and an output per query row and key segment.
    Attend,
    /// The softmax rows of chosen queries, written out.
    AttendRows,
    /// Matrix product with optional bias.
    Linear,
    /// Softmax over frames of projected queries against trajectory tokens.
    TemporalWeights,
    /// Trajectory tokens summed over frames with given weights.
    TemporalPool,
}

/// One storage binding of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct BindingRow {
    /// Name of the variable in the shader.
    pub name: &'static str,
    /// Whether the kernel writes it. Exactly the last binding of a kernel is written.
    pub written: bool,
}

/// A kernel's row. Binding 0 is the params struct (uniform); `bindings` follow from 1.
#[derive(Debug)]
pub struct KernelRow {
    /// Which kernel.
    pub kernel: Kernel,
    /// Stem of `shaders/STEM.wgsl` and `src/reference/STEM.rs`.
    pub stem: &'static str,
    /// The shader's text, without libraries and prelude.
    pub source: &'static str,
    /// Library files under `shaders/lib/` that precede it.
    pub libraries: &'static [&'static str],
    /// Storage bindings in order.
    pub bindings: &'static [BindingRow],
    /// Fields of the params struct.
    pub fields: &'static [Field],
    /// Names of the `const`s that the prelude defines (all u32).
    pub constants: &'static [&'static str],
    /// Invocations of a workgroup, in x.
    pub workgroup: u32,
    /// The CPU twin: params as bytes, inputs in order, output.
    pub(crate) reference: fn(&[u8], &[&[f32]], &mut [f32]),
}

/// Params of a kernel: what a dispatch needs to know beside its bindings.
pub trait KernelParams: bytemuck::Pod {
    /// The kernel these belong to.
    const KERNEL: Kernel;
    /// Elements that are reached in each binding, in order (one more than the highest index).
    fn extents(&self) -> Vec<u64>;
    /// Counts that must be at least one and at most the second number: sizes that shaders are built for, and turns of their loops.
    fn counts(&self) -> Vec<(&'static str, u32, u32)>;
    /// Turns that all loops of one invocation take together, at the most: nested ones multiplied, none unrolled. Mesa 22.3's software
    /// driver stops every loop once an invocation has taken 65,535 turns in all, without a word.
    fn loop_turns(&self) -> u64;
    /// Workgroups needed.
    fn workgroups(&self) -> u64;
    /// Values of the row's `constants`, in order.
    fn constants(&self) -> Vec<u32> {
        Vec::new()
    }
}

impl Kernel {
    /// All kernels.
    pub const ALL: [Self; 5] = [Self::Attend, Self::AttendRows, Self::Linear, Self::TemporalWeights, Self::TemporalPool];

    /// The kernel's row in the table.
    pub fn row(self) -> &'static KernelRow {
        match self {
            Self::Attend => &ATTEND,
            Self::AttendRows => &ATTEND_ROWS,
            Self::Linear => &LINEAR,
            Self::TemporalWeights => &TEMPORAL_WEIGHTS,
            Self::TemporalPool => &TEMPORAL_POOL,
        }
    }
}

const fn read(name: &'static str) -> BindingRow {
    BindingRow { name, written: false }
}

const fn write(name: &'static str) -> BindingRow {
    BindingRow { name, written: true }
}

static ATTEND: KernelRow = KernelRow {
    kernel: Kernel::Attend,
    stem: "attend",
    source: include_str!("../shaders/attend.wgsl"),
    libraries: &["grid", "constants", "score", "segments"],
    bindings: &[read("queries"), read("keys"), read("values"), write("tokens")],
    fields: AttendParams::FIELDS,
    constants: &["HEAD_VECTORS", "VALUE_VECTORS", "KEYS_PER_TILE"],
    workgroup: 64,
    reference: attend::run,
};

static ATTEND_ROWS: KernelRow = KernelRow {
    kernel: Kernel::AttendRows,
    stem: "attend_rows",
    source: include_str!("../shaders/attend_rows.wgsl"),
    libraries: &["grid", "constants", "score", "reduce"],
    bindings: &[read("queries"), read("keys"), read("chosen"), write("weights")],
    fields: AttendRowsParams::FIELDS,
    constants: &[],
    workgroup: 64,
    reference: attend_rows::run,
};

static LINEAR: KernelRow = KernelRow {
    kernel: Kernel::Linear,
    stem: "linear",
    source: include_str!("../shaders/linear.wgsl"),
    libraries: &["grid"],
    bindings: &[read("x"), read("w"), read("bias"), write("y")],
    fields: LinearParams::FIELDS,
    constants: &[],
    workgroup: 64,
    reference: linear::run,
};

static TEMPORAL_WEIGHTS: KernelRow = KernelRow {
    kernel: Kernel::TemporalWeights,
    stem: "temporal_weights",
    source: include_str!("../shaders/temporal_weights.wgsl"),
    libraries: &["grid", "constants"],
    bindings: &[read("queries"), read("tokens"), write("weights")],
    fields: TemporalWeightsParams::FIELDS,
    constants: &[],
    workgroup: 64,
    reference: temporal_weights::run,
};

static TEMPORAL_POOL: KernelRow = KernelRow {
    kernel: Kernel::TemporalPool,
    stem: "temporal_pool",
    source: include_str!("../shaders/temporal_pool.wgsl"),
    libraries: &["grid"],
    bindings: &[read("weights"), read("tokens"), write("pooled")],
    fields: TemporalPoolParams::FIELDS,
    constants: &[],
    workgroup: 64,
    reference: temporal_pool::run,
};
