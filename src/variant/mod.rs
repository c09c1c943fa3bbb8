//! Structurally different versions of a kernel, and what each of them needs.
//!
//! A [`Plan`](crate::Plan) names kernels only. Which version of a kernel runs is decided by the engine, dispatch by dispatch: a version is taken
//! if the adapter has what it needs and the dispatch's params suit it; the baseline in `shaders/KERNEL.wgsl` runs everywhere and
//! takes all params. All versions of a kernel share its bindings, its params struct and its reference.

mod attend;
mod capabilities;
mod language;
mod linear;
mod temporal;
mod tuning;
mod windows;

pub use capabilities::Capabilities;
pub use language::{Language, Need};
pub use tuning::{Trial, Tuning, Work};

use crate::kernel::{Kernel, KernelParams};
use crate::plan::{Dispatch, Element};
use crate::view::BoundView;
use crate::wgsl::Parts;

/// A way to build a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Variant {
    /// Within WebGPU's minimum limits, for all params.
    Baseline,
    /// Large register blocks read straight from memory: for CPU drivers without subgroups.
    Blocks,
    /// Workgroup-memory tiles with register blocks: for GPUs.
    Tiles,
    /// Large register blocks whose rows are loaded once a subgroup and broadcast: for CPU drivers.
    Broadcast,
    /// Matrix units, for operands that are stored as float16: sums in float32.
    Cooperative,
}

impl Variant {
    /// All variants.
    pub const ALL: [Self; 5] = [Self::Baseline, Self::Blocks, Self::Tiles, Self::Broadcast, Self::Cooperative];

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Blocks => "blocks",
            Self::Tiles => "tiles",
            Self::Broadcast => "broadcast",
            Self::Cooperative => "cooperative",
        }
    }
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A version of a kernel other than its baseline.
#[derive(Debug)]
pub struct VariantRow {
    /// The kernel it is a version of: same bindings, params and reference.
    pub kernel: Kernel,
    /// Which way it is built.
    pub variant: Variant,
    /// Stem of `shaders/STEM.wgsl`.
    pub stem: &'static str,
    /// The shader's text, without libraries and prelude.
    pub source: &'static str,
    /// Names of the `const`s that the prelude defines (all u32).
    pub constants: &'static [&'static str],
    /// Values for these, each with the invocations that a workgroup has then: what editors and validators are shown. All are for adapters of the
    /// minimum, but for matrix units.
    pub examples: &'static [(&'static [u32], u32)],
    /// What it needs of an adapter and of the language it is translated to, beside what is stored as float16.
    pub needs: &'static [Need],
    /// Names of the tile sizes that it may be built with; none where there is nothing to choose.
    pub tiles: &'static [&'static str],
    /// How it would run a dispatch, or why it cannot.
    pub(crate) suit: fn(&Wanted<'_>) -> Result<Suited, String>,
}

/// A dispatch that is to run as a variant.
pub(crate) struct Wanted<'w> {
    pub dispatch: &'w Dispatch,
    pub capabilities: &'w Capabilities,
    /// Which of the row's tile sizes; `None` leaves it to the variant.
    pub tile: Option<usize>,
}

impl Wanted<'_> {
    /// The params, of the kernel that the variant belongs to.
    fn params<P: KernelParams>(&self) -> P {
        bytemuck::pod_read_unaligned(&self.dispatch.params)
    }
}

/// A variant, and which tile size of those that its row names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Build {
    /// The variant.
    pub variant: Variant,
    /// Index into [`VariantRow::tiles`]; `None` leaves it to the variant.
    pub tile: Option<usize>,
}

impl Build {
    /// The variant's name with that of the tile size: `tiles 128x64`.
    pub fn name(self, kernel: Kernel) -> String {
        let tile = self.tile.and_then(|tile| VariantRow::of(kernel, self.variant)?.tiles.get(tile));
        tile.map_or_else(|| self.variant.to_string(), |tile| format!("{} {tile}", self.variant))
    }
}

impl From<Variant> for Build {
    fn from(variant: Variant) -> Self {
        Self { variant, tile: None }
    }
}

/// How a variant runs a dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suited {
    /// Which of the row's tile sizes, if it has some.
    pub tile: Option<usize>,
    /// Values of the row's constants, in order.
    pub constants: Vec<u32>,
    /// Workgroups needed.
    pub workgroups: u64,
    /// Turns that all loops of one invocation take together, at the most.
    pub iterations: u64,
}

/// All versions beside the baselines.
pub static VARIANTS: [&VariantRow; 13] = [
    &temporal::WEIGHTS_TILES,
    &temporal::POOL_TILES,
    &linear::COOPERATIVE,
    &attend::COOPERATIVE,
    &linear::BLOCKS,
    &linear::TILES,
    &linear::BROADCAST,
    &attend::TILES,
    &attend::BROADCAST,
    &attend::WEIGHTS_BROADCAST,
    &temporal::WEIGHTS_BROADCAST,
    &temporal::POOL_BROADCAST,
    &windows::BROADCAST,
];

impl VariantRow {
    /// What the shader is made of.
    pub fn parts(&self) -> Parts {
        let Self { stem, source, constants, .. } = *self;
        let [matrices, subgroups] = [Need::Matrices, Need::Subgroups].map(|need| self.needs.contains(&need));
        Parts { stem, source, row: self.kernel.row(), constants, matrices, subgroups }
    }

    /// The row of a kernel's variant; `None` for the baseline and where there is no such version.
    pub fn of(kernel: Kernel, variant: Variant) -> Option<&'static Self> {
        VARIANTS.into_iter().find(|row| row.kernel == kernel && row.variant == variant)
    }
}

/// The variants that a device of such capabilities would rather run a dispatch as, best first. Measured on CPU drivers, see `benches/record/`:
/// temporal weights in tiles take them longer than the baseline, and Mesa 22.3 takes many seconds to compile unrolled conversions from float16.
pub fn preferred(dispatch: &Dispatch, capabilities: &Capabilities) -> &'static [Variant] {
    let half = dispatch.elements.contains(&Element::F16);
    match (capabilities.cpu, dispatch.kernel) {
        (false, _) => &[Variant::Cooperative, Variant::Tiles],
        (true, Kernel::TemporalPool) => &[Variant::Broadcast, Variant::Tiles],
        (true, Kernel::TemporalWeights) => &[Variant::Broadcast],
        (true, _) if half => &[Variant::Broadcast],
        (true, _) => &[Variant::Broadcast, Variant::Blocks, Variant::Tiles],
    }
}

/// How a variant would run a dispatch, in the tile size asked for or else in the one that it takes for the best.
///
/// # Errors
/// Why it cannot, for people.
pub fn suit(dispatch: &Dispatch, build: impl Into<Build>, capabilities: &Capabilities) -> Result<Suited, String> {
    let Build { variant, tile } = build.into();
    let stem = dispatch.kernel.row().stem;
    let row = VariantRow::of(dispatch.kernel, variant).ok_or_else(|| format!("{stem} has no {variant} variant"))?;
    if let Some(tile) = tile.filter(|&tile| tile >= row.tiles.len()) {
        return Err(format!("has {} tile sizes, number {tile} is not among them", row.tiles.len()));
    }
    // Variants bind vectors of four; a bias that is not there may be bound to less.
    if let Some(short) = dispatch.bindings.iter().find(|binding| binding.len < 4) {
        return Err(format!("needs bindings of at least four numbers, one has {}", short.len));
    }
    let suited = (row.suit)(&Wanted { dispatch, capabilities, tile })?;
    match capabilities.loop_iterations {
        Some(most) if suited.iterations > most.into() => {
            Err(format!("an invocation would take {} loop iterations, {most} are safe", suited.iterations))
        }
        _ => Ok(suited),
    }
}

/// Checks that rows of these views begin at multiples of four elements, so that they can be read as vectors.
fn require_multiple_of_4(views: &[(&str, &BoundView)]) -> Result<(), String> {
    for (name, view) in views {
        view.require_multiple_of(4).map_err(|(what, value)| format!("needs multiples of four, {what} of {name} is {value}"))?;
    }
    Ok(())
}
