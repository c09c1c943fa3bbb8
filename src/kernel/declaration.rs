//! One declaration a kernel: its params, its shader's prelude, its row in the table and the checks of a plan follow from it.

pub(crate) use super::row::{capped, count, looped};

/// Declares a kernel. It defines the struct of its params, for shader and reference; the request that operations make of views and
/// values; and `ROW`, its row in the table.
///
/// - `sizes` follow from the axes of views; `given` sizes do not. Both are at least one, and at most what stands behind `<=`; a string gives the
///   name that errors use. `checks` are other counts of that kind: a name, its value, and its maximum behind `=>`.
/// - `values` are all other params; `flags` say which views are present.
/// - Each binding is read or written, `as any` if it may be stored as any element and `as u32` if it holds integers, and has views: axes, then the elements of a row. An axis is a
///   size, a number, or an expression of `u64` in brackets. A number of elements in a row is no axis of the view that a request has. A view with
///   `if flag` may be left out. One with `extra flag [axes]` may have an extra row along the first axes. An expression behind `=>` is the
///   extent of an access that views do not tell.
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
                $($(crate::kernel::pieces::field!($params, $read_view, "View"),)*)*
                $(crate::kernel::pieces::field!($params, $written_view, "View"),)*
                $(crate::kernel::pieces::field!($params, $size, "u32"),)*
                $($(crate::kernel::pieces::field!($params, $given, "u32"),)*)?
                $($(crate::kernel::pieces::field!($params, $value, stringify!($kind)),)*)?
                $($(crate::kernel::pieces::field!($params, $flag, "u32"),)*)?
            ];
        }

        impl crate::kernel::KernelParams for $params {
            const KERNEL: crate::kernel::Kernel = crate::kernel::Kernel::$kernel;

            fn accesses(&self) -> Vec<crate::view::Extent> {
                let $p = self;
                vec![
                    $(crate::kernel::pieces::first!(
                        $($read_extent,)?
                        crate::view::Extent::NONE$(.and(
                            crate::kernel::pieces::extent!($p, $read_view, [$($read_axis),*; $read_width]
                                $(if $read_if)? $(extra $read_extra [$($read_extra_axis),*])?)
                        ))*,
                    ),)*
                    crate::kernel::pieces::first!(
                        $($written_extent,)?
                        crate::view::Extent::NONE$(.and(
                            crate::kernel::pieces::extent!($p, $written_view, [$($written_axis),*; $written_width]
                                $(if $written_if)? $(extra $written_extra [$($written_extra_axis),*])?)
                        ))*,
                    ),
                ]
            }

            fn counts(&self) -> Vec<(&'static str, u32, u32)> {
                let $p = self;
                vec![
                    $((
                        crate::kernel::pieces::first!($($size_name,)? stringify!($size),),
                        $p.$size,
                        crate::kernel::pieces::first!($($most,)? u32::MAX,),
                    ),)*
                    $($((
                        crate::kernel::pieces::first!($($given_name,)? stringify!($given),),
                        $p.$given,
                        crate::kernel::pieces::first!($($given_most,)? u32::MAX,),
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
                    $(crate::kernel::pieces::dense!(
                        self, $p, end, $read_view, [$($read_axis),*; $read_width]
                        $(if $read_if)? $(extra $read_extra [$($read_extra_axis),*])?
                    );)*
                    let _ = end;
                })*
                let mut end = 0;
                $(crate::kernel::pieces::dense!(
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
            $($($(#[$read_doc])* pub $read_view: crate::kernel::pieces::view_type!($($read_if)?),)*)*
            $($(#[$written_doc])* pub $written_view: crate::kernel::pieces::view_type!($($written_if)?),)*
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
                    $($(crate::kernel::pieces::axes!($p, [$($read_axis),*; $read_width]),)*)*
                    $(crate::kernel::pieces::axes!($p, [$($written_axis),*; $written_width]),)*
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
                    any: crate::kernel::pieces::is!(any $($any_read)?),
                    integers: crate::kernel::pieces::is!(u32 $($any_read)?),
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
                    any: crate::kernel::pieces::is!(any $($any_written)?),
                    integers: crate::kernel::pieces::is!(u32 $($any_written)?),
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
            examples: crate::kernel::pieces::first!($($examples,)? &[&[]],),
            shared: &[$($((stringify!($shared), $shared_value)),*)?],
            workgroup: $workgroup,
            accesses_in_range: $in_range,
            reference: |params, inputs, output| $reference(&bytemuck::pod_read_unaligned(params), inputs, output),
        };
    };
}

pub(crate) use kernel;
