//! `cargo xtask cases`: verifies and writes the conformance cases, from the published formulas in float64.
//!
//! Nothing here uses the crate that the cases check. Each module says which formulas it computes:
//!
//! | module | computes |
//! | --- | --- |
//! | [`attention`] | attention and trajectory tokens, exact |
//! | [`prototypes`] | greedy orthogonal prototypes, and attention through them |
//! | [`nystrom`], [`performer`] | the other approximations |
//! | [`layer`] | joint, divided and trajectory layers from their weights |
//! | [`deformable`] | deformable sampling |
//!
//! [`answers`] goes from a file's metadata to these. [`verify`] compares with what files hold, [`generate`] writes the
//! cases of [`table`], whose inputs [`draw`] draws.

mod answers;
mod approximation;
mod attention;
mod deformable;
mod draw;
mod file;
mod generate;
mod layer;
mod matrix;
mod nystrom;
mod performer;
mod prototypes;
mod table;
mod tensor;
#[cfg(test)]
mod tests;
mod verify;

use std::path::{Path, PathBuf};

use crate::{Outcome, root};

const USAGE: &str = "there are
cargo xtask cases --verify [FOLDER]
    compares the answers in a folder's case files with the formulas; default: crates/cli/shipped/cases
cargo xtask cases --out FOLDER [--from FOLDER] [--large]
    writes the table's cases, and with --large those too that are too large for crates/cli/shipped/cases
    inputs are those of the files in the folder of --from, where they exist, else drawn; default: crates/cli/shipped/cases";

/// What is right, or what is wrong in words.
type Result<T> = std::result::Result<T, String>;

/// Runs the task.
pub fn main(arguments: &[String]) -> Outcome {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words {
        ["--verify"] => verify::verify(&shipped()),
        ["--verify", folder] => verify::verify(Path::new(folder)),
        ["--out", out, ref rest @ ..] => {
            let (from, large) = match *rest {
                [] => (shipped(), false),
                ["--large"] => (shipped(), true),
                ["--from", from] => (PathBuf::from(from), false),
                ["--from", from, "--large"] | ["--large", "--from", from] => (PathBuf::from(from), true),
                _ => return Err(format!("unknown arguments {rest:?}; {USAGE}")),
            };
            let entries = if large { [table::CASES, table::LARGE].concat() } else { table::CASES.to_vec() };
            generate::generate(&entries, &from, Path::new(out))
        }
        _ => Err(format!("unknown arguments {words:?}; {USAGE}")),
    }
}

/// The folder of the cases that ship.
fn shipped() -> PathBuf {
    root().join("crates").join("cli").join("shipped").join("cases")
}

/// Names the file in an error.
fn in_file(path: &Path) -> impl Fn(String) -> String {
    move |error| format!("{}: {error}", path.display())
}
