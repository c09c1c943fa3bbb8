//! What an adapter can do at the most: each ceiling by a small shader that does nothing else, and whose result is checked.

use serde::{Deserialize, Serialize};

/// A measured ceiling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// The best of some runs; `None` if there is none.
    pub value: Option<f64>,
    /// `GFLOP/s` (two operations a multiply-add), `GB/s` or `us`.
    pub unit: String,
    /// `ok`, `unsupported: why`, `wrong: error` or `skipped`.
    pub status: String,
}

impl Ceiling {
    /// One that was not measured.
    pub(super) fn skipped(unit: &str) -> Self {
        Self { value: None, unit: unit.to_owned(), status: "skipped".to_owned() }
    }
}

/// The ceilings of an adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// Multiply-adds of 32-bit floats.
    pub multiply_add_f32: Ceiling,
    /// Multiply-adds of 16-bit floats.
    pub multiply_add_f16: Ceiling,
    /// Multiply-adds by matrix units.
    pub cooperative_matrix: Ceiling,
    /// Global memory read.
    pub memory_read: Ceiling,
    /// Global memory written.
    pub memory_write: Ceiling,
    /// Global memory copied: read and written bytes together.
    pub memory_copy: Ceiling,
    /// Workgroup memory read.
    pub workgroup_load: Ceiling,
    /// A dispatch that does nothing, among others.
    pub empty_dispatch: Ceiling,
    /// Submitting nothing and waiting for it, on the host's clock.
    pub empty_submission: Ceiling,
}

impl Ceilings {
    /// Where nobody wants to know.
    pub fn skipped() -> Self {
        Self {
            multiply_add_f32: Ceiling::skipped("GFLOP/s"),
            multiply_add_f16: Ceiling::skipped("GFLOP/s"),
            cooperative_matrix: Ceiling::skipped("GFLOP/s"),
            memory_read: Ceiling::skipped("GB/s"),
            memory_write: Ceiling::skipped("GB/s"),
            memory_copy: Ceiling::skipped("GB/s"),
            workgroup_load: Ceiling::skipped("GB/s"),
            empty_dispatch: Ceiling::skipped("us"),
            empty_submission: Ceiling::skipped("us"),
        }
    }

    /// How many there are.
    pub const COUNT: usize = 9;

    /// Names and values in the order of tables.
    pub fn named(&self) -> [(&'static str, &Ceiling); Self::COUNT] {
        [
            ("multiply-add f32", &self.multiply_add_f32),
            ("multiply-add f16", &self.multiply_add_f16),
            ("cooperative matrix", &self.cooperative_matrix),
            ("memory read", &self.memory_read),
            ("memory write", &self.memory_write),
            ("memory copy", &self.memory_copy),
            ("workgroup load", &self.workgroup_load),
            ("empty dispatch", &self.empty_dispatch),
            ("empty submission", &self.empty_submission),
        ]
    }
}
