//! Inputs that several plans have in common: the weights of a network.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use orthoformer::plan::{Binding, BufferSpec, Element, Role};
use orthoformer::{Result, Tensor};

use super::context::Context;
use super::packs::{Matrices, Packed};
use super::simd::panels::Panels;

/// Tensors by name and storage.
#[derive(Clone, Debug, Default)]
pub struct CpuWeights {
    tensors: BTreeMap<(String, Element), Arc<[f32]>>,
    packed: Arc<Mutex<Vec<PackedPart>>>,
}

/// Matrices of a part of a tensor.
#[derive(Debug)]
struct PackedPart {
    name: String,
    element: Element,
    first: usize,
    matrices: Matrices,
    panels: Packed,
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
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        packed.retain(|part| part.name != spec.name || part.element != spec.element);
        drop(packed);
        Ok(())
    }

    /// Whether there is a tensor for this buffer.
    pub fn has(&self, spec: &BufferSpec) -> bool {
        self.get(spec).is_some()
    }

    /// Their size, in bytes, as they are and packed.
    pub fn bytes(&self) -> u64 {
        let packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        let panels = packed.iter().flat_map(|part| part.panels.iter()).map(|panels| panels.bytes() as u64);
        self.tensors.values().map(|elements| 4 * elements.len() as u64).chain(panels).sum()
    }

    /// The elements of an input of a plan, if there are as many.
    pub(crate) fn get(&self, spec: &BufferSpec) -> Option<&Arc<[f32]>> {
        let found = self.tensors.get(&(spec.name.clone(), spec.element));
        found.filter(|elements| spec.role == Role::Input && elements.len() as u64 == spec.elements())
    }
    /// The packed matrices of an input of a plan, packed by the first that asks; `None` for an input that is not shared.
    pub(crate) fn packed(&self, spec: &BufferSpec, binding: &Binding, matrices: &Matrices, context: &Context) -> Option<Packed> {
        let elements = self.get(spec)?;
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        let first = binding.range().start;
        let is_same = |part: &&PackedPart| {
            (&part.name, part.element, part.first, &part.matrices) == (&spec.name, spec.element, first, matrices)
        };
        if let Some(part) = packed.iter().find(is_same) {
            return Some(part.panels.clone());
        }
        let mut panels = vec![Panels::default(); matrices.count()];
        matrices.pack(&elements[binding.range()], &mut panels, context);
        let panels: Packed = panels.into();
        let (name, element, matrices) = (spec.name.clone(), spec.element, *matrices);
        packed.push(PackedPart { name, element, first, matrices, panels: panels.clone() });
        Some(panels)
    }
}
