//! Writing safetensors files.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use half::f16;
use safetensors::tensor::TensorInfo as Entry;
use serde::Serialize;

use super::element::ElementType;
use super::safe::{LENGTH_BYTES, MOST_HEADER};
use super::{Checkpoint, TensorInfo};
use crate::error::{Error, Result};
use crate::files::stream_whole;
use crate::plan::Element;

/// The header's key that is no tensor.
const METADATA: &str = "__metadata__";

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

/// Writes a checkpoint as a safetensors file, with its configuration and metadata: tensors of floats as `element`, or all as they are. The file appears whole or not at
/// all, and is the same each time. No more than one tensor is in memory at a time.
///
/// # Errors
/// [`Error::File`]; [`Error::WrongNumber`] if a finite number does not fit `element`; [`Error::Contents`] if the names are none that the format can have.
pub fn convert(checkpoint: &Checkpoint, out: &Path, element: Option<Element>) -> Result<Converted> {
    let mut tensors: Vec<(&str, &TensorInfo, ElementType)> =
        checkpoint.tensors().map(|(name, info)| (name, info, target(info, element))).collect();
    // Large elements first, as the format's own library does, so that all of them are aligned; the sort keeps names in order.
    tensors.sort_by_key(|(_, _, element)| std::cmp::Reverse(element.dtype()));
    let broken = |reason| Error::Contents { path: checkpoint.path().to_owned(), reason };
    let (header, length) = header(checkpoint.metadata(), &tensors).map_err(broken)?;
    stream_whole(out, |file| {
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&(header.len() as u64).to_le_bytes()).map_err(Error::file("write", out))?;
        file.write_all(&header).map_err(Error::file("write", out))?;
        for (name, info, element) in &tensors {
            file.write_all(&stored(checkpoint, name, info, *element)?).map_err(Error::file("write", out))?;
        }
        file.flush().map_err(Error::file("write", out))
    })?;
    let floats = tensors.iter().filter(|(_, info, _)| info.element.is_float());
    Ok(Converted {
        names: tensors.iter().map(|(name, _, _)| (*name).to_owned()).collect(),
        parameters: floats.map(|(_, info, _)| info.count() as u64).sum(),
        bytes: (LENGTH_BYTES + header.len() + length) as u64,
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

/// What the format has before the numbers: a tensor, or the metadata.
#[derive(Serialize)]
#[serde(untagged)]
enum HeaderEntry<'c> {
    Metadata(&'c BTreeMap<String, String>),
    Tensor(Entry),
}

/// The header, filled up to whole words of eight bytes, and how many bytes of numbers follow.
fn header(
    metadata: &BTreeMap<String, String>,
    tensors: &[(&str, &TensorInfo, ElementType)],
) -> std::result::Result<(Vec<u8>, usize), String> {
    let mut entries = BTreeMap::new();
    let mut end = 0_usize;
    for (name, info, element) in tensors {
        if *name == METADATA {
            return Err(format!("it has a tensor of the name {METADATA:?}, which safetensors files cannot have"));
        }
        let start = end;
        end += info.count() * element.bits() / 8;
        let entry = Entry { dtype: element.dtype(), shape: info.shape.clone(), data_offsets: (start, end) };
        entries.insert(*name, HeaderEntry::Tensor(entry));
    }
    if !metadata.is_empty() {
        entries.insert(METADATA, HeaderEntry::Metadata(metadata));
    }
    let mut header = serde_json::to_vec(&entries).map_err(|error| error.to_string())?;
    header.resize(header.len().next_multiple_of(LENGTH_BYTES), b' ');
    if header.len() as u64 > MOST_HEADER {
        return Err(format!("its names and metadata take {} bytes; safetensors files hold {MOST_HEADER}", header.len()));
    }
    Ok((header, end))
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
