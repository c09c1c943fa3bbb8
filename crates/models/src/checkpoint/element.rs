//! What the numbers of a stored tensor are.

use half::slice::HalfFloatSliceExt as _;
use half::{bf16, f16};
use orthoformer::{Error, Result};
use safetensors::Dtype;

/// The type of a stored tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ElementType {
    /// Floats of eight bytes.
    F64,
    /// Floats of four bytes.
    F32,
    /// IEEE floats of two bytes.
    F16,
    /// The upper half of an `F32`.
    BF16,
    /// Signed integers of eight bytes.
    I64,
    /// Signed integers of four bytes.
    I32,
    /// Signed integers of two bytes.
    I16,
    /// Signed integers of one byte.
    I8,
    /// Unsigned integers of one byte.
    U8,
    /// Truth values of one byte.
    Bool,
    /// Whatever else safetensors files may hold: it is listed and passed on, but not read.
    Other(Dtype),
}

impl ElementType {
    /// The types that safetensors files and this crate have different words for.
    const NAMED: [(Self, Dtype); 10] = [
        (Self::F64, Dtype::F64),
        (Self::F32, Dtype::F32),
        (Self::F16, Dtype::F16),
        (Self::BF16, Dtype::BF16),
        (Self::I64, Dtype::I64),
        (Self::I32, Dtype::I32),
        (Self::I16, Dtype::I16),
        (Self::I8, Dtype::I8),
        (Self::U8, Dtype::U8),
        (Self::Bool, Dtype::BOOL),
    ];

    /// Whether these are floats that [`super::Checkpoint::read`] can read.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::BF16)
    }

    pub(super) fn of_dtype(dtype: Dtype) -> Self {
        Self::NAMED.iter().find(|(_, named)| *named == dtype).map_or(Self::Other(dtype), |(element, _)| *element)
    }

    pub(super) fn dtype(self) -> Dtype {
        match self {
            Self::Other(dtype) => dtype,
            named => Self::NAMED.iter().find(|(element, _)| *element == named).map_or(Dtype::U8, |(_, dtype)| *dtype),
        }
    }

    /// The type of a storage class of PyTorch, by its name in the module `torch`.
    pub(super) fn of_storage(class: &str) -> Option<Self> {
        Some(match class {
            "DoubleStorage" => Self::F64,
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::BF16,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    /// Bits of one element.
    pub(super) fn bits(self) -> usize {
        self.dtype().bitsize()
    }

    /// Little-endian floats as float32; `name` is the tensor's, for messages.
    pub(super) fn decode(self, name: &str, bytes: &[u8]) -> Result<Vec<f32>> {
        Ok(match self {
            Self::F64 => {
                bytes.as_chunks().0.iter().map(|&bytes| narrow(name, f64::from_le_bytes(bytes))).collect::<Result<_>>()?
            }
            Self::F32 => bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
            Self::F16 => bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes)).collect::<Vec<_>>().to_f32_vec(),
            Self::BF16 => bytes.as_chunks().0.iter().map(|&bytes| bf16::from_le_bytes(bytes)).collect::<Vec<_>>().to_f32_vec(),
            _ => {
                let expected = "F64, F32, F16 or BF16";
                return Err(Error::WrongType { name: name.to_owned(), found: self.to_string(), expected });
            }
        })
    }
}

impl std::fmt::Display for ElementType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.dtype())
    }
}

/// A float64 number as float32, unless only infinity is left of it.
fn narrow(name: &str, number: f64) -> Result<f32> {
    let narrowed = number as f32;
    if narrowed.is_infinite() && number.is_finite() {
        let expected = "numbers up to 3.4e38 in size, which is what float32 holds".to_owned();
        return Err(Error::WrongNumber { name: name.to_owned(), found: format!("{number:e}"), expected });
    }
    Ok(narrowed)
}
