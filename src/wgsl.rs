//! Assembles a kernel's WGSL: prelude, the libraries that it uses, its body.
//!
//! The prelude follows from the kernel's declaration: constants, the struct of its params, its bindings, and an accessor for each view.
//! A shader or library names the libraries it uses in lines that begin with `//! use`, and its bindings of vectors of four with `//! vec4`.
//! There is no preprocessor: a variant of another structure is another file. A table of line numbers maps the compiler's locations back to files.

use std::fmt::Write as _;

use crate::element::Element;
use crate::error::{Error, Result};
use crate::kernel::{BindingRow, KernelRow, ViewRow};

macro_rules! libraries {
    ($($name:ident)*) => {
        /// The files under `shaders/lib/`, by name.
        const LIBRARIES: &[(&str, &str)] =
            &[$((stringify!($name), include_str!(concat!("../shaders/lib/", stringify!($name), ".wgsl")))),*];
    };
}

libraries! {
    activation best blocks broadcast constants exponential gelu grid key_tile max_score nan plain_row precise
    precise_values precise_weights product product_elements product_vectors query_groups query_offsets4 samples
    score scores segments shared_rows square temporal_softmax tile_parts tile_products tile_softmax tile_values tiles value_tile
    vectors weights window_positions windows workgroup_reduce
}

/// Parts of a shader, from a row of [`crate::kernel`] or [`crate::variant`].
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// Stem of `shaders/STEM.wgsl`.
    pub stem: &'static str,
    /// The shader's text, without libraries and prelude.
    pub source: &'static str,
    /// The row of the kernel that it computes.
    pub row: &'static KernelRow,
    /// Names of the `const`s that depend on a dispatch (all u32).
    pub constants: &'static [&'static str],
    /// Whether it uses matrix units: the prelude defines `Left` and `Right` (of float16) and `Sums` (of float32), SIDE by SIDE.
    pub matrices: bool,
    /// Whether it uses operations across a subgroup.
    pub subgroups: bool,
}

impl KernelRow {
    /// Parts of the shader.
    pub fn parts(&'static self) -> Parts {
        let Self { stem, source, constants, .. } = *self;
        Parts { stem, source, row: self, constants, matrices: false, subgroups: false }
    }
}

/// Compiler of the shader. Both take WGSL, with small differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// naga, natively: it has subgroup operations without enabling them, and refuses a line that enables them.
    Naga,
    /// A browser, which requires that line.
    Browser,
}

impl Dialect {
    /// The dialect of this build.
    pub const HERE: Self = if cfg!(target_arch = "wasm32") { Self::Browser } else { Self::Naga };
}

/// A kernel's complete shader text.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// Complete WGSL.
    pub source: String,
    /// For each part in order: the first line it takes (from 1) and the file it comes from.
    parts: Vec<(usize, String)>,
}

impl Assembled {
    /// `file:line` in the repository for a line (from 1) of [`Assembled::source`].
    pub fn location(&self, line: usize) -> String {
        match self.parts.iter().rev().find(|(first, _)| *first <= line) {
            Some((first, file)) => format!("{file}:{}", line - first + 1),
            None => format!("line {line}"),
        }
    }

    fn append(&mut self, file: String, text: &str) {
        self.parts.push((self.source.lines().count() + 1, file));
        self.source.push_str(text);
        if !self.source.ends_with('\n') {
            self.source.push('\n');
        }
    }
}

/// Assembles a shader with values for its constants and the storage of its bindings, both in order, in the dialect of this build
/// of the crate runs on.
///
/// # Errors
/// Those of [`assemble_for`].
pub fn assemble(parts: &Parts, constants: &[u32], elements: &[Element]) -> Result<Assembled> {
    assemble_for(Dialect::HERE, parts, constants, elements)
}

/// The same for any dialect.
///
/// # Errors
/// [`Error::Shader`] for a library that does not exist; [`Error::DispatchMismatch`] if there are more or fewer values than constants, or elements
/// than bindings, or an element that a binding cannot be stored as.
pub fn assemble_for(dialect: Dialect, parts: &Parts, constants: &[u32], elements: &[Element]) -> Result<Assembled> {
    let mut assembled = Assembled { source: String::new(), parts: Vec::new() };
    let libraries = libraries_of(parts)?;
    let texts = || libraries.iter().map(|(_, text)| *text).chain([parts.source]);
    let vectors: Vec<&str> = texts().flat_map(|text| named(text, "vec4")).collect();
    let mut prelude = prelude(dialect, parts, constants, elements)?;
    if parts.row.is_declared() {
        let uses = |accessor: &str| texts().any(|text| text.contains(accessor));
        declare(&mut prelude, parts.row, &vectors, uses);
    }
    assembled.append(format!("prelude of {}", parts.stem), &prelude);
    for (name, text) in libraries {
        assembled.append(format!("shaders/lib/{name}.wgsl"), text);
    }
    assembled.append(format!("shaders/{}.wgsl", parts.stem), parts.source);
    Ok(assembled)
}

/// The names in the lines of a shader that begin with `//!` and this word.
fn named<'t>(text: &'t str, word: &str) -> impl Iterator<Item = &'t str> {
    let lines = text.lines().filter_map(move |line| line.strip_prefix("//! ")?.strip_prefix(word)?.strip_prefix(' '));
    lines.flat_map(|names| names.split(',').map(str::trim))
}

/// The libraries that a shader uses, each ahead of those that it uses itself and are not there yet: WGSL takes any order, and two may use each other.
fn libraries_of(parts: &Parts) -> Result<Vec<(&'static str, &'static str)>> {
    let mut found = Vec::new();
    add_libraries(parts, parts.source, &mut found)?;
    Ok(found)
}

fn add_libraries(parts: &Parts, text: &str, found: &mut Vec<(&'static str, &'static str)>) -> Result<()> {
    for library in named(text, "use") {
        if found.iter().any(|(name, _)| *name == library) {
            continue;
        }
        let known = LIBRARIES.iter().find(|(name, _)| *name == library).copied();
        let lost = || Error::Shader {
            location: format!("shaders/{}.wgsl", parts.stem),
            message: format!("there is no library {library:?} in shaders/lib"),
        };
        let (name, text) = known.ok_or_else(lost)?;
        found.push((name, text));
        add_libraries(parts, text, found)?;
    }
    Ok(())
}

/// The params, the bindings and the accessors of views that a shader calls.
fn declare(prelude: &mut String, row: &KernelRow, vectors: &[&str], uses: impl Fn(&str) -> bool) {
    // Writing to a string cannot fail.
    let _ = writeln!(prelude, "struct View {{ stride: vec4<u32>, inner: u32, offset: u32, extra: u32, padding: u32 }}");
    let _ = writeln!(prelude, "struct Params {{");
    for field in row.fields {
        let _ = writeln!(prelude, "    {}: {},", field.name, field.kind);
    }
    let _ = writeln!(prelude, "}}\n@group(0) @binding(0) var<uniform> p: Params;");
    for (binding, number) in row.bindings.iter().zip(1..) {
        let access = if binding.written { "read_write" } else { "read" };
        let plain = if binding.integers { "u32" } else { "f32" };
        let element = stored_name(binding).unwrap_or_else(|| plain.to_owned());
        let element = if vectors.contains(&binding.name) { format!("vec4<{element}>") } else { element };
        let _ = writeln!(prelude, "@group(0) @binding({number}) var<storage, {access}> {}: array<{element}>;", binding.name);
    }
    for view in row.bindings.iter().flat_map(|binding| binding.views) {
        let accessors = [("at", "offset", view.axes), ("extra_at", "extra", view.extra)];
        for (name, first, axes) in accessors.map(|(verb, first, axes)| (format!("{}_{verb}", view.name), first, axes)) {
            if uses(&format!("{name}(")) {
                let _ = writeln!(prelude, "{}", accessor_of(view, &name, first, axes));
            }
        }
    }
}

/// A function from an index along the axes of a view to the element that its row begins with, or its extra row.
fn accessor_of(view: &ViewRow, name: &str, first: &str, axes: &[&str]) -> String {
    const STRIDES: [&str; 5] = ["stride.x", "stride.y", "stride.z", "stride.w", "inner"];
    let indices: Vec<String> = (0..axes.len()).map(|axis| format!("i{axis}")).collect();
    let arguments: Vec<String> = indices.iter().map(|index| format!("{index}: u32")).collect();
    let terms: String =
        indices.iter().zip(STRIDES).map(|(index, stride)| format!(" + {index} * p.{}.{stride}", view.name)).collect();
    let (axes, arguments) = (axes.join(", "), arguments.join(", "));
    format!("// Axes: {axes}.\nfn {name}({arguments}) -> u32 {{\n    return p.{}.{first}{terms};\n}}", view.name)
}

/// The shader's alias of a binding's storage, if it may be any: `Stored` and the binding's name.
fn stored_name(binding: &BindingRow) -> Option<String> {
    let capital = |word: &str| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect::<String>();
    binding.any.then(|| format!("Stored{}", binding.name.split('_').map(capital).collect::<String>()))
}

fn prelude(dialect: Dialect, parts: &Parts, constants: &[u32], elements: &[Element]) -> Result<String> {
    let rigid = |(row, element): (&BindingRow, &Element)| !row.any && *element != Element::F32;
    let counts = [
        ("shader constants", constants.len(), parts.constants.len()),
        ("elements of bindings", elements.len(), parts.row.bindings.len()),
        ("bindings of another element than f32", parts.row.bindings.iter().zip(elements).filter(|&pair| rigid(pair)).count(), 0),
    ];
    if let Some((what, given, expected)) = counts.into_iter().find(|(_, given, expected)| given != expected) {
        let (given, expected) = (given as u64, expected as u64);
        return Err(Error::DispatchMismatch { kernel: parts.stem, what, given, expected });
    }
    let mut prelude = String::new();
    // Writing to a string cannot fail.
    if elements.contains(&Element::F16) || parts.matrices {
        let _ = writeln!(prelude, "enable f16;");
    }
    if parts.subgroups && dialect == Dialect::Browser {
        let _ = writeln!(prelude, "enable subgroups;");
    }
    if parts.matrices {
        let _ = writeln!(prelude, "enable wgpu_cooperative_matrix;");
    }
    let shared = [("WORKGROUP", parts.row.workgroup)].into_iter().chain(parts.row.shared.iter().copied());
    for (name, value) in parts.constants.iter().copied().zip(constants.iter().copied()).chain(shared) {
        let _ = writeln!(prelude, "const {name}: u32 = {value}u;");
    }
    for (row, element) in parts.row.bindings.iter().zip(elements) {
        if let Some(stored) = stored_name(row) {
            let _ = writeln!(prelude, "alias {stored} = {element};");
        }
    }
    if parts.matrices {
        let side = parts.constants.iter().zip(constants).find(|(name, _)| **name == "SIDE").map_or(0, |(_, side)| *side);
        for (name, contents) in [("Left", "f16,A"), ("Right", "f16,B"), ("Sums", "f32,C")] {
            let _ = writeln!(prelude, "alias {name} = coop_mat{side}x{side}<{contents}>;");
        }
    }
    Ok(prelude)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernel;

    #[test]
    fn locations_map_back_to_files() {
        let parts = Kernel::Attend.row().parts();
        let assembled = assemble(&parts, &[16, 16, 16], &[Element::F32; 4]).expect("the row's own libraries");
        let line_of = |needle: &str| assembled.source.lines().position(|line| line.contains(needle)).expect("present") + 1;
        assert_eq!(assembled.location(1), "prelude of attend:1");
        assert_eq!(assembled.location(line_of("// Workgroups are numbered")), "shaders/lib/grid.wgsl:1");
        assert_eq!(assembled.location(line_of("// Segmented attention, streaming")), "shaders/attend.wgsl:1");
    }

    #[test]
    fn what_uses_subgroups_says_so_to_browsers() {
        use crate::variant::VARIANTS;
        let kernels = Kernel::ALL.iter().copied().map(|kernel| kernel.row().parts());
        for parts in kernels.chain(VARIANTS.into_iter().map(|row| row.parts())) {
            let constants = vec![8; parts.constants.len()];
            let elements = vec![Element::F32; parts.row.bindings.len()];
            let of = |dialect| assemble_for(dialect, &parts, &constants, &elements).expect("the row's own").source;
            let code =
                |source: &str| source.lines().map(|line| line.split("//").next().unwrap_or("").to_owned()).collect::<String>();
            assert_eq!(code(&of(Dialect::Naga)).contains("subgroup"), parts.subgroups, "{}", parts.stem);
            assert_eq!(of(Dialect::Browser).contains("enable subgroups;"), parts.subgroups, "{}", parts.stem);
            assert!(!of(Dialect::Naga).contains("enable subgroups"), "{}: naga refuses that", parts.stem);
        }
    }

    #[test]
    fn mistakes_in_a_row_are_errors() {
        let parts = Kernel::Attend.row().parts();
        let floats = [Element::F32; 4];
        assert!(matches!(assemble(&parts, &[16], &floats), Err(Error::DispatchMismatch { given: 1, expected: 3, .. })));
        let few = assemble(&parts, &[1, 1, 1], &floats[1..]);
        assert!(matches!(few, Err(Error::DispatchMismatch { given: 3, expected: 4, .. })));
        let rigid = assemble(&Kernel::Nearest.row().parts(), &[], &[Element::F16; 3]);
        assert!(matches!(rigid, Err(Error::DispatchMismatch { given: 3, expected: 0, .. })));
        let lost = Parts { source: "//! use grid, nowhere", ..parts };
        let unknown = assemble(&lost, &[1, 1, 1], &floats);
        assert!(matches!(unknown, Err(Error::Shader { message, .. }) if message.contains("nowhere")));
    }
}
