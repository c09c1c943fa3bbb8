//! Named arrays: inputs and outputs of plans.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::shape::product;

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// The error for a tensor that is not among those given.
pub fn missing(name: &str, given: &Tensors) -> Error {
    Error::MissingTensor { name: name.to_owned(), given: given.keys().cloned().collect::<Vec<_>>().join(", ") }
}

/// Memory of somebody else with a tensor's elements: the same ones each time it is asked.
pub type SharedElements = Arc<dyn AsRef<[f32]> + Send + Sync>;

/// A dense row-major array of float32 elements, innermost axis last.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    elements: Elements,
    indices: bool,
}

#[derive(Clone)]
enum Elements {
    Own(Vec<f32>),
    Shared(SharedElements),
}

impl Elements {
    fn slice(&self) -> &[f32] {
        match self {
            Self::Own(elements) => elements,
            Self::Shared(elements) => (**elements).as_ref(),
        }
    }
}

impl std::fmt::Debug for Elements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.slice().fmt(f)
    }
}

impl PartialEq for Elements {
    fn eq(&self, other: &Self) -> bool {
        self.slice() == other.slice()
    }
}

impl Tensor {
    /// A tensor of `shape` that owns `data`.
    ///
    /// # Errors
    /// [`Error::WrongShape`] if `data` has another number of elements than the shape, [`Error::SizeOverflow`] if that exceeds 64 bits.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Self> {
        Self { shape: Vec::new(), elements: Elements::Own(data), indices: false }.reshaped(shape)
    }

    /// A tensor of `shape` over memory of somebody else, which is not copied.
    ///
    /// # Errors
    /// Those of [`Tensor::new`].
    pub fn shared(shape: Vec<usize>, elements: SharedElements) -> Result<Self> {
        Self { shape: Vec::new(), elements: Elements::Shared(elements), indices: false }.reshaped(shape)
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// Those of [`Tensor::new`].
    pub fn reshaped(self, shape: Vec<usize>) -> Result<Self> {
        let factors: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
        if product("elements of a tensor", &factors)? != self.data().len() as u64 {
            let expected = format!("a shape of {} elements in all", self.data().len());
            return Err(Error::WrongShape { name: String::new(), found: shape, expected });
        }
        Ok(Self { shape, ..self })
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
        self.elements.slice()
    }

    /// Takes the elements out; those of somebody else are copied.
    pub fn into_data(self) -> Vec<f32> {
        match self.elements {
            Elements::Own(elements) => elements,
            Elements::Shared(elements) => (*elements).as_ref().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_somebody_else_is_not_copied() {
        let memory = Arc::new(vec![1.0, 2.0, 3.0, 4.0]);
        let shared = Tensor::shared(vec![2, 2], memory.clone()).expect("as many elements");
        assert_eq!(shared.data().as_ptr(), memory.as_ptr());
        assert_eq!(shared.clone().data().as_ptr(), memory.as_ptr());
        assert_eq!(shared, Tensor::new(vec![2, 2], memory.to_vec()).expect("as many elements"));
        assert_eq!(format!("{:?}", shared.elements), "[1.0, 2.0, 3.0, 4.0]");
        let row = shared.reshaped(vec![4]).expect("as many elements");
        assert_eq!(row.shape(), [4]);
        assert_eq!(row.into_data(), *memory);
        assert!(matches!(Tensor::shared(vec![3], memory), Err(Error::WrongShape { .. })));
    }
}
