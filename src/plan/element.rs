//! How the numbers of a buffer are stored.

use std::borrow::Cow;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::identity::Identity;
use super::{BufferSpec, Dispatch, Plan, Role, Stage};

/// What a number of a buffer is stored as. Sums and softmax are float32 whatever is stored.
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

    /// Bytes of one number.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }

    /// The bytes of these numbers as they are stored, filled up to whole words of four.
    pub(crate) fn encode(self, numbers: &[f32]) -> Cow<'_, [u8]> {
        match self {
            Self::F32 => Cow::Borrowed(bytemuck::cast_slice(numbers)),
            Self::F16 => {
                let mut stored = vec![f16::ZERO; numbers.len().next_multiple_of(2)];
                stored[..numbers.len()].convert_from_f32_slice(numbers);
                Cow::Owned(bytemuck::cast_slice(&stored).to_vec())
            }
        }
    }

    /// The first `count` numbers that are stored in these bytes.
    pub(crate) fn decode(self, bytes: &[u8], count: usize) -> Vec<f32> {
        let mut numbers: Vec<f32> = match self {
            Self::F32 => bytemuck::pod_collect_to_vec(bytes),
            Self::F16 => bytemuck::pod_collect_to_vec::<u8, f16>(bytes).to_f32_vec(),
        };
        numbers.truncate(count);
        numbers
    }

    /// Rounds numbers to what is left of them when they have been stored.
    pub(crate) fn round(self, numbers: &mut [f32]) {
        if self == Self::F16 {
            numbers.iter_mut().for_each(|number| *number = f16::from_f32(*number).to_f32());
        }
    }
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Plan {
    /// The same plan with its numbers stored as `element`: inputs and scratch, as far as every kernel that is bound to a buffer can take it
    /// so. Outputs stay float32, and so do numbers that need it: indices, scores before their softmax, what a selection compares, iterated matrices.
    ///
    /// Up to half the memory and traffic. Queries and keys are rounded by up to 5e-4 of their size, and so are the logits that they make: results are
    /// right to about 5e-3 of their norm where logits are up to some tens, and nothing may exceed 65,504.
    #[must_use]
    pub fn stored_as(mut self, element: Element) -> Self {
        let free = |spec: &BufferSpec| matches!(spec.role, Role::Input | Role::Scratch);
        let mut takes: Vec<bool> = self.buffers.iter().map(free).collect();
        self.exact.iter().for_each(|buffer| takes[buffer.index()] = false);
        for dispatch in self.dispatches() {
            for (binding, row) in dispatch.bindings.iter().zip(dispatch.kernel.row().bindings) {
                takes[binding.buffer.index()] &= row.stored.is_some();
            }
        }
        for (spec, _) in self.buffers.iter_mut().zip(takes).filter(|(_, takes)| *takes) {
            spec.element = element;
        }
        let elements: Vec<Element> = self.buffers.iter().map(|spec| spec.element).collect();
        for dispatch in self.stages.iter_mut().flat_map(dispatches_mut) {
            dispatch.elements = dispatch.bindings.iter().map(|binding| elements[binding.buffer.index()]).collect();
        }
        // Another plan from now on.
        self.identity = Identity::default();
        self
    }
}

fn dispatches_mut(stage: &mut Stage) -> &mut [Dispatch] {
    match stage {
        Stage::Kernel(dispatch) => std::slice::from_mut(dispatch),
        Stage::Shortcut { dispatches, .. } => dispatches,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stored_and_found_again() {
        let numbers = [0.0, 1.0, -2.5, 65_504.0, 1e-4, f32::INFINITY, 1.0 / 3.0];
        for element in Element::ALL {
            let bytes = element.encode(&numbers);
            assert_eq!(bytes.len() as u64, (numbers.len() as u64 * element.bytes()).next_multiple_of(4));
            let mut rounded = numbers;
            element.round(&mut rounded);
            assert_eq!(element.decode(&bytes, numbers.len()), rounded);
        }
        assert!(Element::F16.decode(&Element::F16.encode(&[f32::NAN, 1e5]), 2)[0].is_nan());
        assert_eq!(Element::F16.decode(&Element::F16.encode(&[1e5]), 1), [f32::INFINITY]);
    }
}
