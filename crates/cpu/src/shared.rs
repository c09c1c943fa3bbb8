//! Inputs that several plans have in common: the weights of a network.

use std::collections::BTreeMap;
use std::sync::Arc;

use orthoformer::plan::{BufferSpec, Element, Role};
use orthoformer::{Result, Tensor};

/// Tensors by name and storage.
#[derive(Clone, Debug, Default)]
pub struct CpuWeights {
    tensors: BTreeMap<(String, Element), Arc<[f32]>>,
}

impl CpuWeights {
    /// Keeps a tensor for a buffer of a plan, rounded as that is stored.
    ///
    /// # Errors
    /// [`orthoformer::Error::WrongShape`].
    pub fn insert(&mut self, spec: &BufferSpec, tensor: Tensor) -> Result<()> {
        spec.check(&tensor)?;
        let mut elements = tensor.into_data();
        spec.element.round(&mut elements);
        self.tensors.insert((spec.name.clone(), spec.element), elements.into());
        Ok(())
    }

    /// Whether there is a tensor for this buffer.
    pub fn has(&self, spec: &BufferSpec) -> bool {
        self.get(spec).is_some()
    }

    /// Their size, in bytes.
    pub fn bytes(&self) -> u64 {
        self.tensors.values().map(|elements| 4 * elements.len() as u64).sum()
    }

    /// The elements of an input of a plan, if there are as many.
    pub(crate) fn get(&self, spec: &BufferSpec) -> Option<&Arc<[f32]>> {
        let found = self.tensors.get(&(spec.name.clone(), spec.element));
        found.filter(|elements| spec.role == Role::Input && elements.len() as u64 == spec.elements())
    }
}
