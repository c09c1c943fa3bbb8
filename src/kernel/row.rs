//! Rows of the table of kernels, and the trait of params: what a declaration defines.

use super::Kernel;
use crate::view::Extent;

/// A kernel's row. Binding 0 is the params struct (uniform); `bindings` follow from 1.
#[derive(Debug)]
pub struct KernelRow {
    /// The kernel.
    pub kernel: Kernel,
    /// Stem of `shaders/STEM.wgsl`.
    pub stem: &'static str,
    /// The shader's text, without libraries and prelude.
    pub source: &'static str,
    /// Storage bindings in order.
    pub bindings: &'static [BindingRow],
    /// Fields of the params struct.
    pub fields: &'static [Field],
    /// Names of the `const`s that depend on a dispatch (all u32).
    pub constants: &'static [&'static str],
    /// Values for these, from the smallest that params ask for to the largest: what editors and validators are shown.
    pub examples: &'static [&'static [u32]],
    /// Other `const`s that host and shader share.
    pub shared: &'static [(&'static str, u32)],
    /// Invocations of a workgroup, in x.
    pub workgroup: u32,
    /// Whether all indices follow from the params, which the plan has checked: bounds checks may be left out. Not so where a kernel indexes
    /// by elements that it reads.
    pub accesses_in_range: bool,
    /// The reference: params as bytes, inputs in order, output.
    pub reference: fn(&[u8], &[&[f32]], &mut [f32]),
}

impl KernelRow {
    /// Whether the prelude declares params and bindings, or the shader still does.
    pub(crate) fn is_declared(&self) -> bool {
        self.bindings.iter().any(|binding| !binding.views.is_empty())
    }
}

/// One storage binding of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct BindingRow {
    /// Name of the variable in the shader.
    pub name: &'static str,
    /// Whether the kernel writes it. Exactly the last binding of a kernel is written.
    pub written: bool,
    /// Whether it may be stored as any [`Element`](crate::plan::Element); the prelude calls that `Stored` and the name.
    pub any: bool,
    /// Whether its elements are 32-bit integers.
    pub integers: bool,
    /// Its views.
    pub views: &'static [ViewRow],
}

/// A view of a binding, as the kernel's declaration has it.
#[derive(Clone, Copy, Debug)]
pub struct ViewRow {
    /// Name of the view's field in the params.
    pub name: &'static str,
    /// Its axes, outermost first, without the elements of a row.
    pub axes: &'static [&'static str],
    /// Elements of a row.
    pub width: &'static str,
    /// The axes along which there is an extra row, if there may be one.
    pub extra: &'static [&'static str],
}

/// A field of a params struct, for reflection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name, the same in Rust and WGSL.
    pub name: &'static str,
    /// `u32`, `f32` or `View`.
    pub kind: &'static str,
    /// Byte offset in the struct.
    pub offset: usize,
}

/// Params of a kernel: everything about a dispatch besides its bindings. Sealed, because kernels rely on the accesses that params declare.
pub trait KernelParams: bytemuck::Pod + Sealed {
    /// The kernel these belong to.
    const KERNEL: Kernel;
    /// Accesses to each binding, in order.
    fn accesses(&self) -> Vec<Extent>;
    /// Name, value and maximum of counts that must be at least one: sizes that shaders are built for, and iterations of their loops.
    fn counts(&self) -> Vec<(&'static str, u32, u32)>;
    /// Most iterations of all loops of one invocation together: nested ones multiplied, none unrolled. Mesa 22.3's software
    /// driver silently ends every loop of an invocation after 65,535 iterations in all.
    fn iterations(&self) -> u64;
    /// Multiply-adds of the formula, without those that a kernel wastes at its edges.
    fn multiply_adds(&self) -> u64;
    /// Number of workgroups.
    fn workgroups(&self) -> u64;
    /// Values of the row's `constants`, in order.
    fn constants(&self) -> Vec<u32>;
    /// The same sizes and values with dense views, for tests.
    #[must_use]
    fn dense(self) -> Self;
}

/// Keeps [`KernelParams`] to this crate.
mod sealed {
    pub trait Sealed {}
}
pub(crate) use sealed::Sealed;

/// A saturating product.
pub(crate) fn count(factors: &[u32]) -> u64 {
    factors.iter().fold(1u64, |total, &factor| total.saturating_mul(factor.into()))
}

/// A count, saturated to 32 bits.
pub(crate) fn capped(count: impl Into<u64>) -> u32 {
    count.into().min(u32::MAX.into()) as u32
}

/// Iterations of a loop over `count` items with `inner` iterations inside each. The last test, which ends the loop, counts as one.
pub(crate) fn looped(count: u64, inner: u64) -> u64 {
    count.saturating_mul(inner.saturating_add(1)).saturating_add(1)
}
