//! Comparison of the answers that case files hold with those computed here.
//!
//! The error of a tensor is taken over all its elements, relative to the largest of them:
//!
//! ```text
//! max_i |found_i - expected_i| / max_i |expected_i|        (max_i |found_i|, if all expected elements are zero)
//! ```
//!
//! It is at most [`TOLERANCE`]. Files hold float32, whose rounding alone makes it up to 6e-8. Picks of a selection are
//! equal. An element that is not finite fails, found or expected. An answer that only one side has fails too.

use std::path::{Path, PathBuf};

use super::answers::{answers, other_operation};
use super::file::{Case, EXPECTED};
use super::tensor::{Element, Tensor};
use super::{Result, in_file};
use crate::Outcome;

/// Largest error of a tensor.
pub const TOLERANCE: f64 = 1e-6;

/// What became of a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Its answers are right, with these errors by the outputs' names.
    Right(Vec<(String, f64)>),
    /// Its operation is not computed here.
    Skipped(String),
}

/// Verifies all case files of a folder, and prints a line for each.
pub fn verify(folder: &Path) -> Outcome {
    let (mut wrong, mut skipped) = (Vec::new(), 0);
    let mut worst = (0.0, "none".to_owned());
    let files = case_files(folder)?;
    for path in &files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        match Case::read(path).and_then(|case| check(&case)) {
            Ok(Verdict::Right(errors)) => {
                let of_outputs: Vec<String> = errors.iter().map(|(output, error)| format!("{output} {error:.1e}")).collect();
                println!("{name}: {}", of_outputs.join(", "));
                let largest = errors.iter().map(|(_, error)| *error).fold(0.0, f64::max);
                if largest > worst.0 {
                    worst = (largest, name.into_owned());
                }
            }
            Ok(Verdict::Skipped(operation)) => {
                println!("{name}: skipped, as op = {operation:?} is not computed here");
                skipped += 1;
            }
            Err(error) => {
                println!("{name}: WRONG: {error}");
                wrong.push(in_file(path)(error));
            }
        }
    }
    let right = files.len() - skipped - wrong.len();
    println!("{right} of {} cases right, {skipped} skipped; largest error {:.1e} ({})", files.len(), worst.0, worst.1);
    match (wrong.is_empty(), right) {
        (false, _) => Err(format!("{} of {} cases are wrong:\n{}", wrong.len(), files.len(), wrong.join("\n"))),
        (true, 0) => Err(format!("{}: none of {} cases could be verified", folder.display(), files.len())),
        (true, _) => Ok(()),
    }
}

/// The case files of a folder, sorted; there is at least one.
pub fn case_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|error| in_file(folder)(format!("cannot read: {error}")))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(|error| in_file(folder)(error.to_string())));
    let mut files: Vec<PathBuf> = paths.collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    if files.is_empty() {
        return Err(in_file(folder)("no case files (*.safetensors)".to_owned()));
    }
    Ok(files)
}

/// Compares a case's answers with those computed here.
pub fn check(case: &Case) -> Result<Verdict> {
    if let Some(operation) = other_operation(case) {
        return Ok(Verdict::Skipped(operation.to_owned()));
    }
    if let Some((name, dtype)) = case.unread.iter().next() {
        return Err(format!("{name:?} has elements {dtype}; F32 or I32 is needed"));
    }
    let found = answers(case)?;
    if let Some(missing) = found.keys().find(|name| !case.tensors.contains_key(&format!("{EXPECTED}{name}"))) {
        return Err(format!("no tensor \"{EXPECTED}{missing}\""));
    }
    let mut errors = Vec::new();
    for (name, expected) in case.expected() {
        let found = found.get(name).ok_or_else(|| format!("\"{EXPECTED}{name}\" is not an answer to this operation"))?;
        let error = compare(found, expected).map_err(|error| format!("{EXPECTED}{name}: {error}"))?;
        errors.push((name.to_owned(), error));
    }
    Ok(Verdict::Right(errors))
}

/// The error of a tensor, if it is tolerable.
fn compare(found: &Tensor, expected: &Tensor) -> Result<f64> {
    if (&found.shape, found.element) != (&expected.shape, expected.element) {
        let [found, expected] = [found, expected].map(|tensor| format!("{:?} {:?}", tensor.element, tensor.shape));
        return Err(format!("found {found}, expected {expected}"));
    }
    let pairs = || found.values.iter().zip(&expected.values).enumerate();
    if let Some((index, (found, expected))) = pairs().find(|(_, (found, expected))| !(found.is_finite() && expected.is_finite()))
    {
        return Err(format!("found {found}, expected {expected} at {index}: not finite"));
    }
    let largest = expected.values.iter().map(|value| value.abs()).fold(0.0, f64::max);
    let scale = if largest > 0.0 { largest } else { 1.0 };
    let errors = pairs().map(|(index, (found, expected))| ((found - expected).abs() / scale, index));
    let (error, index) = errors.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default();
    let tolerance = match expected.element {
        Element::Float => TOLERANCE,
        Element::Index => 0.0,
    };
    if error > tolerance {
        let (found, expected) = (found.values[index], expected.values[index]);
        return Err(format!("found {found}, expected {expected} at {index}: error {error:.1e}, above {tolerance:.0e}"));
    }
    Ok(error)
}
