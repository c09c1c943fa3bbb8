//! NumPy's arrays as tensors, and back. Nothing is copied in either direction.

use std::sync::Arc;

use image::RgbImage;
use numpy::{PyArray1, PyArrayDyn, PyArrayMethods as _, PyUntypedArrayMethods as _};
use orthoformer::{Result, Tensor};
use pyo3::prelude::*;

use super::failure::Failure;

/// An array of float32 in row-major order, as `orthoformer._arrays` makes sure of.
pub type Array = PyArrayDyn<f32>;

/// Memory of an array, which keeps the array alive.
struct Borrowed {
    _array: Py<Array>,
    elements: *const f32,
    count: usize,
}

// SAFETY: the memory is only read, and belongs to an array that lives as long as this. NumPy refuses to resize arrays that something else refers to.
#[allow(unsafe_code, reason = "a pointer into an array that is kept alive beside it")]
unsafe impl Send for Borrowed {}
// SAFETY: as above.
#[allow(unsafe_code, reason = "a pointer into an array that is kept alive beside it")]
unsafe impl Sync for Borrowed {}

impl AsRef<[f32]> for Borrowed {
    fn as_ref(&self) -> &[f32] {
        // SAFETY: `tensor` took pointer and count from a contiguous slice of the array.
        #[allow(unsafe_code, reason = "a slice of an array that is kept alive beside it")]
        unsafe {
            std::slice::from_raw_parts(self.elements, self.count)
        }
    }
}

/// The array's elements, where they are.
///
/// # Errors
/// Python's for an array that is not contiguous.
pub fn tensor(array: &Bound<'_, Array>) -> std::result::Result<Tensor, Failure> {
    let readable = array.try_readonly().map_err(PyErr::from)?;
    let elements = readable.as_slice().map_err(PyErr::from)?;
    let (elements, count) = (elements.as_ptr(), elements.len());
    let shape = array.shape().to_vec();
    Ok(Tensor::shared(shape, Arc::new(Borrowed { _array: array.clone().unbind(), elements, count }))?)
}

/// The tensor's elements as an array that owns them.
///
/// # Errors
/// Python's for shapes that it cannot have.
pub fn array<'py>(py: Python<'py>, tensor: Tensor) -> PyResult<Bound<'py, Array>> {
    let shape = tensor.shape().to_vec();
    PyArray1::from_vec(py, tensor.into_data()).reshape(shape)
}

/// Pictures of one size as an array `[pictures, height, width, 3]`.
///
/// # Errors
/// Python's for shapes that it cannot have.
pub fn pictures<'py>(py: Python<'py>, pictures: &[RgbImage]) -> PyResult<Bound<'py, PyArrayDyn<u8>>> {
    let (width, height) = pictures.first().map_or((0, 0), RgbImage::dimensions);
    let values = pictures.iter().flat_map(|picture| picture.as_raw()).copied().collect();
    PyArray1::from_vec(py, values).reshape(vec![pictures.len(), height as usize, width as usize, 3])
}

/// The sizes of an array with these axes.
///
/// # Errors
/// [`orthoformer::Error::WrongShape`] for another number of axes.
pub fn axes<const AXES: usize>(name: &str, tensor: &Tensor, axes: &str) -> Result<[usize; AXES]> {
    tensor.shape().try_into().map_err(|_| orthoformer::Error::WrongShape {
        name: name.to_owned(),
        found: tensor.shape().to_vec(),
        expected: axes.to_owned(),
    })
}
