//! One declaration a kernel: what its params, its shader's prelude, its row in the table and the checks of a plan follow from.

use super::Kernel;
use crate::view::Extent;

/// A kernel's row. Binding 0 is the params struct (uniform); `bindings` follow from 1.
#[derive(Debug)]
pub struct KernelRow {
    /// Which kernel.
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
    /// Other `const`s that host and shader both know.
    pub shared: &'static [(&'static str, u32)],
    /// Invocations of a workgroup, in x.
    pub workgroup: u32,
    /// Whether all indices follow from the params, which the plan has checked: bounds checks may be left out. Not so where a kernel indexes
    /// by elements that it reads.
    pub accesses_in_range: bool,
    /// The CPU twin: params as bytes, inputs in order, output.
    pub(crate) reference: fn(&[u8], &[&[f32]], &mut [f32]),
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
    /// How the kernel sees it.
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

/// Params of a kernel: what a dispatch needs to know beside its bindings. Sealed, because kernels rely on what these say they access.
pub trait KernelParams: bytemuck::Pod + Sealed {
    /// The kernel these belong to.
    const KERNEL: Kernel;
    /// What is accessed of each binding, in order.
    fn accesses(&self) -> Vec<Extent>;
    /// Counts that must be at least one and at most the second number: sizes that shaders are built for, and iterations of their loops.
    fn counts(&self) -> Vec<(&'static str, u32, u32)>;
    /// Iterations that all loops of one invocation take together, at the most: nested ones multiplied, none unrolled. Mesa 22.3's software
    /// driver stops every loop once an invocation has taken 65,535 iterations in all, without a word.
    fn iterations(&self) -> u64;
    /// Multiplications, each with its addition, that the formula takes; what a kernel wastes at its edges is not counted.
    fn multiply_adds(&self) -> u64;
    /// Workgroups needed.
    fn workgroups(&self) -> u64;
    /// Values of the row's `constants`, in order.
    fn constants(&self) -> Vec<u32>;
    /// The same sizes and values, with views without gaps: what tests run a kernel on.
    #[must_use]
    fn dense(self) -> Self;
}

/// Keeps [`KernelParams`] to this crate.
mod sealed {
    pub trait Sealed {}
}
pub(crate) use sealed::Sealed;

/// A product that stops at the largest number.
pub(crate) fn count(factors: &[u32]) -> u64 {
    factors.iter().fold(1u64, |total, &factor| total.saturating_mul(factor.into()))
}

/// A count as its checks take it.
pub(crate) fn capped(count: impl Into<u64>) -> u32 {
    count.into().min(u32::MAX.into()) as u32
}

/// Iterations of a loop over `count` items with `inner` iterations inside each: the last test, which ends the loop, is one too.
pub(crate) fn looped(count: u64, inner: u64) -> u64 {
    count.saturating_mul(inner.saturating_add(1)).saturating_add(1)
}

/// Declares a kernel. What comes of it: the struct of its params, as shader and reference have them; the request that operations make of views and
/// values; and `ROW`, its row in the table.
///
/// - `sizes` follow from the axes of views; `given` sizes do not. Both are at least one, and at most what stands behind `<=`; a string gives the
///   name that errors use. `checks` are other counts of that kind: a name, its value, and its maximum behind `=>`.
/// - `values` are everything else that the kernel is told; `flags` say which views are there.
/// - Each binding is read or written, `as any` if it may be stored as any element and `as u32` if it holds integers, and has views: axes, then the elements of a row. An axis is a
///   size, a number, or an expression of `u64` in brackets. A number of elements in a row is no axis of the view that a request has. A view with
///   `if flag` may be left out. One with `extra flag [axes]` may have an extra row along the first axes. An expression behind `=>` says what
///   is accessed where views do not.
/// - `constants` depend on the params and are baked into a pipeline, `examples` are some of their values; `shared` are known to both sides for good.
///
/// `p` is the params in all expressions.
macro_rules! kernel {
    (
        $(#[$doc:meta])*
        $kernel:ident, $params:ident, $stem:literal, |$p:ident|
        sizes { $($(#[$size_doc:meta])* $size:ident $($size_name:literal)? $(<= $most:expr)?,)* }
        $(given { $($(#[$given_doc:meta])* $given:ident $($given_name:literal)? $(<= $given_most:expr)?,)* })?
        $(checks { $($checked_name:literal: $checked:expr => $checked_most:expr,)* })?
        $(values { $($(#[$value_doc:meta])* $value:ident: $kind:ident,)* })?
        $(flags { $($(#[$flag_doc:meta])* $flag:ident,)* })?
        $(read $read:ident $(as $any_read:ident)? {
            $($(#[$read_doc:meta])* $read_view:ident: [$($read_axis:tt),*; $read_width:tt]
                $(if $read_if:ident)? $(extra $read_extra:ident [$($read_extra_axis:tt),*])?,)*
        } $(=> $read_extent:expr,)?)*
        write $written:ident $(as $any_written:ident)? {
            $($(#[$written_doc:meta])* $written_view:ident: [$($written_axis:tt),*; $written_width:tt]
                $(if $written_if:ident)? $(extra $written_extra:ident [$($written_extra_axis:tt),*])?,)*
        } $(=> $written_extent:expr,)?
        $(constants { $($constant:ident: $constant_value:expr,)* } examples: $examples:expr,)?
        $(shared { $($shared:ident: $shared_value:expr,)* })?
        workgroup: $workgroup:expr,
        workgroups: $workgroups:expr,
        multiply_adds: $multiply_adds:expr,
        iterations: $iterations:expr,
        accesses_in_range: $in_range:expr,
        reference: $reference:path,
    ) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $params {
            $($($(#[$read_doc])* pub $read_view: crate::view::BoundView,)*)*
            $($(#[$written_doc])* pub $written_view: crate::view::BoundView,)*
            $($(#[$size_doc])* pub $size: u32,)*
            $($($(#[$given_doc])* pub $given: u32,)*)?
            $($($(#[$value_doc])* pub $value: $kind,)*)?
            $($($(#[$flag_doc])* pub $flag: u32,)*)?
        }

        impl crate::kernel::Sealed for $params {}

        impl $params {
            const FIELDS: &'static [crate::kernel::Field] = &[
                $($(crate::kernel::declaration::field!($params, $read_view, "View"),)*)*
                $(crate::kernel::declaration::field!($params, $written_view, "View"),)*
                $(crate::kernel::declaration::field!($params, $size, "u32"),)*
                $($(crate::kernel::declaration::field!($params, $given, "u32"),)*)?
                $($(crate::kernel::declaration::field!($params, $value, stringify!($kind)),)*)?
                $($(crate::kernel::declaration::field!($params, $flag, "u32"),)*)?
            ];
        }

        impl crate::kernel::KernelParams for $params {
            const KERNEL: crate::kernel::Kernel = crate::kernel::Kernel::$kernel;

            fn accesses(&self) -> Vec<crate::view::Extent> {
                let $p = self;
                vec![
                    $(crate::kernel::declaration::first!(
                        $($read_extent,)?
                        crate::view::Extent::NONE$(.and(
                            crate::kernel::declaration::extent!($p, $read_view, [$($read_axis),*; $read_width]
                                $(if $read_if)? $(extra $read_extra [$($read_extra_axis),*])?)
                        ))*,
                    ),)*
                    crate::kernel::declaration::first!(
                        $($written_extent,)?
                        crate::view::Extent::NONE$(.and(
                            crate::kernel::declaration::extent!($p, $written_view, [$($written_axis),*; $written_width]
                                $(if $written_if)? $(extra $written_extra [$($written_extra_axis),*])?)
                        ))*,
                    ),
                ]
            }

            fn counts(&self) -> Vec<(&'static str, u32, u32)> {
                let $p = self;
                vec![
                    $((
                        crate::kernel::declaration::first!($($size_name,)? stringify!($size),),
                        $p.$size,
                        crate::kernel::declaration::first!($($most,)? u32::MAX,),
                    ),)*
                    $($((
                        crate::kernel::declaration::first!($($given_name,)? stringify!($given),),
                        $p.$given,
                        crate::kernel::declaration::first!($($given_most,)? u32::MAX,),
                    ),)*)?
                    $($(($checked_name, crate::kernel::declaration::capped($checked), $checked_most),)*)?
                ]
            }

            fn iterations(&self) -> u64 {
                let $p = self;
                let _ = $p;
                $iterations
            }

            fn multiply_adds(&self) -> u64 {
                let $p = self;
                let _ = $p;
                $multiply_adds
            }

            fn workgroups(&self) -> u64 {
                let $p = self;
                $workgroups
            }

            fn dense(mut self) -> Self {
                $({
                    let mut end = 0;
                    $(crate::kernel::declaration::dense!(
                        self, $p, end, $read_view, [$($read_axis),*; $read_width]
                        $(if $read_if)? $(extra $read_extra [$($read_extra_axis),*])?
                    );)*
                    let _ = end;
                })*
                let mut end = 0;
                $(crate::kernel::declaration::dense!(
                    self, $p, end, $written_view, [$($written_axis),*; $written_width]
                    $(if $written_if)? $(extra $written_extra [$($written_extra_axis),*])?
                );)*
                let _ = end;
                self
            }

            fn constants(&self) -> Vec<u32> {
                let $p = self;
                let _ = $p;
                vec![$($($constant_value),*)?]
            }
        }

        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $kernel {
            $($($(#[$read_doc])* pub $read_view: crate::kernel::declaration::view_type!($($read_if)?),)*)*
            $($(#[$written_doc])* pub $written_view: crate::kernel::declaration::view_type!($($written_if)?),)*
            $($($(#[$given_doc])* pub $given: u32,)*)?
            $($($(#[$value_doc])* pub $value: $kind,)*)?
        }

        impl crate::kernel::Request for $kernel {
            type Params = $params;

            fn place(&self) -> crate::error::Result<($params, Vec<crate::view::Binding>)> {
                let views = [$($(self.$read_view.into(),)*)* $(self.$written_view.into(),)*];
                let placed = crate::kernel::placement::place(&ROW, &views)?;
                let mut bound = placed.views.iter().copied();
                let mut next = || bound.next().unwrap_or_default();
                #[allow(unused_mut, reason = "not all kernels have flags")]
                let mut params = $params {
                    $($($read_view: next(),)*)*
                    $($written_view: next(),)*
                    $($size: placed.size(stringify!($size)),)*
                    $($($given: self.$given,)*)?
                    $($($value: self.$value,)*)?
                    $($($flag: 0,)*)?
                };
                $($($(params.$read_if |= u32::from(self.$read_view.is_some());)?)*)*
                $($(params.$written_if |= u32::from(self.$written_view.is_some());)?)*
                $($($(params.$read_extra |= u32::from(self.$read_view.has_extra());)?)*)*
                $($(params.$written_extra |= u32::from(self.$written_view.has_extra());)?)*
                $($($(crate::kernel::placement::require_extra(&ROW, stringify!($read_view), &self.$read_view, params.$read_extra)?;)?)*)*
                $($(crate::kernel::placement::require_extra(&ROW, stringify!($written_view), &self.$written_view, params.$written_extra)?;)?)*
                let $p = &params;
                let sizes: &[&[u64]] = &[
                    $($(crate::kernel::declaration::axes!($p, [$($read_axis),*; $read_width]),)*)*
                    $(crate::kernel::declaration::axes!($p, [$($written_axis),*; $written_width]),)*
                ];
                crate::kernel::placement::require_axes(&ROW, &views, sizes)?;
                let bindings = placed.bindings(&crate::kernel::KernelParams::accesses(&params));
                Ok((params, bindings))
            }
        }

        pub(super) static ROW: crate::kernel::KernelRow = crate::kernel::KernelRow {
            kernel: crate::kernel::Kernel::$kernel,
            stem: $stem,
            source: include_str!(concat!("../../shaders/", $stem, ".wgsl")),
            bindings: &[
                $(crate::kernel::BindingRow {
                    name: stringify!($read),
                    written: false,
                    any: crate::kernel::declaration::is!(any $($any_read)?),
                    integers: crate::kernel::declaration::is!(u32 $($any_read)?),
                    views: &[$(crate::kernel::ViewRow {
                        name: stringify!($read_view),
                        axes: &[$(stringify!($read_axis)),*],
                        width: stringify!($read_width),
                        extra: &[$($(stringify!($read_extra_axis)),*)?],
                    }),*],
                },)*
                crate::kernel::BindingRow {
                    name: stringify!($written),
                    written: true,
                    any: crate::kernel::declaration::is!(any $($any_written)?),
                    integers: crate::kernel::declaration::is!(u32 $($any_written)?),
                    views: &[$(crate::kernel::ViewRow {
                        name: stringify!($written_view),
                        axes: &[$(stringify!($written_axis)),*],
                        width: stringify!($written_width),
                        extra: &[$($(stringify!($written_extra_axis)),*)?],
                    }),*],
                },
            ],
            fields: $params::FIELDS,
            constants: &[$($(stringify!($constant)),*)?],
            examples: crate::kernel::declaration::first!($($examples,)? &[&[]],),
            shared: &[$($((stringify!($shared), $shared_value)),*)?],
            workgroup: $workgroup,
            accesses_in_range: $in_range,
            reference: |params, inputs, output| $reference(&bytemuck::pod_read_unaligned(params), inputs, output),
        };
    };
}

/// The first of several.
macro_rules! first {
    ($first:expr, $($rest:tt)*) => {
        $first
    };
}

/// A view, or none where a flag says so.
macro_rules! view_type {
    () => { crate::view::View };
    ($flag:ident) => { Option<crate::view::View> };
}

/// Whether a binding's element is this one.
macro_rules! is {
    (any any) => {
        true
    };
    (u32 u32) => {
        true
    };
    (any $(u32)?) => {
        false
    };
    (u32 $(any)?) => {
        false
    };
}

macro_rules! field {
    ($params:ident, $field:ident, $kind:expr) => {
        crate::kernel::Field { name: stringify!($field), kind: $kind, offset: std::mem::offset_of!($params, $field) }
    };
}

/// The size of an axis: a name, a number, or an expression of `u64` in brackets.
macro_rules! axis {
    ($p:ident, $size:ident) => {
        u64::from($p.$size)
    };
    ($p:ident, $size:literal) => {
        $size
    };
    ($p:ident, ($size:expr)) => {
        $size
    };
}

/// The sizes of a view's axes, the elements of a row behind the others.
macro_rules! axes {
    ($p:ident, [$($axis:tt),*; $width:tt]) => {
        &[$(crate::kernel::declaration::axis!($p, $axis),)* crate::kernel::declaration::axis!($p, $width)]
    };
}

macro_rules! extent {
    ($p:ident, $view:ident, [$($axis:tt),*; $width:tt]) => {
        $p.$view.extent(&[$(crate::kernel::declaration::axis!($p, $axis)),*], crate::kernel::declaration::axis!($p, $width))
    };
    ($p:ident, $view:ident, [$($axis:tt),*; $width:tt] extra $flag:ident [$($extra_axis:tt),*]) => {
        crate::kernel::declaration::extent!($p, $view, [$($axis),*; $width]).and(if $p.$flag == 0 {
            crate::view::Extent::NONE
        } else {
            let sizes = [$(crate::kernel::declaration::axis!($p, $extra_axis)),*];
            $p.$view.extra_extent(&sizes, crate::kernel::declaration::axis!($p, $width))
        })
    };
    ($p:ident, $view:ident, [$($axis:tt),*; $width:tt] if $flag:ident) => {
        if $p.$flag == 0 {
            crate::view::Extent::NONE
        } else {
            crate::kernel::declaration::extent!($p, $view, [$($axis),*; $width])
        }
    };
}

/// Sets a view of `$params` without gaps from element `$end` on, which moves behind it.
macro_rules! dense {
    ($params:ident, $p:ident, $end:ident, $view:ident, [$($axis:tt),*; $width:tt]) => {
        let $p = &$params;
        let sizes = [$(crate::kernel::declaration::axis!($p, $axis)),*];
        let (view, end) = crate::view::BoundView::dense($end, &sizes, crate::kernel::declaration::axis!($p, $width));
        $params.$view = view;
        $end = end;
    };
    ($params:ident, $p:ident, $end:ident, $view:ident, [$($axis:tt),*; $width:tt] extra $flag:ident [$($extra_axis:tt),*]) => {
        crate::kernel::declaration::dense!($params, $p, $end, $view, [$($axis),*; $width]);
        $params.$view = $params.$view.with_extra($end);
        let $p = &$params;
        let sizes = [$(crate::kernel::declaration::axis!($p, $extra_axis)),*];
        $end = crate::kernel::declaration::capped($p.$view.extra_extent(&sizes, crate::kernel::declaration::axis!($p, $width)).end);
    };
    ($params:ident, $p:ident, $end:ident, $view:ident, [$($axis:tt),*; $width:tt] if $flag:ident) => {
        if $params.$flag != 0 {
            crate::kernel::declaration::dense!($params, $p, $end, $view, [$($axis),*; $width]);
        }
    };
}

pub(crate) use {axes, axis, dense, extent, field, first, is, kernel, view_type};
