//! Plans in another storage than float32.

use super::identity::Identity;
use super::{BufferSpec, Dispatch, Element, Plan, Role, Stage};

impl Plan {
    /// The same plan with its elements stored as `element`: inputs and scratch, if every kernel that binds a buffer supports it.
    /// Outputs stay float32, and so do elements that need it: indices, scores ahead of a softmax, candidates of a selection, iterated matrices.
    ///
    /// Float16 saves up to half the memory and traffic. It rounds queries and keys by up to 5e-4 of their size, and so logits: results are
    /// right to about 5e-3 of their norm for logits of up to some tens, and no element may exceed 65,504.
    #[must_use]
    pub fn stored_as(mut self, element: Element) -> Self {
        let free = |spec: &BufferSpec| matches!(spec.role, Role::Input | Role::Scratch);
        let mut takes: Vec<bool> = self.buffers.iter().map(free).collect();
        self.exact.iter().for_each(|buffer| takes[buffer.index()] = false);
        for dispatch in self.dispatches() {
            for (binding, row) in dispatch.bindings.iter().zip(dispatch.kernel.row().bindings) {
                takes[binding.buffer.index()] &= row.any;
            }
        }
        for (spec, _) in self.buffers.iter_mut().zip(takes).filter(|(_, takes)| *takes) {
            spec.element = element;
        }
        let elements: Vec<Element> = self.buffers.iter().map(|spec| spec.element).collect();
        for dispatch in self.stages.iter_mut().flat_map(dispatches_mut) {
            dispatch.elements = dispatch.bindings.iter().map(|binding| elements[binding.buffer.index()]).collect();
        }
        // It is another plan now.
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
    fn values_are_stored_and_read_back() {
        let values = [0.0, 1.0, -2.5, 65_504.0, 1e-4, f32::INFINITY, 1.0 / 3.0];
        for element in Element::ALL {
            let bytes = element.encode(&values);
            assert_eq!(bytes.len() as u64, (values.len() as u64 * element.bytes()).next_multiple_of(4));
            let mut rounded = values;
            element.round(&mut rounded);
            assert_eq!(element.decode(&bytes, values.len()), rounded);
        }
        assert!(Element::F16.decode(&Element::F16.encode(&[f32::NAN, 1e5]), 2)[0].is_nan());
        assert_eq!(Element::F16.decode(&Element::F16.encode(&[1e5]), 1), [f32::INFINITY]);
    }
}
