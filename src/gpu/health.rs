//! What a device has to say: errors of the work at hand, errors out of turn, and that it is gone.
//!
//! Whether a device is lost is asked for: every living device objects to a buffer that nobody may use, and a lost one no longer objects to
//! anything. A borrowed device keeps the handlers of its owner, and wgpu calls those of the engine's own device only when somebody polls it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use wgpu::ErrorFilter;

use super::engine::Engine;
use crate::error::{Error, Result};

/// What a device said outside of error scopes, or that it was found dead.
#[derive(Clone, Debug, Default)]
pub(super) struct LastWords(Arc<Mutex<Option<Error>>>);

impl LastWords {
    /// Takes over the handlers of a device, so that what it says neither panics nor is lost.
    pub fn listen(&self, device: &wgpu::Device) {
        let words = self.clone();
        device.set_device_lost_callback(move |reason, message| words.lost("waiting", format!("{reason:?}: {message}")));
        let words = self.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            words.get().get_or_insert(classify("running earlier work", error));
        }));
    }

    fn lost(&self, doing: &str, message: String) {
        *self.get() = Some(Error::DeviceLost { doing: doing.to_owned(), message });
    }

    /// Answers [`Error::DeviceLost`] if the device is gone, or the error that it reported out of turn.
    fn check(&self, doing: &str) -> Result<()> {
        let mut words = self.get();
        match words.take() {
            None => Ok(()),
            Some(Error::DeviceLost { message, .. }) => {
                // Lost for good: the next call has to be told too.
                *words = Some(Error::DeviceLost { doing: doing.to_owned(), message: message.clone() });
                Err(Error::DeviceLost { doing: doing.to_owned(), message })
            }
            Some(error) => Err(error),
        }
    }

    fn get(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer of the device that may come later: at once natively, and with the next turn of the event loop in a browser.
type Answer = Pin<Box<dyn AnswerFuture>>;
#[cfg(not(target_arch = "wasm32"))]
trait AnswerFuture: Future<Output = Option<wgpu::Error>> + Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<F: Future<Output = Option<wgpu::Error>> + Send> AnswerFuture for F {}
#[cfg(target_arch = "wasm32")]
trait AnswerFuture: Future<Output = Option<wgpu::Error>> {}
#[cfg(target_arch = "wasm32")]
impl<F: Future<Output = Option<wgpu::Error>>> AnswerFuture for F {}

impl Engine {
    /// Runs `work` and turns whatever the device has to say about it into an error.
    pub(super) async fn checked<T>(&self, doing: &str, work: impl FnOnce() -> T) -> Result<T> {
        self.last_words.check(doing)?;
        let (result, answers) = self.watched(work);
        let mut first_error = None;
        for answer in answers {
            first_error = answer.await.or(first_error);
        }
        self.not_lost(doing).await?;
        match first_error {
            Some(error) => Err(classify(doing, error)),
            None => Ok(result),
        }
    }

    /// The same for who cannot wait: in a browser the device's objections are not heard, so that what `work` does has to be right.
    pub(super) fn checked_now<T>(&self, doing: &str, work: impl FnOnce() -> T) -> Result<T> {
        self.last_words.check(doing)?;
        let (result, answers) = self.watched(work);
        let first_error = answers.into_iter().filter_map(now).fold(None, |first, answer| answer.or(first));
        self.not_known_lost(doing)?;
        match first_error {
            Some(error) => Err(classify(doing, error)),
            None => Ok(result),
        }
    }

    /// Answers [`Error::DeviceLost`] if the device is gone, or the error that it reported out of turn.
    pub(super) async fn not_lost(&self, doing: &str) -> Result<()> {
        self.last_words.check(doing)?;
        let answer = self.objection();
        self.heard(doing, answer.await.is_some())
    }

    /// The same for who cannot wait: in a browser a device that is lost is noticed by the next call that waits.
    pub(super) fn not_known_lost(&self, doing: &str) -> Result<()> {
        self.last_words.check(doing)?;
        match now(self.objection()) {
            Some(answer) => self.heard(doing, answer.is_some()),
            None => Ok(()),
        }
    }

    fn heard(&self, doing: &str, objects: bool) -> Result<()> {
        if !objects {
            self.last_words.lost(doing, "it no longer answers".to_owned());
        }
        self.last_words.check(doing)
    }

    /// What the device has to say to a buffer without any use: nothing if it is gone.
    fn objection(&self) -> Answer {
        let scope = self.device.push_error_scope(ErrorFilter::Validation);
        let usage = wgpu::BufferUsages::empty();
        drop(self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 4, usage, mapped_at_creation: false }));
        Box::pin(scope.pop())
    }

    /// Runs `work` in error scopes, whose answers are still to come; the last is the one that counts most.
    fn watched<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<Answer>) {
        let filters = [ErrorFilter::Internal, ErrorFilter::Validation, ErrorFilter::OutOfMemory];
        let mut scopes: Vec<_> = filters.into_iter().map(|filter| self.device.push_error_scope(filter)).collect();
        let result = work();
        let mut answers: Vec<Answer> = Vec::new();
        while let Some(scope) = scopes.pop() {
            answers.push(Box::pin(scope.pop()));
        }
        (result, answers)
    }
}

/// What a future comes to, if it does so at once.
pub(super) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
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
