//! Inputs on the device that several plans have in common: the weights of a network.

use std::collections::BTreeMap;

use super::engine::Engine;
use super::memory::STORAGE;
use super::waiting::Waiting;
use crate::error::Result;
use crate::plan::{BufferSpec, Element};
use crate::tensor::Tensor;

/// Tensors on a device, by name and storage.
#[derive(Clone, Debug, Default)]
pub struct SharedInputs {
    buffers: BTreeMap<(String, Element), wgpu::Buffer>,
}

impl SharedInputs {
    /// Uploads a tensor for a buffer of a plan. Blocks.
    ///
    /// # Errors
    /// [`crate::Error::WrongShape`]; what the device reports, such as [`crate::Error::OutOfMemory`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn upload(&mut self, engine: &Engine, spec: &BufferSpec, tensor: &Tensor) -> Result<()> {
        pollster::block_on(self.upload_by(engine, spec, tensor, Waiting::Polling))
    }

    /// The same as a future.
    ///
    /// # Errors
    /// Those of `upload`.
    pub async fn upload_async(&mut self, engine: &Engine, spec: &BufferSpec, tensor: &Tensor) -> Result<()> {
        self.upload_by(engine, spec, tensor, Waiting::Future).await
    }

    async fn upload_by(&mut self, engine: &Engine, spec: &BufferSpec, tensor: &Tensor, waiting: Waiting) -> Result<()> {
        spec.check(tensor)?;
        let bytes = spec.element.encode(tensor.data());
        let uploading = engine.checked("uploading weights", || {
            let buffer = engine.buffer(&spec.name, spec.bytes(), STORAGE);
            engine.queue.write_buffer(&buffer, 0, &bytes);
            // Frees the staging buffer before the next upload.
            engine.queue.submit([]);
            buffer
        });
        let buffer = uploading.await?;
        engine.wait("uploading weights", waiting).await?;
        self.buffers.insert((spec.name.clone(), spec.element), buffer);
        Ok(())
    }

    /// Whether the tensor for this buffer is uploaded.
    pub fn has(&self, spec: &BufferSpec) -> bool {
        self.get(spec).is_some()
    }

    /// Size on the device, in bytes.
    pub fn bytes(&self) -> u64 {
        self.buffers.values().map(wgpu::Buffer::size).sum()
    }

    /// Returns the buffer for an input of a plan, if it has the same size.
    pub(super) fn get(&self, spec: &BufferSpec) -> Option<&wgpu::Buffer> {
        let found = self.buffers.get(&(spec.name.clone(), spec.element));
        found.filter(|buffer| spec.role == crate::plan::Role::Input && buffer.size() == spec.bytes())
    }
}
