//! Pieces that the macro of declarations is made of.

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
        &[$(crate::kernel::pieces::axis!($p, $axis),)* crate::kernel::pieces::axis!($p, $width)]
    };
}

macro_rules! extent {
    ($p:ident, $view:ident, [$($axis:tt),*; $width:tt]) => {
        $p.$view.extent(&[$(crate::kernel::pieces::axis!($p, $axis)),*], crate::kernel::pieces::axis!($p, $width))
    };
    ($p:ident, $view:ident, [$($axis:tt),*; $width:tt] extra $flag:ident [$($extra_axis:tt),*]) => {
        crate::kernel::pieces::extent!($p, $view, [$($axis),*; $width]).and(if $p.$flag == 0 {
            crate::view::Extent::NONE
        } else {
            let sizes = [$(crate::kernel::pieces::axis!($p, $extra_axis)),*];
            $p.$view.extra_extent(&sizes, crate::kernel::pieces::axis!($p, $width))
        })
    };
    ($p:ident, $view:ident, [$($axis:tt),*; $width:tt] if $flag:ident) => {
        if $p.$flag == 0 {
            crate::view::Extent::NONE
        } else {
            crate::kernel::pieces::extent!($p, $view, [$($axis),*; $width])
        }
    };
}

/// Sets a view of `$params` without gaps from element `$end` on, which moves behind it.
macro_rules! dense {
    ($params:ident, $p:ident, $end:ident, $view:ident, [$($axis:tt),*; $width:tt]) => {
        let $p = &$params;
        let sizes = [$(crate::kernel::pieces::axis!($p, $axis)),*];
        let (view, end) = crate::view::BoundView::dense($end, &sizes, crate::kernel::pieces::axis!($p, $width));
        $params.$view = view;
        $end = end;
    };
    ($params:ident, $p:ident, $end:ident, $view:ident, [$($axis:tt),*; $width:tt] extra $flag:ident [$($extra_axis:tt),*]) => {
        crate::kernel::pieces::dense!($params, $p, $end, $view, [$($axis),*; $width]);
        $params.$view = $params.$view.with_extra($end);
        let $p = &$params;
        let sizes = [$(crate::kernel::pieces::axis!($p, $extra_axis)),*];
        $end = crate::kernel::declaration::capped($p.$view.extra_extent(&sizes, crate::kernel::pieces::axis!($p, $width)).end);
    };
    ($params:ident, $p:ident, $end:ident, $view:ident, [$($axis:tt),*; $width:tt] if $flag:ident) => {
        if $params.$flag != 0 {
            crate::kernel::pieces::dense!($params, $p, $end, $view, [$($axis),*; $width]);
        }
    };
}

pub(crate) use {axes, axis, dense, extent, field, first, is, view_type};
