//! Checkpoints as safetensors files.

use std::borrow::Cow;
use std::path::Path;

use half::f16;
use orthoformer::plan::Element;
use orthoformer::{Error, Result};

use super::element::ElementType;
use super::write::{Outline, write_tensors};
use super::{Checkpoint, TensorInfo};

/// What [`convert`] has written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Converted {
    /// Names of all tensors, in their order in the file.
    pub names: Vec<String>,
    /// Numbers in all tensors of floats.
    pub parameters: u64,
    /// Length of the file.
    pub bytes: u64,
}

/// Writes a checkpoint as a safetensors file, with its configuration, what says how frames are made ready, and metadata: tensors of floats as `element`, or all as they are. The file appears whole or not at
/// all, and is the same each time. No more than one tensor is in memory at a time.
///
/// # Errors
/// [`Error::File`]; [`Error::WrongNumber`] if a finite number does not fit `element`; [`Error::Contents`] if the names are none that the format can have,
/// and for a configuration beside the checkpoint that cannot be read.
pub fn convert(checkpoint: &Checkpoint, out: &Path, element: Option<Element>) -> Result<Converted> {
    let mut tensors: Vec<(&str, &TensorInfo, ElementType)> =
        checkpoint.tensors().map(|(name, info)| (name, info, target(info, element))).collect();
    // Large elements first, as the format's own library does, so that all of them are aligned; the sort keeps names in order.
    tensors.sort_by_key(|(_, _, element)| std::cmp::Reverse(element.dtype()));
    let outlines: Vec<Outline<'_>> =
        tensors.iter().map(|(name, info, element)| Outline { name, dtype: element.dtype(), shape: &info.shape }).collect();
    let mut metadata = checkpoint.metadata().clone();
    if let Some(description) = checkpoint.description()? {
        metadata.insert(super::DESCRIPTION.to_owned(), description.to_owned());
    }
    if let Some((name, text)) = checkpoint.processor()? {
        metadata.insert(name.to_owned(), text.to_owned());
    }
    // Names are the network's own from here on; whose they were may say how clips are normalised.
    if let Some(whose) = checkpoint.naming() {
        metadata.insert(super::NAMING.to_owned(), whose.to_owned());
    }
    let bytes = write_tensors(out, checkpoint.path(), &metadata, &outlines, |index| {
        let (name, info, element) = tensors[index];
        stored(checkpoint, name, info, element)
    })?;
    let floats = tensors.iter().filter(|(_, info, _)| info.element.is_float());
    Ok(Converted {
        names: tensors.iter().map(|(name, _, _)| (*name).to_owned()).collect(),
        parameters: floats.map(|(_, info, _)| info.count() as u64).sum(),
        bytes,
    })
}

/// What a tensor's elements are to be.
fn target(info: &TensorInfo, element: Option<Element>) -> ElementType {
    match element {
        Some(Element::F32) if info.element.is_float() => ElementType::F32,
        Some(Element::F16) if info.element.is_float() => ElementType::F16,
        _ => info.element,
    }
}

/// The bytes of a tensor as they are to be in the file.
fn stored<'c>(checkpoint: &'c Checkpoint, name: &str, info: &TensorInfo, element: ElementType) -> Result<Cow<'c, [u8]>> {
    if element == info.element {
        return checkpoint.gather(name, info);
    }
    let numbers = checkpoint.read(name)?.into_data();
    if element == ElementType::F32 {
        return Ok(Cow::Owned(numbers.iter().flat_map(|number| number.to_le_bytes()).collect()));
    }
    let mut bytes = Vec::with_capacity(2 * numbers.len());
    for number in numbers {
        let half = f16::from_f32(number);
        if half.is_infinite() && number.is_finite() {
            let expected = "numbers up to 65504 in size, which is what f16 holds; f32 holds more".to_owned();
            return Err(Error::WrongNumber { name: name.to_owned(), found: number.to_string(), expected });
        }
        bytes.extend_from_slice(&half.to_le_bytes());
    }
    Ok(Cow::Owned(bytes))
}
