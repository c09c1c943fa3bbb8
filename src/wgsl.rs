//! Assembles a kernel's WGSL: prelude of constants, the libraries its row names, its body.
//!
//! No preprocessor: a variant of another structure is another file. A table of line numbers maps the compiler's places back to files.

use std::fmt::Write as _;

use crate::error::{Error, Result};

/// The shared shader files, by name.
const LIBRARIES: [(&str, &str); 21] = [
    ("best", include_str!("../shaders/lib/best.wgsl")),
    ("blocks", include_str!("../shaders/lib/blocks.wgsl")),
    ("broadcast", include_str!("../shaders/lib/broadcast.wgsl")),
    ("constants", include_str!("../shaders/lib/constants.wgsl")),
    ("grid", include_str!("../shaders/lib/grid.wgsl")),
    ("key_tile", include_str!("../shaders/lib/key_tile.wgsl")),
    ("precise", include_str!("../shaders/lib/precise.wgsl")),
    ("precise_tiles", include_str!("../shaders/lib/precise_tiles.wgsl")),
    ("product", include_str!("../shaders/lib/product.wgsl")),
    ("product_vectors", include_str!("../shaders/lib/product_vectors.wgsl")),
    ("reduce", include_str!("../shaders/lib/reduce.wgsl")),
    ("score", include_str!("../shaders/lib/score.wgsl")),
    ("scores", include_str!("../shaders/lib/scores.wgsl")),
    ("segments", include_str!("../shaders/lib/segments.wgsl")),
    ("shared_rows", include_str!("../shaders/lib/shared_rows.wgsl")),
    ("square", include_str!("../shaders/lib/square.wgsl")),
    ("temporal_pool_params", include_str!("../shaders/lib/temporal_pool_params.wgsl")),
    ("temporal_weights_params", include_str!("../shaders/lib/temporal_weights_params.wgsl")),
    ("tiles", include_str!("../shaders/lib/tiles.wgsl")),
    ("vectors", include_str!("../shaders/lib/vectors.wgsl")),
    ("weights", include_str!("../shaders/lib/weights.wgsl")),
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
    /// Names of the `const`s that the prelude defines (all u32).
    pub constants: &'static [&'static str],
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

/// Assembles a shader with values for its constants, in their order.
///
/// # Errors
/// [`Error::UnknownLibrary`]; [`Error::DispatchMismatch`] if there are more or fewer values than constants.
pub fn assemble(parts: &Parts, constants: &[u32]) -> Result<Assembled> {
    if constants.len() != parts.constants.len() {
        let (given, expected) = (constants.len() as u64, parts.constants.len() as u64);
        return Err(Error::DispatchMismatch { kernel: parts.stem, what: "shader constants", given, expected });
    }
    let mut prelude = String::new();
    for (name, value) in parts.constants.iter().zip(constants) {
        // Writing to a string cannot fail.
        let _ = writeln!(prelude, "const {name}: u32 = {value}u;");
    }
    let mut assembled = Assembled { source: String::new(), parts: Vec::new() };
    assembled.append(format!("prelude of {}", parts.stem), &prelude);
    for &library in parts.libraries {
        let unknown = Error::UnknownLibrary { kernel: parts.stem, library };
        let (name, text) = LIBRARIES.iter().find(|(name, _)| *name == library).ok_or(unknown)?;
        assembled.append(format!("shaders/lib/{name}.wgsl"), text);
    }
    assembled.append(format!("shaders/{}.wgsl", parts.stem), parts.source);
    Ok(assembled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernel;

    #[test]
    fn places_map_back_to_files() {
        let parts = Kernel::Attend.row().parts();
        let assembled = assemble(&parts, &[16, 16, 16]).expect("the row's own libraries");
        let line_of = |needle: &str| assembled.source.lines().position(|line| line.contains(needle)).expect("present") + 1;
        assert_eq!(assembled.place(1), "prelude of attend:1");
        assert_eq!(assembled.place(line_of("// Work items are numbered")), "shaders/lib/grid.wgsl:1");
        assert_eq!(assembled.place(line_of("// Segmented attention, streaming")), "shaders/attend.wgsl:1");
    }

    #[test]
    fn mistakes_in_a_row_are_errors() {
        let parts = Kernel::Attend.row().parts();
        assert!(matches!(assemble(&parts, &[16]), Err(Error::DispatchMismatch { given: 1, expected: 3, .. })));
        let lost = Parts { libraries: &["nowhere"], ..parts };
        assert!(matches!(assemble(&lost, &[1, 1, 1]), Err(Error::UnknownLibrary { library: "nowhere", .. })));
    }
}
