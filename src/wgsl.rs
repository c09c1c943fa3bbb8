//! Assembles a kernel's WGSL: prelude of constants, the libraries its row names, its body.
//!
//! No preprocessor: a variant of another structure is another file. A table of line numbers maps the compiler's places back to files.

use std::fmt::Write as _;

use crate::error::{Error, Result};
use crate::kernel::BindingRow;
use crate::plan::Element;

/// The shared shader files, by name.
const LIBRARIES: [(&str, &str); 36] = [
    ("activation", include_str!("../shaders/lib/activation.wgsl")),
    ("attend_weights_params", include_str!("../shaders/lib/attend_weights_params.wgsl")),
    ("best", include_str!("../shaders/lib/best.wgsl")),
    ("blocks", include_str!("../shaders/lib/blocks.wgsl")),
    ("broadcast", include_str!("../shaders/lib/broadcast.wgsl")),
    ("constants", include_str!("../shaders/lib/constants.wgsl")),
    ("exponential", include_str!("../shaders/lib/exponential.wgsl")),
    ("four_starts", include_str!("../shaders/lib/four_starts.wgsl")),
    ("gelu", include_str!("../shaders/lib/gelu.wgsl")),
    ("grid", include_str!("../shaders/lib/grid.wgsl")),
    ("key_tile", include_str!("../shaders/lib/key_tile.wgsl")),
    ("peak", include_str!("../shaders/lib/peak.wgsl")),
    ("plain_row", include_str!("../shaders/lib/plain_row.wgsl")),
    ("precise", include_str!("../shaders/lib/precise.wgsl")),
    ("precise_tiles", include_str!("../shaders/lib/precise_tiles.wgsl")),
    ("precise_values", include_str!("../shaders/lib/precise_values.wgsl")),
    ("precise_weights", include_str!("../shaders/lib/precise_weights.wgsl")),
    ("product", include_str!("../shaders/lib/product.wgsl")),
    ("product_vectors", include_str!("../shaders/lib/product_vectors.wgsl")),
    ("samples", include_str!("../shaders/lib/samples.wgsl")),
    ("score", include_str!("../shaders/lib/score.wgsl")),
    ("scores", include_str!("../shaders/lib/scores.wgsl")),
    ("segments", include_str!("../shaders/lib/segments.wgsl")),
    ("shared_rows", include_str!("../shaders/lib/shared_rows.wgsl")),
    ("square", include_str!("../shaders/lib/square.wgsl")),
    ("sum", include_str!("../shaders/lib/sum.wgsl")),
    ("temporal_pool_params", include_str!("../shaders/lib/temporal_pool_params.wgsl")),
    ("temporal_softmax", include_str!("../shaders/lib/temporal_softmax.wgsl")),
    ("temporal_weights_params", include_str!("../shaders/lib/temporal_weights_params.wgsl")),
    ("tiles", include_str!("../shaders/lib/tiles.wgsl")),
    ("value_tile", include_str!("../shaders/lib/value_tile.wgsl")),
    ("value_vectors", include_str!("../shaders/lib/value_vectors.wgsl")),
    ("vectors", include_str!("../shaders/lib/vectors.wgsl")),
    ("weights", include_str!("../shaders/lib/weights.wgsl")),
    ("window_places", include_str!("../shaders/lib/window_places.wgsl")),
    ("windows", include_str!("../shaders/lib/windows.wgsl")),
];

/// What a shader is made of, as a row of [`crate::kernel`] or [`crate::variant`] says.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// Stem of `shaders/STEM.wgsl`.
    pub stem: &'static str,
    /// The shader's text, without libraries and prelude.
    pub source: &'static str,
    /// Library files under `shaders/lib/` that precede it.
    pub libraries: &'static [&'static str],
    /// Storage bindings in order.
    pub bindings: &'static [BindingRow],
    /// Names of the `const`s that the prelude defines (all u32).
    pub constants: &'static [&'static str],
    /// Whether it uses matrix units: the prelude defines `Left` and `Right` (of float16) and `Sums` (of float32), SIDE by SIDE.
    pub matrices: bool,
    /// Whether it uses operations across a subgroup.
    pub subgroups: bool,
}

/// Who compiles the shader. Both take WGSL, but not quite the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// naga, as wgpu does natively: operations across subgroups are there without being enabled, and a line that enables them is refused.
    Naga,
    /// A browser, which wants them enabled.
    Browser,
}

impl Dialect {
    /// What this build of the crate runs on.
    pub const HERE: Self = if cfg!(target_arch = "wasm32") { Self::Browser } else { Self::Naga };
}

/// A kernel's complete shader text.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// WGSL that a compiler takes.
    pub source: String,
    /// For each part in order: the first line it takes (from 1) and the file it comes from.
    parts: Vec<(usize, String)>,
}

impl Assembled {
    /// `file:line` in the repository for a line (from 1) of [`Assembled::source`].
    pub fn place(&self, line: usize) -> String {
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

/// Assembles a shader with values for its constants, in their order, for bindings that are stored as these elements, and for what this build
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
/// [`Error::UnknownLibrary`]; [`Error::DispatchMismatch`] if there are more or fewer values than constants, or elements than bindings, or
/// an element that a binding cannot be stored as.
pub fn assemble_for(dialect: Dialect, parts: &Parts, constants: &[u32], elements: &[Element]) -> Result<Assembled> {
    let mut assembled = Assembled { source: String::new(), parts: Vec::new() };
    assembled.append(format!("prelude of {}", parts.stem), &prelude(dialect, parts, constants, elements)?);
    for &library in parts.libraries {
        let unknown = Error::UnknownLibrary { kernel: parts.stem, library };
        let (name, text) = LIBRARIES.iter().find(|(name, _)| *name == library).ok_or(unknown)?;
        assembled.append(format!("shaders/lib/{name}.wgsl"), text);
    }
    assembled.append(format!("shaders/{}.wgsl", parts.stem), parts.source);
    Ok(assembled)
}

fn prelude(dialect: Dialect, parts: &Parts, constants: &[u32], elements: &[Element]) -> Result<String> {
    let rigid = |(row, element): (&BindingRow, &Element)| row.stored.is_none() && *element != Element::F32;
    let counts = [
        ("shader constants", constants.len(), parts.constants.len()),
        ("elements of bindings", elements.len(), parts.bindings.len()),
        ("bindings of another element than f32", parts.bindings.iter().zip(elements).filter(|&pair| rigid(pair)).count(), 0),
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
    for (name, value) in parts.constants.iter().zip(constants) {
        let _ = writeln!(prelude, "const {name}: u32 = {value}u;");
    }
    for (row, element) in parts.bindings.iter().zip(elements) {
        if let Some(stored) = row.stored {
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
    fn places_map_back_to_files() {
        let parts = Kernel::Attend.row().parts();
        let assembled = assemble(&parts, &[16, 16, 16], &[Element::F32; 4]).expect("the row's own libraries");
        let line_of = |needle: &str| assembled.source.lines().position(|line| line.contains(needle)).expect("present") + 1;
        assert_eq!(assembled.place(1), "prelude of attend:1");
        assert_eq!(assembled.place(line_of("// Work items are numbered")), "shaders/lib/grid.wgsl:1");
        assert_eq!(assembled.place(line_of("// Segmented attention, streaming")), "shaders/attend.wgsl:1");
    }

    #[test]
    fn what_uses_subgroups_says_so_to_browsers() {
        use crate::variant::VARIANTS;
        let kernels = Kernel::ALL.into_iter().map(|kernel| kernel.row().parts());
        for parts in kernels.chain(VARIANTS.into_iter().map(|row| row.parts())) {
            let constants = vec![8; parts.constants.len()];
            let elements = vec![Element::F32; parts.bindings.len()];
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
        let lost = Parts { libraries: &["nowhere"], ..parts };
        assert!(matches!(assemble(&lost, &[1, 1, 1], &floats), Err(Error::UnknownLibrary { library: "nowhere", .. })));
    }
}
