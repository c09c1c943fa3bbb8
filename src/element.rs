//! Storage of a buffer's elements.

use std::borrow::Cow;

use half::f16;
use half::slice::HalfFloatSliceExt;

/// Storage of a buffer's elements. Sums and softmax are float32 in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Element {
    /// Four bytes.
    #[default]
    F32,
    /// Two bytes: eleven bits of precision; beyond 65,504 infinite, and below 6e-8 zero.
    F16,
}

impl Element {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::F32, Self::F16];

    /// The name in WGSL, on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }

    /// Size of one element, in bytes.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }

    /// Encodes values for storage, padded to a multiple of four bytes.
    pub(crate) fn encode(self, values: &[f32]) -> Cow<'_, [u8]> {
        match self {
            Self::F32 => Cow::Borrowed(bytemuck::cast_slice(values)),
            Self::F16 => {
                let mut stored = vec![f16::ZERO; values.len().next_multiple_of(2)];
                stored[..values.len()].convert_from_f32_slice(values);
                Cow::Owned(bytemuck::cast_slice(&stored).to_vec())
            }
        }
    }

    /// Decodes the first `count` stored values.
    pub(crate) fn decode(self, bytes: &[u8], count: usize) -> Vec<f32> {
        let mut values: Vec<f32> = match self {
            Self::F32 => bytemuck::pod_collect_to_vec(bytes),
            Self::F16 => bytemuck::pod_collect_to_vec::<u8, f16>(bytes).to_f32_vec(),
        };
        values.truncate(count);
        values
    }

    /// Rounds values as storage does.
    pub fn round(self, values: &mut [f32]) {
        if self == Self::F16 {
            values.iter_mut().for_each(|value| *value = f16::from_f32(*value).to_f32());
        }
    }
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
