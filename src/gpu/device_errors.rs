//! Errors of a device: those of the call at hand, those reported outside of any call, and the loss of the device.
//!
//! Loss is detected by a probe: a device reports a validation error for a buffer without usages, and a lost one reports nothing. A borrowed
//! device keeps its owner's handlers, and wgpu calls those of the engine's own device only when it is polled.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use wgpu::ErrorFilter;

use super::engine::Engine;
use crate::error::{Error, Result};

/// The first error that a device reported outside of error scopes, or its loss.
#[derive(Clone, Debug, Default)]
pub(super) struct DeviceErrors(Arc<Mutex<Option<Error>>>);

impl DeviceErrors {
    /// Installs handlers on a device, so that its errors are kept and do not panic.
    pub fn listen(&self, device: &wgpu::Device) {
        let errors = self.clone();
        device.set_device_lost_callback(move |reason, message| errors.lost("waiting", format!("{reason:?}: {message}")));
        let errors = self.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            errors.get().get_or_insert(classify("running earlier work", error));
        }));
    }

    fn lost(&self, doing: &str, message: String) {
        *self.get() = Some(Error::DeviceLost { doing: doing.to_owned(), message });
    }

    /// Returns [`Error::DeviceLost`] if the device is lost, or the error that it reported outside of any call.
    fn check(&self, doing: &str) -> Result<()> {
        let mut kept = self.get();
        match kept.take() {
            None => Ok(()),
            Some(Error::DeviceLost { message, .. }) => {
                // A loss is final: later calls report it too.
                *kept = Some(Error::DeviceLost { doing: doing.to_owned(), message: message.clone() });
                Err(Error::DeviceLost { doing: doing.to_owned(), message })
            }
            Some(error) => Err(error),
        }
    }

    fn get(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Result of an error scope: ready at once natively, and with the next iteration of the event loop in a browser.
type ScopeResult = Pin<Box<dyn ScopeFuture>>;
#[cfg(not(target_arch = "wasm32"))]
trait ScopeFuture: Future<Output = Option<wgpu::Error>> + Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<F: Future<Output = Option<wgpu::Error>> + Send> ScopeFuture for F {}
#[cfg(target_arch = "wasm32")]
trait ScopeFuture: Future<Output = Option<wgpu::Error>> {}
#[cfg(target_arch = "wasm32")]
impl<F: Future<Output = Option<wgpu::Error>>> ScopeFuture for F {}

impl Engine {
    /// Runs `work` in error scopes. Returns the error that the device reports about it.
    pub(super) async fn checked<T>(&self, doing: &str, work: impl FnOnce() -> T) -> Result<T> {
        self.device_errors.check(doing)?;
        let (result, scopes) = self.scoped(work);
        let mut first_error = None;
        for scope in scopes {
            first_error = scope.await.or(first_error);
        }
        self.not_lost(doing).await?;
        match first_error {
            Some(error) => Err(classify(doing, error)),
            None => Ok(result),
        }
    }

    /// Runs `work` on the device in error scopes, without waiting. Returns the error that the device reports about it, which so reaches no handler of
    /// the host's. In a browser the scopes are not ready, so that `work` must be right.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Device`], [`Error::DeviceLost`].
    pub fn checked_now<T>(&self, doing: &str, work: impl FnOnce() -> T) -> Result<T> {
        self.device_errors.check(doing)?;
        let (result, scopes) = self.scoped(work);
        let first_error = scopes.into_iter().filter_map(now).fold(None, |first, error| error.or(first));
        self.not_known_lost(doing)?;
        match first_error {
            Some(error) => Err(classify(doing, error)),
            None => Ok(result),
        }
    }

    /// Returns [`Error::DeviceLost`] if the device is lost, or the error that it reported outside of any call.
    pub(super) async fn not_lost(&self, doing: &str) -> Result<()> {
        self.device_errors.check(doing)?;
        let error = self.probe();
        self.probed(doing, error.await.is_some())
    }

    /// The same without waiting. In a browser the next call that waits notices a lost device.
    pub(super) fn not_known_lost(&self, doing: &str) -> Result<()> {
        self.device_errors.check(doing)?;
        match now(self.probe()) {
            Some(error) => self.probed(doing, error.is_some()),
            None => Ok(()),
        }
    }

    fn probed(&self, doing: &str, has_error: bool) -> Result<()> {
        if !has_error {
            self.device_errors.lost(doing, "it no longer answers".to_owned());
        }
        self.device_errors.check(doing)
    }

    /// Makes a buffer without usages: an error on every device that is not lost.
    fn probe(&self) -> ScopeResult {
        let scope = self.device.push_error_scope(ErrorFilter::Validation);
        let usage = wgpu::BufferUsages::empty();
        drop(self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 4, usage, mapped_at_creation: false }));
        Box::pin(scope.pop())
    }

    /// Runs `work` in error scopes. Their results follow, the most important last.
    fn scoped<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<ScopeResult>) {
        let filters = [ErrorFilter::Internal, ErrorFilter::Validation, ErrorFilter::OutOfMemory];
        let mut scopes: Vec<_> = filters.into_iter().map(|filter| self.device.push_error_scope(filter)).collect();
        let result = work();
        let mut results: Vec<ScopeResult> = Vec::new();
        while let Some(scope) = scopes.pop() {
            results.push(Box::pin(scope.pop()));
        }
        (result, results)
    }
}

/// Returns the output of a future that is ready at once.
pub(super) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn classify(doing: &str, error: wgpu::Error) -> Error {
    let doing = doing.to_owned();
    match error {
        wgpu::Error::OutOfMemory { source } => Error::OutOfMemory { doing, message: source.to_string() },
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            Error::Device { doing, message: description }
        }
    }
}
