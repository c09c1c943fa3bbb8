//! Case files: safetensors with metadata, read and written.
//!
//! A file is the length of a header as 8 bytes, the header as JSON, and the elements of all tensors. It is written with
//! sorted names, so that the same case gives the same bytes.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::json;

use super::Result;
use super::tensor::{Element, Tensor};

/// Prefix of the names of answers.
pub const EXPECTED: &str = "expected.";

/// The header ends at a multiple of so many bytes.
const ALIGNMENT: usize = 8;

/// A case: what its file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Case {
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// Tensors of float32 and int32, answers included.
    pub tensors: BTreeMap<String, Tensor>,
    /// Names and element types of all other tensors.
    pub unread: BTreeMap<String, String>,
}

impl Case {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| format!("cannot read: {error}"))?;
        Self::parse(&bytes)
    }

    /// The case in the bytes of a file.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let broken = |error| format!("not a safetensors file, or a damaged one ({} bytes): {error}", bytes.len());
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let file = SafeTensors::deserialize(bytes).map_err(broken)?;
        let mut case = Self { metadata: header.metadata().clone().unwrap_or_default().into_iter().collect(), ..Self::default() };
        for (name, view) in file.tensors() {
            match tensor(&view) {
                Some(tensor) => drop(case.tensors.insert(name, tensor)),
                None => drop(case.unread.insert(name, format!("{:?}", view.dtype()))),
            }
        }
        Ok(case)
    }

    /// The bytes of the case's file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut header = BTreeMap::from([("__metadata__", json!(self.metadata))]);
        let mut elements: Vec<u8> = Vec::new();
        for (name, tensor) in &self.tensors {
            let start = elements.len();
            let dtype = match tensor.element {
                Element::Float => "F32",
                Element::Index => "I32",
            };
            elements.extend(tensor.values.iter().flat_map(|&value| match tensor.element {
                Element::Float => (value as f32).to_le_bytes(),
                Element::Index => (value as i32).to_le_bytes(),
            }));
            header.insert(name, json!({ "dtype": dtype, "shape": tensor.shape, "data_offsets": [start, elements.len()] }));
        }
        let mut header = json!(header).to_string().into_bytes();
        header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
        [(header.len() as u64).to_le_bytes().as_slice(), &header, &elements].concat()
    }

    /// A tensor by its name.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        let missing = || match self.unread.get(name) {
            Some(dtype) => format!("{name:?} has elements {dtype}; F32 or I32 is needed"),
            None => format!("no tensor {name:?}; there are {:?}", self.tensors.keys().collect::<Vec<_>>()),
        };
        self.tensors.get(name).ok_or_else(missing)
    }

    /// A tensor by its name, which must have this shape.
    pub fn shaped(&self, name: &str, shape: &[usize]) -> Result<&Tensor> {
        let tensor = self.tensor(name)?;
        if tensor.shape != shape {
            return Err(format!("{name:?} has the shape {:?}; {shape:?} is needed", tensor.shape));
        }
        Ok(tensor)
    }

    /// The answers, by their names without the prefix.
    pub fn expected(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(EXPECTED)?, tensor)))
    }

    /// The value of a key, one of `values`; `default` where there is no such key.
    pub fn choice<'c>(&'c self, key: &str, values: &[&str], default: Option<&'c str>) -> Result<&'c str> {
        let found = self.metadata.get(key).map(String::as_str).or(default);
        let wrong = || format!("{key} = {found:?} in the metadata; one of {values:?} is needed");
        found.filter(|found| values.contains(found)).ok_or_else(wrong)
    }

    /// The whole number of a key, at least one; `default` where there is no such key.
    pub fn count(&self, key: &str, default: Option<usize>) -> Result<usize> {
        let found = self.metadata.get(key);
        let count = found.map_or(default, |text| text.parse().ok()).filter(|&count| count > 0);
        count.ok_or_else(|| format!("{key} = {found:?} in the metadata; a whole number of at least 1 is needed"))
    }

    /// Whether a key is `true`; `default` where there is no such key.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        let default = if default { "true" } else { "false" };
        Ok(self.choice(key, &["true", "false"], Some(default))? == "true")
    }
}

/// A tensor of float32 or int32.
fn tensor(view: &TensorView) -> Option<Tensor> {
    let words = view.data().as_chunks().0.iter();
    let (element, values) = match view.dtype() {
        Dtype::F32 => (Element::Float, words.map(|&word| f32::from_le_bytes(word).into()).collect()),
        Dtype::I32 => (Element::Index, words.map(|&word| i32::from_le_bytes(word).into()).collect()),
        _ => return None,
    };
    Some(Tensor { shape: view.shape().to_vec(), element, values })
}
