//! Writing the table's cases: inputs of the file that is already there, or drawn ones, and the answers to them.

use std::path::Path;

use super::answers::answers;
use super::draw;
use super::file::{Case, EXPECTED};
use super::table::Entry;
use super::{Result, in_file};
use crate::Outcome;

/// Writes cases to a folder. Inputs are those of the file of the same name in `from`, where there is one.
pub fn generate(entries: &[Entry], from: &Path, out: &Path) -> Outcome {
    std::fs::create_dir_all(out).map_err(|error| in_file(out)(format!("cannot make the folder: {error}")))?;
    for entry in entries {
        let name = format!("{}.safetensors", entry.name);
        let (earlier, path) = (from.join(&name), out.join(&name));
        let there = earlier.try_exists().map_err(|error| in_file(&earlier)(error.to_string()))?;
        let (case, origin) = match there {
            true => (Case::read(&earlier).and_then(|case| inputs_of(entry, case)).map_err(in_file(&earlier))?, "kept"),
            false => (draw::case(entry).map_err(in_file(&path))?, "drawn"),
        };
        let bytes = answered(case).map_err(in_file(&path))?.bytes();
        std::fs::write(&path, &bytes).map_err(|error| in_file(&path)(format!("cannot write: {error}")))?;
        println!("{}: inputs {origin}, {} bytes", entry.name, bytes.len());
    }
    println!("{} cases in {}", entries.len(), out.display());
    Ok(())
}

/// A file's case without its answers, if it is the table's.
pub fn inputs_of(entry: &Entry, mut case: Case) -> Result<Case> {
    let metadata = draw::metadata(entry)?;
    if case.metadata != metadata {
        return Err(format!("the metadata is {:?}, in the table {metadata:?}", case.metadata));
    }
    case.tensors.retain(|name, _| !name.starts_with(EXPECTED));
    case.unread.retain(|name, _| !name.starts_with(EXPECTED));
    let declared = draw::inputs(entry, &case)?;
    for input in &declared {
        case.shaped(&input.name, &input.shape)?;
    }
    let names = || case.tensors.keys().chain(case.unread.keys());
    match names().find(|name| declared.iter().all(|input| input.name != **name)) {
        Some(other) => Err(format!("the input {other:?} is not in the table")),
        None => Ok(case),
    }
}

/// The case with its answers.
pub fn answered(mut case: Case) -> Result<Case> {
    for (name, answer) in answers(&case)? {
        if let Some(index) = answer.values.iter().position(|value| !value.is_finite()) {
            return Err(format!("the answer {name:?} is {} at {index}", answer.values[index]));
        }
        case.tensors.insert(format!("{EXPECTED}{name}"), answer);
    }
    Ok(case)
}
