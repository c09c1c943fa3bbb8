//! Tensors of a case file, as float64.

use super::Result;
use super::matrix::Matrix;

/// Element type in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Float32.
    Float,
    /// Int32: row numbers.
    Index,
}

/// A tensor. Float64 holds float32 and int32 exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Sizes of the axes, innermost last.
    pub shape: Vec<usize>,
    /// Element type in the file.
    pub element: Element,
    /// All elements, row-major.
    pub values: Vec<f64>,
}

impl Tensor {
    /// A tensor of floats. The values fill the shape.
    pub fn floats(shape: Vec<usize>, values: Vec<f64>) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        Self { shape, element: Element::Float, values }
    }

    /// A tensor of row numbers. They fill the shape.
    pub fn indices(shape: Vec<usize>, indices: &[usize]) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), indices.len());
        Self { shape, element: Element::Index, values: indices.iter().map(|&index| index as f64).collect() }
    }

    /// The axes' sizes, if there are `AXES` of them.
    pub fn sizes<const AXES: usize>(&self, name: &str) -> Result<[usize; AXES]> {
        let wrong = |_| format!("{name:?} has the shape {:?}; {AXES} axes are needed", self.shape);
        self.shape.as_slice().try_into().map_err(wrong)
    }

    /// The matrices of the last two axes, one for each position along the others.
    pub fn matrices(&self) -> Vec<Matrix> {
        let [.., rows, columns] = *self.shape else { return Vec::new() };
        let count = self.shape[..self.shape.len() - 2].iter().product();
        let matrix =
            |index: usize| Matrix::from_fn(rows, columns, |row, column| self.values[(index * rows + row) * columns + column]);
        (0..count).map(matrix).collect()
    }

    /// Matrices of one size below each other, as a tensor of this shape.
    pub fn stacked(shape: Vec<usize>, matrices: &[Matrix]) -> Self {
        Self::floats(shape, matrices.iter().flat_map(Matrix::values).copied().collect())
    }
}
