//! Waiting for a device: by polling it, or as a future.

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use super::engine::Engine;
use crate::error::{Error, Result};

/// How a call waits for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// On this thread, polling the device until everything is done.
    #[cfg(not(target_arch = "wasm32"))]
    Polling,
    /// As a future, on any executor. A browser polls its devices itself. Natively a thread polls the engine's own device, and its owner polls
    /// a borrowed device.
    Future,
}

impl Engine {
    /// Waits until the device has finished all that was submitted so far.
    pub(super) async fn wait(&self, doing: &str, waiting: Waiting) -> Result<()> {
        let (sender, receiver) = oneshot_channel();
        self.queue.on_submitted_work_done(move || drop(sender.send(())));
        let driven = self.drive(doing, waiting);
        self.not_lost(doing).await?;
        driven?;
        arrival(doing, &receiver).await
    }

    /// Makes the device call the callbacks registered so far.
    fn drive(&self, doing: &str, waiting: Waiting) -> Result<()> {
        #[cfg(not(target_arch = "wasm32"))]
        match waiting {
            Waiting::Polling => {
                let polled = self.device.poll(wgpu::PollType::wait_indefinitely());
                polled.map_err(|error| failed(doing, &error))?;
            }
            Waiting::Future if self.owns_device => {
                let device = self.device.clone();
                let polling = move || drop(device.poll(wgpu::PollType::wait_indefinitely()));
                let started = std::thread::Builder::new().name("orthoformer waits".to_owned()).spawn(polling);
                started.map_err(|error| failed(doing, &error))?;
            }
            Waiting::Future => {}
        }
        let _ = (doing, waiting);
        Ok(())
    }

    /// Waits for the device and copies mappable buffers to the host.
    pub(super) async fn mapped<T: bytemuck::Pod>(
        &self,
        doing: &str,
        copies: &[&wgpu::Buffer],
        waiting: Waiting,
    ) -> Result<Vec<Vec<T>>> {
        self.map(doing, copies, wgpu::MapMode::Read, waiting).await?;
        let elements = |copy: &&wgpu::Buffer| {
            let view = copy.get_mapped_range(..).map_err(|error| failed(doing, &error))?;
            let elements = bytemuck::pod_collect_to_vec(&view);
            drop(view);
            // So that the next run can copy into it.
            copy.unmap();
            Ok(elements)
        };
        copies.iter().map(elements).collect()
    }

    /// Waits until a mappable buffer is free, and writes into its beginning.
    pub(super) async fn write_mapped(&self, doing: &str, buffer: &wgpu::Buffer, bytes: &[u8], waiting: Waiting) -> Result<()> {
        self.map(doing, &[buffer], wgpu::MapMode::Write, waiting).await?;
        let mut view = buffer.get_mapped_range_mut(..bytes.len() as u64).map_err(|error| failed(doing, &error))?;
        view.copy_from_slice(bytes);
        drop(view);
        buffer.unmap();
        Ok(())
    }

    /// Maps buffers, once the device is done with them.
    async fn map(&self, doing: &str, buffers: &[&wgpu::Buffer], mode: wgpu::MapMode, waiting: Waiting) -> Result<()> {
        // Ahead of registering: from then on, dropping this future unmaps the buffers.
        let mut mapping = Mapping { buffers, is_pending: false };
        let register = || {
            mapping.is_pending = true;
            let of_buffer = |buffer: &&wgpu::Buffer| {
                let (sender, receiver) = oneshot_channel();
                buffer.map_async(mode, .., move |result| drop(sender.send(result)));
                receiver
            };
            buffers.iter().map(of_buffer).collect::<Vec<_>>()
        };
        let receivers = self.checked(doing, register).await?;
        let driven = self.drive(doing, waiting);
        self.not_lost(doing).await?;
        driven?;
        let mut all_mapped = Ok(());
        for receiver in &receivers {
            let arrived = arrival(doing, receiver).await;
            all_mapped = all_mapped.and(arrived.and_then(|mapped| mapped.map_err(|_| cancelled(doing))));
        }
        mapping.is_pending = false;
        self.not_lost(doing).await?;
        all_mapped
    }
}

/// Buffers that are being mapped.
struct Mapping<'b> {
    buffers: &'b [&'b wgpu::Buffer],
    is_pending: bool,
}

impl Drop for Mapping<'_> {
    /// Unmaps the buffers of a dropped wait, so that the next one can map them again.
    fn drop(&mut self) {
        if self.is_pending {
            self.buffers.iter().for_each(|buffer| buffer.unmap());
        }
    }
}

/// Waits for the result that a callback sends.
async fn arrival<T>(doing: &str, receiver: &OneshotReceiver<T>) -> Result<T> {
    // Nothing arrives if the callback was dropped without being called.
    receiver.receive().await.ok_or_else(|| cancelled(doing))
}

fn cancelled(doing: &str) -> Error {
    Error::ReadCancelled { doing: doing.to_owned() }
}

fn failed(doing: &str, error: &dyn std::error::Error) -> Error {
    Error::Device { doing: doing.to_owned(), message: error.to_string() }
}
