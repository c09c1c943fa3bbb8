//! Variants of kernels: other shaders for the same declaration, and their requirements.
//!
//! A [`Plan`](crate::Plan) names kernels only. The engine chooses a variant for each dispatch: one whose requirements the adapter and the
//! dispatch's params meet. The baseline in `shaders/KERNEL.wgsl` runs everywhere and takes all params. All variants of a kernel share its
//! bindings, its params struct and its reference.

mod attend;
mod capabilities;
mod language;
mod linear;
mod temporal;
mod tiles;
mod tuning;
mod windows;

pub use capabilities::Capabilities;
pub use language::{Language, Need};
pub use tuning::{Trial, Tuning, TuningKey};

use crate::kernel::{Kernel, KernelParams};
use crate::plan::{Dispatch, Element};
use crate::view::BoundView;
use crate::wgsl::Parts;

/// A way to choice a kernel.
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
    /// All rows in an invocation, each weight read once: for products of few rows.
    Rows,
}

impl Variant {
    /// All variants.
    pub const ALL: [Self; 6] = [Self::Baseline, Self::Blocks, Self::Tiles, Self::Broadcast, Self::Cooperative, Self::Rows];

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Blocks => "blocks",
            Self::Tiles => "tiles",
            Self::Broadcast => "broadcast",
            Self::Cooperative => "cooperative",
            Self::Rows => "rows",
        }
    }
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A variant of a kernel, other than its baseline.
#[derive(Debug)]
pub struct VariantRow {
    /// The kernel, whose bindings, params and reference it shares.
    pub kernel: Kernel,
    /// Kind of shader.
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
    /// Needs of the adapter and of the language it is translated to, besides those of float16 storage.
    pub needs: &'static [Need],
    /// Names of its tile sizes; empty if there is one only.
    pub tiles: &'static [&'static str],
    /// Launch config for a dispatch, or why it cannot run it.
    pub(crate) configure: fn(&LaunchRequest<'_>) -> Result<LaunchConfig, String>,
}

/// A dispatch that a variant is asked to run.
pub(crate) struct LaunchRequest<'w> {
    pub dispatch: &'w Dispatch,
    pub capabilities: &'w Capabilities,
    /// Index into [`VariantRow::tiles`]; `None` leaves it to the variant.
    pub tile: Option<usize>,
}

impl LaunchRequest<'_> {
    /// The dispatch's params, as those of the variant's kernel.
    fn params<P: KernelParams>(&self) -> P {
        bytemuck::pod_read_unaligned(&self.dispatch.params)
    }
}

/// A variant and its tile size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VariantChoice {
    /// The variant.
    pub variant: Variant,
    /// Index into [`VariantRow::tiles`]; `None` leaves it to the variant.
    pub tile: Option<usize>,
}

impl VariantChoice {
    /// Name of the variant and its tile size, such as `tiles 128x64`.
    pub fn name(self, kernel: Kernel) -> String {
        let tile = self.tile.and_then(|tile| VariantRow::of(kernel, self.variant)?.tiles.get(tile));
        tile.map_or_else(|| self.variant.to_string(), |tile| format!("{} {tile}", self.variant))
    }
}

impl From<Variant> for VariantChoice {
    fn from(variant: Variant) -> Self {
        Self { variant, tile: None }
    }
}

/// How a variant runs a dispatch: constants and workgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchConfig {
    /// Index into [`VariantRow::tiles`], if it has some.
    pub tile: Option<usize>,
    /// Values of the row's constants, in order.
    pub constants: Vec<u32>,
    /// Number of workgroups.
    pub workgroups: u64,
    /// Most iterations of all loops of one invocation together.
    pub iterations: u64,
}

/// All variants besides the baselines.
pub static VARIANTS: [&VariantRow; 16] = [
    &temporal::WEIGHTS_TILES,
    &temporal::POOL_TILES,
    &linear::COOPERATIVE,
    &attend::COOPERATIVE,
    &linear::BLOCKS,
    &linear::TILES,
    &linear::BROADCAST,
    &linear::ROWS,
    &attend::TILES,
    &attend::WEIGHTS_TILES,
    &attend::BROADCAST,
    &attend::WEIGHTS_BROADCAST,
    &temporal::WEIGHTS_BROADCAST,
    &temporal::POOL_BROADCAST,
    &windows::BROADCAST,
    &windows::TILES,
];

impl VariantRow {
    /// What the shader is made of.
    pub fn parts(&self) -> Parts {
        let Self { stem, source, constants, .. } = *self;
        let [matrices, subgroups] = [Need::Matrices, Need::Subgroups].map(|need| self.needs.contains(&need));
        Parts { stem, source, row: self.kernel.row(), constants, matrices, subgroups }
    }

    /// Returns the row of a kernel's variant, or `None` for the baseline and for variants that the kernel does not have.
    pub fn of(kernel: Kernel, variant: Variant) -> Option<&'static Self> {
        VARIANTS.into_iter().find(|row| row.kernel == kernel && row.variant == variant)
    }
}

/// Variants that are preferred for a dispatch on such a device, best first. The order for CPU drivers is measured (`benches/record/`): temporal
/// weights in tiles are slower there than the baseline, and Mesa 22.3 takes many seconds to compile unrolled conversions from float16.
pub fn preferred(dispatch: &Dispatch, capabilities: &Capabilities) -> &'static [Variant] {
    let half = dispatch.elements.contains(&Element::F16);
    match (capabilities.cpu, dispatch.kernel) {
        (false, _) => &[Variant::Rows, Variant::Cooperative, Variant::Tiles],
        (true, Kernel::TemporalPool) => &[Variant::Broadcast, Variant::Tiles],
        (true, Kernel::TemporalWeights) => &[Variant::Broadcast],
        (true, _) if half => &[Variant::Rows, Variant::Broadcast],
        (true, _) => &[Variant::Rows, Variant::Broadcast, Variant::Blocks, Variant::Tiles],
    }
}

/// Returns the launch config of a variant for a dispatch, in the given tile size or else in the one that the variant expects to be the fastest.
///
/// # Errors
/// Why the variant cannot run it, for people.
pub fn configure(
    dispatch: &Dispatch,
    choice: impl Into<VariantChoice>,
    capabilities: &Capabilities,
) -> Result<LaunchConfig, String> {
    let VariantChoice { variant, tile } = choice.into();
    let stem = dispatch.kernel.row().stem;
    let row = VariantRow::of(dispatch.kernel, variant).ok_or_else(|| format!("{stem} has no {variant} variant"))?;
    if let Some(tile) = tile.filter(|&tile| tile >= row.tiles.len()) {
        return Err(format!("has {} tile sizes, number {tile} is not among them", row.tiles.len()));
    }
    // Variants bind vectors of four; the binding of an absent bias may be smaller.
    if let Some(short) = dispatch.bindings.iter().find(|binding| binding.len < 4) {
        return Err(format!("needs bindings of at least four elements, one has {}", short.len));
    }
    let config = (row.configure)(&LaunchRequest { dispatch, capabilities, tile })?;
    match capabilities.loop_iterations {
        Some(most) if config.iterations > most.into() => {
            Err(format!("an invocation would take {} loop iterations, {most} are safe", config.iterations))
        }
        _ => Ok(config),
    }
}

/// Checks that all sizes are multiples of four.
fn require_multiple_of_4(sizes: &[(&str, u32)]) -> Result<(), String> {
    match sizes.iter().find(|(_, size)| size % 4 != 0) {
        None => Ok(()),
        Some((name, size)) => Err(format!("needs multiples of four, {name} is {size}")),
    }
}

/// Checks that rows of all views begin at multiples of four elements, so that they can be read as vectors.
fn require_aligned_views(views: &[(&str, &BoundView)]) -> Result<(), String> {
    for (name, view) in views {
        view.require_multiple_of(4).map_err(|(what, value)| format!("needs multiples of four, {what} of {name} is {value}"))?;
    }
    Ok(())
}
