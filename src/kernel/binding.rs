//! The bindings of a kernel, as its row has them.

/// One storage binding of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct BindingRow {
    /// Name of the variable in the shader.
    pub name: &'static str,
    /// Whether the kernel writes it. Exactly the last binding of a kernel is written.
    pub written: bool,
    /// The name that the shader has for what its numbers are stored as, where that may be any [`Element`](crate::plan::Element); the
    /// prelude defines it.
    pub stored: Option<&'static str>,
}

pub(super) const fn read(name: &'static str) -> BindingRow {
    BindingRow { name, written: false, stored: None }
}

pub(super) const fn write(name: &'static str) -> BindingRow {
    BindingRow { name, written: true, stored: None }
}

/// The same binding, stored as any element, which the shader calls `stored`.
pub(super) const fn any(stored: &'static str, row: BindingRow) -> BindingRow {
    BindingRow { stored: Some(stored), ..row }
}
