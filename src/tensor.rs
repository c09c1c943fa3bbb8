//! Named arrays of numbers: what plans take in and hand out.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::shape::product;

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// The error for a tensor that is not among those given.
pub fn missing(name: &str, given: &Tensors) -> Error {
    Error::MissingTensor { name: name.to_owned(), given: given.keys().cloned().collect::<Vec<_>>().join(", ") }
}

/// A dense row-major array of float32 numbers, innermost axis last.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
    indices: bool,
}

impl Tensor {
    /// A tensor of `shape` that owns `data`.
    ///
    /// # Errors
    /// [`Error::WrongShape`] if `data` has not as many numbers as the shape says, [`Error::SizeOverflow`] if nothing could.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Self> {
        let factors: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
        if product("elements of a tensor", &factors)? != data.len() as u64 {
            let expected = format!("a shape of {} elements in all", data.len());
            return Err(Error::WrongShape { name: String::new(), found: shape, expected });
        }
        Ok(Self { shape, data, indices: false })
    }

    /// The same numbers, marked as indices: whole numbers below 2^24, which files keep as integers.
    pub fn into_indices(self) -> Self {
        Self { indices: true, ..self }
    }

    /// Whether the numbers are indices.
    pub fn is_indices(&self) -> bool {
        self.indices
    }

    /// Sizes of the axes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers, row-major.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// Takes the numbers out.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}
