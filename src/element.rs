//! How the elements of a buffer are stored.

use std::borrow::Cow;

use half::f16;
use half::slice::HalfFloatSliceExt;

/// What an element of a buffer is stored as. Sums and softmax are float32 whatever is stored.
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

    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }

    /// The bytes of these numbers as they are stored, filled up to whole words of four.
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

    /// The first `count` numbers that are stored in these bytes.
    pub(crate) fn decode(self, bytes: &[u8], count: usize) -> Vec<f32> {
        let mut values: Vec<f32> = match self {
            Self::F32 => bytemuck::pod_collect_to_vec(bytes),
            Self::F16 => bytemuck::pod_collect_to_vec::<u8, f16>(bytes).to_f32_vec(),
        };
        values.truncate(count);
        values
    }

    /// Rounds numbers to what is left of them when they have been stored.
    pub(crate) fn round(self, values: &mut [f32]) {
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
