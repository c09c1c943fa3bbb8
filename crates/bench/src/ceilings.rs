//! What an adapter can do at the most: each ceiling by a small shader that does nothing else, and whose result is checked.

use std::collections::BTreeMap;

use orthoformer::plan::Element;
use serde::{Deserialize, Serialize};

/// A measured ceiling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// The best of some runs, the median of times; `None` if there is none.
    pub value: Option<f64>,
    /// `GFLOP/s` and `GOP/s` (two operations a multiply-add), `G/s`, `GB/s` or `us`.
    pub unit: String,
    /// Every run.
    #[serde(default)]
    pub samples: Vec<f64>,
    /// `ok`, `unsupported: why`, `wrong: error` or `skipped`.
    pub status: String,
}

impl Ceiling {
    /// From the third quartile to the first, in per cent of the value.
    pub fn spread(&self) -> Option<f64> {
        let spread = super::Summary::of(&self.samples)?.iqr / self.value?;
        spread.is_finite().then_some(100.0 * spread)
    }
}

/// What is measured of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CeilingKind {
    /// Multiply-adds of 32-bit floats.
    MultiplyAddF32,
    /// Multiply-adds of 16-bit floats, one by one.
    MultiplyAddF16,
    /// Multiply-adds of 16-bit floats in vectors of two or four.
    MultiplyAddF16Packed,
    /// Multiply-adds of 32-bit integers.
    MultiplyAddI32,
    /// Multiply-adds by matrix units.
    CooperativeMatrix,
    /// Global memory read, a float at a time.
    MemoryReadScalar,
    /// Global memory read, two floats at a time.
    MemoryReadVec2,
    /// Global memory read, four floats at a time.
    MemoryRead,
    /// Global memory written.
    MemoryWrite,
    /// Global memory copied: read and written bytes together.
    MemoryCopy,
    /// Atomic additions to global memory.
    GlobalAtomic,
    /// Workgroup memory read.
    WorkgroupLoad,
    /// Atomic additions to workgroup memory.
    WorkgroupAtomic,
    /// Barriers, counted for each invocation that comes to one.
    WorkgroupBarrier,
    /// Sums over a subgroup, counted for each invocation that takes part.
    SubgroupAdd,
    /// Bytes from the host to the device.
    Upload,
    /// Bytes from the device to the host.
    Download,
    /// A dispatch that does nothing, among others.
    EmptyDispatch,
    /// Submitting nothing and waiting for it, on the host's clock.
    EmptySubmission,
    /// Submitting a dispatch that does nothing and waiting for it, on the host's clock.
    KernelLaunch,
}

impl CeilingKind {
    /// All of them, in the order of tables, with names and units.
    pub const ALL: [(Self, &'static str, &'static str); 20] = [
        (Self::MultiplyAddF32, "multiply-add f32", "GFLOP/s"),
        (Self::MultiplyAddF16, "multiply-add f16", "GFLOP/s"),
        (Self::MultiplyAddF16Packed, "multiply-add f16, packed", "GFLOP/s"),
        (Self::MultiplyAddI32, "multiply-add i32", "GOP/s"),
        (Self::CooperativeMatrix, "cooperative matrix", "GFLOP/s"),
        (Self::MemoryReadScalar, "memory read, 4 bytes", "GB/s"),
        (Self::MemoryReadVec2, "memory read, 8 bytes", "GB/s"),
        (Self::MemoryRead, "memory read, 16 bytes", "GB/s"),
        (Self::MemoryWrite, "memory write", "GB/s"),
        (Self::MemoryCopy, "memory copy", "GB/s"),
        (Self::GlobalAtomic, "global atomic add", "G/s"),
        (Self::WorkgroupLoad, "workgroup load", "GB/s"),
        (Self::WorkgroupAtomic, "workgroup atomic add", "G/s"),
        (Self::WorkgroupBarrier, "workgroup barrier", "G/s"),
        (Self::SubgroupAdd, "subgroup add", "G/s"),
        (Self::Upload, "upload", "GB/s"),
        (Self::Download, "download", "GB/s"),
        (Self::EmptyDispatch, "empty dispatch", "us"),
        (Self::EmptySubmission, "empty submission", "us"),
        (Self::KernelLaunch, "kernel launch", "us"),
    ];
}

/// The ceilings of an adapter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ceilings(pub(super) BTreeMap<CeilingKind, Ceiling>);

impl Ceilings {
    /// How many there are.
    pub const COUNT: usize = CeilingKind::ALL.len();

    /// Where nobody wants to know.
    pub fn skipped() -> Self {
        let skipped =
            |unit: &str| Ceiling { value: None, unit: unit.to_owned(), samples: Vec::new(), status: "skipped".to_owned() };
        Self(CeilingKind::ALL.map(|(kind, _, unit)| (kind, skipped(unit))).into())
    }

    /// What was found of a kind.
    pub fn value(&self, kind: CeilingKind) -> Option<f64> {
        self.0.get(&kind)?.value
    }

    /// Name and value of the ceiling that multiply-adds of elements stored like this can reach: of float16 the highest, whatever it is multiplied by.
    pub fn arithmetic(&self, element: Element) -> Option<(&'static str, f64)> {
        let kinds = match element {
            Element::F32 => &[CeilingKind::MultiplyAddF32][..],
            Element::F16 => &[
                CeilingKind::MultiplyAddF32,
                CeilingKind::MultiplyAddF16,
                CeilingKind::MultiplyAddF16Packed,
                CeilingKind::CooperativeMatrix,
            ],
        };
        let all = CeilingKind::ALL.into_iter().filter(|(kind, ..)| kinds.contains(kind));
        all.filter_map(|(kind, name, _)| Some((name, self.value(kind)?))).max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Names and ceilings in the order of tables; older reports have fewer.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Ceiling)> {
        CeilingKind::ALL.iter().filter_map(|(kind, name, _)| Some((*name, self.0.get(kind)?)))
    }
}
