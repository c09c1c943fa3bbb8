//! Named arrays: inputs and outputs of plans.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::shape::product;

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// The error for a tensor that is not among those given.
pub fn missing(name: &str, given: &Tensors) -> Error {
    Error::MissingTensor { name: name.to_owned(), given: given.keys().cloned().collect::<Vec<_>>().join(", ") }
}

/// A dense row-major array of float32 elements, innermost axis last.
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
    /// [`Error::WrongShape`] if `data` has another number of elements than the shape, [`Error::SizeOverflow`] if that exceeds 64 bits.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Self> {
        let factors: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
        if product("elements of a tensor", &factors)? != data.len() as u64 {
            let expected = format!("a shape of {} elements in all", data.len());
            return Err(Error::WrongShape { name: String::new(), found: shape, expected });
        }
        Ok(Self { shape, data, indices: false })
    }

    /// The same elements, marked as indices: integers below 2^24, which files keep as integers.
    pub fn into_indices(self) -> Self {
        Self { indices: true, ..self }
    }

    /// Whether the elements are indices.
    pub fn is_indices(&self) -> bool {
        self.indices
    }

    /// Sizes of the axes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, row-major.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// Takes the elements out.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}
